"""The base of the metrics over detections: counts frames, keeps rows, and knows labels by number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Result, Rules, Value, check_mergeable, counted
from perception.evaluation.metrics.frame import ScoredFrame
from perception.evaluation.metrics.rows import Rows, RowType
from perception.types import Output, TruthFrame

NO_LABEL = -1


class DetectionMetric(ABC):
    """A metric that remembers rows about detections, and of truth that counts.

    Every row has `stamp_ns`: rows are put in the order of time before ties between scores are broken, so that
    parts give the same whole in whatever order they are merged; and frames can be drawn again for intervals.
    """

    name: ClassVar[str]
    head: ClassVar[str]
    row: ClassVar[RowType]
    row_labels: ClassVar[tuple[str, ...]] = ("label",)
    truth_row: ClassVar[RowType] = [("stamp_ns", "i8"), ("label", "i2")]

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules if rules is not None else Rules()
        self.frames: Counter[str] = Counter()
        self.labels: dict[str, int] = {name: index for index, name in enumerate(self.rules.classes)}
        self.rows = Rows(self.row)
        self.truth = Rows(self.truth_row)

    def update(self, output: Output, truth: TruthFrame) -> None:
        """Take one frame in."""
        self.add(ScoredFrame(output, truth, self.rules))

    def add(self, frame: ScoredFrame) -> None:
        """Take one frame in that several metrics share. It must have been made under the same rules."""
        self.frames[frame.state] += 1
        if frame.state != "scored":
            return
        for key, count in zip(("malformed_detections", "malformed_truth"), frame.malformed, strict=True):
            if count:
                self.frames[key] += count
        self._add(frame, self._numbers(frame.names))

    def compute(self) -> Result:
        """The result over all frames so far."""
        details: dict[str, Any] = {}
        values = self._compute(details)
        return Result(self.name, self.head, values, details, counted(self.frames))

    def merge(self, other: Self) -> None:
        """Take in what another has seen.

        Raises:
            ValueError: The other is of another kind, or was made under other rules.
        """
        check_mergeable(self, other)
        self.frames.update(other.frames)
        numbers = np.append(self._numbers(tuple(other.labels)), NO_LABEL)  # so that place -1 stays -1
        for mine, theirs, columns in (
            (self.rows, other.rows, self.row_labels),
            (self.truth, other.truth, ("label",)),
        ):
            new = mine.extend(theirs)
            for column in columns:
                new[column] = numbers[new[column]]

    def _numbers(self, names: tuple[str, ...]) -> NDArray[np.intp]:
        """Our number of each name; new names get one."""
        labels = self.labels
        return np.array([labels.setdefault(name, len(labels)) for name in names], dtype=np.intp)

    def _add_truth(
        self, frame: ScoredFrame, numbers: NDArray[np.intp], only: NDArray[np.bool_] | None = None
    ) -> NDArray[np.void]:
        """Rows for the truth of a frame that counts; of those, `only` the ones marked [G]."""
        counts = ~frame.ignored if only is None else ~frame.ignored & only
        new = self.truth.grow(int(np.count_nonzero(counts)))
        new["stamp_ns"] = frame.stamp_ns
        new["label"] = numbers[frame.truth_label[counts]]
        return new

    def _ranked(self) -> NDArray[np.intp]:
        """The order of rows by falling score; equal scores by time, then as they came."""
        order: NDArray[np.intp] = np.lexsort((self.rows["stamp_ns"], -self.rows["score"]))
        return order

    @abstractmethod
    def _add(self, frame: ScoredFrame, numbers: NDArray[np.intp]) -> None:
        """Remember a scored frame. `numbers` turns the frame's labels into ours."""

    @abstractmethod
    def _compute(self, details: dict[str, Any]) -> dict[str, Value]:
        """The values; what is not one number goes into `details`."""
