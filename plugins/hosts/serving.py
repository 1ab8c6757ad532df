"""The work of every host while its stack runs: events of the stack, health once a second, an orderly end."""

from __future__ import annotations

import time
from collections.abc import Callable

from perception.pipeline.host_job import HostHealth, HostSummary
from perception_plugins.hosts.loop import HostLoop

HEALTH_S = 1.0


def serve(
    loop: HostLoop,
    wait: Callable[[float], bool],
    publish_health: Callable[[HostHealth], None],
    report: Callable[[HostHealth], None],
    connect: Callable[[], None] = lambda: None,
) -> HostSummary:
    """Run a loop until the stack or an interrupt ends it; return its account.

    Args:
        loop: Not started.
        wait: Handles events of the stack for at most so many seconds; False: the stack has ended.
        publish_health: Publishes the health in the way of the stack.
        report: Takes the same.
        connect: Joins the stack; called once the plugin is open, so that no message waits for that.

    Raises:
        PerceptionError: The plugin or the recording does not open.
    """
    try:
        loop.start()
        connect()
        due_s = 0.0
        while not loop.failed and wait(max(0.0, min(due_s - time.monotonic(), HEALTH_S))):
            if time.monotonic() < due_s:
                continue
            due_s = time.monotonic() + HEALTH_S
            health = loop.health()
            report(health)
            publish_health(health)
    except KeyboardInterrupt:
        pass  # Ctrl-C and SIGTERM are how a host ends
    finally:
        loop.stop()
    return loop.summary()
