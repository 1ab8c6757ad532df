"""A plain 2D detector: boxes in the image. Distances and deviations are unknown, and not invented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from blob_detector.core import bright_boxes, decoded_grey
from perception.plugin import Context, Manifest, Plugin, Prepared
from perception.types import Detections, Output, Reset, Sample


class BoxDetector(Plugin):
    """Bright blobs as boxes. Options: `threshold` (default 200) and `label` (default `car`)."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._threshold, self._label = 200.0, "car"

    def open(self, context: Context) -> None:
        self._threshold = float(context.options.get("threshold", 200.0))
        self._label = str(context.options.get("label", "car"))

    def prepare(self, sample: Sample) -> Prepared:
        grey = None if sample.camera.value is None else decoded_grey(sample.camera.value)
        if sample.camera.present and grey is None:
            sample = sample.with_absent({"camera": "the image does not decode"})
        return Prepared(sample, grey)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return [Output(item.sample.tick, self._detections(item), None) for item in prepared]

    def reset(self, reason: Reset) -> None:
        """Keep nothing between samples."""

    def describe(self) -> Mapping[str, str]:
        return {"backend": "opencv", "precision": "uint8", "device": "cpu", "classes": self._label}

    def _detections(self, item: Prepared) -> Detections:
        if item.payload is None:
            return Detections(False, error=item.sample.camera.reason)
        return Detections(
            True, ("camera",), items=tuple(bright_boxes(item.payload, self._threshold, self._label))
        )
