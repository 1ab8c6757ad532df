"""An observer in a worker process that reports the progress of a recording, and ends it when asked to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic

from perception.logs import Log
from perception.pipeline.batch.attempt import JobEvent
from perception.pipeline.batch.receipts import RecordingTask
from perception.pipeline.log_source import Span
from perception.pipeline.runner import Progress
from perception.types import Sample

REPORT_S = 0.2


class ProgressReporter:
    """Reports the progress of a run, and interrupts it when it is to end.

    Args:
        task: The recording.
        send: Takes the events.
        is_stopped: Returns whether the run is to end.
        log, span: The part of a log that is replayed.
        every_s: Seconds between two reports, at least.
    """

    def __init__(
        self,
        task: RecordingTask,
        send: Callable[[JobEvent], None],
        is_stopped: Callable[[], bool],
        log: Log,
        span: Span,
        every_s: float = REPORT_S,
    ) -> None:
        self._task, self._send, self._is_stopped, self._every_s = task, send, is_stopped, every_s
        self._first_ns = span.start_ns or log.survey.start_ns or 0
        last_ns = min(span.end_ns or sys.maxsize, log.survey.end_ns or self._first_ns)
        self._covers_ns = max(last_ns - self._first_ns, 1)
        self._reported_s = 0.0

    def before(self, sample: Sample) -> None:
        if self._is_stopped():
            raise KeyboardInterrupt

    def after(self, progress: Progress) -> None:
        now_s = monotonic()
        if now_s - self._reported_s >= self._every_s:
            self._reported_s = now_s
            fraction = min(max((progress.log_time_ns - self._first_ns) / self._covers_ns, 0.0), 1.0)
            self._send(JobEvent(self._task.recording, self._task.job.log, fraction, progress.frames))
