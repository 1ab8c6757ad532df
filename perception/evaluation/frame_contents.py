"""The boxes and commands of each frame, output and truth, for drawing the worst frames."""

from __future__ import annotations

import numpy as np

from perception.evaluation.metrics import ScoredFrame
from perception.evaluation.metrics.rows import Rows
from perception.evaluation.report.schema import SceneBoxReport, SceneControlReport, SceneReport
from perception.evaluation.worst_frames import CUT
from perception.types import Output, TruthFrame
from perception.types.times import bounded_ns

KINDS = ("found", "missed", "ignored", "hit", "false")
"""Kinds of box: matched, missed and ignored truth; correct and false detections."""

_FOUND, _MISSED, _IGNORED, _HIT, _FALSE = range(5)


class FrameContents:
    """The boxes and commands of each frame of one log, about 40 bytes for each box.

    Detections below score 0.3 are not kept, as moments are not judged by them.

    Args:
        camera: The topic of the pictures, empty where there are none.
    """

    def __init__(self, camera: str = "") -> None:
        self.camera = camera
        self._labels: dict[str, int] = {}
        self._channels: dict[str, tuple[int, str]] = {}
        self._frames: dict[tuple[int, int], int] = {}
        self._boxes = Rows(
            [
                *(("frame", "i4"), ("label", "i2"), ("kind", "u1")),
                *(("xyxy", "f4", 4), ("score", "f4"), ("distance", "f4")),
            ]
        )
        self._control = Rows(
            [("frame", "i4"), ("channel", "i2"), ("said", "f8"), ("std", "f8"), ("true", "f8")]
        )

    def add(self, output: Output, truth: TruthFrame, frame: ScoredFrame) -> None:
        """Add one scored frame."""
        times = (output.tick.log_time_ns, bounded_ns(truth.stamp_ns))
        number = self._frames.setdefault(times, len(self._frames))
        if frame.state == "scored":
            self._add_boxes(number, frame)
        if output.control is None or not output.control.valid or truth.control is None:
            return
        for channel in output.control.channels:
            if channel.name in truth.control:
                place, _ = self._channels.setdefault(channel.name, (len(self._channels), channel.unit))
                row = self._control.grow(1)
                row["frame"], row["channel"] = number, place
                row["said"], row["std"], row["true"] = channel.value, channel.std, truth.control[channel.name]

    def _add_boxes(self, number: int, frame: ScoredFrame) -> None:
        names = (*frame.names, "")  # the last stands for every class: ANY_CLASS is -1
        labels = np.array([self._labels.setdefault(n, len(self._labels)) for n in names], dtype=np.intp)
        kept = (frame.score >= CUT) & ~frame.dropped50 & np.isfinite(frame.box).all(axis=1)
        hit = frame.hit50
        taken = np.zeros(len(frame.truth_label), dtype=np.bool_)
        taken[frame.matches50[hit & kept]] = True
        true = self._boxes.grow(len(taken))
        true["frame"], true["label"], true["score"] = number, labels[frame.truth_label], np.nan
        true["xyxy"], true["distance"] = frame.truth_box, frame.truth_distance
        true["kind"] = np.where(frame.ignored, _IGNORED, np.where(taken, _FOUND, _MISSED))
        rows = self._boxes.grow(int(np.count_nonzero(kept)))
        rows["frame"], rows["label"], rows["score"] = number, labels[frame.label[kept]], frame.score[kept]
        rows["xyxy"], rows["distance"] = frame.box[kept], frame.distance[kept]
        rows["kind"] = np.where(hit[kept], _HIT, _FALSE)

    def at(self, log_time_ns: int, stamp_ns: int) -> SceneReport | None:
        """Return the contents of the frame with these times; None if there is none."""
        number = self._frames.get((log_time_ns, stamp_ns))
        if number is None:
            return None
        labels, channels = list(self._labels), list(self._channels.items())
        boxes = [
            SceneBoxReport(
                kind=KINDS[int(self._boxes["kind"][row])],
                label=labels[int(self._boxes["label"][row])],
                xyxy=[round(float(side), 1) for side in self._boxes["xyxy"][row]],
                score=_number(self._boxes["score"][row], 3),
                distance_m=_number(self._boxes["distance"][row], 2),
            )
            for row in np.flatnonzero(self._boxes["frame"] == number)
        ]
        control = [
            SceneControlReport(
                name=channels[int(self._control["channel"][row])][0],
                unit=channels[int(self._control["channel"][row])][1][1],
                said=_number(self._control["said"][row], 6),
                std=_number(self._control["std"][row], 6),
                true=_number(self._control["true"][row], 6),
            )
            for row in np.flatnonzero(self._control["frame"] == number)
        ]
        return SceneReport(camera=self.camera, boxes=boxes, control=control)


def _number(value: np.floating, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
