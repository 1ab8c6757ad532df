"""Recordings of a batch as tasks of a Ray cluster, begun again where a worker or a node is lost."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from perception.errors import ConfigError, MissingExtraError, PerceptionError
from perception.interrupts import ENDING_SIGNALS
from perception.logs import Log
from perception.pipeline.batch.attempt import JobEvent, attempt_recording
from perception.pipeline.batch.process_pool import ATTEMPTS, CLOSE_S
from perception.pipeline.batch.progress_reporter import ProgressReporter
from perception.pipeline.batch.receipts import RecordingTask, settings_hash
from perception.pipeline.log_source import Span
from perception.pipeline.runner import Observer

POLL_S = 0.5
REPORT_S = 1.0
"""Seconds between two reports of one task: each is a call between machines."""

_CLIENT_PORT = 10001
_STORE_BYTES = 128 << 20  # of a cluster that is started here: results are small


def ray_address(text: str) -> str:
    """Return the address in `--on`: empty for `ray`, a URL with its port for `ray://HOST`.

    Raises:
        ConfigError: It names nothing that recordings are done on.
    """
    if text == "ray":
        return ""
    host = text.removeprefix("ray://")
    if host == text or not host:
        raise ConfigError([f"--on: expected ray or ray://HOST[:PORT], found '{text}'"])
    return text if ":" in host.rpartition("]")[2] else f"{text}:{_CLIENT_PORT}"


def run_on_ray(
    tasks: Sequence[RecordingTask], address: str, count: int | None = None, gpus: float = 0.0
) -> Generator[JobEvent]:
    """Do recordings on a Ray cluster and yield their events as they arrive.

    Each is a task of one processor. A task whose worker or node is lost is begun again, up to `ATTEMPTS`
    times in all. When the iterator is closed before its end, tasks close their outputs readable and end.

    Args:
        tasks: The recordings.
        address: As `ray_address` returns it; empty: the cluster of `RAY_ADDRESS` or of this machine, else one
            that is started here.
        count: How many run at a time, at most; None: as many as the cluster has room for.
        gpus: GPUs of each task.

    Raises:
        MissingExtraError: Ray is not installed.
        PerceptionError: The cluster cannot be reached.
    """
    if not tasks:
        return
    with connected(address, "--on ray") as ray:
        reports = _ReportQueue()
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=ATTEMPTS - 1)(_work)
        waiting, running = deque(tasks), dict[Any, RecordingTask]()
        try:
            while waiting or running:
                while waiting and (count is None or len(running) < count):
                    task = waiting.popleft()
                    running[remote.remote(task, reports.queue)] = task
                ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
                yield from reports.received({task.recording for task in running.values()})
                for reference in ready:
                    yield _end(ray, reference, running.pop(reference))
        finally:
            _cancel(ray, list(running))


def _work(task: RecordingTask, queue: Any) -> JobEvent:
    """Do a recording in a worker of the cluster."""
    if settings_hash(task.job) != task.settings:
        why = "this node has other weights, code or versions than the command; give every node the same image"
        return JobEvent(task.recording, task.job.log, 1.0, status="failed", error=why)

    def send(event: JobEvent) -> None:
        with suppress(Exception):  # the display may be gone with its node; the work is not
            queue.put(event, block=False)

    @contextmanager
    def observe(log: Log, span: Span) -> Iterator[Observer]:
        yield ProgressReporter(task, send, lambda: False, log, span, REPORT_S)

    return attempt_recording(task, observe)


def _end(ray: Any, reference: Any, task: RecordingTask) -> JobEvent:
    """Return the last event of a task."""
    try:
        event: JobEvent = ray.get(reference)
        return event
    except ray.exceptions.RayError as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
        why = f"lost on the cluster, {ATTEMPTS} times or for good: {text}"
        return JobEvent(task.recording, task.job.log, 1.0, status="failed", error=why)


class _ReportQueue:
    """The reports of tasks under way; a cluster without room for it, or that loses it, shows none."""

    def __init__(self) -> None:
        from ray.util.queue import Queue

        self.queue: Any = Queue(actor_options={"num_cpus": 0})

    def received(self, running: set[str]) -> list[JobEvent]:
        """Return what running tasks have reported."""
        try:
            waiting = self.queue.qsize()
            events: list[JobEvent] = self.queue.get_nowait_batch(waiting) if waiting else []
        except Exception:  # its actor is gone
            return []
        return [event for event in events if event.recording in running]


def _cancel(ray: Any, references: list[Any]) -> None:
    """Interrupt tasks, and wait until they have closed their outputs."""
    for reference in references:
        with suppress(Exception):
            ray.cancel(reference)
    deadline = monotonic() + CLOSE_S
    while references and monotonic() < deadline:
        with suppress(Exception):
            _, references = ray.wait(references, num_returns=len(references), timeout=POLL_S)


@contextmanager
def connected(address: str, what: str) -> Iterator[Any]:
    """Yield Ray, connected to a cluster; leave it as it was before.

    Args:
        address: As `ray_address` returns it.
        what: What needs Ray.

    Raises:
        MissingExtraError, PerceptionError: It is not installed, or cannot be reached.
    """
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # else `uv run` uploads the current folder
    try:
        import ray
    except ImportError:
        raise MissingExtraError(what, "ray") from None
    if ray.is_initialized():
        yield ray
        return
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    try:
        _connect(ray, address)
        with suppress(ValueError):  # not the main thread
            for number, handler in handlers.items():  # Ray has put its own in their place
                signal.signal(number, handler)
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    how: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
    try:
        ray.init(address or "auto", **how)
    except ConnectionError as error:
        if address or os.environ.get("RAY_ADDRESS"):
            place = address or os.environ["RAY_ADDRESS"]
            raise PerceptionError(
                f"no Ray cluster answers at {place}: {' '.join(str(error).split())[:200]}"
            ) from None
        ray.init("local", object_store_memory=_STORE_BYTES, include_dashboard=False, **how)
