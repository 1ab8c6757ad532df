"""Two runs of the same log, output by output: equal, equal within tolerance, or different from where on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from perception.types import Control, Detection, Detections, Output

Verdict = Literal["equal", "within_tolerance", "diverged"]
ORDER: tuple[Verdict, ...] = ("equal", "within_tolerance", "diverged")


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far apart two runs may be that are the same but for rounding: other threads, batch or processor.

    Attributes:
        score: Difference of scores.
        least_score: A detection below it may be missing from the other run.
        box: Difference of an edge, over the size of the box; `box_px` beside it.
        distance: Relative; `distance_m` beside it.
        std: Relative, of every standard deviation.
        control: Difference of a channel over its own standard deviation.
    """

    score: float = 0.02
    least_score: float = 0.1
    box: float = 0.01
    box_px: float = 0.5
    distance: float = 0.01
    distance_m: float = 0.05
    std: float = 0.05
    control: float = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two runs differ, and how."""

    log_time_ns: int
    stamp_ns: int
    what: str


@dataclass(slots=True)
class HeadComparison:
    """What a comparison found for one head.

    Attributes:
        frames, equal, within: Outputs compared; bit-equal; not equal, but within tolerance.
        first_unequal: The first output that is not bit-equal.
        first: The first that is beyond tolerance.
        largest: The largest differences within matched answers, by name.
    """

    frames: int = 0
    equal: int = 0
    within: int = 0
    first_unequal: Difference | None = None
    first: Difference | None = None
    largest: dict[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        if self.first is not None:
            return "diverged"
        return "equal" if self.equal == self.frames else "within_tolerance"

    def note(self, **found: float) -> None:
        """Keep the largest difference of each name."""
        for name, value in found.items():
            self.largest[name] = max(self.largest.get(name, 0.0), value)


class Comparison:
    """Takes pairs of outputs in order, those of before and those of now."""

    def __init__(self, tolerances: Tolerances | None = None) -> None:
        self._tolerances = tolerances or Tolerances()
        self.heads: dict[str, HeadComparison] = {}
        self.ticks: Difference | None = None
        """The first tick that is not in both runs."""

    def add(self, before: Output, now: Output) -> None:
        """Compare one pair."""
        if before.tick != now.tick:
            self.tick_differs(before if before.tick.log_time_ns <= now.tick.log_time_ns else now)
            return
        boxes = list(_detection_faults(before.detections, now.detections, self._tolerances, self._note))
        self._take("class", before, before.detections, now.detections, boxes)
        self._take("box", before, before.detections, now.detections, boxes)
        control = list(_control_faults(before.control, now.control, self._tolerances, self._note))
        self._take("control", before, before.control, now.control, [("control", text) for text in control])

    def tick_differs(self, where: Output) -> None:
        """A tick is in one run only."""
        tick = where.tick
        if self.ticks is None:
            what = "the ticks differ from here on: other input, configuration or alignment"
            self.ticks = Difference(tick.log_time_ns, tick.stamp_ns, what)

    @property
    def verdict(self) -> Verdict:
        """The worst of the heads."""
        if self.ticks is not None:
            return "diverged"
        return max((head.verdict for head in self.heads.values()), key=ORDER.index, default="equal")

    def _note(self, head: str, **found: float) -> None:
        self.heads.setdefault(head, HeadComparison()).note(**found)

    def _take(
        self, head: str, where: Output, before: Any, now: Any, faults: Sequence[tuple[str, str]]
    ) -> None:
        if before is None and now is None:
            return
        found = self.heads.setdefault(head, HeadComparison())
        found.frames += 1
        mine = [text for name, text in faults if name == head]
        if _of_head(head, before) == _of_head(head, now):
            found.equal += 1
            return
        tick = where.tick
        what = "; ".join(mine[:2]) if mine else "differs by rounding"
        here = Difference(tick.log_time_ns, tick.stamp_ns, what)
        found.first_unequal = found.first_unequal or here
        if mine:
            found.first = found.first or here
        else:
            found.within += 1


def _of_head(head: str, part: Detections | Control | None) -> object:
    """What belongs to one head: class and box share their detections."""
    if not isinstance(part, Detections):
        return part
    about = (part.valid, part.based_on, part.error)
    if head == "class":
        return about, [(d.label, d.score) for d in part.items]
    return about, [(d.xyxy, d.box_std, d.distance_m, d.distance_std_m, d.track_id) for d in part.items]


def _detection_faults(
    before: Detections | None, now: Detections | None, allowed: Tolerances, note: Any
) -> Iterator[tuple[str, str]]:
    """Head and text of everything beyond tolerance."""
    if before == now:
        return
    if before is None or now is None:
        missing = "the other run has no such head"
        yield from (("class", missing), ("box", missing))
        return
    if fault := _state_fault(before, now):
        yield from (("class", fault), ("box", fault))
        return
    pairs, alone = _matched(before.items, now.items)
    for item in alone:
        if item.score >= allowed.least_score:
            yield "class", f"{item.label} of score {item.score:.2f} has no partner"
    for a, b in pairs:
        off = abs(a.score - b.score)
        note("class", score=off)
        if a.label != b.label and max(a.score, b.score) >= allowed.least_score:
            yield "class", f"{a.label} became {b.label}"
        if off > allowed.score:
            yield "class", f"the score of a {a.label} went from {a.score:.3f} to {b.score:.3f}"
        if max(a.score, b.score) >= allowed.least_score:
            yield from (("box", text) for text in _box_faults(a, b, allowed, note))


def _box_faults(a: Detection, b: Detection, allowed: Tolerances, note: Any) -> Iterator[str]:
    size = max(a.xyxy[2] - a.xyxy[0], a.xyxy[3] - a.xyxy[1], 1.0)
    edge = float(np.max(np.abs(np.subtract(a.xyxy, b.xyxy))))
    far = abs(a.distance_m - b.distance_m)
    spread = max(
        _relative(x, y)
        for x, y in zip((*a.box_std, a.distance_std_m), (*b.box_std, b.distance_std_m), strict=True)
    )
    note("box", edge_px=edge, distance_m=far, std=spread)
    if edge > allowed.box_px + allowed.box * size:
        yield f"an edge of a {a.label} is {edge:.2f} px off"
    if far > allowed.distance_m + allowed.distance * max(a.distance_m, b.distance_m):
        yield f"the distance of a {a.label} went from {a.distance_m:.2f} to {b.distance_m:.2f} m"
    if spread > allowed.std:
        yield f"a standard deviation of a {a.label} is {100 * spread:.0f} % off"


def _control_faults(
    before: Control | None, now: Control | None, allowed: Tolerances, note: Any
) -> Iterator[str]:
    if before == now:
        return
    if before is None or now is None:
        yield "the other run has no such head"
        return
    if fault := _state_fault(before, now):
        yield fault
        return
    if [(c.name, c.unit) for c in before.channels] != [(c.name, c.unit) for c in now.channels]:
        yield "the channels are others"
        return
    for a, b in zip(before.channels, now.channels, strict=True):
        off, spread = abs(a.value - b.value), _relative(a.std, b.std)
        note("control", **{a.name: off, "std": spread})
        if off > allowed.control * max(a.std, b.std):
            yield f"{a.name} went from {a.value:.5g} to {b.value:.5g} {a.unit}"
        if spread > allowed.std:
            yield f"the standard deviation of {a.name} is {100 * spread:.0f} % off"


def _state_fault(before: Detections | Control, now: Detections | Control) -> str:
    if before.valid != now.valid:
        words = {True: "valid", False: "invalid"}
        error = before.error or now.error
        return f"went from {words[before.valid]} to {words[now.valid]}{f': {error}' if error else ''}"
    if before.based_on != now.based_on:
        rested, rests = (", ".join(head.based_on) or "nothing" for head in (before, now))
        return f"rested on {rested}, now on {rests}"
    return ""


def _matched(
    before: Sequence[Detection], now: Sequence[Detection]
) -> tuple[list[tuple[Detection, Detection]], list[Detection]]:
    """Pairs of detections that are the same object, and those that have no partner.

    Each takes the nearest box that is left, those of the same label first, within half of its own size.
    """
    left = list(range(len(now)))
    pairs, alone = [], []
    edges = np.array([d.xyxy for d in now]).reshape(-1, 4)
    for item in before:
        size = max(item.xyxy[2] - item.xyxy[0], item.xyxy[3] - item.xyxy[1], 1.0)
        off = np.max(np.abs(edges[left] - item.xyxy), axis=1) if left else np.zeros(0)
        other = np.array([now[place].label != item.label for place in left], dtype=bool)
        order = np.lexsort((off, other & (off < size / 2), off >= size / 2))
        if not len(order) or off[order[0]] >= size / 2:
            alone.append(item)
            continue
        pairs.append((item, now[left.pop(int(order[0]))]))
    return pairs, [*alone, *(now[place] for place in left)]


def _relative(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b), 1e-12)
