"""Rules by which outputs of one tick agree: bit-exact, within rounding, or by decisions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from typing import ClassVar

import numpy as np

from perception.evaluation.agreement.pairing import iou, longer_side, nearness, paired, same_label
from perception.evaluation.agreement.tolerances import DECISIONS, ROUNDING, Tolerances
from perception.types import Control, ControlChannel, Detection, Detections, Head, Output, unknown_values

Note = Callable[[str, str, float], None]
"""A function of a head, the name of a quantity, and its difference."""


def unequal_fields(before: Output, now: Output) -> list[str]:
    """Return the fields in which two outputs are not bit-equal.

    `repr` shows every bit of a float, and a NaN equals itself.
    """
    names = (field.name for field in fields(before))
    return [name for name in names if repr(getattr(before, name)) != repr(getattr(now, name))]


class Profile(ABC):
    """The base of the rules by which outputs agree.

    Args:
        tolerances: The tolerances; None: those of the profile.
    """

    default: ClassVar[Tolerances]

    def __init__(self, tolerances: Tolerances | None = None) -> None:
        self.allowed = tolerances or self.default

    def differences(
        self, before: Output, now: Output, note: Note = lambda head, name, by: None
    ) -> dict[str, list[str]]:
        """Return, for each head of either output, a description of each difference beyond the tolerances.

        Further heads are compared where both outputs have them.

        Args:
            before: The stored output, or that of the reference.
            now: The output that is compared with it, of the same tick.
            note: Called with every measured difference.
        """
        texts: dict[str, list[str]] = {}
        a, b = before.detections, now.detections
        if a is not None or b is not None:
            texts = {"class": [], "box": []}
            if state := self._state(a, b):
                texts = {"class": [state], "box": [state]}
            elif a is not None and b is not None and a != b:
                for head, text in self._detections(a, b, note):
                    texts[head].append(text)
        channels = {"control": (before.control, now.control)}
        channels |= {
            name: (before.extra[name], now.extra[name]) for name in before.extra if name in now.extra
        }
        for name, (c, d) in channels.items():
            if c is not None or d is not None:
                state = self._state(c, d)
                texts[name] = [state] if state else []
                if not state and c is not None and d is not None and c != d:
                    texts[name] = list(self._channels(c, d, partial(note, name)))
        return texts

    def _position(self, before: Detection, now: Detection, note: Note) -> str:
        """Return the difference between two positions in the same frame; empty within the tolerance."""
        a, b = before.position_m, now.position_m
        if a is None or b is None:
            was, is_ = ("known" if p is not None else "unknown" for p in (a, b))
            return "" if was == is_ else f"has a position that was {was} and is {is_}"
        off = float(np.linalg.norm(np.subtract(a, b)))
        note("box", "position_m", off)
        far = max(before.distance_m or 0.0, now.distance_m or 0.0)
        if off <= 2 * (self.allowed.distance_m + self.allowed.distance * far):  # a NaN is beyond
            return ""
        return f"is {off:.2f} m from where it was"

    @abstractmethod
    def _state(self, before: Head | None, now: Head | None) -> str:
        """Return the difference in the state of a head, checked before its values; empty without one."""

    @abstractmethod
    def _detections(self, before: Detections, now: Detections, note: Note) -> Iterator[tuple[str, str]]:
        """Yield the head and a description of each difference between detections."""

    @abstractmethod
    def _channels(self, before: Control, now: Control, note: Callable[[str, float], None]) -> Iterator[str]:
        """Yield a description of each difference between channels."""


class Rounding(Profile):
    """Agreement within rounding: scores, edges, distances and stds within tolerances."""

    default = ROUNDING

    def _state(self, before: Head | None, now: Head | None) -> str:
        if before is None or now is None:
            return "the other run has no such head"
        if before.valid != now.valid:
            words = {True: "valid", False: "invalid"}
            error = before.error or now.error
            return f"went from {words[before.valid]} to {words[now.valid]}{f': {error}' if error else ''}"
        if before.based_on != now.based_on:
            rested, rests = (", ".join(head.based_on) or "nothing" for head in (before, now))
            return f"rested on {rested}, now on {rests}"
        return ""

    def _detections(self, before: Detections, now: Detections, note: Note) -> Iterator[tuple[str, str]]:
        cut = self.allowed.cut
        if before.position_frame != now.position_frame:
            frames = [frame or "no frame" for frame in (before.position_frame, now.position_frame)]
            yield "box", f"positions were stated in {frames[0]}, now in {frames[1]}"
        pairs, alone = paired(nearness(before.items, now.items))
        for item in [*(before.items[a] for a in alone[0]), *(now.items[b] for b in alone[1])]:
            if item.score >= cut:
                yield "class", f"{item.label} of score {item.score:.2f} has no partner"
        for a, b in ((before.items[a], now.items[b]) for a, b in pairs):
            off = abs(a.score - b.score)
            note("class", "score", off)
            counts = max(a.score, b.score) >= cut
            if a.label != b.label and counts:
                yield "class", f"{a.label} became {b.label}"
            if off > self.allowed.score:
                yield "class", f"the score of a {a.label} went from {a.score:.3f} to {b.score:.3f}"
            if counts:
                yield from (("box", text) for text in self._box(a, b, note))

    def _box(self, a: Detection, b: Detection, note: Note) -> Iterator[str]:
        allowed = self.allowed
        edge = float(np.max(np.abs(np.subtract(a.xyxy, b.xyxy))))
        note("box", "edge_px", edge)
        if edge > allowed.box_px + allowed.box * longer_side(a):
            yield f"an edge of a {a.label} is {edge:.2f} px off"
        if text := _known_on_one_side(a, b, f"a {a.label}"):
            yield text
            return
        if a.distance_m is not None and b.distance_m is not None:
            far = abs(a.distance_m - b.distance_m)
            note("box", "distance_m", far)
            if far > allowed.distance_m + allowed.distance * max(a.distance_m, b.distance_m):
                yield f"the distance of a {a.label} went from {a.distance_m:.2f} to {b.distance_m:.2f} m"
        if text := self._position(a, b, note):
            yield f"a {a.label} {text}"
        std = max(map(_relative, _stds(a), _stds(b)), default=0.0)
        note("box", "std", std)
        if std > allowed.std:
            yield f"a standard deviation of a {a.label} is {100 * std:.0f} % off"

    def _channels(self, before: Control, now: Control, note: Callable[[str, float], None]) -> Iterator[str]:
        if [(c.name, c.unit) for c in before.channels] != [(c.name, c.unit) for c in now.channels]:
            yield "the channels are others"
            return
        for a, b in zip(before.channels, now.channels, strict=True):
            off = abs(a.value - b.value)
            note(a.name, off)
            if off > self.allowed.control * max(_scale(a), _scale(b)):
                yield f"{a.name} went from {a.value:.5g} to {b.value:.5g} {a.unit}"
            if text := _known_on_one_side(a, b, a.name):
                yield text
            elif a.std is not None and b.std is not None:
                std = _relative(a.std, b.std)
                note("std", std)
                if std > self.allowed.std:
                    yield f"the standard deviation of {a.name} is {100 * std:.0f} % off"


class Decisions(Profile):
    """Agreement of decisions: objects, classes, places, distances and commands within tolerances."""

    default = DECISIONS

    def _state(self, before: Head | None, now: Head | None) -> str:
        was, is_ = (
            "no such head" if head is None else "valid" if head.valid else "invalid" for head in (before, now)
        )
        return "" if was == is_ else f"{is_}, the reference {was}"

    def _detections(self, before: Detections, now: Detections, note: Note) -> Iterator[tuple[str, str]]:
        if not now.valid:
            return
        allowed = self.allowed
        # Detections just below the cut only serve to be matched with.
        items, others = (
            [box for box in side.items if box.score >= allowed.cut - allowed.score] for side in (now, before)
        )
        shared = iou([box.xyxy for box in items], [box.xyxy for box in others])
        rank = np.where(shared >= 0.5, shared + same_label(items, others), 0.0)
        pairs, alone = paired(rank)
        for a, b in sorted(pairs, key=lambda pair: -rank[pair]):
            box, was = items[a], others[b]
            if max(box.score, was.score) < allowed.cut:
                continue
            if box.label != was.label:
                if min(box.score, was.score) < allowed.cut:
                    continue
                yield "class", f"{box.label}, the reference {was.label}, at {_place(box)}"
            if shared[a, b] < allowed.iou:
                by = f"overlaps that of the reference by {shared[a, b]:.2f}"
                yield "box", f"a {box.label} at {_place(box)} {by}"
                continue
            text = self._distance(was.distance_m, box.distance_m)
            if not text and before.position_frame == now.position_frame:
                text = self._position(was, box, note)
            if text:
                yield "box", f"a {box.label} at {_place(box)} {text}"
        for side, rows, words, more in (
            (items, alone[0], "a", ", which the reference has not"),
            (others, alone[1], "only the reference has a", ""),
        ):
            for box in (side[row] for row in rows):
                if box.score >= allowed.cut + allowed.score:
                    yield "box", f"{words} {box.label} of score {box.score:.2f} at {_place(box)}{more}"

    def _distance(self, before: float | None, now: float | None) -> str:
        if before is None or now is None:
            words = ("has no distance" if m is None else f"is {m:.2f} m away" for m in (now, before))
            return "" if before is now else ", the reference ".join(words)
        if abs(now - before) <= self.allowed.distance_m + self.allowed.distance * max(abs(before), 1e-6):
            return ""
        return f"is {now:.2f} m away, the reference says {before:.2f} m"

    def _channels(self, before: Control, now: Control, note: Callable[[str, float], None]) -> Iterator[str]:
        if not now.valid:
            return
        known = {channel.name: channel for channel in before.channels}
        missing = sorted({channel.name for channel in now.channels} ^ known.keys())
        if missing:
            yield f"{', '.join(missing)} on one side only"
            return
        for channel in now.channels:
            was = known[channel.name]
            off, scale = abs(channel.value - was.value), _scale(was)
            if not off <= self.allowed.control * scale:
                yield (
                    f"{channel.name} {channel.value:.4g} {channel.unit}, the reference {was.value:.4g}: "
                    f"{off / scale:.2g} of its {'size' if was.std is None else 'standard deviation'}"
                )
                return


def _stds(box: Detection) -> tuple[float, ...]:
    """Return the standard deviations that a detection states, also along the axes of its position's frame."""
    cov = box.position_cov_m2
    return (
        *(box.box_std or ()),
        *(() if box.distance_std_m is None else (box.distance_std_m,)),
        *(() if cov is None else (max(cov[i][i], 0.0) ** 0.5 for i in range(3))),
    )


def _scale(channel: ControlChannel) -> float:
    """Return the unit of a change of a channel: its std, or the size of its value where it states none."""
    std = channel.std
    return std if std is not None and np.isfinite(std) and std > 0 else max(abs(channel.value), 1e-9)


def _known_on_one_side(
    before: Detection | ControlChannel, now: Detection | ControlChannel, subject: str
) -> str:
    """Return which value of a subject only one output states; empty if both state the same ones."""
    one_sided = {*unknown_values(before)} ^ {*unknown_values(now)}
    if not one_sided:
        return ""
    name = min(one_sided)
    was, is_ = ("unknown" if name in unknown_values(side) else getattr(side, name) for side in (before, now))
    return f"the {name} of {subject} went from {was} to {is_}"


def _place(box: Detection) -> str:
    x1, y1, x2, y2 = box.xyxy
    return f"({(x1 + x2) / 2:.0f}, {(y1 + y2) / 2:.0f})"


def _relative(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b), 1e-12)
