"""A sensor that hardly took part in a run is named at its end, with the setting that brings it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.config import Config, parse_config
from perception.logs import open_log
from perception.pipeline import Summary, replay
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.small_logs import SmallLog


def summary_of(path: Path, config: Config) -> Summary:
    with open_log(path) as log:
        return replay(log, complete_config(log, config).config, MemoryPlugin())


def late(folder: Path, delay_s: float) -> Path:
    return SmallLog().image(hz=10).scan(hz=10, delay_s=delay_s).write(folder / "late.mcap")


def explicit(**values: object) -> Config:
    sensors = {"camera": {"topic": "/camera/image"}, "range": {"topic": "/scan"}}
    return parse_config({"version": 1, "sensors": sensors, **values})


def texts(summary: Summary) -> dict[str, str]:
    return {warned.code: warned.text for warned in summary.warnings}


@pytest.mark.parametrize(("delay_s", "cure"), [(0.0, "1"), (0.035, "40"), (0.1, "115"), (0.7, "775")])
def test_the_warning_names_the_wait_and_the_wait_cures(tmp_path: Path, delay_s: float, cure: str) -> None:
    path = late(tmp_path, delay_s)
    summary = summary_of(path, explicit())
    text = texts(summary)["range_mostly_absent"]
    assert text.startswith(f"range absent in {summary.inputs['range']['absent']} of {summary.frames} ticks: ")
    assert text.endswith(f"; set wait_ms: {cure}")
    assert sum(summary.absences["range"].values()) == summary.inputs["range"]["absent"]
    cured = summary_of(path, explicit(wait_ms=float(cure)))
    assert "range_mostly_absent" not in texts(cured)
    assert cured.inputs["range"]["present"] > summary.inputs["range"]["present"]


def test_a_run_with_all_its_sensors_warns_of_none(tmp_path: Path) -> None:
    path = SmallLog().image(hz=10).scan(hz=10, start_s=-0.04).write(tmp_path / "sound.mcap")
    assert not [code for code in texts(summary_of(path, explicit())) if code.endswith("absent")]


def test_an_injected_fault_is_no_reason_to_wait(tmp_path: Path) -> None:
    path = SmallLog().image(hz=10).scan(hz=10, start_s=-0.04).write(tmp_path / "sound.mcap")
    text = texts(summary_of(path, explicit(faults=["range.loss=1"])))["range_mostly_absent"]
    assert "set wait_ms" not in text


def test_what_a_sensor_lacks_beside_time_is_its_reason(tmp_path: Path) -> None:
    log = SmallLog().image(hz=10).scan(hz=10, start_s=-0.04)
    log.rows = [(t, topic, b"\xff" if topic == "/scan" else data, s, e) for t, topic, data, s, e in log.rows]
    text = texts(summary_of(log.write(tmp_path / "bad.mcap"), explicit()))["range_mostly_absent"]
    assert "undecodable" in text
