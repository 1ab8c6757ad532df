"""A head that only these files know is trained, replayed, stored, read back, scored and ablated.

Nothing in perception, plugins or tools is changed for it: it is registered, as an entry point would be.
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage

from perception.config import parse_config
from perception.engines import FusionSource
from perception.errors import ConfigError
from perception.evaluation.metrics import Rules, Suite
from perception.logs import open_log
from perception.models import FusionModel, ModelConfig
from perception.models.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from perception.models.tensors import Predictions
from perception.sinks.output_log import read_outputs
from perception.training.ablation.dense_scores import dense_scores
from perception.training.config_file import load_train_config, parse_train_config
from perception.training.data.splits import open_validation
from perception.training.training_run import train
from perception.types import HEADS, Control, Output, Tick, TruthFrame, heads, invalid_output, register_head
from perception_tools.cli import run as run_command
from tests.fusion_scenes import SMALL, scene
from tests.small_logs import SmallLog, foxglove_schema
from tests.training.conftest import SHAPE
from tests.types.speed_limit import LIMITS_KMH, SPEED_LIMIT, limit_of

FRAMES = 18
GREY = {30: 40, 50: 128, 80: 215}


def printed(command: list[str]) -> str:
    """The standard output of a command that must succeed."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run_command(command) == 0
    return out.getvalue()


def limit_at(frame: int) -> int:
    return LIMITS_KMH[frame % 3]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames whose brightness says which limit holds, and a map that says it in km/h."""

    def image(frame: int, stamp: int) -> bytes:
        pixels = np.full((48, 64, 3), GREY[limit_at(frame)], np.uint8)
        pixels[:, :4] = 0  # of one colour it would count as absent
        message = CompressedImage(
            frame_id="camera", format="png", data=cv2.imencode(".png", pixels)[1].tobytes()
        )
        message.timestamp.FromNanoseconds(stamp)
        return bytes(message.SerializeToString())

    seconds = FRAMES / 10
    small = SmallLog().calibration().transforms().scan(seconds=seconds).status(hz=50.0, seconds=seconds)
    small.stream("/camera/image", foxglove_schema(CompressedImage), "protobuf", image, seconds=seconds)
    small.json("/map/limit", lambda frame: {"allowed": limit_at(frame)}, "MapLimit", seconds=seconds)
    return small.control(seconds=seconds).write(tmp_path_factory.mktemp("limits") / "limits.mcap")


@pytest.fixture(scope="module")
def config(log: Path) -> Path:
    path = log.parent / "config.yaml"
    sensors = {
        "camera": {"topic": "/camera/image", "calibration": "/camera/calibration", "transforms": ["/tf"]},
        "range": {"topic": "/scan"},
        "status": {
            "topic": "/vehicle/state",
            "fields": {name: name for name in ("speed", "yaw_rate", "acceleration")},
        },
    }
    truth = {
        "control": "/truth/control",
        "heads": {"speed_limit": {"topic": "/map/limit", "fields": {"limit_kmh": "allowed"}}},
    }
    path.write_text(yaml.safe_dump({"version": 1, "reference": "camera", "sensors": sensors, "truth": truth}))
    return path


@pytest.fixture(scope="module")
def run(log: Path, config: Path) -> Path:
    """A short training of all four heads; returns the run's folder."""
    shape = {key: value for key, value in SHAPE.to_dict().items() if key not in ("control", "status")}
    shape |= {"input_height": 32, "input_width": 64}
    still = dict.fromkeys(("brightness", "contrast", "colour", "gamma", "noise", "blur", "mirror", "late"), 0)
    data = {
        "model": {**shape, "extra_heads": ["speed_limit"]},
        "losses": {"speed_limit": {"name": "cross_entropy", "smoothing": 0.02}},
        "balancing": {"method": "gradnorm", "weights": {"speed_limit": 2.0}},
        "data": {"train": [str(log)], "validate": [str(log)], "config": str(config), "validate_samples": 12},
        "augment": {**still, "drop": {"camera": 0.1, "range": 0.3, "status": 0.3}},
        "schedule": {"steps": 60, "batch": 9, "warmup_steps": 5, "validate_every": 60, "ema": 0.9},
        "run": {
            "out": str(log.parent / "run"),
            "threads": 1,
            "device": "cpu",
            "precision": "fp32",
            **dict.fromkeys(("evaluate", "tensorboard", "plots"), False),
        },
    }
    return train(parse_train_config(data)).folder


def test_a_study_scores_the_others_beside_it(run: Path) -> None:
    resolved = load_train_config(run / "train.yaml")
    model, _ = load_checkpoint(run / "best.safetensors")
    assert set(dense_scores(model, open_validation(resolved), resolved)) == {"loss/control"}


def test_training_teaches_it_beside_the_others(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss/speed_limit" in line]
    assert {"loss/class", "loss/box", "loss/distance", "loss/control"} <= steps[0].keys()
    assert steps[-1]["loss/speed_limit"] < 0.6 * steps[0]["loss/speed_limit"]
    assert steps[-1]["weight/speed_limit"] > 0
    assert [line["limit_accuracy"] for line in lines if "limit_accuracy" in line][-1] > 0.9
    assert read_metadata(run / "best.safetensors").config.extra_heads == ("speed_limit",)


@pytest.fixture(scope="module")
def replayed(run: Path, log: Path, config: Path) -> tuple[Path, Path]:
    """The output log and the JSON lines of a replay."""
    stored, lines = log.parent / "outputs.mcap", log.parent / "outputs.jsonl"
    command = ["replay", str(log), "--config", str(config), "--checkpoint", str(run / "best.safetensors")]
    command += ["--backend", "torch", "--output", str(stored), "--jsonl", str(lines), "--json"]
    stdout = printed(command)
    assert json.loads(stdout)["status"] == "clean"
    return stored, lines


def test_a_replay_stores_it_and_reads_it_back(replayed: tuple[Path, Path]) -> None:
    stored, lines = replayed
    with open_log(stored) as opened:
        outputs = [item.output for item in read_outputs(opened)]
    assert len(outputs) == FRAMES
    heads = [output["speed_limit"] for output in outputs]
    assert all(isinstance(head, Control) and head.valid and head.based_on for head in heads)
    right = [limit_of(output.extra["speed_limit"]) == limit_at(k) for k, output in enumerate(outputs)]
    assert sum(right) > 0.9 * FRAMES
    assert outputs[0].validity() == dict.fromkeys((*HEADS, "speed_limit"), True)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    for row, output in zip(rows, outputs, strict=True):
        channels = {c.name: c.value for c in output.extra["speed_limit"].channels}
        assert {name: v["value"] for name, v in row["speed_limit"]["channels"].items()} == channels
        assert sum(channels.values()) == pytest.approx(1.0, abs=1e-5)


def test_an_evaluation_scores_it_on_every_subset_of_the_sensors(run: Path, log: Path, config: Path) -> None:
    command = ["evaluate", str(log), "--config", str(config), "--checkpoint", str(run / "best.safetensors")]
    command += ["--backend", "torch", "--ablate", "sensors", "--draws", "0", "--json"]
    stdout = printed(command)
    report: dict[str, Any] = json.loads(stdout)
    metric = report["heads"]["speed_limit"]["speed_limit_accuracy"]
    assert metric["values"]["limit_accuracy"]["value"] > 0.9
    assert list(report["heads"]).index("speed_limit") > list(report["heads"]).index("control")
    by_subset = {
        subset: heads["speed_limit"]["speed_limit_accuracy"] for subset, heads in report["ablation"].items()
    }
    assert len(by_subset) == 7
    assert by_subset["camera"]["values"]["limit_accuracy"]["value"] > 0.9
    assert by_subset["range+status"]["frames"]["invalid"] == FRAMES  # it rests on the camera


def test_stored_outputs_are_scored_without_replaying(
    replayed: tuple[Path, Path], log: Path, config: Path
) -> None:
    command = ["evaluate", str(log), "--outputs", str(replayed[0]), "--config", str(config), "--json"]
    stdout = printed([*command, "--draws", "0"])
    values = json.loads(stdout)["heads"]["speed_limit"]["speed_limit_accuracy"]["values"]
    assert values["limit_accuracy"]["value"] > 0.9


def test_a_plugin_without_the_head_is_not_measured_by_it() -> None:
    suite = Suite(Rules())
    suite.update(Output(Tick(0, "reference", 0, 0), None, None), TruthFrame(0))
    assert "speed_limit" not in {result.head for result in suite.compute()}


def test_a_failed_plugin_makes_it_invalid() -> None:
    output = invalid_output(Tick(0, "reference", 0, 0), ("control", "speed_limit"), "broken")
    assert output.detections is None
    assert output.validity() == {"control": False, "speed_limit": False}


def test_a_model_without_it_is_the_same_as_before() -> None:
    plain = FusionModel(SMALL, seed=1).eval()
    more = FusionModel(replace(SMALL, extra_heads=("speed_limit",)), seed=1).eval()
    assert not [name for name in plain.state_dict() if name.startswith("extra")]
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(more.state_dict()[name], tensor, rtol=0, atol=0, equal_nan=True)
    found = more(scene(more.config))
    assert found._fields == (*Predictions._fields, "speed_limit", "speed_limit_std")
    for one, other in zip(plain(scene(plain.config)), found[: len(Predictions._fields)], strict=True):
        assert one.equal(other)
    assert type(plain(scene(plain.config))) is Predictions
    assert "extra_heads" not in plain.config.to_dict()


def test_an_export_is_made_anew_where_the_code_of_the_head_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are the same, what the graph computes is not."""
    code = tmp_path / "their_head.py"
    code.write_text("from tests.types.speed_limit import SpeedLimitNetwork\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = replace(
        SPEED_LIMIT, name="their_limit", losses=(), metrics=(), module="their_head:SpeedLimitNetwork"
    )
    register_head(spec)
    try:
        shape = replace(SHAPE, extra_heads=("their_limit",))
        path = tmp_path / "weights.safetensors"
        save_checkpoint(path, FusionModel(shape))
        before = FusionSource(path).digest
        assert FusionSource(path).digest == before
        code.write_text(code.read_text() + "# changed\n")
        assert FusionSource(path).digest != before
        monkeypatch.setitem(heads._registered, "their_limit", replace(spec, module="not_a_file:Network"))
        assert FusionSource(path).digest == ""  # it is converted each time
    finally:
        heads._registered.pop("their_limit")
    save_checkpoint(path, FusionModel(SHAPE))
    assert FusionSource(path).digest == FusionSource(path).weights_sha256


def test_a_head_that_is_not_registered_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean speed_limit"):
        ModelConfig(extra_heads=("sped_limit",))
    with pytest.raises(ConfigError, match=r"truth.*heads\.sped_limit: .*did you mean speed_limit"):
        parse_config({"truth": {"heads": {"sped_limit": {"topic": "/map/limit"}}}})
    with pytest.raises(ConfigError, match="expected limit_kmh; found limit"):
        parse_config({"truth": {"heads": {"speed_limit": {"topic": "/t", "fields": {"limit": "x"}}}}})
    assert FusionModel(ModelConfig(extra_heads=("speed_limit",))).extra["speed_limit"] is not None
    assert SPEED_LIMIT.carrier == "extra"
