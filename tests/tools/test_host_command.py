"""`perception host`: the job it makes, what it prints, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.config import to_yaml
from perception.logs import open_log
from perception.pipeline import host_job
from perception.pipeline.host_job import HostHealth, HostJob
from perception.plugin import register_plugin
from perception_plugins.hosts import ros2_host
from perception_tools.cli import run
from perception_tools.host.text import HealthLines
from tests.pipeline.memory_plugin import MANIFEST, MemoryPlugin
from tests.plugins.hosts import scripted_host
from tests.small_logs import SmallLog


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(host_job._BUILT_IN, "scripted", "tests.plugins.hosts.scripted_host")
    register_plugin(MANIFEST, MemoryPlugin)
    SmallLog().image(seconds=1.0).scan(seconds=1.0).status(seconds=1.0).write(tmp_path / "drive.mcap")
    with open_log(tmp_path / "drive.mcap") as log:
        text = to_yaml(complete_config(log).config)
    (tmp_path / "robot.yaml").write_text(text + "plugin: {name: memory}\n")
    scripted_host.published.clear()


HOST = ["host", "scripted", "--config", "robot.yaml", "--set", "log=drive.mcap", "--queue", "100"]


def test_it_runs_records_and_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*HOST, "--record", "out.mcap", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["schema"] == "perception.host/1"
    assert (summary["status"], summary["exit_code"], summary["frames"]) == ("clean", 0, 10)
    assert len(scripted_host.published) == 10
    assert run(["replay", "out.mcap", "--no-output", "--json"]) == 0  # without the configuration: it is in it
    assert json.loads(capsys.readouterr().out)["frames"] == 10
    assert run(["verify", "out.mcap"]) == 0
    assert "equal bit for bit: 10 outputs" in capsys.readouterr().out
    assert run([*HOST, "--record", "out.mcap"]) == 0
    assert "recorded: out.2.mcap" in capsys.readouterr().out


def test_an_interrupt_is_a_clean_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*HOST, "--set", "interrupt=1"]) == 0
    assert "clean: 10 outputs of scripted" in capsys.readouterr().out


def test_a_loss_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    register_plugin(MANIFEST, lambda manifest: MemoryPlugin(manifest, fail_at=[3]))
    assert run(HOST) == 3
    assert "1 samples failed; the first: ValueError: as asked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["host", "dorra", "--config", "robot.yaml"], 2, "did you mean dora?"),
        (["host", "scripted", "--config", "none.yaml"], 2, "none.yaml"),
        ([*HOST, "--record", "robot.yaml/x.mcap"], 1, "is a file, not a folder"),
        ([*HOST, "--set", "log"], 2, "--set: expected KEY=VALUE, found 'log'"),
        (["host", "dora", "--config", "robot.yaml", "--set", "clock=sun"], 2, "clock=node or clock=messages"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    assert text in capsys.readouterr().err


def test_a_host_without_its_extra_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "dora", None)
    assert run(["host", "dora", "--config", "robot.yaml"]) == 1
    assert "the host dora needs dora-rs; install it" in capsys.readouterr().err


def test_the_first_line_says_where_a_node_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A robot on another transport or domain is not heard, and nothing else tells why."""
    health = HostHealth(
        level="ok",
        problems=(),
        inputs=(),
        outputs=0,
        output_rate_hz=0.0,
        latency_ms={},
        missed_deadlines=0,
        deadline_ms=100.0,
        plugin_errors=0,
        last_error="",
        plugin="running",
        busy_s=0.0,
        restarts=0,
        doubts={},
        waiting=0,
        recording="a.mcap",
        seconds=1.0,
    )
    monkeypatch.setattr(ros2_host, "serve_node", lambda *arguments: arguments[5](health))
    job = HostJob(Path("robot.yaml"), options={"transport": "zenoh", "domain": "7"})
    ros2_host.serve(job, HealthLines())
    assert capsys.readouterr().err == "ready on zenoh, domain 7, recording to a.mcap\n"
