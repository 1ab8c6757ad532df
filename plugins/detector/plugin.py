"""The plugin: pictures go through any detector, and returns give its boxes a distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from perception.errors import CheckpointError, ConfigError, PluginError
from perception.models.placed_returns import PlacedReturns, placed_returns
from perception.models.preprocess.pixels import UnusableImage
from perception.plugin import Context, Manifest, Plugin, Prepared, positioned
from perception.types import Absent, CameraFrame, Detection, Detections, Output, RangeScan, Reset, Sample
from perception_plugins.detector.decode import Candidates, WrongOutput, candidates_of
from perception_plugins.detector.late_fusion import distances
from perception_plugins.detector.opening import Detector, open_detector
from perception_plugins.detector.options import DetectorOptions
from perception_plugins.detector.picture import Placement
from perception_plugins.detector.plain_loop import plain_answer
from perception_plugins.detector.suppression import suppress

NO_RETURN = "no return of the scan is finite"
_A_FEW = 64
_Box = tuple[float, float, float, float]


class Pending(NamedTuple):
    """The result of `prepare`: the input of the model, where the picture lies in it, and the returns."""

    array: NDArray[Any]
    placement: Placement
    returns: PlacedReturns | None


class Found(NamedTuple):
    """The result of `infer`."""

    head: Detections


@dataclass(frozen=True, slots=True)
class _OpenRun:
    """The state between `open` and `close`."""

    detector: Detector
    options: DetectorOptions
    path: Path
    max_range_m: float
    batch: int
    base_frame: str | None


class DetectorPlugin(Plugin):
    """Classes and boxes of any detector in a model file, with distances by late fusion.

    The file is `plugin.checkpoint`, else the option `model`. No sample is remembered.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._run: _OpenRun | None = None

    def open(self, context: Context) -> None:
        """Load the file and try it once.

        Raises:
            CheckpointError: `plugin.checkpoint` is not a model file.
            PluginError: An option is wrong, or the file is no detector that the options describe.
        """
        self.close()
        options = DetectorOptions.of(context.options)
        path = context.checkpoint or options.model
        if path is None:
            raise PluginError("model: expected a model file, found none; give --option model=FILE.onnx")
        try:
            detector = open_detector(path, options, context)
        except ConfigError as error:
            raise CheckpointError("; ".join(error.errors)) from None
        except PluginError as error:
            raise PluginError(f"{path.name}: {error}") from None
        self._run = _OpenRun(detector, options, path, context.max_range_m, context.batch, context.base_frame)

    def prepare(self, sample: Sample) -> Prepared:
        """Decode and place the picture, and project the returns; unusable inputs become absent."""
        run = self._opened()
        absent: dict[str, Absent | str] = {}
        array = placement = None
        if sample.camera.value is not None:
            try:
                array, placement = run.detector.picture.array(sample.camera.value)
            except UnusableImage as error:
                absent["camera"] = Absent.with_detail("undecodable", str(error))
        if run.options.distance.returns:
            scans = [source for source in sample.ranges.values() if source.value is not None]
            absent |= {source.name: NO_RETURN for source in scans if not _has_return(source.value)}
        sample = sample.with_absent(absent)
        if array is None or placement is None:
            return Prepared(sample)
        returns = placed_returns(sample, run.max_range_m) if run.options.distance.returns else None
        return Prepared(sample, Pending(array, placement, returns))

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """Return the candidates of at most one batch of samples. Several threads may call it at once."""
        limit = self._opened().batch
        if len(prepared) > limit:
            raise PluginError(f"expected at most {limit} samples, as opened; found {len(prepared)}")
        return [self._inferred(item) for item in prepared]

    def _inferred(self, item: Prepared) -> Prepared:
        pending = item.payload
        if not isinstance(pending, Pending):
            return item
        returns = pending.returns
        based_on = (item.sample.camera.name, *(returns.sensors if returns is not None else ()))
        try:
            found = self._candidates(pending)
        except WrongOutput as error:
            return replace(item, payload=Found(Detections(False, based_on, error=str(error))))
        head = Detections(True, based_on, items=self._items(found, returns, item.sample))
        return replace(item, payload=Found(positioned(head, item.sample.rig, self._opened().base_frame)))

    def _candidates(self, pending: Pending) -> Candidates:
        """Return the candidates of a picture of reported classes, in recorded pixels, best first.

        Raises:
            WrongOutput: The outputs are not as the layout says, or a class has no name.
        """
        detector, options = self._opened().detector, self._opened().options
        outputs = detector.run(pending.array)
        found = candidates_of(outputs, detector.layout, detector.picture.size, options.min_score)
        if found.labels.size and not 0 <= found.labels.min() <= found.labels.max() < len(detector.words):
            raise WrongOutput(
                f"the model gave classes {int(found.labels.min())} to {int(found.labels.max())}, expected 0 "
                f"to {len(detector.words) - 1}: give labels for all, or output.first_label"
            )
        reported = detector.reported[found.labels]  # before suppression, which is by word
        if not reported.all():
            found = found.take(reported.nonzero()[0])
        found = found._replace(labels=detector.first_of_word[found.labels])
        found = suppress(found, detector.overlap, options.max_detections)
        return found._replace(boxes=pending.placement.recorded(found.boxes))

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        """Return the outputs of at most one batch of samples, in order; run `infer` where it was not."""
        warnings = self._opened().detector.warnings
        heads = [self._head(self._inferred(item)) for item in prepared]
        return [
            Output(item.sample.tick, head, None, warnings) for item, head in zip(prepared, heads, strict=True)
        ]

    def _head(self, item: Prepared) -> Detections:
        if isinstance(item.payload, Found):
            return item.payload.head
        sources = (i for i in item.sample.sensors if i.present and i.kind in self.manifest.inputs)
        present = tuple(source.name for source in sources)
        error = f"no picture: {item.sample.camera.reason}" if present else "no sensor present"
        return Detections(False, present, error=error)

    def _items(
        self, found: Candidates, returns: PlacedReturns | None, sample: Sample
    ) -> tuple[Detection, ...]:
        run = self._opened()
        has_area: NDArray[np.bool_] = np.all(found.boxes[:, 2:] > found.boxes[:, :2], axis=1)
        if not has_area.all():
            found = found.take(has_area.nonzero()[0])
        words = [run.detector.words[label] for label in found.labels.tolist()]
        far = distances(returns, sample.rig, found.boxes, words, run.options.distance)
        metres, std = ([None if isnan(v) else v for v in column.tolist()] for column in far)
        boxes = cast("list[_Box]", list(map(tuple, found.boxes.tolist())))
        return tuple(map(Detection, words, found.scores.tolist(), boxes, repeat(None), metres, std))

    def plain_answer(self, frame: CameraFrame) -> Mapping[str, Any] | None:
        """Return what a plain loop answers to a picture (`plain_loop`), for `perception bench`."""
        return plain_answer(self._opened().detector, self._opened().options, frame)

    def reset(self, reason: Reset) -> None:
        """Do nothing: the plugin has no state."""

    def close(self) -> None:
        """Release the model. May be called twice, and without `open`."""
        if self._run is not None:
            self._run.detector.file.close()
            self._run = None

    def describe(self) -> Mapping[str, str]:
        """Return a description of the model, its layout and why it was read so; empty before `open`."""
        if self._run is None:
            return {}
        detector = self._run.detector
        return {
            **detector.file.describe(),
            "weights": self._run.path.name,
            "classes": "\n".join(dict.fromkeys(word for word in detector.words if word)),
            "note": "\n".join(detector.notes),
        }

    def _opened(self) -> _OpenRun:
        if self._run is None:
            raise PluginError("the detector plugin is not open; call open(context) first")
        return self._run


def _has_return(scan: RangeScan | None) -> bool:
    if scan is None:
        return False
    first = scan.points_m[:_A_FEW]  # usually enough to know
    return any(bool(np.isfinite(points.T).all(0).any()) for points in (first, scan.points_m))
