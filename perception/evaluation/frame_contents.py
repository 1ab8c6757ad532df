"""The boxes and commands of each frame, output and truth, for drawing the worst frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics import ScoredFrames
from perception.evaluation.metrics.rows import Rows
from perception.evaluation.report.drawing_schema import SceneBoxReport, SceneControlReport, SceneReport
from perception.evaluation.worst_frames import CUT

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

    def add(self, frames: ScoredFrames, shown: Sequence[bool] | None = None) -> None:
        """Add scored frames.

        Args:
            frames: Of a rig, those of all cameras.
            shown: Which are of the camera whose pictures are drawn; None: of each time the first.
        """
        times = zip(frames.columns.log_time_ns.tolist(), frames.stamp_ns.tolist(), strict=True)
        own = [True] * len(frames) if shown is None else shown
        numbers = np.array([self._number(*pair) for pair in zip(times, own, strict=True)], np.intp)
        if frames.any_scored:
            self._add_boxes(numbers, frames)
        control = frames.columns.control
        order = control.by_output()
        _, first = np.unique(control.channel[order], return_index=True)
        for row in order[np.sort(first)].tolist():
            name = control.names[control.channel[row]]
            self._channels.setdefault(name, (len(self._channels), control.unit[row]))
        order = order[numbers[control.frame[order]] >= 0]
        rows = self._control.grow(len(order))
        places = np.array([self._channels.get(name, (-1, ""))[0] for name in control.names], np.intp)
        rows["frame"], rows["channel"] = numbers[control.frame[order]], places[control.channel[order]]
        rows["said"], rows["std"], rows["true"] = (
            column[order] for column in (control.value, control.std, control.true)
        )

    def _number(self, times: tuple[int, int], shown: bool) -> int:
        """Return the number of a new frame; -1 for one that is not drawn."""
        return (
            self._frames.setdefault(times, len(self._frames)) if shown and times not in self._frames else -1
        )

    def _add_boxes(self, numbers: NDArray[np.intp], frames: ScoredFrames) -> None:
        names = (*frames.names, "")  # the last stands for every class: ANY_CLASS is -1
        labels = np.array([self._labels.setdefault(n, len(self._labels)) for n in names], dtype=np.intp)
        kept = (frames.score >= CUT) & ~frames.dropped50 & np.isfinite(frames.box).all(axis=1)
        hit = frames.hit50
        taken = np.zeros(len(frames.truth_label), dtype=np.bool_)
        taken[frames.matches50[hit & kept]] = True
        kept &= numbers[frames.frame] >= 0
        drawn = numbers[frames.truth_frame] >= 0
        true = self._boxes.grow(int(np.count_nonzero(drawn)))
        true["frame"], true["label"] = numbers[frames.truth_frame[drawn]], labels[frames.truth_label[drawn]]
        true["score"] = np.nan
        true["xyxy"], true["distance"] = frames.truth_box[drawn], frames.truth_distance[drawn]
        true["kind"] = np.where(frames.ignored, _IGNORED, np.where(taken, _FOUND, _MISSED))[drawn]
        rows = self._boxes.grow(int(np.count_nonzero(kept)))
        rows["frame"], rows["label"] = numbers[frames.frame[kept]], labels[frames.label[kept]]
        rows["score"], rows["xyxy"] = frames.score[kept], frames.box[kept]
        rows["distance"], rows["kind"] = frames.distance[kept], np.where(hit[kept], _HIT, _FALSE)

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
            for row in self._rows_of(number)
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

    def _rows_of(self, number: int) -> NDArray[np.intp]:
        """Return the boxes of a frame, truth before detections."""
        rows = np.flatnonzero(self._boxes["frame"] == number)
        return rows[np.argsort(self._boxes["kind"][rows] >= _HIT, kind="stable")]


def _number(value: np.floating, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
