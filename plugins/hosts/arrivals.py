"""The messages that a host has received and its loop has not taken yet, on one arrival clock."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Condition

from perception.align import ClockReading
from perception.types import Channel, Message
from perception.types.times import LATEST_NS

WINDOW_S = 5.0
"""Rates are those of so many seconds."""
MOST_BYTES = 512 << 20
"""The size of all messages that wait, at most; the oldest message is dropped for a new one."""
_STEP_NS = 1_000_000_000


@dataclass(slots=True)
class TopicArrivals:
    """The account of one topic. Times are of `time.monotonic`.

    Attributes:
        received: The messages that came, and those that were lost on the way.
        dropped: Those of them that the loop did not get, `lost` ones included.
        lost: Those that did not come, as far as the stack tells.
    """

    received: int = 0
    dropped: int = 0
    lost: int = 0
    dropped_s: float | None = None
    first_s: float | None = None
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=4096))

    def rate_hz(self, now_s: float) -> float:
        """Return the rate over the last seconds."""
        if self.first_s is None:
            return 0.0
        recent = sum(now_s - time_s <= WINDOW_S for time_s in tuple(self.times_s))
        return recent / max(min(WINDOW_S, now_s - self.first_s), 1e-3)

    def age_s(self, now_s: float) -> float | None:
        """Return the time since the last message; None before the first."""
        return now_s - self.times_s[-1] if self.times_s else None


class Arrivals:
    """A queue between the threads of a stack, which `put`, and the loop, which takes in order of arrival.

    Every message gets its arrival here, under the lock: the clock never goes back, and no message comes
    before a reading of it. So a replay of the messages with these times aligns them as the host does. Where
    a topic has more waiting messages than its depth, its oldest is dropped, and counted.

    Args:
        depths: Topic -> how many messages of it may wait.
        clock: Returns ns; None: arrivals are stated by `put` and `tell_time` (simulated time).
    """

    def __init__(self, depths: Mapping[str, int], clock: Callable[[], int] | None = time.time_ns) -> None:
        self._depths = depths
        self._clock = clock
        self._changed = Condition()
        self._waiting: deque[tuple[Message, float]] = deque()
        self._counts: Counter[str] = Counter()
        self._bytes = 0
        self._last_ns = 0
        self._offset_ns = 0
        self._stopped = False
        self._ahead_ns: int | None = None  # of the clock before `time.monotonic`, at its last reading
        self.clock_jumps = 0
        """How often the clock was set by more than a second, or stated times went back by as much; arrivals
        went on without the step."""
        self.topics: dict[str, TopicArrivals] = {topic: TopicArrivals() for topic in depths}

    def put(
        self, channel: Channel, data: bytes, publish_ns: int | None = None, received_ns: int | None = None
    ) -> None:
        """Add a message. From any thread.

        Args:
            channel: One object for each stream.
            data: Its bytes, which nobody changes any more.
            publish_ns: When it was sent; None, or not a time of a log: its arrival.
            received_ns: Its arrival, where no clock is read; None: now.
        """
        with self._changed:
            if self._stopped:
                return
            arrival_ns = self._now() if self._clock or received_ns is None else self._steady(received_ns)
            sent = publish_ns if publish_ns is not None and 0 < publish_ns <= LATEST_NS else arrival_ns
            account = self.topics.setdefault(channel.topic, TopicArrivals())
            message = Message(channel, arrival_ns, sent, account.received & 0xFFFFFFFF, data)
            now_s = time.monotonic()
            account.received += 1
            account.first_s = account.first_s or now_s
            account.times_s.append(now_s)
            self._waiting.append((message, now_s))
            self._counts[message.topic] += 1
            self._bytes += len(data)
            if self._counts[message.topic] > self._depths.get(message.topic, 1):
                self._drop(
                    next(i for i, (other, _) in enumerate(self._waiting) if other.topic == message.topic)
                )
            while self._bytes > MOST_BYTES and len(self._waiting) > 1:
                self._drop(0)
            self._changed.notify_all()

    def note_lost(self, topic: str, count: int) -> None:
        """Count messages that the stack lost on their way here, as dropped."""
        with self._changed:
            account = self.topics.setdefault(topic, TopicArrivals())
            account.received += count
            account.dropped += count
            account.lost += count
            account.dropped_s = time.monotonic()

    def tell_time(self, now_ns: int) -> None:
        """Move the clock of a host without one of its own: simulated time."""
        with self._changed:
            self._steady(now_ns)
            self._changed.notify_all()

    def take(self) -> tuple[Message, float] | None:
        """Return the oldest message, and when it came (`time.monotonic`); None: none waits."""
        with self._changed:
            return self._pop() if self._waiting else None

    def wait(self, due_ns: int | None) -> tuple[Message, float] | ClockReading | None:
        """Return the next message, or the clock once it reaches a time; None at the end.

        Args:
            due_ns: When a tick closes; None: only messages are waited for.
        """
        with self._changed:
            while not self._waiting and not self._stopped:
                now_ns = self._now()
                if due_ns is not None and due_ns <= now_ns:
                    return ClockReading(now_ns)
                readable = self._clock is not None and due_ns is not None
                self._changed.wait((due_ns - now_ns) / 1e9 if readable and due_ns is not None else None)
            return self._pop() if self._waiting else None

    def read_clock(self) -> ClockReading:
        """Return the arrival clock. No message that is taken later has an earlier arrival, if none waits."""
        with self._changed:
            return ClockReading(self._now())

    def stop(self) -> None:
        """Take no more messages; those that wait are still taken."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Return how many messages wait."""
        return len(self._waiting)

    def _now(self) -> int:
        if self._clock is None:
            return self._last_ns
        reading_ns = self._clock()
        ahead_ns = reading_ns - time.monotonic_ns()
        step_ns = 0 if self._ahead_ns is None else ahead_ns - self._ahead_ns
        self._ahead_ns = ahead_ns
        if abs(step_ns) > _STEP_NS:  # forward, too: stamps of other clocks would be late from here on
            self.clock_jumps += 1
            self._offset_ns -= step_ns
        return self._steady(reading_ns)

    def _steady(self, reading_ns: int) -> int:
        """Return the arrival clock for a reading: a step back is left out, small disorder is levelled."""
        now_ns = min(max(reading_ns, 0), LATEST_NS) + self._offset_ns
        if now_ns < self._last_ns - _STEP_NS:
            self.clock_jumps += 1
            self._offset_ns += self._last_ns - now_ns
            now_ns = self._last_ns
        self._last_ns = max(self._last_ns, now_ns)
        return self._last_ns

    def _pop(self) -> tuple[Message, float]:
        entry = self._waiting.popleft()
        self._counts[entry[0].topic] -= 1
        self._bytes -= len(entry[0].data)
        return entry

    def _drop(self, place: int) -> None:
        message, _ = self._waiting[place]
        del self._waiting[place]
        self._counts[message.topic] -= 1
        self._bytes -= len(message.data)
        account = self.topics[message.topic]
        account.dropped += 1
        account.dropped_s = time.monotonic()
