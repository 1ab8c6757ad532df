"""What viewers cost a replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.plugin import discovery
from perception_tools.cli import run
from tests.extras import needs
from tests.pipeline.memory_plugin import MANIFEST, MemoryPlugin
from tests.small_logs import SmallLog

needs("rerun", "rerun")
needs("foxglove", "foxglove")


def test_a_replay_with_viewers_is_measured_beside_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(discovery, "_registered", {"memory": (MANIFEST, MemoryPlugin)})
    path = SmallLog().sound().write(tmp_path / "a.mcap")
    arguments = ["bench", str(path), "--viewers", "--plugin", "memory", "--repeat", "1"]
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "perception.bench.viewers/1"
    assert told["frames"] == 20
    rates, shares = told["rates_hz"], told["shares"]
    assert shares["rerun"] == pytest.approx(rates["rerun"] / rates["output"])
    assert shares["serve"] == pytest.approx(rates["serve"] / rates["nothing"])
    assert min(rates.values()) > 0
    assert sorted(tmp_path.iterdir()) == [path]
