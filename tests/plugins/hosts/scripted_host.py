"""A host without a stack: it feeds the log that its setting `log` names, at full speed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from perception.pipeline.host_job import HostHealth, HostJob, HostSummary
from perception_plugins.hosts.opening import open_loop
from perception_plugins.hosts.serving import serve as serve_loop
from tests.plugins.hosts.feeding import feed_as_recorded, messages_of

published: list[object] = []


def serve(job: HostJob, report: Callable[[HostHealth], None]) -> HostSummary:
    loop = open_loop(job, "scripted", published.append, clock=None)
    healths: list[HostHealth] = []
    calls = iter(range(2))

    def wait(seconds: float) -> bool:
        return next(calls, None) is not None

    def connect() -> None:
        feed_as_recorded(loop, messages_of(Path(job.options["log"]), loop.config))
        if "interrupt" in job.options:
            raise KeyboardInterrupt

    return serve_loop(loop, wait, healths.append, report, connect)
