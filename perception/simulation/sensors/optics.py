"""From what is drawn to what a camera delivers: air, lens, exposure, movement, dirt, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.simulation.scenario import stream
from perception.simulation.world.scene import HEIGHT, WIDTH, Scene
from perception.simulation.world.textures import Plane, clouds

JPEG_QUALITY = 80
GREY_BY_DAY, GREY_BY_NIGHT = 0.40, 0.24
WHITEST = 1.3  # what the brightest twentieth of the image may be, of full scale
GAINS = (0.7, 2.4)


class Optics:
    """The camera's body of one log. Frames must come in order: the exposure follows the light slowly.

    In a mirrored scene everything is done on the frame turned back, so that noise and dirt are mirrored too.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene, self.look = scene, scene.look
        self.noise = stream(scene.seed, "camera noise")
        rng = stream(scene.seed, "lens")
        self.gain: float | None = None
        y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
        self.vignette = (1 - self.look.vignette * 0.5 * (x * x + 0.5 * y * y))[..., None].astype(np.float32)
        self.smears = _smears(rng, self.look.dirt)
        self.mud = _smears(rng, 1.0, heavy=True)
        self.haze_colour = np.asarray(self.look.horizon, np.float32) * 0.97

    def expose(
        self,
        colours: NDArray[np.uint8],
        depth: NDArray[np.float32],
        turn_rates: tuple[float, float],
        over_exposure: float = 0.0,
        muddy: float = 0.0,
    ) -> NDArray[np.uint8]:
        """One frame, RGB [HEIGHT, WIDTH, 3].

        Args:
            colours, depth: As the camera drew them, oversampled; depth in m.
            turn_rates: Yaw and pitch rate, rad/s, left and nose down positive.
            over_exposure: Stops by which the exposure is wrong.
            muddy: 0 to 1, how much mud lies on the lens.
        """
        if self.scene.mirror:
            colours, depth, turn_rates = colours[:, ::-1], depth[:, ::-1], (-turn_rates[0], turn_rates[1])
        small = cv2.resize(np.ascontiguousarray(colours), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        image = small.astype(np.float32) * np.float32(1 / 255)
        if self.look.haze_per_m > 0:
            far = cv2.resize(np.ascontiguousarray(depth), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            through = np.exp(-np.float32(self.look.haze_per_m) * far)[..., None]
            image = image * through + self.haze_colour * (1 - through)
        image = self._blur(image, turn_rates)
        image *= self._exposure(image) * np.float32(2.0**over_exposure) * self.vignette
        image *= np.asarray(self.look.white_balance, np.float32)
        for mask, amount in ((self.smears, 1.0), (self.mud, muddy)):
            if mask is not None and amount > 0:
                image = _smear(image, mask * np.float32(amount), amount < 1.0 or mask is self.mud)
        image = self._develop(image)
        frame = np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)
        return np.ascontiguousarray(frame[:, ::-1]) if self.scene.mirror else frame

    def _exposure(self, image: Plane) -> np.float32:
        """Automatic: the lower two thirds are brought towards a grey, unless the sky would drown; slowly."""
        grey = GREY_BY_NIGHT if self.look.lamps else GREY_BY_DAY
        level = float(image[HEIGHT // 3 :: 4, ::4].mean())
        brightest = float(np.percentile(image[::4, ::4].max(axis=2), 95))
        wished = float(np.clip(min(grey / max(level, 0.02), WHITEST / max(brightest, 0.02)), *GAINS))
        wished *= self.look.exposure
        self.gain = wished if self.gain is None else self.gain + 0.15 * (wished - self.gain)
        return np.float32(self.gain)

    def _blur(self, image: Plane, turn_rates: tuple[float, float]) -> Plane:
        """Smears along the way the image moved while the shutter was open; turning counts, going does not."""
        reach = self.scene.rig.focal_px * self.look.shutter_s
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
        """Colour, contrast, sensor noise, and a soft shoulder instead of hard white."""
        grey = image @ np.array([0.3, 0.6, 0.1], np.float32)
        image = grey[..., None] + (image - grey[..., None]) * np.float32(self.look.saturation)
        image = (image - 0.4) * np.float32(self.look.contrast) + 0.4
        amount = (
            self.look.noise
            / 255
            * np.sqrt(np.clip(grey, 0.0, 1.0) + 0.25)
            * np.float32((self.gain or 1.0) ** 0.5)
        )
        image += amount[..., None] * self.noise.standard_normal(image.shape, dtype=np.float32)
        return np.where(image > 0.8, 1 - 0.2 * np.exp(-(image - 0.8) / 0.2), image)


def encode_jpeg(frame: NDArray[np.uint8]) -> bytes:
    """RGB as JPEG."""
    done, data = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not encode a frame as JPEG")
    return bytes(data.tobytes())


def _smears(rng: np.random.Generator, share: float, heavy: bool = False) -> Plane | None:
    """How strongly each pixel is smeared, 0 to 1; None for a clean lens."""
    noise = clouds(rng, (HEIGHT, WIDTH), 90 if heavy else 50, 3)
    if share <= 0:
        return None
    mask = np.clip((noise - (2.0 - (1.5 if heavy else 0.9) * share)) * 1.2, 0, 1)
    for _ in range(int(rng.poisson(10 * share))):
        x, y, r = (
            int(rng.integers(WIDTH)),
            int(rng.integers(HEIGHT)),
            int(rng.integers(2, 9 if not heavy else 26)),
        )
        cv2.circle(mask, (x, y), r, 0.9, -1, cv2.LINE_8)
    return np.asarray(
        cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 4) * (0.95 if heavy else 0.75), np.float32
    )


def _smear(image: Plane, mask: Plane, muddy: bool) -> Plane:
    soft = cv2.resize(
        cv2.GaussianBlur(cv2.resize(image, (WIDTH // 4, HEIGHT // 4)), (0, 0), 5), (WIDTH, HEIGHT)
    )
    film = np.array([0.20, 0.17, 0.13] if muddy else [0.5, 0.5, 0.5], np.float32)
    veil = soft * 0.35 + film * 0.65 * (0.8 if muddy else soft.mean() * 2.0)
    return np.asarray(image * (1 - mask[..., None]) + veil * mask[..., None], np.float32)
