"""The base of the metrics of detections: it stores rows and numbers the labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import BaseMetric, Rules, count_states
from perception.evaluation.metrics.frame import ScoredFrame, ScoredFrames
from perception.evaluation.metrics.rows import Rows, RowType
from perception.types import Output, TruthFrame

NO_LABEL = -1
Columns = Mapping[str, NDArray[Any]]
_FRAME: RowType = [("stamp_ns", "i8"), ("frame", "i4")]


class DetectionMetric(BaseMetric):
    """A metric that stores a row for each counted detection and each counted truth box.

    Every row has `frame`, its frame's number, and `stamp_ns`: rows of equal score are ranked by time, so that
    merged parts give the same values in whatever order they are merged.
    """

    row: ClassVar[RowType]
    row_labels: ClassVar[tuple[str, ...]] = ("label",)
    truth_row: ClassVar[RowType] = [("label", "i2")]

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(rules)
        self.labels: dict[str, int] = {name: index for index, name in enumerate(self.rules.classes)}
        self.rows = Rows([*_FRAME, *self.row])
        self.truth = Rows([*_FRAME, *self.truth_row])

    def update(self, output: Output, truth: TruthFrame) -> None:
        """Add one frame."""
        self.add(ScoredFrame(output, truth, self.rules))

    def add(self, frames: ScoredFrames) -> None:
        """Add frames that several metrics share, made under the same rules."""
        count_states(self.frames, frames.states)
        for key, count in zip(("malformed_detections", "malformed_truth"), frames.malformed, strict=True):
            if count:
                self.frames[key] += count
        if frames.any_scored:
            numbers = self._numbers(frames.names)
            self._append(self.truth, frames, self._truths(frames, numbers))
            self._append(self.rows, frames, self._detections(frames, numbers))
        self.count += len(frames)

    def _merge(self, other: Self) -> None:
        numbers = np.append(self._numbers(tuple(other.labels)), NO_LABEL)  # so that place -1 stays -1
        for rows, others, columns in (
            (self.rows, other.rows, self.row_labels),
            (self.truth, other.truth, ("label",)),
        ):
            new = rows.extend(others)
            new["frame"] += self.count
            for column in columns:
                new[column] = numbers[new[column]]

    def _numbers(self, names: tuple[str, ...]) -> NDArray[np.intp]:
        """Return this metric's number of each name; new names get a new number."""
        labels = self.labels
        return np.array([labels.setdefault(name, len(labels)) for name in names], dtype=np.intp)

    def _append(self, rows: Rows, frames: ScoredFrames, columns: Columns) -> None:
        """Append rows of frames."""
        if not len(columns["frame"]):
            return
        new = rows.grow(len(columns["frame"]))
        for name, values in columns.items():
            new[name] = values
        if len(frames) == 1:
            new["stamp_ns"], new["frame"] = frames.stamp_ns[0], self.count
        else:
            new["stamp_ns"] = frames.stamp_ns[columns["frame"]]
            new["frame"] += self.count

    def _ranked(self) -> NDArray[np.intp]:
        """Return the order of the rows by descending score, then by time, then by insertion."""
        order: NDArray[np.intp] = np.lexsort((self.rows["stamp_ns"], -self.rows["score"]))
        return order

    def _parts(self, label: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Yield the suffix of a value's name and the mask [N]: for all rows, then for each class."""
        yield "", np.ones(len(label), dtype=np.bool_)
        for name, number in self.labels.items():
            yield f"/{name}", label == number

    def _truths(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        """Return the columns of the rows for the truth that is not ignored."""
        return of_truth(frames, numbers, ~frames.ignored)

    @abstractmethod
    def _detections(self, frames: ScoredFrames, numbers: NDArray[np.intp]) -> Columns:
        """Return the columns of the rows for the detections, `frame` and `label` among them.

        `numbers` turns the labels of the frames into this metric's.
        """


def of_truth(frames: ScoredFrames, numbers: NDArray[np.intp], counts: NDArray[np.bool_]) -> Columns:
    """Return frame and label of the truth in a mask [G]."""
    return {"frame": frames.truth_frame[counts], "label": numbers[frames.truth_label[counts]]}
