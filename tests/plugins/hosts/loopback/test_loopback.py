"""Hosts in processes of their own, in real stacks on loopback: thousands of frames, and bad days."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from shutil import which
from typing import Any

import pytest

import perception
from tests.pipeline.isolation.moody_plugin import CRASH, HANG, RAISE
from tests.plugins.hosts.loopback.peers import STACKS
from tests.plugins.hosts.loopback.plugins import register
from tests.plugins.hosts.loopback.stacks import loopback, run_dora
from tests.plugins.hosts.ros2_robot import receipt_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FRAMES, TWICE_HZ = 3000, 40.0  # of a robot with 20 pictures a second
ALL = {"scan": True, "twist": True}
READY = {"name": "ready", "frames": 300, "hz": 5.0, "until_heard": True, **ALL}


def require(stack: str) -> None:
    for module in {"dora": ["dora"], "zenoh": ["zenoh"], "dds": ["cyclonedds"]}.get(stack, []):
        pytest.importorskip(module, reason=f"needs the extra for {stack}")
    if stack == "ros1" and not which("roscore"):
        pytest.skip("needs Debian's packages python3-rospy, python3-roslaunch, rosout")


def summary_in(text: str) -> dict[str, Any]:
    """Return the account that a host printed, alone or among the lines of `dora run`."""
    lines = [line.partition("stdout host: ")[2] or line for line in text.splitlines()]
    first = lines.index("{")
    decoded: dict[str, Any] = json.JSONDecoder().raw_decode("\n".join(lines[first:]))[0]
    return decoded


@pytest.mark.parametrize("stack", STACKS)
def test_no_frame_at_twice_real_time_is_lost_without_a_word(stack: str, tmp_path: Path) -> None:
    require(stack)
    counted = {"name": "counted", "frames": FRAMES, "hz": TWICE_HZ, **ALL}
    host = ["--record", "out.mcap"]
    if stack == "dora":
        account, text = run_dora(tmp_path, [READY, counted], host, plugin={"name": "nothing"})
    else:
        with loopback(stack, tmp_path, plugin={"name": "nothing"}) as robot:
            process = robot.start_host(*host)
            robot.run(**READY)
            robot.run(**counted)
            account = robot.account()
            text = process.end()
    summary = summary_in(text)
    sent = account["stamps"]["counted"]
    heard = {int(stamp) for stamp in account["latency_ms"]["host"]}
    silent = len(set(sent) - heard) - summary["dropped"].get("/camera/image", 0)
    print(stack, len(sent), "sent", len(heard), "answered", summary["dropped"], summary["latency_ms"])
    assert len(sent) == FRAMES
    assert silent <= 0
    ledger = summary["ledger"]["/camera/image"]
    assert sum(ledger.values()) >= FRAMES
    register()
    replayed = perception.replay(tmp_path / "out.mcap").summary
    assert replayed.run["outputs_sha256"] == receipt_of(tmp_path / "out.mcap")["outputs_sha256"]


def phase(name: str, frames: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "frames": frames, **ALL, **more}


BAD_DAY = [
    READY,
    phase("fine", 30),
    phase("unplugged", 50, image=False),
    phase("plugged", 30),
    phase("wrong", 50, wrong=True),
    phase("raises", 30, speed=RAISE),
    phase("after", 50),
]
BACK = {**READY, "name": "back"}
ISOLATED = [
    READY,
    phase("crashes", 4, speed=CRASH),
    phase("crashed", 80),
    phase("hangs", 4, speed=HANG),
    phase("hung", 120),
]


class Day:
    """The account of a robot, by phases."""

    def __init__(self, account: dict[str, Any]) -> None:
        self._account = account
        self._heard = {int(stamp) for stamp in account["latency_ms"]["host"]}

    def answered(self, name: str) -> int:
        """Return how many pictures of a phase got a valid answer."""
        return sum(stamp in self._heard for stamp in self._account["stamps"][name])

    def says(self, name: str, *words: str) -> bool:
        """Return whether a problem that the host published in a phase has all these words."""
        texts = [text for said, problems in self._account["health"] if said == name for text in problems]
        return any(all(word in text for word in words) for text in texts)


@pytest.mark.parametrize("stack", STACKS)
def test_a_bad_day_leaves_the_node_up_and_is_told(stack: str, tmp_path: Path) -> None:
    """Unplugged, of another type, a plugin that raises; then the host is killed and started again."""
    require(stack)
    moody = {"plugin": {"name": "moody"}}
    if stack == "dora":
        killed = phase("killed", 3, speed=CRASH)  # it takes the host with it, and dora starts it again
        account, _ = run_dora(tmp_path, [*BAD_DAY, killed, BACK], ["--record", "out.mcap"], **moody)
    else:
        with loopback(stack, tmp_path, **moody) as robot:
            host = robot.start_host("--record", "out.mcap")
            for each in BAD_DAY:
                robot.run(**each)
            host.end(signal.SIGKILL)
            second = robot.start_host("--record", "out.mcap")
            robot.run(**BACK)
            account = robot.account()
            assert summary_in(second.end())["frames"] > 0
    day = Day(account)
    assert day.answered("fine") > 25
    assert day.says("unplugged", "camera", "silent")
    assert day.answered("plugged") > 20
    assert day.says("wrong", "range", "do not decode")
    assert day.answered("wrong") > 40  # by the camera alone
    assert day.says("raises", "ValueError: as asked")
    assert day.answered("raises") < 5
    assert day.answered("after") > 40
    assert day.answered("back") > 0
    register()
    first = perception.replay(tmp_path / "out.mcap").summary  # what was flushed before it was killed
    assert first.frames > 150
    assert (tmp_path / "out.2.mcap").exists()


@pytest.mark.parametrize("stack", STACKS)
def test_an_isolated_plugin_that_crashes_or_hangs_comes_back(stack: str, tmp_path: Path) -> None:
    require(stack)
    host, moody = ["--isolate", "--answer-s", "0.5"], {"plugin": {"name": "moody"}}
    if stack == "dora":
        account, text = run_dora(tmp_path, ISOLATED, host, **moody)
    else:
        with loopback(stack, tmp_path, **moody) as robot:
            process = robot.start_host(*host)
            for each in ISOLATED:
                robot.run(**each)
            account = robot.account()
            text = process.end()
    day, summary = Day(account), summary_in(text)
    assert day.says("crashed", "SIGABRT")
    assert 0 < day.answered("crashed") < 80
    assert day.says("hung", "no answer to prepare within 0.5 s")
    assert 0 < day.answered("hung") < 120
    assert (summary["status"], summary["restarts"]) == ("loss", 2)
    assert "SIGABRT" in summary["first_error"]
