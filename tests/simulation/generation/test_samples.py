"""Tests that the sample logs match their README."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.config.safe_yaml import parse_yaml
from perception.logs import decode, open_log
from perception.simulation.generation.delivery import EPOCH_NS
from perception.simulation.scenario import load_scenario, parse_scenario
from perception.types import StatusReading, TruthBoxes

FOLDER = Path(__file__).resolve().parents[3] / "sample_logs"
SEEDS = {"yard_day": 3, "yard_dusk": 4, "yard_faults": 1}


@pytest.mark.parametrize("name", SEEDS)
def test_a_sample_log_records_the_seed_and_scene_of_the_readme(name: str) -> None:
    with open_log(FOLDER / f"{name}.mcap") as log:
        made = dict(log.survey.metadata)["synthetic"]
    assert made["seed"] == str(SEEDS[name])
    assert made["duration_s"] == "20"
    assert parse_scenario(json.loads(made["scenario"])) == load_scenario(FOLDER / f"{name}.yaml")
    assert f"--seed {SEEDS[name]} --scene sample_logs/{name}.yaml" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("name", SEEDS)
def test_a_sample_log_shows_every_class_well(name: str) -> None:
    seen: dict[str, int] = {}
    with open_log(FOLDER / f"{name}.mcap") as log:
        for message in log.messages():
            if isinstance(truth := decode(message), TruthBoxes):
                for box in truth.items:
                    if box.visible > 0.5 and box.xyxy[3] - box.xyxy[1] > 12:
                        seen[box.label] = seen.get(box.label, 0) + 1
    assert set(seen) == {"person", "vehicle", "cyclist", "cone", "barrel"}
    assert min(seen.values()) >= 10


def test_each_sensor_of_the_fault_log_is_silent_at_the_configured_times() -> None:
    scenario = load_scenario(FOLDER / "yard_faults.yaml")
    silences = {f.sensor: (f.start_s, f.end_s) for f in scenario.failures if f.kind == "silent"}
    assert set(silences) == {"camera", "range", "status"}
    topics = {"camera": "/camera/image", "range": "/scan", "status": "/vehicle/state"}
    with open_log(FOLDER / "yard_faults.mcap") as log:
        stamps: dict[str, list[float]] = {}
        for message in log.messages():
            decoded = decode(message)
            stamps.setdefault(message.topic, []).append((decoded.stamp_ns - EPOCH_NS) / 1e9)
            if message.topic == "/vehicle/state" and isinstance(decoded, StatusReading):
                assert set(decoded.values) >= {"speed", "yaw_rate", "acceleration"}
    for sensor, (start, end) in silences.items():
        found = stamps[topics[sensor]]
        assert not [s for s in found if start <= s < end]
        assert [s for s in found if start - 0.3 < s < start]
        assert [s for s in found if end <= s < end + 0.3]


def test_the_sample_logs_are_small() -> None:
    assert sum((FOLDER / f"{name}.mcap").stat().st_size for name in SEEDS) < 20_000_000


def test_the_scene_file_in_the_readme_is_valid() -> None:
    text = (FOLDER / "README.md").read_text().split("```yaml\n")[1].split("```")[0]
    scenario = parse_scenario(parse_yaml(text))
    assert scenario.timing.range.clock_offset_ms == -40
    assert scenario.failures[0].kind == "frozen"
