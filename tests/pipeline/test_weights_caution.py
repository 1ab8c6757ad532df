"""Weights that saw simulated logs alone say so on a recorded one, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.config import Config, parse_config
from perception.logs import LogWriter, Query, open_log
from perception.logs.survey import SIMULATED_RECORD
from perception.pipeline import ReplayOptions, replay
from perception.sinks import McapSink
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.small_logs import SmallLog

CAUTION = "these weights saw simulated logs alone"


def warned(path: Path, config: Config | None = None, output: Path | None = None) -> list[str]:
    plugin = MemoryPlugin()
    plugin.manifest = replace(plugin.manifest, caution=CAUTION)
    sink = McapSink(output) if output is not None else None
    options = ReplayOptions(on_message=sink.copy if sink is not None else None)
    with open_log(path) as log:
        config = complete_config(log, config).config
        summary = replay(log, config, plugin, [sink] if sink is not None else [], options)
    return [each.text for each in summary.warnings if each.code == "weights_caution"]


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return SmallLog().image(hz=10).scan(hz=10).write(tmp_path / "drive.mcap")


def test_a_recorded_log_gets_the_caution_of_the_plugin(drive: Path) -> None:
    assert warned(drive) == [CAUTION]


def test_a_checkpoint_of_the_user_gets_none(drive: Path, tmp_path: Path) -> None:
    assert warned(drive, parse_config({"version": 1, "plugin": {"checkpoint": str(tmp_path / "mine")}})) == []


def test_a_log_without_pictures_gets_none(tmp_path: Path) -> None:
    assert warned(SmallLog().scan(hz=10).write(tmp_path / "scans.mcap")) == []


def test_a_simulated_log_gets_none_nor_does_the_output_log_with_its_inputs(
    drive: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.mcap"
    with open_log(drive) as log, LogWriter(copy, metadata={SIMULATED_RECORD: {"seed": "1"}}) as writer:
        for message in log.messages(Query()):
            channel = log.survey.channels[message.topic]
            writer.write(
                message.topic,
                message.data,
                schema=channel.schema,
                encoding=channel.encoding,
                log_time_ns=message.log_time_ns,
            )
    assert warned(copy) == []
    with_inputs = tmp_path / "with_inputs.mcap"
    warned(copy, output=with_inputs)
    assert warned(with_inputs) == []
