"""Tracks: the buffered messages of one sensor, and the choice of a tick among them. One class per policy.

A track keeps its messages sorted by stamp. `horizon_ns` is the smallest stamp that an open or future tick
can have: messages that no such tick can use are dropped, so memory is bounded. Wrong stamps cannot fill it
either, since the aligner also drops messages that arrived too long ago.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np

from perception.align.ledger import Ledger
from perception.text import listed
from perception.types import (
    AbsenceCode,
    Absent,
    CameraFrame,
    Entry,
    Input,
    RangeScan,
    StatusReading,
    StatusWindow,
)

M = TypeVar("M", CameraFrame, RangeScan, StatusReading)
MS = 1_000_000


class Track(ABC, Generic[M]):
    """Messages of one sensor, oldest stamp first."""

    kind = ""  # of the sensor; empty: its name

    def __init__(self, name: str, topic: str, max_age_ns: int, ledger: Ledger) -> None:
        self.name = name
        self.topic = topic
        self._max_age_ns = max_age_ns
        self._ledger = ledger
        self._stamps: list[int] = []
        self._messages: list[M] = []
        self._entries: list[Entry] = []
        self._unusable: Absent | None = None  # why the last message could not be used
        self._unusable_stamp_ns = 0
        self._unusable_arrival_ns = 0

    @property
    def reach_ns(self) -> int:
        """The largest time before a tick's stamp at which a message is used for the tick."""
        return self._max_age_ns

    @abstractmethod
    def useful(self, stamp_ns: int, horizon_ns: int) -> bool:
        """Return whether a tick at or after the horizon could use a message of that stamp."""

    @abstractmethod
    def pick(self, stamp_ns: int) -> Input[Any]:
        """Return the input of a tick with that stamp."""

    def pick_own(self, stamp_ns: int) -> Input[Any]:
        """Return the input of a tick that a message of this sensor made: that message or none."""
        found = self.pick(stamp_ns)
        if found.stamp_ns == stamp_ns or self._unusable is None:
            return found
        return self.input(None, stamp_ns, 0.0, self._unusable)

    def input(
        self,
        value: Any,
        stamp_ns: int | None = None,
        age_ms: float | None = None,
        absence: Absent | None = None,
        entries: tuple[Entry, ...] = (),
    ) -> Input[Any]:
        """Return an input of this sensor; the arguments are those of `Input`."""
        return Input(self.name, self.topic, value, stamp_ns, age_ms, absence, entries, self.kind)

    def __len__(self) -> int:
        return len(self._stamps)

    def add(self, message: M) -> Entry:
        """Add a message. Equal stamps keep their order of arrival."""
        at = bisect_right(self._stamps, message.stamp_ns)
        entry = self._ledger.open(self.topic, message.log_time_ns, message.stamp_ns)
        self._stamps.insert(at, message.stamp_ns)
        self._messages.insert(at, message)
        self._entries.insert(at, entry)
        return entry

    def skip(self, stamp_ns: int, arrival_ns: int, absence: Absent) -> None:
        """Note an unusable message: it explains an absent input until a usable message comes."""
        self._unusable = absence
        self._unusable_stamp_ns, self._unusable_arrival_ns = stamp_ns, arrival_ns

    def forget(self, horizon_ns: int) -> None:
        """Drop the messages that no tick at or after the horizon can use."""
        keep = 0
        while keep < len(self._stamps) and not self.useful_in_place(keep, horizon_ns):
            keep += 1
        for entry in self._entries[:keep]:
            self._ledger.leave(entry)
        del self._stamps[:keep], self._messages[:keep], self._entries[:keep]

    def expire(self, arrived_before_ns: int) -> None:
        """Drop the messages that arrived before a time, whatever their stamps."""
        if self._unusable_arrival_ns < arrived_before_ns:
            self._unusable = None
        old = [entry.log_time_ns < arrived_before_ns for entry in self._entries]
        if not any(old):
            return
        for entry, gone in zip(self._entries, old, strict=True):
            if gone:
                self._ledger.leave(entry)
        kept = [i for i, gone in enumerate(old) if not gone]
        self._stamps = [self._stamps[i] for i in kept]
        self._messages = [self._messages[i] for i in kept]
        self._entries = [self._entries[i] for i in kept]

    @abstractmethod
    def useful_in_place(self, index: int, horizon_ns: int) -> bool:
        """Return whether a tick at or after the horizon may still use the message at `index`."""

    def clear(self) -> None:
        """Drop all messages, after a break in time."""
        for entry in self._entries:
            self._ledger.leave(entry)
        self._stamps, self._messages, self._entries, self._unusable = [], [], [], None

    def _present(self, index: int, stamp_ns: int) -> Input[Any]:
        message, entry = self._messages[index], self._entries[index]
        age_ms = (stamp_ns - message.stamp_ns) / MS
        return self.input(message, message.stamp_ns, age_ms, entries=(entry,))

    def _absent(self, stamp_ns: int, index: int | None, code: AbsenceCode, detail: str) -> Input[Any]:
        absence = Absent.with_detail(code, detail)
        if self._unusable and (index is None or self._unusable_stamp_ns > self._stamps[index]):
            absence = self._unusable
        if index is None:
            return self.input(None, absence=absence)
        found = self._stamps[index]
        return self.input(None, found, (stamp_ns - found) / MS, absence)

    def _stale(self, stamp_ns: int, index: int, age_ns: int) -> Input[Any]:
        detail = f"{age_ns / MS:.0f} ms old, at most {self._max_age_ns / MS:g} ms"
        return self._absent(stamp_ns, index, "stale", detail)


class LatestTrack(Track[M]):
    """Policy `latest`: the greatest stamp at or below the tick's."""

    def useful(self, stamp_ns: int, horizon_ns: int) -> bool:
        at = bisect_right(self._stamps, horizon_ns)
        return stamp_ns > horizon_ns - self._max_age_ns and (at == 0 or stamp_ns >= self._stamps[at - 1])

    def useful_in_place(self, index: int, horizon_ns: int) -> bool:
        # The next one takes over as soon as the horizon reaches it.
        return index + 1 >= len(self._stamps) or self._stamps[index + 1] > horizon_ns

    def pick(self, stamp_ns: int) -> Input[Any]:
        index = bisect_right(self._stamps, stamp_ns) - 1
        if index < 0:
            return self._absent(stamp_ns, None, "silent", "nothing received")
        age_ns = stamp_ns - self._stamps[index]
        if age_ns > self._max_age_ns:
            return self._stale(stamp_ns, index, age_ns)
        if index:
            self._entries[index - 1].considered = True
        return self._present(index, stamp_ns)

    def forget(self, horizon_ns: int) -> None:
        newest = bisect_right(self._stamps, horizon_ns) - 1
        for entry in self._entries[: max(newest, 0)]:
            entry.considered = True  # a newer one at or below the horizon is preferred
        super().forget(horizon_ns)


class NearestTrack(Track[M]):
    """Policy `nearest`: the smallest difference to the tick's stamp within a tolerance; ties: the older."""

    def __init__(self, name: str, topic: str, max_age_ns: int, ledger: Ledger, tolerance_ns: int) -> None:
        super().__init__(name, topic, max_age_ns, ledger)
        self._tolerance_ns = tolerance_ns
        self._last_pick_ns: int | None = None  # stamp of the tick that closed last

    @property
    def reach_ns(self) -> int:
        return max(self._tolerance_ns, self._max_age_ns)

    def useful(self, stamp_ns: int, horizon_ns: int) -> bool:
        return stamp_ns >= horizon_ns - self._tolerance_ns

    def add(self, message: Any) -> Entry:
        entry = super().add(message)
        last = self._last_pick_ns
        entry.missed = last is not None and abs(message.stamp_ns - last) <= self._tolerance_ns
        return entry

    def clear(self) -> None:
        super().clear()
        self._last_pick_ns = None

    def useful_in_place(self, index: int, horizon_ns: int) -> bool:
        # The newest is kept although it is too old, so that an absent input has its age.
        return self._stamps[index] >= horizon_ns - self._tolerance_ns or index + 1 == len(self._stamps)

    def pick(self, stamp_ns: int) -> Input[Any]:
        self._last_pick_ns = stamp_ns
        if not self._stamps:
            return self._absent(stamp_ns, None, "silent", "nothing received")
        at = bisect_right(self._stamps, stamp_ns)
        around = [i for i in (self._first_of(at - 1), at) if 0 <= i < len(self._stamps)]
        index = min(around, key=lambda i: (abs(self._stamps[i] - stamp_ns), self._stamps[i]))
        distance_ns, age_ns = abs(self._stamps[index] - stamp_ns), stamp_ns - self._stamps[index]
        if distance_ns > self._tolerance_ns:
            limit_ms = self._tolerance_ns / MS
            reason = f"the nearest is {distance_ns / MS:.0f} ms away, at most {limit_ms:g} ms"
            return self._absent(stamp_ns, index, "out_of_tolerance", reason)
        if age_ns > self._max_age_ns:
            return self._stale(stamp_ns, index, age_ns)
        self._mark_considered(stamp_ns)
        return self._present(index, stamp_ns)

    def _first_of(self, index: int) -> int:
        """Return the first of the messages with the same stamp: the earlier arrival is preferred."""
        while index > 0 and self._stamps[index - 1] == self._stamps[index]:
            index -= 1
        return index

    def _mark_considered(self, stamp_ns: int) -> None:
        low = bisect_right(self._stamps, stamp_ns - self._tolerance_ns - 1)
        high = bisect_right(self._stamps, stamp_ns + self._tolerance_ns)
        for entry in self._entries[low:high]:
            entry.considered = True


class WindowTrack(Track[StatusReading]):
    """Policy `window`: moments at a rate, ending at the tick, each with the newest reading before it."""

    def __init__(
        self,
        name: str,
        topic: str,
        max_age_ns: int,
        ledger: Ledger,
        fields: Mapping[str, str],
        steps: int,
        rate_hz: float,
    ) -> None:
        super().__init__(name, topic, max_age_ns, ledger)
        self._names = tuple(fields)
        self._paths = tuple(fields.values())
        self._offsets_ns = [round((k - steps + 1) * 1e9 / rate_hz) for k in range(steps)]

    @property
    def reach_ns(self) -> int:
        return self._max_age_ns - self._offsets_ns[0]

    def useful(self, stamp_ns: int, horizon_ns: int) -> bool:
        first_ns = horizon_ns + self._offsets_ns[0]
        at = bisect_right(self._stamps, first_ns)
        return stamp_ns >= first_ns - self._max_age_ns and (at == 0 or stamp_ns >= self._stamps[at - 1])

    def useful_in_place(self, index: int, horizon_ns: int) -> bool:
        return index + 1 >= len(self._stamps) or self._stamps[index + 1] > horizon_ns + self._offsets_ns[0]

    def pick(self, stamp_ns: int) -> Input[Any]:
        last = bisect_right(self._stamps, stamp_ns) - 1
        if last < 0:
            return self._absent(stamp_ns, None, "silent", "nothing received")
        age_ns = stamp_ns - self._stamps[last]
        if age_ns > self._max_age_ns:
            return self._stale(stamp_ns, last, age_ns)
        values = np.full((len(self._offsets_ns), len(self._paths)), np.nan)
        used: list[int] = []
        for k, offset_ns in enumerate(self._offsets_ns):
            index = bisect_right(self._stamps, stamp_ns + offset_ns, hi=last + 1) - 1
            if index < 0 or stamp_ns + offset_ns - self._stamps[index] > self._max_age_ns:
                continue
            reading = self._messages[index].values
            values[k] = [reading.get(path, math.nan) for path in self._paths]
            if not used or used[-1] != index:
                used.append(index)
        if not np.isfinite(values[-1]).any():
            found = listed(sorted(self._messages[last].values)) or "no numbers"
            text = f"none of {', '.join(self._paths)} is a finite number (found: {found})"
            return self._absent(stamp_ns, last, "invalid", text)
        for entry in self._entries[used[0] : last + 1]:
            entry.considered = True
        newest = self._stamps[last]
        window = StatusWindow(newest, self._names, values)
        entries = tuple(self._entries[i] for i in used)
        return self.input(window, newest, (stamp_ns - newest) / MS, entries=entries)
