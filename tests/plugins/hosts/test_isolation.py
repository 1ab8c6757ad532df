"""A host with its plugin in a process of its own: a crash costs the outputs until it is back."""

from __future__ import annotations

import time
from pathlib import Path

from perception.pipeline.isolation import IsolatedPlugin, IsolationLimits
from perception_plugins.hosts.loop import HostLoop
from perception_plugins.hosts.outcomes import HostFrame
from tests.pipeline.isolation.moody_plugin import CRASH, MANIFEST
from tests.plugins.hosts.feeding import config_of, messages_of
from tests.small_logs import SmallLog


def test_a_crash_costs_the_outputs_until_the_plugin_is_back(tmp_path: Path) -> None:
    def speed(i: int) -> dict[str, object]:
        return {"speed": CRASH if 20 <= i < 25 else 1.0, "yaw_rate": 0.0, "acceleration": 0.0}

    log = SmallLog().image(seconds=90.0).json("/vehicle/state", speed, seconds=90.0)
    config = config_of(path := log.write(tmp_path / "drive.mcap"))
    frames: list[HostFrame] = []
    plugin = IsolatedPlugin(MANIFEST, IsolationLimits(answer_s=20.0))
    with HostLoop(config, plugin, frames.append, clock=None, queue=10_000) as loop:
        pictures = 0
        for message in messages_of(path, config):
            loop.feed(message.channel, message.data, message.publish_time_ns, message.log_time_ns)
            pictures += message.topic == "/camera/image"
            until_s = time.monotonic() + 30
            while len(frames) < pictures - 3 and time.monotonic() < until_s:
                time.sleep(0.001)  # the loop keeps up, as on a robot
            if len(frames) > 30 and is_valid(frames[-1]):
                break
            if plugin.restarts or plugin.state == "restarting":
                time.sleep(0.03)  # 90 s of log in 54 s, at least
    states = [is_valid(frame) for frame in frames]
    summary = loop.summary()
    assert all(states[:20])
    assert not any(states[21:25])  # the status of a tick may be that of the one before
    assert states[-1]
    assert "SIGABRT" in summary.first_error
    assert (summary.status, summary.restarts) == ("loss", 1)
    assert summary.errors == states.count(False)


def is_valid(frame: HostFrame) -> bool:
    return frame.output.control is not None and frame.output.control.valid
