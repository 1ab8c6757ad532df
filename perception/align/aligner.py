"""The aligner: messages in order of arrival to samples."""

from __future__ import annotations

from typing import Any

from perception.align.depth_ranges import NO_CAMERA_INFO, DepthRanges
from perception.align.duplicates import Duplicates
from perception.align.ledger import Ledger
from perception.align.policies import MS, LatestTrack, NearestTrack, Track, WindowTrack
from perception.align.range_limits import own_limits, within
from perception.align.rig_tracks import RigTracks
from perception.align.sample_contents import SampleContents
from perception.align.ticks import FORWARD_NS, OpenTick, Ticks
from perception.config import Config, SensorConfig, StatusConfig
from perception.errors import ConfigError
from perception.types import (
    Absent,
    Decoded,
    Input,
    Message,
    RangeScan,
    Reset,
    Sample,
    Undecodable,
    VideoPacket,
)

FASTEST_LOOP = 4  # times as fast as it was recorded a recording is played in a loop, at most
BEGINNING_NS = 1_000_000_000  # of a recording that is played in a loop
CROWDED = 1024  # messages in a buffer at which it is cleared also without a tick


class Aligner:
    """Makes samples from messages in order of arrival, in bounded memory.

    Every call returns the samples that closed. A live program pushes each message as it arrives and
    calls `advance` from a timer; replay pushes what it reads and calls `flush` at the end.

    Args:
        config: Sensors, policies, reference. `reference_rate_hz` must be known: replay measures it
            from the log, a live program takes it from its file (`perception info LOG --yaml` prints one).
        ledger: Counts the messages; a new one by default. A program that reads it reports the outcome of
            each sample: `aligner.ledger.sample_done(sample, "used")`.

    Raises:
        ConfigError: The reference, or `reference_rate_hz`, is not known.
        TypeError: That is no configuration.
    """

    def __init__(self, config: Config, ledger: Ledger | None = None) -> None:
        if not isinstance(config, Config):
            found = type(config).__name__
            raise TypeError(f"expected a Config, found {found}; of a choice: complete_config(log).config")
        sections = config.sensors.named
        needed = {
            f"sensors.{config.reference}: missing; it makes the ticks": sections.get(config.reference),
            "reference_rate_hz: missing; it tells when the reference is silent": config.reference_rate_hz,
        }
        missing = [text for text, value in needed.items() if value is None]
        if missing:
            raise ConfigError([f"{text} (`perception info LOG --yaml` prints it)" for text in missing])
        assert config.reference_rate_hz is not None
        self.config = config
        self.ledger = ledger if ledger is not None else Ledger()
        self._roles = config.roles()
        self._names = config.sensor_names()
        self._tracks = {
            name: _make_track(name, section, self.ledger, is_reference=name == config.reference)
            for name, section in sections.items()
        }
        self._reference = config.reference
        wait_ns = round(config.wait_ms * MS)
        self._ticks = Ticks(config.reference, round(1e9 / config.reference_rate_hz), wait_ns)
        # Nothing that arrived longer ago than this before a tick plays a part in it.
        self._memory_ns = FORWARD_NS + max(track.reach_ns for track in self._tracks.values())
        self.preroll_ns = self._memory_ns + wait_ns
        self._rig = RigTracks(config.sensors)
        self._depth = {name: DepthRanges(section, name) for name, section in config.sensors.ranges.items()}
        self._limits_m = own_limits({n: s.max_range_m for n, s in config.sensors.ranges.items()})
        self._contents = SampleContents(config)
        self._duplicates = Duplicates(self._memory_ns)
        self._reset: Reset | None = None
        self._began_ns: int | None = None  # stamp of the first of the reference
        self._repeated: Decoded | None = None  # the last of the reference, if one from before a jump

    def push(self, message: Decoded) -> list[Sample]:
        """Add one message, in order of arrival, and return the samples that close.

        Raises:
            ValueError: The message has no topic, by which its sensor is known.
        """
        role = self._roles.get(message.topic)
        if role is None:
            if not message.topic:
                raise ValueError(
                    f"topic: expected that of a sensor ({', '.join(self._names)}), found none; name it where "
                    f"the {type(message).__name__} is made: topic=..."
                )
            self._count_as(message, "not_configured")
            return []
        samples = self._meet(message.log_time_ns)
        if self._duplicates.seen_before(message):
            again = self._again(message)
            if not again:
                self._count_as(message, "duplicate")
                return samples
            samples += self._begin_anew(again, message.log_time_ns)
            self._duplicates.seen_before(message)
        self.ledger.count_ignored(message)
        name = self._names.get(message.topic)
        if name == self._reference:
            self._repeated = None
            jump = self._ticks.stamp_jump(message.stamp_ns, message.log_time_ns)
            if jump:
                samples += self._begin_anew(jump, message.log_time_ns)
            self._began_ns = message.stamp_ns if self._began_ns is None else self._began_ns
        if name is not None:
            self._take_sensor(self._scan_of(message, name), name)
        elif isinstance(message, Undecodable):
            self._count_as(message, "undecodable", message.reason)
        elif role in ("truth_boxes", "truth_control"):
            self._count_as(message, "truth")
        else:
            self.recall(message)
            self._count_as(message, "rig")
        return samples

    def ignore(self, message: Message) -> None:
        """Count a message of a topic that is not configured, without decoding it or moving the clock."""
        self.ledger.count(
            message.topic,
            "not_configured",
            log_time_ns=message.log_time_ns,
            stamp_ns=message.publish_time_ns,
        )

    def advance(self, log_time_ns: int) -> list[Sample]:
        """Move the arrival clock; no more messages arrive before that time. Return the samples that close."""
        return [self._close(tick) for tick in self._ticks.run(log_time_ns)]

    def due_ns(self) -> int | None:
        """Return the time from which `advance` returns samples; None: not before the next message."""
        return self._ticks.due_ns()

    def would_jump(self, log_time_ns: int) -> bool:
        """Return whether time breaks with a message that arrives then: the clock begins anew with it."""
        return bool(self._ticks.arrival_jump(log_time_ns))

    def flush(self) -> list[Sample]:
        """End the log: close all ticks and return their samples."""
        return [self._close(tick) for tick in self._ticks.rest()]

    def reset(self, reason: str) -> list[Sample]:
        """Break time (a seek, a loop): close all ticks, and drop all messages but those of the rig."""
        samples = self.flush()
        for track in self._tracks.values():
            track.clear()
        self._rig.begin_anew()
        self._duplicates.forget()
        self._began_ns = self._repeated = None
        self._ticks.forget()
        self._reset = Reset(reason)
        return samples

    def recall(self, message: Decoded) -> None:
        """Add a message of the rig, or an image for its size, from before a seek. It is not counted."""
        self._rig.learn(message)
        for depth in self._depth.values():
            depth.learn(message)

    def _meet(self, arrival_ns: int) -> list[Sample]:
        """Move the clock to the arrival of a message; reset where the arrival clock jumps."""
        jump = self._ticks.arrival_jump(arrival_ns)
        return self._begin_anew(jump, arrival_ns) if jump else self.advance(arrival_ns)

    def _begin_anew(self, reason: str, arrival_ns: int) -> list[Sample]:
        """Reset, and set the clock to the arrival of the message after the jump.

        Where no sensor has spoken yet (a static transform from hours before), nothing is broken: no sample
        says so.
        """
        reset = Reset(reason) if self._ticks.heard else self._reset
        samples = self.reset(reason)
        self._reset = reset
        return [*samples, *self.advance(arrival_ns)]

    # --- messages --------------------------------------------------------------------------------

    def _take_sensor(self, message: Decoded, name: str) -> None:
        self._rig.learn(message)
        track = self._tracks[name]
        is_reference = name == self._reference
        if is_reference and self._ticks.is_late(message.stamp_ns):
            self._count_as(message, "late")
            return
        horizon_ns = self._ticks.horizon_ns()
        if isinstance(message, VideoPacket):
            reason = "a video packet: `perception.logs.video.stage.VideoStage` makes pictures of them"
            message = Undecodable(message.topic, message.stamp_ns, message.log_time_ns, reason)
        if isinstance(message, Undecodable):
            row = "unmatched" if message.code == NO_CAMERA_INFO else "undecodable"
            self._count_as(message, row, message.reason)
            absence = Absent.with_detail("undecodable", message.reason)
            track.skip(message.stamp_ns, message.log_time_ns, absence)
        elif horizon_ns is not None and not track.useful(message.stamp_ns, horizon_ns):
            self._count_as(message, "late")
            behind_ms = (horizon_ns - message.stamp_ns) / MS
            text = f"the last was stamped {behind_ms:.0f} ms before the tick it came after"
            track.skip(message.stamp_ns, message.log_time_ns, Absent.with_detail("late", text))
        else:
            track.add(message)
            if len(track) % CROWDED == 0:
                track.expire((self._ticks.clock_ns or 0) - self.preroll_ns)
        if is_reference:
            self._ticks.hear_reference(message.stamp_ns, message.log_time_ns)
        else:
            self._ticks.hear_other(message.stamp_ns, message.log_time_ns)

    def _scan_of(self, message: Decoded, name: str) -> Decoded:
        """Return the scan of a range sensor, within its own limit; other messages as they are."""
        if name not in self._depth:
            return message
        scan = self._depth[name].scan_of(message)
        limit_m = self._limits_m[name]
        return within(scan, limit_m) if isinstance(scan, RangeScan) and limit_m is not None else scan

    def _again(self, duplicate: Decoded) -> str:
        """Return how time jumps with a duplicate where a short recording is played in a loop: the second of
        the reference in a row from before a jump of its clock, from the beginning, and not in a burst. Others
        were only sent again, late."""
        if self._names.get(duplicate.topic) != self._reference:
            return ""
        jump = self._ticks.stamp_jump(duplicate.stamp_ns, duplicate.log_time_ns)
        at_begin = self._began_ns is not None and duplicate.stamp_ns - self._began_ns < BEGINNING_NS
        first, self._repeated = self._repeated, (duplicate if jump and at_begin else None)
        if first is None or self._repeated is None:
            return ""
        arrived_ns = duplicate.log_time_ns - first.log_time_ns
        return jump if duplicate.stamp_ns - first.stamp_ns <= FASTEST_LOOP * arrived_ns else ""

    def _count_as(self, message: Decoded, row: str, note: str = "") -> None:
        self.ledger.count(
            message.topic, row, log_time_ns=message.log_time_ns, stamp_ns=message.stamp_ns, note=note
        )

    # --- samples ---------------------------------------------------------------------------------

    def _close(self, one: OpenTick) -> Sample:
        tick = one.tick
        for track in self._tracks.values():
            track.expire(tick.log_time_ns - self._memory_ns)
        inputs = {name: self._input(name, track, one) for name, track in self._tracks.items()}
        sample = self._contents.sample(tick, inputs, self._rig, self._reset)
        self._reset = None
        self.ledger.hold(sample)
        horizon_ns = self._ticks.horizon_ns()
        if horizon_ns is not None:
            for track in self._tracks.values():
                track.forget(horizon_ns)
        return sample

    def _input(self, name: str, track: Track[Any], one: OpenTick) -> Input[Any]:
        tick, last = one
        if name != self._reference:
            return track.pick(tick.stamp_ns)
        if tick.kind == "reference":
            return track.pick_own(tick.stamp_ns)
        if last is None:
            return track.input(None, absence=Absent.with_detail("silent", "nothing received"))
        silent_ms = (tick.log_time_ns - last[1]) / MS
        age_ms = (tick.stamp_ns - last[0]) / MS
        absence = Absent.with_detail("silent", f"nothing for {silent_ms:.0f} ms")
        return track.input(None, last[0], age_ms, absence)


def _make_track(name: str, section: SensorConfig, ledger: Ledger, is_reference: bool) -> Track[Any]:
    """Return the track of a sensor, by its policy; the reference is taken as it comes."""
    track: Track[Any]
    max_age_ns = round(section.max_age_ms * MS)
    if isinstance(section, StatusConfig):
        window = section.fields, section.steps, section.rate_hz
        track = WindowTrack(name, section.topic, max_age_ns, ledger, *window)
    elif section.policy == "nearest" and not is_reference:
        track = NearestTrack(name, section.topic, max_age_ns, ledger, round(section.tolerance_ms * MS))
    else:
        track = LatestTrack(name, section.topic, max_age_ns, ledger)
    track.kind = section.kind
    return track
