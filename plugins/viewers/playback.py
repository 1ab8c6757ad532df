"""Playing under control: play, pause, seek and speed, asked for by viewers while a replay runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Condition
from typing import Literal

from perception.pipeline.pace import Pace
from perception.types import Sample

PlayState = Literal["waiting", "playing", "paused", "ended"]
SETTLE_S = 0.3
"""A viewer subscribes to one topic after the other: what it missed is shown again so long after the last."""
_SLOWEST, _FASTEST = 1e-3, 1e6


class SeekAskedError(Exception):
    """The replay goes on elsewhere: see `Playback.take_target`."""


class PlaybackLeftError(Exception):
    """Nobody needs the replay any longer: see `Playback.leave`."""


class Playback:
    """Where playing stands, and what is asked of it. Methods may be called from any thread.

    Args:
        start_ns, end_ns: The part of the arrival clock that can be played.
        speed: As a multiple of the recording's; None: as soon as possible.
        waits: Wait for a viewer before the first sample.
        clock: For tests.
    """

    def __init__(
        self,
        start_ns: int,
        end_ns: int,
        speed: float | None = 1.0,
        waits: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.start_ns, self.end_ns = start_ns, end_ns
        self.state: PlayState = "waiting" if waits else "playing"
        self.speed = speed
        self.now_ns = start_ns
        self.seeks = 0
        self._clock = clock
        self._changed = Condition()
        self._target_ns: int | None = None
        self._shows_next = False
        self._began: tuple[float, int] | None = None
        self._settles_at: float | None = None
        self._left = False

    def leave(self) -> None:
        """End the replay, from another thread."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def ask(self, play: bool, speed: float, seek_ns: int | None) -> bool:
        """Take a request of a viewer; return whether it is a seek. What is no speed changes none."""
        with self._changed:
            if math.isfinite(speed) and speed > 0:
                if self.speed is None:  # several samples may be under way: begin anew, one at a time
                    self._target_ns = self.now_ns + 1
                self.speed = min(max(speed, _SLOWEST), _FASTEST)
            if seek_ns is None and play and self.state == "ended":
                seek_ns = self.start_ns
            if seek_ns is not None:
                self._target_ns = min(max(seek_ns, self.start_ns), self.end_ns)
                self.now_ns = self._target_ns
                self.seeks += 1
            elif self.state == "ended":
                return False
            self.state = "playing" if play else "paused"
            self._began = None
            self._changed.notify_all()
        return seek_ns is not None

    def joined(self) -> None:
        """Take note that a viewer subscribed to a topic."""
        with self._changed:
            self._settles_at = self._clock() + SETTLE_S
            self._changed.notify_all()

    def finish(self) -> None:
        """Take note that the last sample was played."""
        with self._changed:
            if self._target_ns is None:
                self.state, self.now_ns = "ended", self.end_ns

    def wait_for_target(self) -> None:
        """Wait, at the end, until a viewer asks for another part."""
        with self._changed:
            while self._target_ns is None:
                self._check_left()
                self._changed.wait(0.5)  # so that an interrupt of the main thread gets through

    def take_target(self) -> int:
        """Return where to go on, and show the first sample there at once."""
        with self._changed:
            target_ns = self._target_ns if self._target_ns is not None else self.start_ns
            self._target_ns, self._began, self._shows_next = None, None, True
            return target_ns

    @property
    def is_sought(self) -> bool:
        """Whether the replay is about to go on elsewhere: what is still under way is not to be shown."""
        return self._target_ns is not None

    def hold(self, at_ns: int) -> None:
        """Wait until the sample of a log time is due.

        Raises:
            SeekAskedError: The replay is to go on elsewhere.
            PlaybackLeftError: It is to end.
        """
        with self._changed:
            while True:
                self._check_left()
                self._settle()
                if self._target_ns is not None:
                    raise SeekAskedError
                if self._shows_next and self.state != "waiting":
                    break
                left_s = self._left_s(at_ns)
                if left_s <= 0:
                    break
                self._changed.wait(min(left_s, 0.5))
            self._shows_next, self.now_ns = False, at_ns

    def _check_left(self) -> None:
        if self._left:
            raise PlaybackLeftError

    def _left_s(self, at_ns: int) -> float:
        """Return how long the sample has to wait still, and begin to count where that is new."""
        if self.state != "playing":
            return self._settles_at - self._clock() if self._settles_at is not None else math.inf
        if self.speed is None:
            return 0.0
        if self._began is None:
            first_ns = self.now_ns if self.now_ns <= at_ns else at_ns
            self._began = (self._clock(), first_ns)
        began, first_ns = self._began
        return began + (at_ns - first_ns) / 1e9 / self.speed - self._clock()

    def _settle(self) -> None:
        """Begin once a viewer has subscribed to its topics, or show it again what it missed."""
        if self._settles_at is None or self._clock() < self._settles_at:
            return
        self._settles_at = None
        if self.state == "waiting":
            self.state, self._began = "playing", None
        elif self._target_ns is None:
            self._target_ns = self.now_ns if self.state == "paused" else self.now_ns + 1


class ControlledPace(Pace):
    """Yields the samples when a `Playback` lets them go."""

    def __init__(self, playback: Playback, shown: Callable[[int], None]) -> None:
        super().__init__()
        self._playback, self._shown = playback, shown

    def through(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            self._playback.hold(sample.tick.log_time_ns)
            yield sample
            self._shown(sample.tick.log_time_ns)
