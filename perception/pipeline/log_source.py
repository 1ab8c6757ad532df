"""The source of samples: the part of a log that a run needs, with the messages before a seek.

A run from `start_ns` gives the samples that a run over the whole log gives from there on. All messages of
a sample arrived within `Aligner.preroll_ns` before it, except the rig, which is read from the beginning,
and the last reference message, which determines the grid of substitute ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

from perception.align import Aligner, feed, with_clock
from perception.align.ledger import Ledger
from perception.align.truth import look_ahead_ns
from perception.config import Config
from perception.logs import Log, MessageStream, Query, decoder
from perception.logs.video.preroll import packets_before
from perception.logs.video.stage import VideoStage
from perception.pipeline.digest import ContentDigest
from perception.pipeline.faults import check_truth_stays, inject, parse_plan
from perception.pipeline.stage_times import StageTimes
from perception.sinks.host_recording import read_host_record
from perception.types import CameraFrame, Decoded, Message, Sample, VideoPacket

RIG_ROLES = ("calibration", "transforms")
LATE_NS = 1_000_000_000
"""A plugin counts its memory by stamps, and a sample may arrive this much later than its stamp."""


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a log to replay, on the arrival clock; None: from the beginning, to the end."""

    start_ns: int | None = None
    end_ns: int | None = None  # exclusive

    def holds(self, log_time_ns: int) -> bool:
        after = self.start_ns is None or log_time_ns >= self.start_ns
        return after and (self.end_ns is None or log_time_ns < self.end_ns)


WHOLE = Span()


class LogSource:
    """The samples of a log, from where a run must begin to its end, with those outside the span.

    Args:
        log: An open log.
        config: A complete configuration: `reference_rate_hz` is known. Its `faults` are injected.
        ledger: Has every message of the log when the samples are exhausted.
        span: The part of the log.
        warm_s: Seconds of samples that the plugin needs before the start; None: all.
        every_message: Also read topics that are not configured, so that the ledger lists each message.
        on_message: Called with every raw message of a configured topic in the span, in order of arrival (to
            copy it), without injected faults; before them with the newest of each rig topic, and with the
            packets of a video from the key frame before.
        on_decoded: Called with every decoded message (for truth).
        on_recalled: Called with the rig messages, and one image, from before the reading begins.
        times: Collects the durations of reading and aligning.

    Raises:
        ConfigError: `faults` of the configuration are wrong.
    """

    def __init__(
        self,
        log: Log,
        config: Config,
        ledger: Ledger,
        span: Span = WHOLE,
        warm_s: float | None = 0.0,
        every_message: bool = False,
        on_message: Callable[[Message], None] | None = None,
        on_decoded: Callable[[Decoded], None] | None = None,
        on_recalled: Callable[[Decoded], None] | None = None,
        times: StageTimes | None = None,
    ) -> None:
        self._log = log
        self._config = config
        self._ledger = ledger
        self._span = span
        self._every_message = every_message
        self._on_message = on_message
        self._on_decoded = on_decoded
        self._on_recalled = on_recalled
        self._times = times
        self._aligner = Aligner(config, ledger)
        kinds = config.sensor_kinds()
        self._plan = parse_plan(config.faults, sensors=kinds).resolved(kinds)
        check_truth_stays(self._plan, config)
        self.warm_from_ns = self._warm_from(warm_s)
        self.read_from_ns = self._read_from()
        self.stream: MessageStream | None = None
        self._roles = config.roles()
        self._decode = decoder(config)
        self._wait_ns = round(config.wait_ms * 1e6)
        self._before_span: dict[str, list[Message]] = {}
        self._recalled: dict[str, Span] = {}  # by topic: what was read from before the reading
        self.video = VideoStage(self._roles, config.stamps(), partial(self._count, row="rig"))
        self.content = ContentDigest()
        self._until_ns = self._query_end()
        self._host = read_host_record(log)

    def samples(self) -> Iterator[Sample]:
        """Yield the samples, in order. Afterwards the ledger has every message, once the samples are done."""
        rig = self._recall_rig()
        self.stream = self._log.messages(self._query())
        messages = self.stream if self._times is None else self._times.watched("read", self.stream)
        samples = chain(self._fed(messages), self._last_ones())
        yield from samples if self._times is None else self._times.watched("align", samples, inner="read")
        self._settle(rig)

    def _warm_from(self, warm_s: float | None) -> int | None:
        if self._span.start_ns is None or warm_s is None:
            return None
        if not warm_s:
            return self._span.start_ns
        late_ns = LATE_NS + self._plan.delay_ns(self._config.reference)
        return self._span.start_ns - round(warm_s * 1e9) - late_ns

    def _read_from(self) -> int | None:
        reference = self._config.reference
        if self.warm_from_ns is None or self._plan.thins(reference):
            return None  # with these faults the last reference message is known only after reading all
        topic = self._config.sensors.named[reference].topic
        last = self._last_before(topic, self.warm_from_ns - self._plan.delay_ns(reference))
        return None if last is None else last.log_time_ns - self._aligner.preroll_ns - self._plan.memory_ns

    def _last_before(self, topic: str, before_ns: int) -> Message | None:
        """Return the last message of a topic that arrived before a time. Looks back in growing steps."""
        first_ns = self._log.survey.start_ns
        reach_ns, end_ns = 1_000_000_000, before_ns
        while first_ns is not None and end_ns > first_ns:
            start_ns = max(end_ns - reach_ns, first_ns)
            last = None
            for message in self._log.messages(Query(frozenset([topic]), start_ns, end_ns)):
                last = message
            if last is not None:
                return last
            reach_ns, end_ns = reach_ns * 4, start_ns
        return None

    def _recall_rig(self) -> dict[str, int]:
        """Give the aligner the rig messages from before the reading begins; return their counts by topic."""
        counts: dict[str, int] = {}
        if self.read_from_ns is None:
            return counts
        topics = frozenset(t for t, role in self._roles.items() if role in RIG_ROLES)
        if topics:
            for message in self._log.messages(Query(topics, None, self.read_from_ns)):
                self.content.add(message)
                self._recall(self._decode(message))
                self._before_span[message.topic] = [message]
                self._recalled[message.topic] = Span(None, self.read_from_ns)
                counts[message.topic] = counts.get(message.topic, 0) + 1
        for camera in self._config.sensors.cameras.values():
            image = self._last_before(camera.topic, self.read_from_ns)
            if image is None:
                continue
            decoded = self._decode(image)  # until the next one comes, pixels are those of this one
            if isinstance(decoded, VideoPacket):
                counts[image.topic] = self._recall_video(image.topic, self.read_from_ns)
            else:
                self._recall(decoded)
        return counts

    def _recall_video(self, topic: str, before_ns: int) -> int:
        """Decode a video from the key frame before a time on; return the number of packets."""
        last: Decoded | None = None
        packets = self._before_span[topic] = packets_before(self._log, topic, before_ns, self._decode)
        for items in (*map(self.video.push, packets), self.video.settle()):
            last = next((item for item in reversed(items) if isinstance(item, CameraFrame)), last)
        if last is not None:
            self._recall(last)
        if packets:
            self._recalled[topic] = Span(packets[0].log_time_ns, before_ns)
        return len(packets)

    def _recall(self, decoded: Decoded) -> None:
        self._aligner.recall(decoded)
        if self._on_recalled is not None:
            self._on_recalled(decoded)

    def _query(self) -> Query:
        if self._every_message:
            return Query()
        return Query(frozenset(self._roles), self.read_from_ns, self._until_ns)

    def _query_end(self) -> int | None:
        end_ns = self._span.end_ns
        return None if end_ns is None else end_ns + self._wait_ns + look_ahead_ns(self._config.truth)

    def _fed(self, messages: Iterator[Message]) -> Iterator[Sample]:
        pictures = self._since_start(self.video.pictures(self._passed(messages)))
        arriving = self._faulted(pictures, self._took_away)
        if self._host is None:
            return feed(self._aligner, arriving, self._on_decoded, flush=False)
        return feed(self._aligner, with_clock(arriving), self._on_decoded, flush=False)

    def _faulted(
        self, messages: Iterator[Message | Decoded], on_removed: Callable[[Decoded], None]
    ) -> Iterator[Message | Decoded]:
        stamps, names = self._config.stamps(), self._config.sensor_names()
        return inject(messages, self._plan, self._roles, on_removed, stamps, names)

    def _since_start(self, items: Iterator[Message | Decoded]) -> Iterator[Message | Decoded]:
        """Leave out the pictures of packets that were read only to decode others."""
        from_ns = self.read_from_ns
        return items if from_ns is None else (item for item in items if item.log_time_ns >= from_ns)

    def _count(self, message: Message, row: str) -> None:
        arrival_ns, stamp_ns = message.log_time_ns, message.publish_time_ns
        self._ledger.count(message.topic, row, log_time_ns=arrival_ns, stamp_ns=stamp_ns)

    def _took_away(self, message: Decoded) -> None:
        arrival_ns = message.log_time_ns
        self._ledger.count(message.topic, "faulted", log_time_ns=arrival_ns, stamp_ns=message.stamp_ns)

    def _passed(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Yield the messages to align; copy those in the span, and count those read for the ledger only."""
        read = Span(self.read_from_ns, self._until_ns)
        for message in messages:
            if not read.holds(message.log_time_ns):
                self._count(message, self._row_outside(message))
                continue
            if message.topic in self._roles:
                self.content.add(message)
                if self._on_message is not None:
                    self._copy(message, self._on_message)
            yield message

    def _row_outside(self, message: Message) -> str:
        """Return the row of a message that is not aligned: before the reading, or behind it."""
        if message.topic not in self._roles:
            return "not_configured"
        recalled = self._recalled.get(message.topic)
        was_read = recalled is not None and recalled.holds(message.log_time_ns)
        return "preroll_only" if was_read else "outside_range"

    def _copy(self, message: Message, copy: Callable[[Message], None]) -> None:
        if self._span.holds(message.log_time_ns):
            for earlier in chain.from_iterable(self._before_span.values()):
                copy(earlier)
            self._before_span.clear()
            copy(message)
        elif self._roles[message.topic] in RIG_ROLES:
            self._before_span[message.topic] = [message]
        elif self._roles[message.topic] == "camera":
            packet = self._decode(message)
            if isinstance(packet, VideoPacket):
                earlier_packets = [] if packet.key else self._before_span.get(packet.topic, [])
                self._before_span[packet.topic] = [*earlier_packets, message]

    def _last_ones(self) -> Iterator[Sample]:
        """Yield the samples open at the end of the reading; where the span ends it, as if the log went on."""
        end_ns, host = self._span.end_ns, self._host
        if end_ns is not None and self._goes_on(end_ns + self._wait_ns):
            yield from self._aligner.advance(end_ns + self._wait_ns)
        elif host is not None and host.end_ns is not None:
            last_ns = host.end_ns if end_ns is None else min(end_ns + self._wait_ns, host.end_ns)
            yield from self._aligner.advance(last_ns)
        yield from self._aligner.flush()

    def _goes_on(self, until_ns: int) -> bool:
        """Return whether the next message closes samples by then. One with which time breaks makes none, nor
        does one that an injected fault takes away."""
        due_ns = self._aligner.due_ns()
        if due_ns is None or due_ns > until_ns:
            return False
        following = self._log.messages(Query(frozenset(self._roles), self._until_ns))
        message = next(self._faulted(following, lambda removed: None), None)
        is_clocked = self._host is not None  # its clock ran on
        return message is not None and (is_clocked or not self._aligner.would_jump(message.log_time_ns))

    def _settle(self, rig: dict[str, int]) -> None:
        """Count the messages that were not read from the log."""
        assert self.stream is not None
        account = self.stream.account
        for row in ("not_configured", "outside_range", "corrupt", "lost"):
            for topic, number in getattr(account, row).items():
                if row == "outside_range" and topic in rig:
                    self._ledger.add(topic, "preroll_only", rig[topic])
                    number -= rig[topic]
                self._ledger.add(topic, row, number)
