"""Tests of injected faults in a replay: reproducible, accounted for and recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perception.autoconfig import complete_config
from perception.config import parse_config
from perception.errors import ConfigError
from perception.logs import open_log
from perception.pipeline import ReplayOptions, Span, replay
from perception.pipeline.faults import fault_names
from perception.sinks import McapSink, read_run
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.pipeline.test_replay import count_independently, run
from tests.scripted_scene import START_NS, write_scene
from tests.small_logs import SmallLog


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.mcap"
    return write_scene(path, duration_s=4.0, image_size=(32, 16))


@pytest.fixture(scope="module")
def long_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 24 s, longer than a seek looks back."""
    path = tmp_path_factory.mktemp("scene") / "long.mcap"
    return write_scene(path, duration_s=24.0, image_size=(32, 16))


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(
    names=st.lists(st.sampled_from(fault_names()), min_size=1, max_size=3, unique=True),
    severity=st.sampled_from([0.2, 0.6, 1.0]),
    start_s=st.floats(18.0, 23.5),
)
@example(names=["camera.jitter"], severity=0.6, start_s=20.4375)  # memory counts by stamps, not by arrival
def test_a_seek_equals_that_part_of_the_full_replay(
    long_scene: Path, names: list[str], severity: float, start_s: float
) -> None:
    faults = tuple(f"{name}={severity},seed=3" for name in names)
    start_ns = START_NS + round(start_s * 1e9)
    whole, summary, _ = run(long_scene, faults=faults)
    part, of_part, _ = run(long_scene, ReplayOptions(span=Span(start_ns, None)), faults=faults)
    assert part.outputs == [o for o in whole.outputs if o.tick.log_time_ns >= start_ns]
    for found in (summary, of_part):
        counts = {topic: sum(rows.values()) for topic, rows in found.ledger.items()}
        assert counts == count_independently(long_scene)


def test_removed_messages_have_a_ledger_row(scene: Path) -> None:
    _, clean, _ = run(scene)
    _, summary, _ = run(scene, faults=("range.loss=0.5",))
    taken = summary.ledger["/scan"]["faulted"]
    assert abs(taken / sum(clean.ledger["/scan"].values()) - 0.5) < 0.1
    assert all("faulted" not in rows for topic, rows in summary.ledger.items() if topic != "/scan")
    assert summary.status == "clean"  # it was asked for


def test_the_replay_rate_does_not_change_outputs(scene: Path) -> None:
    faults, span = ("all.jitter=0.5", "camera.freeze=0.5"), Span(None, START_NS + 2_000_000_000)
    asap = run(scene, ReplayOptions(span=span), faults=faults)[0]
    paced = run(scene, ReplayOptions(rate=100.0, span=span), faults=faults)[0]
    assert paced.outputs == asap.outputs


def test_an_output_log_records_its_faults(scene: Path, tmp_path: Path) -> None:
    from perception.autoconfig import complete_config
    from perception.pipeline import replay

    target, faults = tmp_path / "out.mcap", ("range.bias=0.5,seed=2",)
    with open_log(scene) as log:
        config = complete_config(log).config.model_copy(update={"faults": faults})
        summary = replay(log, config, MemoryPlugin(), [McapSink(target)])
    with open_log(target) as stored:
        told = read_run(stored)
    assert told is not None
    assert told.faults == faults
    assert "range.bias=0.5,seed=2" in told.config
    assert summary.run["faults"] == "range.bias=0.5,seed=2"


def test_faults_can_be_configured(scene: Path) -> None:
    given_in_file = parse_config(
        {
            "version": 1,
            "sensors": {"range": {"topic": "/scan"}},
            "reference": "range",
            "faults": ["range.loss=0.5"],
        }
    )
    assert given_in_file.faults == ("range.loss=0.5",)
    with pytest.raises(ConfigError, match=r"did you mean range\.loss"):
        run(scene, faults=("range.los=0.5",))


def test_an_error_in_a_fault_names_the_file_and_the_entry(scene: Path, tmp_path: Path) -> None:
    from perception.autoconfig import complete_config

    file = tmp_path / "run.yaml"
    file.write_text(
        "version: 1\nreference: range\nsensors: {range: {topic: /scan}}\n"
        "faults: [range.loss=0.1, camera.dirt=0.5, range.los=1]\n"
    )
    with open_log(scene) as log, pytest.raises(ConfigError) as error:
        complete_config(log, file)
    assert error.value.source == str(file)
    assert [text.partition(",")[0] for text in error.value.errors] == [
        "faults.2: no fault is called 'range.los'; did you mean range.loss? (in 'range.los=1')",
        "faults.1: camera.dirt: no camera is configured",
    ]


def test_a_fault_of_a_missing_sensor_gives_a_warning(scene: Path) -> None:
    with open_log(scene) as log:
        from perception.autoconfig import complete_config

        sensors = complete_config(log).config.sensors.model_copy(update={"range": None})
    _, summary, _ = run(scene, faults=("range.loss=0.5",), sensors=sensors)
    assert "idle_fault" in {w.code for w in summary.warnings}


def test_a_fault_of_a_kind_is_one_of_sensors_with_names_of_their_own(tmp_path: Path) -> None:
    log = SmallLog().image("/a/image", frame="a").image("/b/image", frame="b").status()
    with open_log(log.write(tmp_path / "rig.mcap")) as opened:
        config = complete_config(opened).config
        names = {"faults": ("camera.loss=1", "b.blur=0.5")}
        summary = replay(opened, config.model_copy(update=names), MemoryPlugin(), [])
    assert list(config.sensors.cameras) == ["a", "b"]
    assert summary.ledger["/a/image"] == summary.ledger["/b/image"] == {"faulted": 20}
    assert "idle_fault" not in {w.code for w in summary.warnings}
