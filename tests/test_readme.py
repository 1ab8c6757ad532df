"""What the README shows runs as it stands, and `.ci/run` calls the README's test command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from perception.autoconfig import complete_config
from perception.config import parse_config, to_yaml
from perception.logs import Query, decode, open_log
from perception.pipeline import replay
from perception.plugin import load_plugin
from tests.pipeline.test_replay import Collected
from tests.scripted_scene import write_scene

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_program_of_twenty_lines_gives_what_replay_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A robot's program: messages one by one, `advance` from a clock that runs between them."""
    path = write_scene(tmp_path / "drive.mcap", duration_s=1.5, image_size=(128, 64))
    monkeypatch.chdir(tmp_path)
    sink = Collected()
    with open_log(path) as log:
        config = complete_config(log).config
        replay(log, config, load_plugin("fusion"), [sink])
        Path("robot.yaml").write_text(to_yaml(config))
        arrivals = list(log.messages(Query(topics=frozenset(config.roles()))))
    driven: list[dict[str, float]] = []
    clock = {"now": 0}

    def messages() -> Any:
        for message, following in zip(arrivals, [*arrivals[1:], arrivals[-1]], strict=True):
            # The clock stands a little before the next arrival when it is read.
            clock["now"] = max(message.log_time_ns, following.log_time_ns - 1)
            yield decode(message, config.roles()[message.topic])

    (program,) = blocks("python")
    exec(program, {"messages": messages, "now_ns": lambda: clock["now"], "drive": driven.append})
    expected = [{c.name: c.value for c in o.control.channels} for o in sink.outputs if o.control]
    assert len(expected) == 15
    assert driven == expected


def test_the_configuration_shown_is_valid() -> None:
    shown = [data for data in map(yaml.safe_load, blocks("yaml")) if "sensors" in data]
    assert len(shown) == 1
    assert parse_config(shown[0]).wait_ms == 60


def test_the_test_command_is_what_ci_runs() -> None:
    (command,) = [line for line in README.splitlines() if "uv run --all-extras pytest" in line]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_file_and_command_shown_exists() -> None:
    for name in re.findall(r"\]\(([\w./]+)\)", README):
        assert (ROOT / name).exists() or (ROOT / f"{name}.md").exists(), name
    for name in set(re.findall(r"(?:sample_logs|tests)/[\w/.]*\w", README)):
        assert (ROOT / name).exists(), name
