"""Outputs beside those that another machine stored: the same decisions, not the same floats.

Each frame of both is compared by what a robot would do otherwise: a box that only one of them shows, a box
elsewhere, another class, another distance, another command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from perception.errors import ConfigError
from perception.evaluation.metrics.matching import overlap
from perception.evaluation.report.schema import DivergenceReport
from perception.evaluation.worst_frames import CUT, Moment
from perception.logs import Log
from perception.sinks.base import RunInfo
from perception.sinks.stored import read_outputs
from perception.types import HEADS, Control, Detection, Detections, Output, Sample, TruthFrame


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far decisions may differ.

    Attributes:
        cut: Detections of this score or more are decisions.
        score: One that only one side shows is forgiven where its score is so close to the cut.
        iou: Overlap of a box with the same box of the reference, at least.
        distance: Of its distance, relative, at most.
        control: Of a command, as a share of its standard deviation, at most.
    """

    cut: float = CUT
    score: float = 0.05
    iou: float = 0.9
    distance: float = 0.05
    control: float = 0.1


def parse_tolerances(text: str | None) -> Tolerances:
    """Tolerances as `iou=0.95,control=0.05`; the others stay as they are.

    Raises:
        ConfigError: A name or a number is none.
    """
    known = {one.name: one for one in fields(Tolerances)}
    told: dict[str, float] = {}
    faults = []
    for word in filter(None, (part.strip() for part in (text or "").split(","))):
        name, _, number = word.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if name not in known or not 0 <= value < np.inf:
            faults.append(f"--tolerance: expected {'=X, '.join(known)}=X with numbers from 0, found '{word}'")
        else:
            told[name] = value
    if faults:
        raise ConfigError(faults)
    return Tolerances(**told)


@dataclass(slots=True)
class _Head:
    frames: int = 0
    diverged: int = 0
    first: tuple[int, int, str] | None = None  # log time, stamp, what

    def add(self, output: Output, what: str) -> None:
        self.frames += 1
        if what:
            self.diverged += 1
            if self.first is None:
                self.first = (output.tick.log_time_ns, output.tick.stamp_ns, what)


@dataclass(slots=True)
class Reference:
    """Compares the outputs of one log with stored ones. It is a sink, so a replay can feed it.

    Args:
        stored: The reference's output log, open.
        log: The log both were made from, open.
        tolerances: How far decisions may differ.
    """

    stored: Log
    log: Log
    tolerances: Tolerances = field(default_factory=Tolerances)
    _waiting: dict[tuple[int, int], Output] = field(default_factory=dict)
    _heads: dict[str, _Head] = field(default_factory=dict)

    def open(self, run: RunInfo) -> None:
        """Read the reference.

        Raises:
            LogError: It holds no outputs.
        """
        for item in read_outputs(self.stored):
            self._waiting[item.output.tick.stamp_ns, item.output.tick.log_time_ns] = item.output

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self.add(output)

    def add(self, output: Output) -> None:
        """Compare one output with that of the same tick."""
        other = self._waiting.pop((output.tick.stamp_ns, output.tick.log_time_ns), None)
        for head, what in differences(output, other, self.tolerances).items():
            self._heads.setdefault(head, _Head()).add(output, what)

    def close(self) -> None:
        """Frames that only the reference has are divergences too."""
        for other in self._waiting.values():
            for head in _heads_of(other):
                self._heads.setdefault(head, _Head()).add(other, "only the reference has this frame")
        self._waiting = {}

    def report(self, command: Callable[[Moment], str] = lambda moment: "") -> list[DivergenceReport]:
        """A row for each head, in their order."""
        start_ns, found = self.log.survey.start_ns or 0, []
        for head in HEADS:
            counts = self._heads.get(head)
            if counts is None:
                continue
            row = DivergenceReport(
                log=str(self.log.path), head=head, frames=counts.frames, diverged=counts.diverged
            )
            if counts.first is not None:
                at_ns, stamp_ns, what = counts.first
                at_s = (at_ns - start_ns) / 1e9
                moment = Moment(str(self.log.path), at_s, at_ns, stamp_ns, 1.0, what)
                row = row.model_copy(
                    update={"at_s": at_s, "stamp_ns": stamp_ns, "what": what, "command": command(moment)}
                )
            found.append(row)
        return found


def differences(output: Output, other: Output | None, tolerances: Tolerances) -> dict[str, str]:
    """For each head of either, in what it decides otherwise; empty: in nothing."""
    if other is None:
        return dict.fromkeys(_heads_of(output), "the reference has no such frame")
    found = {}
    if output.detections is not None or other.detections is not None:
        found["class"], found["box"] = _detections(output.detections, other.detections, tolerances)
    if output.control is not None or other.control is not None:
        found["control"] = _control(output.control, other.control, tolerances)
    return found


def _heads_of(output: Output) -> list[str]:
    boxes = ["class", "box"] if output.detections is not None else []
    return boxes + (["control"] if output.control is not None else [])


def _validity(one: Detections | Control | None, other: Detections | Control | None) -> str:
    words = [
        "no such head" if side is None else "valid" if side.valid else "invalid" for side in (one, other)
    ]
    return "" if words[0] == words[1] else f"{words[0]}, the reference {words[1]}"


def _detections(one: Detections | None, other: Detections | None, allowed: Tolerances) -> tuple[str, str]:
    """What differs in class, and in box."""
    unlike = _validity(one, other)
    if unlike or one is None or other is None or not one.valid:
        return unlike, unlike
    # What either may show: the sure ones and those near the cut, which only serve to be matched with.
    mine, theirs = _near(one, allowed), _near(other, allowed)
    pairs = _pairs(mine, theirs)
    classes, boxes = [], []
    for a, b in pairs:
        said, was = mine[a], theirs[b]
        if max(said.score, was.score) < allowed.cut:
            continue
        if said.label != was.label and min(said.score, was.score) >= allowed.cut:
            classes.append(f"{said.label}, the reference {was.label}, at {_place(said)}")
        elif said.label != was.label:
            continue
        shared = _overlaps([said], [was])[0, 0]
        if shared < allowed.iou:
            boxes.append(f"a {said.label} at {_place(said)} overlaps that of the reference by {shared:.2f}")
        elif abs(said.distance_m - was.distance_m) > allowed.distance * max(abs(was.distance_m), 1e-6):
            boxes.append(
                f"a {said.label} at {_place(said)} is {said.distance_m:.2f} m away, the reference says "
                f"{was.distance_m:.2f} m"
            )
    alone = [("a", mine[a]) for a in range(len(mine)) if a not in {p for p, _ in pairs}]
    alone += [
        ("only the reference has a", theirs[b]) for b in range(len(theirs)) if b not in {q for _, q in pairs}
    ]
    boxes += [
        f"{words} {box.label} of score {box.score:.2f} at {_place(box)}"
        + (", which the reference has not" if words == "a" else "")
        for words, box in alone
        if box.score >= allowed.cut + allowed.score
    ]
    return "; ".join(classes[:2]), "; ".join(boxes[:2])


def _near(detections: Detections, allowed: Tolerances) -> list[Detection]:
    return [box for box in detections.items if box.score >= allowed.cut - allowed.score]


def _overlaps(
    mine: list[Detection], theirs: list[Detection]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    corners = [
        np.array([box.xyxy for box in side], dtype=np.float64).reshape(-1, 4) for side in (mine, theirs)
    ]
    found: np.ndarray[tuple[int, int], np.dtype[np.float64]] = overlap(
        corners[0], corners[1], np.zeros(len(theirs), dtype=np.bool_)
    )
    return found


def _pairs(mine: list[Detection], theirs: list[Detection]) -> list[tuple[int, int]]:
    """One to one, the greatest overlap first, from one half on; boxes of one class before others."""
    if not mine or not theirs:
        return []
    shared = _overlaps(mine, theirs)
    same = np.array([[a.label == b.label for b in theirs] for a in mine])
    rank = np.where(shared >= 0.5, shared + same, 0.0)
    pairs = []
    while rank.max() > 0:
        a, b = (int(place) for place in np.unravel_index(int(rank.argmax()), rank.shape))
        pairs.append((a, b))
        rank[a, :] = 0.0
        rank[:, b] = 0.0
    return pairs


def _place(box: Detection) -> str:
    x1, y1, x2, y2 = box.xyxy
    return f"({(x1 + x2) / 2:.0f}, {(y1 + y2) / 2:.0f})"


def _control(one: Control | None, other: Control | None, allowed: Tolerances) -> str:
    unlike = _validity(one, other)
    if unlike or one is None or other is None or not one.valid:
        return unlike
    was = {channel.name: channel for channel in other.channels}
    missing = sorted({channel.name for channel in one.channels} ^ was.keys())
    if missing:
        return f"{', '.join(missing)} on one side only"
    for channel in one.channels:
        before = was[channel.name]
        off, std = abs(channel.value - before.value), before.std
        scale = std if np.isfinite(std) and std > 0 else max(abs(before.value), 1e-9)
        if not off <= allowed.control * scale:
            return (
                f"{channel.name} {channel.value:.4g} {channel.unit}, the reference {before.value:.4g}: "
                f"{off / scale:.2g} of its standard deviation"
            )
    return ""
