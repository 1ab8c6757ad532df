"""The image formation of a camera: haze, exposure, motion blur, vignetting, dirt, noise and JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.simulation.random_draws import random_stream
from perception.simulation.world.scene import HEIGHT, WIDTH, Scene
from perception.simulation.world.textures import Plane, smooth_noise

JPEG_QUALITY = 80
GREY_BY_DAY, GREY_BY_NIGHT = 0.40, 0.24
WHITEST = 1.3  # limit of the 95th percentile of brightness, of full scale
GAINS = (0.7, 2.4)


class Optics:
    """Lens and image sensor in one log. Frames must come in order: the exposure adapts slowly.

    In a mirrored scene the frame is processed unmirrored, so that noise and dirt are mirrored with it.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene, self.conditions = scene, scene.conditions
        self.noise = random_stream(scene.seed, "camera noise")
        rng = random_stream(scene.seed, "lens")
        self.gain: float | None = None
        y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
        self.vignette = (1 - self.conditions.vignette * 0.5 * (x * x + 0.5 * y * y))[..., None].astype(
            np.float32
        )
        self.smears = _smears(rng, self.conditions.dirt)
        self.mud = _smears(rng, 1.0, heavy=True)
        self.haze_colour = np.asarray(self.conditions.horizon, np.float32) * 0.97

    def expose(
        self,
        colours: NDArray[np.uint8],
        depth: NDArray[np.float32],
        turn_rates: tuple[float, float],
        over_exposure: float = 0.0,
        muddy: float = 0.0,
    ) -> NDArray[np.uint8]:
        """Return a frame, RGB [HEIGHT, WIDTH, 3].

        Args:
            colours, depth: Drawn by the camera, oversampled; depth in m.
            turn_rates: Yaw and pitch rate, rad/s, left and nose down positive.
            over_exposure: Injected fault: stops of overexposure.
            muddy: Injected fault: amount of mud on the lens, 0 to 1.
        """
        if self.scene.mirror:
            colours, depth, turn_rates = colours[:, ::-1], depth[:, ::-1], (-turn_rates[0], turn_rates[1])
        small = cv2.resize(np.ascontiguousarray(colours), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        image = small.astype(np.float32) * np.float32(1 / 255)
        if self.conditions.haze_per_m > 0:
            far = cv2.resize(np.ascontiguousarray(depth), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            through = np.exp(-np.float32(self.conditions.haze_per_m) * far)[..., None]
            image = image * through + self.haze_colour * (1 - through)
        image = self._blur(image, turn_rates)
        image *= self._exposure(image) * np.float32(2.0**over_exposure) * self.vignette
        image *= np.asarray(self.conditions.white_balance, np.float32)
        for mask, amount in ((self.smears, 1.0), (self.mud, muddy)):
            if mask is not None and amount > 0:
                image = _smear(image, mask * np.float32(amount), amount < 1.0 or mask is self.mud)
        image = self._develop(image)
        frame = np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)
        return np.ascontiguousarray(frame[:, ::-1]) if self.scene.mirror else frame

    def _exposure(self, image: Plane) -> np.float32:
        """Adapt the gain slowly: the lower two thirds approach a grey, unless the sky would saturate."""
        grey = GREY_BY_NIGHT if self.conditions.lamps else GREY_BY_DAY
        level = float(image[HEIGHT // 3 :: 4, ::4].mean())
        brightest = float(np.percentile(image[::4, ::4].max(axis=2), 95))
        target = float(np.clip(min(grey / max(level, 0.02), WHITEST / max(brightest, 0.02)), *GAINS))
        target *= self.conditions.exposure
        self.gain = target if self.gain is None else self.gain + 0.15 * (target - self.gain)
        return np.float32(self.gain)

    def _blur(self, image: Plane, turn_rates: tuple[float, float]) -> Plane:
        """Blur along the image motion while the shutter was open; only rotation counts."""
        reach = self.scene.rig.focal_px * self.conditions.shutter_s
        dx, dy = reach * turn_rates[0], -reach * turn_rates[1]
        if abs(dx) + abs(dy) < 0.3:
            return image
        size = 2 * int(np.ceil(min(12.0, max(abs(dx), abs(dy))) / 2) + 1) + 1
        kernel = np.zeros((size, size), np.float32)
        for f in np.linspace(-0.5, 0.5, 13):
            x, y = float(np.clip(dx, -12, 12)) * f + size // 2, float(np.clip(dy, -12, 12)) * f + size // 2
            x0, y0 = int(x), int(y)
            for ix, wx in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
                for iy, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
                    if wx * wy > 0:
                        kernel[iy, ix] += wx * wy
        return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE))

    def _develop(self, image: Plane) -> Plane:
        """Apply saturation, contrast and sensor noise, and compress highlights."""
        grey = image @ np.array([0.3, 0.6, 0.1], np.float32)
        image = grey[..., None] + (image - grey[..., None]) * np.float32(self.conditions.saturation)
        image = (image - 0.4) * np.float32(self.conditions.contrast) + 0.4
        brightness = np.sqrt(np.clip(grey, 0.0, 1.0) + 0.25)
        deviation = self.conditions.noise / 255 * brightness * np.float32((self.gain or 1.0) ** 0.5)
        image += deviation[..., None] * self.noise.standard_normal(image.shape, dtype=np.float32)
        return np.where(image > 0.8, 1 - 0.2 * np.exp(-(image - 0.8) / 0.2), image)


def encode_jpeg(frame: NDArray[np.uint8]) -> bytes:
    """Encode an RGB frame as JPEG."""
    done, data = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not encode a frame as JPEG")
    return bytes(data.tobytes())


def _smears(rng: np.random.Generator, share: float, heavy: bool = False) -> Plane | None:
    """Draw the dirt on each pixel, 0 to 1; return None for a clean lens."""
    noise = smooth_noise(rng, (HEIGHT, WIDTH), 90 if heavy else 50, 3)
    if share <= 0:
        return None
    mask = np.clip((noise - (2.0 - (1.5 if heavy else 0.9) * share)) * 1.2, 0, 1)
    for _ in range(int(rng.poisson(10 * share))):
        x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        radius = int(rng.integers(2, 26 if heavy else 9))
        cv2.circle(mask, (x, y), radius, 0.9, -1, cv2.LINE_8)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 4)
    return np.asarray(soft * (0.95 if heavy else 0.75), np.float32)


def _smear(image: Plane, mask: Plane, muddy: bool) -> Plane:
    """Blur and veil the image where the mask says that the lens is dirty."""
    small = cv2.resize(image, (WIDTH // 4, HEIGHT // 4))
    soft = cv2.resize(cv2.GaussianBlur(small, (0, 0), 5), (WIDTH, HEIGHT))
    film = np.array([0.20, 0.17, 0.13] if muddy else [0.5, 0.5, 0.5], np.float32)
    veil = soft * 0.35 + film * 0.65 * (0.8 if muddy else soft.mean() * 2.0)
    return np.asarray(image * (1 - mask[..., None]) + veil * mask[..., None], np.float32)
