from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from perception.diagnosis.conformance import check_plugin
from perception.diagnosis.conformance.samples import STATUS, drawn_samples, subsets
from perception.errors import CheckpointError, PluginError
from perception.models import ChannelStats, FusionModel, InputStats, ModelConfig, default_stats
from perception.models.checkpoint import Checkpoint, save_checkpoint
from perception.models.placed_returns import placed_returns
from perception.models.prediction_outputs import output_of
from perception.models.preprocess import InputSpec, prepare_inputs
from perception.models.returns_distance import sure_distances
from perception.models.tensors import Inputs, Predictions
from perception.plugin import Context, Plugin, list_plugins, load_plugin
from perception.types import SENSORS, Control, Detections, Output, Quantity, Reset, Rig, Sample, absent_sample
from perception_plugins.fusion.plugin import FusionPlugin

CONFIG = ModelConfig(
    classes=("car", "person"),
    status=(Quantity("speed", "m/s"), Quantity("yaw_rate", "rad/s")),
    input_height=64,
    input_width=128,
    returns=64,
    detections=20,
    widths=(8, 8, 8),
    blocks=(1, 1, 1),
    fused_width=8,
    range_width=8,
    status_width=8,
)
SPEC = InputSpec(width=128, height=64, returns=64, status=("speed", "yaw_rate"))
CONTEXT = Context(backend="torch", precision="fp32", status=STATUS, threads=1)


def detections_of(sample: Sample, found: Predictions, min_score: float = 0.05) -> Detections:
    detections = output_of(sample, found, CONFIG, SPEC, min_score).detections
    assert detections is not None
    return detections


def control_of(sample: Sample, found: Predictions) -> Control:
    control = output_of(sample, found, CONFIG, SPEC).control
    assert control is not None
    return control


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return drawn_samples(6)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that says it was trained: 15 m far, 0 to 10 m/s, on grey images."""
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "small.safetensors")


def write_checkpoint(path: Path, **changes: object) -> Path:
    model = FusionModel(CONFIG, seed=3, stats=trained_stats())
    with torch.no_grad():  # as trained weights would, let some detections stand out
        model.class_head.predict.bias.zero_()
        model.class_head.predict.weight.mul_(30.0)
    meta = Checkpoint(config=CONFIG, trained_on=({"log": "drive.mcap"},))
    save_checkpoint(path, model, replace(meta, **changes))  # type: ignore[arg-type]
    return path


def trained_stats() -> InputStats:
    guess = default_stats(CONFIG)
    return replace(
        guess,
        image={name: ChannelStats(70.0, 40.0, 0.0, 255.0) for name in guess.image},
        returns={**guess.returns, "range_m": ChannelStats(10.0, 5.0, 0.5, 15.0)},
        status={"speed": ChannelStats(2.0, 1.0, 0.0, 10.0), "yaw_rate": ChannelStats(0.0, 1.0, -2.0, 2.0)},
    )


@pytest.fixture
def plugin(checkpoint: Path) -> Iterator[Plugin]:
    opened = load_plugin("fusion")
    opened.open(replace(CONTEXT, checkpoint=checkpoint))
    yield opened
    opened.close()


def answer(plugin: Plugin, sample: Sample) -> Output:
    (output,) = plugin.step([plugin.prepare(sample)])
    return output


# --- the contract ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measuring(checkpoint: Path) -> Iterator[Plugin]:
    """The plugin with distances by the returns inside the boxes."""
    opened = load_plugin("fusion")
    opened.open(replace(CONTEXT, checkpoint=checkpoint, options={"distance": "returns"}))
    yield opened
    opened.close()


def test_distances_are_those_of_the_returns_where_they_are_sure(
    plugin: Plugin, measuring: Plugin, samples: list[Sample]
) -> None:
    measured = kept = 0
    for sample in samples:
        by_model, by_returns = answer(plugin, sample).detections, answer(measuring, sample).detections
        assert by_model is not None
        assert by_returns is not None
        without = [replace(item, distance_m=None, distance_std_m=None) for item in by_model.items]
        assert without == [replace(i, distance_m=None, distance_std_m=None) for i in by_returns.items]
        returns = placed_returns(sample, np.inf)
        if returns is None:
            assert by_returns == by_model
            continue
        boxes = np.array([item.xyxy for item in by_model.items]).reshape(-1, 4)
        metres, std = sure_distances(returns, boxes, [item.label for item in by_model.items])
        for said, own, m, s in zip(by_returns.items, by_model.items, metres, std, strict=True):
            sure = np.isfinite(m)
            assert (said.distance_m, said.distance_std_m) == (
                (m, s) if sure else (own.distance_m, own.distance_std_m)
            )
            measured, kept = measured + int(sure), kept + int(not sure)
    assert measured > 5
    assert kept > 5


def test_returns_of_an_absent_sensor_say_no_distance(
    plugin: Plugin, measuring: Plugin, samples: list[Sample]
) -> None:
    sample = next(each for each in samples if each.camera.present and each.range.present)
    blind = sample.with_absent({"range": "left out"})
    assert answer(measuring, blind).detections == answer(plugin, blind).detections
    assert isinstance(measuring, FusionPlugin)
    ((subset,),) = measuring.step_subsets([measuring.prepare(sample)], [("camera", "status")])
    ((plain,),) = plugin.step_subsets([plugin.prepare(sample)], [("camera", "status")])
    assert subset.detections == plain.detections


@pytest.mark.slow  # with a checkpoint of a small model: below
def test_it_keeps_the_contract_with_default_weights() -> None:
    checks = check_plugin("fusion", drawn_samples(4), CONTEXT)
    assert [(check.name, check.violation) for check in checks if not check.passed] == []


def test_it_keeps_the_contract_with_a_checkpoint(checkpoint: Path) -> None:
    checks = check_plugin("fusion", drawn_samples(4), replace(CONTEXT, checkpoint=checkpoint))
    assert [(check.name, check.violation) for check in checks if not check.passed] == []


def test_listing_it_imports_nothing() -> None:
    code = (
        "import sys; from perception.plugin import list_plugins; import perception_plugins.fusion\n"
        "assert any(p.name == 'fusion' and not p.error for p in list_plugins())\n"
        "print([m for m in ('torch', 'cv2', 'perception.engines') if m in sys.modules])"
    )
    assert python(code) == "[]"


@pytest.mark.slow  # a replay with default weights: tests/tools/test_replay_command.py
def test_default_weights_need_neither_torchvision_nor_the_compiler() -> None:
    code = (
        "import sys; from perception.plugin import Context, load_plugin\n"
        "from perception.diagnosis.conformance.samples import drawn_samples\n"
        "plugin = load_plugin('fusion'); plugin.open(Context(threads=1, status=('speed',)))\n"
        "plugin.step([plugin.prepare(drawn_samples(1)[0])])\n"
        "print([m for m in ('torchvision', 'torch._dynamo') if m in sys.modules])"
    )
    assert python(code) == "[]"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


def test_its_manifest_has_no_fault() -> None:
    (found,) = [installed for installed in list_plugins() if installed.name == "fusion"]
    assert found.error == ""
    assert found.manifest is not None
    assert found.manifest.inputs == SENSORS


# --- weights -----------------------------------------------------------------------------------------


def test_a_checkpoint_is_what_answers(plugin: Plugin, checkpoint: Path, samples: list[Sample]) -> None:
    """The model itself, asked directly, says the same."""
    from perception.models.checkpoint import load_checkpoint

    model, meta = load_checkpoint(checkpoint)
    spec = InputSpec.of(meta.config, meta.preprocess, CONTEXT.max_range_m)
    _, inputs = prepare_inputs(samples[0], spec)
    with torch.inference_mode():
        said: Predictions = model.eval()(Inputs(*(torch.from_numpy(array)[None] for array in inputs)))
    output = answer(plugin, samples[0])
    assert output.detections is not None
    assert output.control is not None
    scores = said.scores[0][said.scores[0] >= 0.05]
    assert len(scores) > 0
    np.testing.assert_allclose(
        [d.score for d in output.detections.items], scores[: len(output.detections.items)], rtol=1e-3
    )
    np.testing.assert_allclose(
        [c.value for c in output.control.channels], said.control[0], rtol=1e-3, atol=1e-5
    )
    first = output.detections.items[0]
    np.testing.assert_allclose(
        first.xyxy, said.boxes[0, 0] * torch.tensor([2.5, 3.75, 2.5, 3.75]), rtol=1e-3, atol=0.01
    )


def test_it_describes_what_answered(plugin: Plugin, checkpoint: Path) -> None:
    description = plugin.describe()
    assert description["weights"] == "small.safetensors"
    assert description["weights_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert description["untrained"] == "false"
    assert description["classes"] == "car\nperson"
    assert {"backend", "precision", "device", "batch", "threads"} <= set(description)


def test_without_weights_it_says_that_it_is_untrained(
    monkeypatch: pytest.MonkeyPatch, samples: list[Sample]
) -> None:
    from perception_plugins.fusion import plugin as module

    monkeypatch.setattr(module, "own_weights", lambda name: None)
    outputs = []
    for seed in (1, 1, 2):
        plugin = load_plugin("fusion")
        plugin.open(replace(CONTEXT, seed=seed))
        outputs.append(answer(plugin, samples[0]))
        assert plugin.describe()["untrained"] == "true"
        assert plugin.describe()["weights"] == "untrained"
        plugin.close()
    assert "untrained" in outputs[0].warnings
    assert repr(outputs[0]) == repr(outputs[1])
    assert repr(outputs[0]) != repr(outputs[2])


def test_weights_of_the_package_are_taken_when_there_are_some(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    from perception_plugins.fusion import plugin as module

    monkeypatch.setattr(module, "own_weights", lambda name: checkpoint)
    plugin = load_plugin("fusion")
    plugin.open(CONTEXT)
    assert plugin.describe()["weights"] == checkpoint.stem
    assert plugin.describe()["weights_sha256"]
    plugin.close()


def test_weights_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk")
    strange = write_checkpoint(tmp_path / "strange.safetensors", preprocess={"interpolation": "lanczos"})
    unlimited = write_checkpoint(tmp_path / "unlimited.safetensors", preprocess={"stretch": None})
    for path in (junk, strange, unlimited, tmp_path / "none.safetensors"):
        plugin = load_plugin("fusion")
        with pytest.raises(CheckpointError):
            plugin.open(replace(CONTEXT, checkpoint=path))
        plugin.close()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"min_scor": 0.5}, "did you mean min_score"),
        ({"min_score": 2}, "from 0 to 1"),
        ({"min_score": True}, "from 0 to 1"),
        ({"min_score": "high"}, "from 0 to 1"),
        ({"distance": "near"}, "model or returns"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], fault: str) -> None:
    with pytest.raises(PluginError, match=fault):
        load_plugin("fusion").open(replace(CONTEXT, options=options))


def test_it_must_be_open(samples: list[Sample]) -> None:
    plugin = load_plugin("fusion")
    with pytest.raises(PluginError, match="not open"):
        plugin.prepare(samples[0])
    assert plugin.describe() == {}
    plugin.close()
    plugin.close()


# --- answers -----------------------------------------------------------------------------------------


def predictions(**changes: object) -> Predictions:
    """Three detections of a 128 x 64 input."""
    found = Predictions(
        scores=np.array([0.9, 0.5, 0.04], np.float32),
        labels=np.array([1, 0, 0]),
        boxes=np.array([[10, 20, 30, 40], [100, 0, 140, 70], [1, 1, 2, 2]], np.float32),
        box_std=np.array([[1, 2, 3, 4], [0, 1, 1, 1], [1, 1, 1, 1]], np.float32),
        distance_m=np.array([12.0, 7.0, 1.0], np.float32),
        distance_std_m=np.array([0.5, 0.0, 1.0], np.float32),
        control=np.array([0.01, -1.5], np.float32),
        control_std=np.array([0.002, 0.0], np.float32),
    )
    return found._replace(**changes)  # type: ignore[arg-type]


def test_boxes_return_to_the_pixels_of_the_source(samples: list[Sample]) -> None:
    # The image is 320 x 240: one input pixel is 2.5 x 3.75 of them.
    found = detections_of(samples[0], predictions())
    assert found.valid
    assert found.based_on == SENSORS
    first, second = found.items
    assert (first.label, second.label) == ("person", "car")
    assert first.score == pytest.approx(0.9)
    assert first.xyxy == (25.0, 75.0, 75.0, 150.0)
    assert first.box_std == (2.5, 7.5, 7.5, 15.0)
    assert (first.distance_m, first.distance_std_m) == (12.0, 0.5)
    assert second.xyxy == (250.0, 0.0, 320.0, 240.0), "clipped to the image"
    assert second.box_std[0] > 0
    assert second.distance_std_m > 0


def test_boxes_outside_the_image_are_left_out(samples: list[Sample]) -> None:
    outside = np.array([[-9, 0, -1, 9], [129, 0, 140, 9], [5, 5, 5, 9]], np.float32)
    assert detections_of(samples[0], predictions(boxes=outside), 0.0).items == ()


def test_min_score_is_an_option(plugin: Plugin, checkpoint: Path, samples: list[Sample]) -> None:
    every = answer(plugin, samples[0]).detections
    strict = load_plugin("fusion")
    middle = sorted(d.score for d in every.items)[len(every.items) // 2] if every else 0.5
    strict.open(replace(CONTEXT, checkpoint=checkpoint, options={"min_score": middle}))
    kept = answer(strict, samples[0]).detections
    strict.close()
    assert every is not None
    assert kept is not None
    assert kept.items == tuple(d for d in every.items if d.score >= middle)
    assert 0 < len(kept.items) < len(every.items)


def test_without_an_image_boxes_are_in_the_pixels_of_the_calibration(samples: list[Sample]) -> None:
    blind = samples[0].with_absent({"camera": "left out"})
    assert detections_of(blind, predictions()).items[0].xyxy == (25.0, 75.0, 75.0, 150.0)


def test_validity_follows_what_is_present(samples: list[Sample]) -> None:
    for kept, sample in subsets(samples[0]):
        found, control = (
            detections_of(sample, predictions()),
            control_of(sample, predictions()),
        )
        assert found.valid == ("camera" in kept or "range" in kept)
        assert control.valid == bool(kept)
        assert found.based_on == control.based_on == kept
        if not kept:
            assert found.error == control.error == "no sensor present"
        assert bool(found.error) != found.valid
        assert bool(found.items) == found.valid
        assert bool(control.channels) == control.valid
        adrift = detections_of(replace(sample, rig=Rig()), predictions())
        assert adrift.valid == ("camera" in kept), "returns need a rig to be placed in the image"


def test_control_has_names_and_units(samples: list[Sample]) -> None:
    curvature, acceleration = control_of(samples[0], predictions()).channels
    assert (curvature.name, curvature.unit, acceleration.name, acceleration.unit) == (
        "curvature",
        "1/m",
        "acceleration",
        "m/s2",
    )
    assert curvature.value == pytest.approx(0.01)
    assert curvature.std == pytest.approx(0.002)
    assert acceleration.std > 0


@pytest.mark.parametrize("field", ["scores", "boxes", "box_std", "distance_m", "distance_std_m"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_box_that_is_no_number_makes_its_head_invalid(
    samples: list[Sample], field: str, value: float
) -> None:
    broken = np.array(getattr(predictions(), field))
    broken[0] = value
    found = detections_of(samples[0], predictions(**{field: broken}))
    assert not found.valid
    assert "not finite" in found.error
    assert control_of(samples[0], predictions(**{field: broken})).valid


@pytest.mark.parametrize("field", ["control", "control_std"])
def test_control_that_is_no_number_makes_its_head_invalid(samples: list[Sample], field: str) -> None:
    broken = predictions(**{field: np.array([np.nan, 1.0])})
    assert "not finite" in control_of(samples[0], broken).error
    assert detections_of(samples[0], broken).valid


def test_batches_are_answered_like_single_samples(checkpoint: Path, samples: list[Sample]) -> None:
    plugin = load_plugin("fusion")
    plugin.open(replace(CONTEXT, checkpoint=checkpoint, batch=4))
    together = plugin.step(
        [plugin.prepare(s) for s in [*samples[:3], absent_sample(samples[3].tick, "padding")]]
    )
    alone = [answer(plugin, sample) for sample in samples[:3]]
    for a, b in zip(together, alone, strict=False):
        assert a.tick == b.tick
        assert a.control is not None
        assert b.control is not None
        for x, y in zip(a.control.channels, b.control.channels, strict=True):
            assert x.value == pytest.approx(y.value, rel=1e-3, abs=1e-5)
    assert not any(together[3].validity().values())
    with pytest.raises(PluginError, match="at most 4 samples"):
        plugin.step([plugin.prepare(sample) for sample in samples[:5]])
    assert plugin.step([]) == []
    plugin.close()


# --- warnings ----------------------------------------------------------------------------------------


def test_usual_inputs_give_no_warning(plugin: Plugin, samples: list[Sample]) -> None:
    near = replace(samples[0].range.value, points_m=samples[0].range.value.points_m * 0.5)  # type: ignore[union-attr, type-var]
    usual = replace(samples[0], range=replace(samples[0].range, value=near))
    assert answer(plugin, usual).warnings == {}


def test_inputs_unlike_the_training_are_warned_of(plugin: Plugin, samples: list[Sample]) -> None:
    sample = samples[0]
    assert answer(plugin, sample).warnings == {"input_range": "range_m up to 25, trained to 15"}
    window, frame = sample.status.value, sample.camera.value
    assert window is not None
    assert frame is not None
    fast = replace(sample, status=replace(sample.status, value=replace(window, values=window.values + 30.0)))
    text = answer(plugin, fast).warnings["input_status"]
    assert text.startswith("speed 3")
    assert "m/s, trained on 0 to 10" in text
    pixels = b"\xff" * (320 * 120 * 3) + b"\xeb" * (320 * 120 * 3)
    white = replace(frame, data=pixels, format="rgb8")
    bright = replace(sample, camera=replace(sample.camera, value=white))
    assert answer(plugin, bright).warnings["input_image"] == "mean red 245, trained on 70 +- 40"
    blind = bright.with_absent({"camera": "x", "range": "x"})
    assert answer(plugin, blind).warnings == {}


def test_channels_that_are_not_configured_are_warned_of(checkpoint: Path, samples: list[Sample]) -> None:
    plugin = load_plugin("fusion")
    plugin.open(
        replace(CONTEXT, checkpoint=checkpoint, status=("speed",), status_rate_hz=50.0, status_steps=8)
    )
    warnings = answer(plugin, samples[0].with_absent({"range": "x"})).warnings
    assert set(warnings) == {"status_missing", "status_rate", "status_steps"}
    assert "yaw_rate" in warnings["status_missing"]
    assert "50 Hz" in warnings["status_rate"]
    assert warnings["status_steps"].startswith("8 status steps")
    plugin.close()


def test_a_reset_changes_nothing(plugin: Plugin, samples: list[Sample]) -> None:
    before = repr(answer(plugin, samples[0]))
    plugin.reset(Reset("seek"))
    assert repr(answer(plugin, samples[0])) == before
