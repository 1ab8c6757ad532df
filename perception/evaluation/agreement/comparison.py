"""The comparison of two series of outputs for the same ticks of one log, head by head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from perception.evaluation.agreement.profiles import Profile, Rounding
from perception.types import Detections, Head, Output

Agreement = Literal["equal", "within_tolerance", "diverged"]
_ORDER: tuple[Agreement, ...] = ("equal", "within_tolerance", "diverged")


@dataclass(frozen=True, slots=True)
class Difference:
    """The tick at which outputs differ, with a description of the difference."""

    log_time_ns: int
    stamp_ns: int
    what: str


@dataclass(slots=True)
class HeadComparison:
    """The comparison of one head.

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
    def diverged(self) -> int:
        """Return the number of outputs beyond tolerance."""
        return self.frames - self.equal - self.within

    @property
    def verdict(self) -> Agreement:
        if self.diverged:
            return "diverged"
        return "within_tolerance" if self.within else "equal"


class Comparison:
    """The comparison of pairs of outputs, earlier and current, in order.

    Args:
        profile: The rules of agreement; None: `Rounding`.
    """

    def __init__(self, profile: Profile | None = None) -> None:
        self._profile = profile or Rounding()
        self.heads: dict[str, HeadComparison] = {}
        self.ticks: Difference | None = None
        """The first tick that is not in both runs."""

    def add(self, before: Output, now: Output, same_tick: bool = False) -> None:
        """Compare one pair. Their ticks must be equal, unless the caller knows that they correspond."""
        if before.tick != now.tick and not same_tick:
            self.tick_differs(before if before.tick.log_time_ns <= now.tick.log_time_ns else now)
            return
        for camera, old, new in _parts(before, now):
            self._add(camera, old, new)

    def _add(self, prefix: str, before: Output, now: Output) -> None:
        old, new = before.heads(), now.heads()
        notes: list[tuple[str, str, float]] = []
        differences = self._profile.differences(before, now, lambda *note: notes.append(note))
        for name, texts in differences.items():
            equal = _of_head(name, old.get(name)) == _of_head(name, new.get(name))
            self._take(prefix + name, now, texts, equal)
        for name, quantity, by in notes:
            largest = self.heads[prefix + name].largest
            largest[quantity] = max(largest.get(quantity, 0.0), by)

    def one_sided(self, output: Output, what: str) -> None:
        """Count an output missing from the other side as a difference of each of its heads."""
        for name in output.heads():
            self._take(name, output, [what])

    def tick_differs(self, output: Output) -> None:
        """Record that a tick is in one run only: the runs are not comparable from here on."""
        if self.ticks is None:
            text = "the ticks differ from here on: other input, configuration or alignment"
            self.ticks = Difference(output.tick.log_time_ns, output.tick.stamp_ns, text)

    @property
    def verdict(self) -> Agreement:
        """Return the worst verdict over the heads."""
        if self.ticks is not None:
            return "diverged"
        return max((head.verdict for head in self.heads.values()), key=_ORDER.index, default="equal")

    def _take(self, name: str, where: Output, texts: Sequence[str], equal: bool = False) -> None:
        head = self.heads.setdefault(name, HeadComparison())
        head.frames += 1
        if equal:
            head.equal += 1
            return
        text = "; ".join(texts[:2]) or "differs by rounding"
        difference = Difference(where.tick.log_time_ns, where.tick.stamp_ns, text)
        head.first_unequal = head.first_unequal or difference
        if texts:
            head.first = head.first or difference
        else:
            head.within += 1


def _parts(before: Output, now: Output) -> Iterator[tuple[str, Output, Output]]:
    """Yield what is compared under which prefix: with several cameras, each of them and what they share."""
    cameras = dict.fromkeys([*before.cameras, *now.cameras])
    if not cameras:
        yield "", before, now
        return
    for camera in cameras:
        old, new = (Output(one.tick, one.cameras.get(camera), None) for one in (before, now))
        yield f"{camera}/", old, new
    old, new = (replace(one, detections=None, cameras={}) for one in (before, now))
    yield "", old, new


def _of_head(name: str, head: Head | None) -> object:
    """Return the part of an output that belongs to one head; class and box share the detections."""
    if not isinstance(head, Detections):
        return head
    about = (head.valid, head.based_on, head.error)
    if name == "class":
        return about, [(d.label, d.score) for d in head.items]
    predicted = [(d.xyxy, d.box_std, d.distance_m, d.distance_std_m, d.track_id) for d in head.items]
    positions = [(d.position_m, d.position_cov_m2, d.position_unknown) for d in head.items]
    return about, head.position_frame, predicted, positions
