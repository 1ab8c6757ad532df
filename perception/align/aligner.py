"""Ticks and the clock: when a sample is made, and what had arrived by then.

The reference sensor's messages make ticks. A tick closes at the first message or `advance` at or
after its arrival plus `wait_ms`, before that message is taken: only what had arrived by then takes
part. While the reference is silent, substitute ticks are made on a grid: the first 1.5 periods after
its last arrival, then one each period, each only if some other sensor spoke since the tick before.
The grid is fixed by the last arrival alone, so a timer that calls `advance` changes nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any, Literal

from perception.align.tracks import MS, LatestTrack, NearestTrack, Track, WindowTrack
from perception.config import Config, Role
from perception.errors import ConfigError
from perception.ledger import Ledger
from perception.messages import (
    SENSORS,
    CameraCalibration,
    Decoded,
    FrameTransforms,
    Input,
    Reset,
    Rig,
    Sample,
    Tick,
    Undecodable,
)

BACKWARD_NS = 1_000_000_000
FORWARD_NS = 10_000_000_000
REMEMBERED = 16_384  # messages a topic, at most, among which duplicates are found
CROWDED = 1024  # messages in a buffer at which it is cleared also without a tick
SLACK_NS = 1_000_000_000  # how far a reference stamp may lie behind a substitute tick's


class Aligner:
    """Turns messages in arrival order into samples, in bounded memory.

    Every call returns the samples that closed. A live program pushes each message as it arrives and
    calls `advance` from a timer; replay pushes what it reads and calls `flush` at the end.

    Args:
        config: Sensors, policies, reference. `reference_rate_hz` must be known: replay measures it
            from the log, a live program takes it from its file (`perception info LOG --yaml` prints one).
        ledger: Where messages are accounted for; a new one by default. A program that reads it says what
            became of each sample: `aligner.ledger.sample_done(sample, "used")`.

    Raises:
        ConfigError: The reference, or `reference_rate_hz`, is not known.
    """

    def __init__(self, config: Config, ledger: Ledger | None = None) -> None:
        needed = {
            f"sensors.{config.reference}: missing; it makes the ticks": getattr(
                config.sensors, config.reference
            ),
            "reference_rate_hz: missing; it tells when the reference is silent": config.reference_rate_hz,
        }
        faults = [text for text, value in needed.items() if value is None]
        if faults:
            raise ConfigError([f"{text} (`perception info LOG --yaml` finds it)" for text in faults])
        assert config.reference_rate_hz is not None
        self.config = config
        self.ledger = ledger if ledger is not None else Ledger()
        self._roles = config.roles()
        self._tracks = _make_tracks(config, self.ledger)
        self._reference = config.reference
        self._period_ns = round(1e9 / config.reference_rate_hz)
        self._wait_ns = round(config.wait_ms * MS)
        # Nothing that arrived longer ago than this before a tick plays a part in it.
        self._memory_ns = FORWARD_NS + max(track.reach_ns for track in self._tracks.values())
        self.preroll_ns = self._memory_ns + self._wait_ns
        self._rig = Rig()
        self._count = 0
        self._seen: dict[str, _Recent] = {}
        self._pending: deque[tuple[Tick, tuple[int, int] | None]] = deque()
        self._reset: Reset | None = None
        self._clock_ns: int | None = None
        self._last: tuple[int, int] | None = None  # stamp and arrival of the last reference message
        # Where the grid of substitute ticks starts: the last reference message, or the log's first message.
        self._anchor: tuple[int, int] | None = None
        self._substitute_ns: int | None = None  # arrival time of the next substitute tick
        self._spoken = False  # a sensor other than the reference spoke since the last tick
        self._floor_ns: int | None = None  # reference stamps at or below it are late

    def push(self, message: Decoded) -> list[Sample]:
        """Take one message, in order of arrival."""
        role = self._roles.get(message.topic)
        if role is None:
            self._count_as(message, "not_configured")
            return []
        samples = self._meet(message.log_time_ns)
        if self._is_duplicate(message):
            self._count_as(message, "duplicate")
            return samples
        if role == self._reference:
            samples += self._check_stamp(message)
        if role in SENSORS:
            self._take_sensor(message, role)
        elif isinstance(message, Undecodable):
            self._count_as(message, "undecodable", message.reason)
        elif role in ("truth_boxes", "truth_control"):
            self._count_as(message, "truth")
        else:
            self._learn(message)
            self._count_as(message, "rig")
        return samples

    def advance(self, log_time_ns: int) -> list[Sample]:
        """The arrival clock shows `log_time_ns` and nothing more has arrived until then."""
        samples = self._run_clock(log_time_ns)
        self._clock_ns = max(self._clock_ns or log_time_ns, log_time_ns)
        return samples

    def flush(self) -> list[Sample]:
        """The log is over: close what is open."""
        return [self._close(*self._pending.popleft()) for _ in range(len(self._pending))]

    def reset(self, reason: str) -> list[Sample]:
        """Time is broken (a seek, a loop): close what is open and forget the rest, but not the rig."""
        samples = self.flush()
        for track in self._tracks.values():
            track.clear()
        self._seen.clear()
        self._forget_time()
        self._reset = Reset(reason)
        return samples

    def recall(self, message: Decoded) -> None:
        """Before the first message of a seek: what was told of the rig before. It is not accounted for."""
        self._learn(message)

    # --- time ------------------------------------------------------------------------------------

    def _forget_time(self) -> None:
        self._clock_ns = self._last = self._anchor = self._substitute_ns = self._floor_ns = None
        self._spoken = False

    def _meet(self, arrival_ns: int) -> list[Sample]:
        """Move the clock to a message's arrival; reset where the arrival clock is broken."""
        clock_ns = self._clock_ns
        if clock_ns is None:
            self._clock_ns = arrival_ns
            return []
        step_ns = arrival_ns - clock_ns
        if -BACKWARD_NS <= step_ns <= FORWARD_NS:
            samples = self._run_clock(arrival_ns)
            self._clock_ns = max(clock_ns, arrival_ns)
            return samples
        moved = "went back" if step_ns < 0 else "jumped forward"
        samples = self.reset(f"arrival time {moved} by {abs(step_ns) / 1e9:.3f} s")
        self._clock_ns = arrival_ns
        return samples

    def _check_stamp(self, message: Decoded) -> list[Sample]:
        """Reset where the reference's own clock is broken."""
        if self._last is None:
            return []
        step_ns = message.stamp_ns - self._last[0]
        if step_ns < -BACKWARD_NS:
            return self._reset_at(message, f"{self._reference} stamp went back by {-step_ns / 1e9:.3f} s")
        # A reference that was silent for long and speaks again has not jumped.
        if step_ns - (message.log_time_ns - self._last[1]) > FORWARD_NS:
            return self._reset_at(message, f"{self._reference} stamp jumped forward by {step_ns / 1e9:.3f} s")
        return []

    def _reset_at(self, message: Decoded, reason: str) -> list[Sample]:
        samples = self.reset(reason)
        self._clock_ns = message.log_time_ns
        return samples

    def _run_clock(self, now_ns: int) -> list[Sample]:
        """Make the substitute ticks and close the ticks that are due at `now_ns`, in order of time."""
        samples: list[Sample] = []
        while True:
            close_ns = self._pending[0][0].log_time_ns + self._wait_ns if self._pending else None
            substitute_ns = self._substitute_ns
            if (
                close_ns is not None
                and close_ns <= now_ns
                and (substitute_ns is None or close_ns <= substitute_ns)
            ):
                samples.append(self._close(*self._pending.popleft()))
            elif substitute_ns is not None and substitute_ns <= now_ns:
                self._make_substitute(substitute_ns, now_ns)
            else:
                return samples

    def _make_substitute(self, arrival_ns: int, now_ns: int) -> None:
        assert self._anchor is not None
        stamp_ns, anchor_ns = self._anchor
        if self._spoken:
            self._open_tick("substitute", stamp_ns + arrival_ns - anchor_ns, arrival_ns)
            self._substitute_ns = arrival_ns + self._period_ns
        else:
            # Nobody spoke: go to the last moment of the grid at or before now, and one on.
            missed = (now_ns - arrival_ns) // self._period_ns
            self._substitute_ns = arrival_ns + (missed + 1) * self._period_ns

    def _open_tick(self, kind: Literal["reference", "substitute"], stamp_ns: int, arrival_ns: int) -> None:
        # With the tick is kept which reference message was the last when it was made.
        self._pending.append((Tick(self._count, kind, stamp_ns, arrival_ns), self._last))
        self._count += 1
        self._spoken = False
        reach_ns = stamp_ns if kind == "reference" else stamp_ns - SLACK_NS
        self._floor_ns = reach_ns if self._floor_ns is None else max(self._floor_ns, reach_ns)

    def _note_reference(self, stamp_ns: int, arrival_ns: int) -> None:
        self._last = (stamp_ns, arrival_ns)
        self._set_anchor(stamp_ns, arrival_ns)
        self._floor_ns = stamp_ns if self._floor_ns is None else max(self._floor_ns, stamp_ns)

    def _set_anchor(self, stamp_ns: int, arrival_ns: int) -> None:
        self._anchor = (stamp_ns, arrival_ns)
        self._substitute_ns = arrival_ns + self._period_ns + self._period_ns // 2

    def _horizon_ns(self) -> int | None:
        """A stamp at or below that of every open or future tick; None before the first.

        A reference that was only slow may come with a stamp below an open substitute tick's.
        """
        if self._floor_ns is None:
            return None
        return min([self._floor_ns, *(tick.stamp_ns for tick, _ in self._pending)])

    # --- messages --------------------------------------------------------------------------------

    def _take_sensor(self, message: Decoded, role: Role) -> None:
        track = self._tracks[role]
        is_reference = role == self._reference
        if is_reference and self._floor_ns is not None and message.stamp_ns <= self._floor_ns:
            self._count_as(message, "late")
            return
        horizon_ns = self._horizon_ns()
        if isinstance(message, Undecodable):
            self._count_as(message, "undecodable", message.reason)
            track.fault(message.stamp_ns, message.log_time_ns, f"undecodable: {message.reason}")
        elif horizon_ns is not None and not track.useful(message.stamp_ns, horizon_ns):
            self._count_as(message, "late")
            behind_ms = (horizon_ns - message.stamp_ns) / MS
            reason = f"late: the last was stamped {behind_ms:.0f} ms before the tick it came after"
            track.fault(message.stamp_ns, message.log_time_ns, reason)
        else:
            track.add(message)
            if len(track) % CROWDED == 0:
                track.expire((self._clock_ns or 0) - self.preroll_ns)
        if is_reference:
            self._open_tick("reference", message.stamp_ns, message.log_time_ns)
            self._note_reference(message.stamp_ns, message.log_time_ns)
        else:
            self._spoken = True
            if self._anchor is None:
                self._set_anchor(message.stamp_ns, message.log_time_ns)

    def _learn(self, message: Decoded) -> None:
        if isinstance(message, CameraCalibration):
            self._rig = replace(self._rig, calibration=message)
        elif isinstance(message, FrameTransforms):
            self._rig = replace(self._rig, transforms=self._rig.transforms.updated(message.edges))

    def _is_duplicate(self, message: Decoded) -> bool:
        if not message.source:
            return False
        recent = self._seen.setdefault(message.topic, _Recent())
        recent.forget(message.log_time_ns - self._memory_ns)
        return recent.had((message.stamp_ns, len(message.source), hash(message.source)), message.log_time_ns)

    def _count_as(self, message: Decoded, row: str, note: str = "") -> None:
        self.ledger.count(
            message.topic, row, log_time_ns=message.log_time_ns, stamp_ns=message.stamp_ns, note=note
        )

    # --- samples ---------------------------------------------------------------------------------

    def _close(self, tick: Tick, last: tuple[int, int] | None) -> Sample:
        for track in self._tracks.values():
            track.expire(tick.log_time_ns - self._memory_ns)
        inputs: dict[str, Input[Any]] = {name: self._input(name, tick, last) for name in SENSORS}
        sample = Sample(tick, inputs["camera"], inputs["range"], inputs["status"], self._rig, self._reset)
        self._reset = None
        self.ledger.hold(sample)
        horizon_ns = self._horizon_ns()
        if horizon_ns is not None:
            for track in self._tracks.values():
                track.forget(horizon_ns)
        return sample

    def _input(self, name: str, tick: Tick, last: tuple[int, int] | None) -> Input[Any]:
        track = self._tracks.get(name)
        if track is None:
            return Input(name, "", None, reason="not configured")
        if name != self._reference:
            return track.pick(tick.stamp_ns)
        if tick.kind == "reference":
            return track.pick_own(tick.stamp_ns)
        if last is None:
            return Input(name, track.topic, None, reason="silent: nothing received")
        silent_ms = (tick.log_time_ns - last[1]) / MS
        age_ms = (tick.stamp_ns - last[0]) / MS
        return Input(name, track.topic, None, last[0], age_ms, f"silent: nothing for {silent_ms:.0f} ms")


def _make_tracks(config: Config, ledger: Ledger) -> dict[str, Track[Any]]:
    sensors = config.sensors
    tracks: dict[str, Track[Any]] = {}
    for name, section in (("camera", sensors.camera), ("range", sensors.range)):
        if section is not None:
            max_age_ns = round(section.max_age_ms * MS)
            if section.policy == "nearest" and name != config.reference:
                tolerance_ns = round(section.tolerance_ms * MS)
                tracks[name] = NearestTrack(name, section.topic, max_age_ns, ledger, tolerance_ns)
            else:
                tracks[name] = LatestTrack(name, section.topic, max_age_ns, ledger)
    if sensors.status is not None:
        status = sensors.status
        tracks["status"] = WindowTrack(
            "status",
            status.topic,
            round(status.max_age_ms * MS),
            ledger,
            status.fields,
            status.steps,
            status.rate_hz,
        )
    return tracks


class _Recent:
    """The messages of one topic that came lately, to know a duplicate."""

    def __init__(self) -> None:
        self._keys: set[tuple[int, int, int]] = set()
        self._order: deque[tuple[int, tuple[int, int, int]]] = deque()

    def forget(self, arrived_before_ns: int) -> None:
        while self._order and (self._order[0][0] < arrived_before_ns or len(self._order) > REMEMBERED):
            self._keys.discard(self._order.popleft()[1])

    def had(self, key: tuple[int, int, int], arrival_ns: int) -> bool:
        if key in self._keys:
            return True
        self._keys.add(key)
        self._order.append((arrival_ns, key))
        return False
