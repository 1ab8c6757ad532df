"""Faults of the camera: a frame is decoded, changed and encoded again as JPEG.

A frame that cannot be decoded passes unchanged, and the plugin reports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.config.fault_plan import EPISODE_NS, ORDER, Fault
from perception.models.preprocess import InputSpec, image_pixels
from perception.models.preprocess.pixels import UnusableImage
from perception.pipeline.faults.draws import episode, generator, uniform
from perception.types import CameraFrame

Picture = NDArray[np.uint8]  # [H, W, 3] RGB

QUALITY = 95
DIRT = (74, 66, 54)
_PIXEL_KINDS = tuple(kind for kind in ORDER if kind != "freeze")


class PictureFaults:
    """Applies the faults of the camera to its frames, in arrival order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        by_kind = {fault.kind: fault for fault in faults}
        self._freeze = by_kind.get("freeze")
        self._pixels = [by_kind[kind] for kind in _PIXEL_KINDS if kind in by_kind]
        self._frozen: tuple[int, CameraFrame] | None = None
        self._dirt: dict[tuple[int, int], NDArray[np.float32]] = {}

    def apply(self, frame: CameraFrame) -> CameraFrame:
        """Return the frame with the faults; its stamp and arrival are unchanged."""
        frame = self._frozen_frame(frame)
        active = [fault for fault in self._pixels if _is_active(fault, frame.log_time_ns)]
        if not active:
            return frame
        try:
            planes = image_pixels(frame, InputSpec(width=frame.width, height=frame.height))
        except UnusableImage:
            return frame
        picture: Picture = np.ascontiguousarray(planes.transpose(1, 2, 0))
        for fault in active:
            picture = self._change(picture, fault, frame)
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            return frame
        return replace(frame, data=data.tobytes(), format="jpeg", step=0, mosaic="")

    def forget(self) -> None:
        """Discard the frozen frame, after a backward jump of the clock."""
        self._frozen = None

    def _frozen_frame(self, frame: CameraFrame) -> CameraFrame:
        number = None if self._freeze is None else episode(self._freeze, frame.log_time_ns)
        if number is None:
            return frame
        if self._frozen is None or self._frozen[0] != number:
            self._frozen = (number, frame)
        return replace(
            self._frozen[1], stamp_ns=frame.stamp_ns, log_time_ns=frame.log_time_ns, source=frame.source
        )

    def _change(self, picture: Picture, fault: Fault, frame: CameraFrame) -> Picture:
        if fault.kind == "dirt":
            return _soiled(picture, self._dirt_on(picture, fault))
        return CHANGES[fault.kind](picture, fault, frame)

    def _dirt_on(self, picture: Picture, fault: Fault) -> NDArray[np.float32]:
        size = picture.shape[0], picture.shape[1]
        if size not in self._dirt:
            self._dirt[size] = _blotches(fault, *size)
        return self._dirt[size]


def _is_active(fault: Fault, log_time_ns: int) -> bool:
    return fault.kind != "blackout" or episode(fault, log_time_ns) is not None


def _black(picture: Picture, fault: Fault, frame: CameraFrame) -> Picture:
    return np.zeros_like(picture)


def _blurred(picture: Picture, fault: Fault, frame: CameraFrame) -> Picture:
    sigma = fault.severity * picture.shape[1] / 64
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _noisy(picture: Picture, fault: Fault, frame: CameraFrame) -> Picture:
    rng = generator(fault, frame.topic, frame.stamp_ns, frame.log_time_ns)
    noise = rng.standard_normal(picture.shape, np.float32) * np.float32(64 * fault.severity)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def _exposed(picture: Picture, fault: Fault, frame: CameraFrame) -> Picture:
    bright = uniform(fault, "stops", frame.log_time_ns // EPISODE_NS) < 0.5
    stops = 4 * fault.severity * (1 if bright else -1)
    levels = np.arange(256) * 2 ** (stops / 2.2)  # gamma of 2.2
    return np.asarray(cv2.LUT(picture, np.clip(np.rint(levels), 0, 255).astype(np.uint8)), np.uint8)


def _blotches(fault: Fault, height: int, width: int) -> NDArray[np.float32]:
    """Return the coverage of each pixel by dirt [H, W, 1], 0 to 1; the covered share is the severity."""
    coarse = generator(fault, "blotches").standard_normal((12, 20), np.float32)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    edge = float(np.quantile(field, 1 - fault.severity))
    soft = np.clip((field - edge) / 0.1 + 0.5, 0, 1) if fault.severity < 1 else np.ones_like(field)
    covered: NDArray[np.float32] = soft.astype(np.float32)[:, :, None]
    return covered


def _soiled(picture: Picture, covered: NDArray[np.float32]) -> Picture:
    dirt = np.array(DIRT, np.float32)
    mixed: Picture = np.rint(picture * (1 - covered) + dirt * covered).astype(np.uint8)
    return mixed


CHANGES: dict[str, Callable[[Picture, Fault, CameraFrame], Picture]] = {
    "blackout": _black,
    "blur": _blurred,
    "noise": _noisy,
    "exposure": _exposed,
}
