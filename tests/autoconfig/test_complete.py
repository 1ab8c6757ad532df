"""A configuration completed for a log: overrides replace values, and errors name their option."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import Overrides, complete_config
from perception.config import load_config, parse_config
from perception.errors import ConfigError
from perception.logs import open_log
from perception.models.checkpoint import Checkpoint
from tests.scripted_scene import write_scene
from tests.small_logs import SmallLog


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(
        tmp_path_factory.mktemp("complete") / "scene.mcap", duration_s=1.0, image_size=(64, 32)
    )


def test_overrides_replace_what_a_file_says_and_keep_the_rest(scene: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    text = "version: 1\nplugin: {name: fusion, options: {a: 1}}\nengine: {batch: 2, backend: onnx}\n"
    file.write_text(text)
    overrides = Overrides("fusion", tmp_path / "w", {"batch": 3}, {"backend": "torch", "precision": "fp32"})
    with open_log(scene) as log:
        config = complete_config(log, file, overrides).config
        assert complete_config(log, load_config(file), overrides).config == config
        assert config.sensors == complete_config(log).config.sensors
    assert (config.plugin.name, config.plugin.checkpoint) == ("fusion", tmp_path / "w")
    assert config.plugin.options == {"a": 1}
    assert (config.engine.batch, config.engine.backend, config.engine.precision) == (3, "onnx", "fp32")


def test_another_plugin_gets_no_weights_and_options_of_the_configured_one() -> None:
    plugin = {"name": "detector", "checkpoint": "w.onnx", "options": {"model": "yolo.onnx"}}
    config = parse_config({"version": 1, "sensors": {"camera": {"topic": "/a"}}, "plugin": plugin})
    other = Overrides("fusion", options={"tiles": 2}).apply(config).plugin
    assert (other.name, other.checkpoint, other.options) == ("fusion", None, {"tiles": 2})
    same = Overrides("detector", options={"tiles": 2}).apply(config).plugin
    assert same.options == {"model": "yolo.onnx", "tiles": 2}
    assert same.checkpoint == config.plugin.checkpoint is not None


def test_returns_beyond_a_configured_range_are_said(tmp_path: Path) -> None:
    small = SmallLog().image(seconds=0.5).scan(ranges=lambda i: [5.0, 5.0, 40.0, 60.0], seconds=0.5)
    sensors = {"camera": {"topic": "/camera/image"}, "range": {"topic": "/scan", "max_range_m": 20}}
    with open_log(small.write(tmp_path / "far.mcap")) as log:
        (reason,) = [
            reason
            for reason in complete_config(log, parse_config({"sensors": sensors})).reasons
            if "max_range_m" in reason
        ]
        sensors["range"]["max_range_m"] = 80  # type: ignore[index]
        near = complete_config(log, parse_config({"sensors": sensors})).reasons
    assert reason.startswith(
        "range: max_range_m 20, as configured: 50% of the returns lie beyond it, up to 60 m"
    )
    assert not [reason for reason in near if "max_range_m" in reason]


def test_faults_are_added_to_the_configured_ones(scene: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("version: 1\nfaults: ['camera.blur=0.5']\n")
    with open_log(scene) as log:
        config = complete_config(log, file, Overrides(faults=("range.loss=0.1",))).config
        assert config.faults == ("camera.blur=0.5", "range.loss=0.1")
        with pytest.raises(ConfigError, match=r"--fault.*did you mean range\.loss\?"):
            complete_config(log, file, Overrides(faults=("range.los=0.1",)))


def test_an_error_names_the_file_and_a_reference_that_the_log_lacks(scene: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("version: 1\nsensors: {camera: {topic: /gone}}\n")
    with open_log(scene) as log, pytest.raises(ConfigError, match=r"c\.yaml"):
        complete_config(log, file)
    without = write_scene(tmp_path / "no_scan.mcap", duration_s=1.0, image_size=(64, 32), scan=False)
    file.write_text("version: 1\nreference: range\n")
    with open_log(without) as log, pytest.raises(ConfigError) as caught:
        complete_config(log, file)
    [error] = caught.value.errors
    assert error.startswith("reference: is range, but sensors.range is not configured; expected one of")


def test_a_rectified_camera_is_named(tmp_path: Path) -> None:
    path = SmallLog().image("/left/image_rect").calibration("/left/info").write(tmp_path / "rect.mcap")
    with open_log(path) as log:
        choice = complete_config(log)
        [reason] = [reason for reason in choice.reasons if reason.startswith("projection")]
        assert "sensors.camera.rectified: false" in reason
        assert choice.config.sensors.camera is not None
        raw = choice.config.sensors.camera.model_copy(update={"rectified": False})
        sensors = choice.config.sensors.model_copy(update={"camera": raw})
        configured = complete_config(log, choice.config.model_copy(update={"sensors": sensors}))
        assert not [reason for reason in configured.reasons if reason.startswith("projection")]


@pytest.mark.parametrize("trained_m", [12.0, 80.0])
def test_the_range_of_the_weights_is_taken_where_none_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained_m: float
) -> None:
    """Weights know returns up to the range that they were trained with: neither fewer nor others."""
    meta = Checkpoint(preprocess={"max_range_m": trained_m})
    monkeypatch.setattr("perception.autoconfig.usual_range.read_metadata", lambda path: meta)
    log = SmallLog().image().scan(ranges=lambda i: [5.0, 50.0]).write(tmp_path / "log.mcap")
    overrides = Overrides(checkpoint=tmp_path / "mine.safetensors")
    with open_log(log) as opened:
        found = complete_config(opened, None, overrides)
        fixed = complete_config(
            opened, found.config.model_copy(update={"reference_rate_hz": 10.0}), overrides
        )
        explicit = parse_config({"sensors": {"range": {"topic": "/scan"}}, "reference": "range"})
        kept = complete_config(opened, explicit, overrides)
    assert found.config.sensors.range is not None
    assert found.config.sensors.range.max_range_m == trained_m
    assert f"range: max_range_m {trained_m:g}, which mine.safetensors was trained with" in found.reasons
    assert fixed.config.sensors.range == found.config.sensors.range
    assert kept.config.sensors.range is not None
    assert kept.config.sensors.range.max_range_m == 30.0


@pytest.mark.parametrize(
    ("plugin", "limit_m", "reason"),
    [
        ("detector", 250.0, "range: max_range_m 250, as far as the plugin detector uses returns"),
        ("street", 30.0, "range: max_range_m 30, as configured: 50% of the returns lie beyond it"),
    ],
)
def test_a_range_that_was_found_for_one_plugin_is_that_of_another(
    tmp_path: Path, plugin: str, limit_m: float, reason: str
) -> None:
    log = SmallLog().image().scan(ranges=lambda i: [5.0, 50.0]).write(tmp_path / "log.mcap")
    (tmp_path / "c.yaml").write_text("version: 1\nsensors: {range: {topic: /scan}}\nreference: range\n")
    with open_log(log) as opened:
        found = complete_config(opened).config
        other = complete_config(opened, found, Overrides(plugin))
        of_file = complete_config(opened, tmp_path / "c.yaml", Overrides(plugin)).config
    assert other.config.sensors.ranges["range"].max_range_m == limit_m
    assert [text for text in other.reasons if text.startswith(reason)]
    assert of_file.sensors.ranges["range"].max_range_m == 30.0  # as the schema says
