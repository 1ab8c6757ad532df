"""The configuration of a model and the statistics of its inputs: checked, and the same after JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import ConfigError
from perception.models import ChannelStats, FusionModel, InputStats, ModelConfig, default_stats
from perception.types import Quantity
from tests.forked_python import ForkedPython
from tests.fusion_scenes import SMALL

names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True)


@given(
    classes=names,
    status=names,
    height=st.integers(1, 32).map(lambda n: 32 * n),
    width=st.integers(1, 16).map(lambda n: 64 * n),
    fusion=st.sampled_from(["gated", "concat", "attention"]),
    radius=st.floats(0.5, 16),
)
def test_json_gives_the_same_configuration(
    classes: list[str], status: list[str], height: int, width: int, fusion: str, radius: float
) -> None:
    config = ModelConfig(
        classes=tuple(classes),
        status=tuple(Quantity(name, "m/s") for name in status),
        input_height=height,
        input_width=width,
        fusion=fusion,
        splat_radius=radius,
    )
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ()}, "classes: expected 1 to 256 names"),
        ({"classes": ("a", "a")}, "classes: expected different names"),
        ({"control": (Quantity("", "m"),)}, "control: expected 1 to 256 names"),
        (
            {"input_height": 250},
            "input_height: expected a whole number 32 to 4096, a multiple of 32; found 250",
        ),
        ({"input_width": 96}, "input_width: .* multiple of 64"),
        ({"input_width": 1e9}, "input_width"),
        ({"returns": 0}, "returns"),
        ({"steps": True}, "steps"),
        ({"detections": 1001}, "detections"),
        ({"widths": (8, 8)}, "widths: expected one number for each of the 3 maps"),
        ({"blocks": (1, 1, 10**9)}, r"blocks\[2\]"),
        ({"splat_widths": (4, 4, 5)}, r"splat_widths\[2\]"),
        ({"stride": 16}, "stride: expected a whole number 4 to 8, a multiple of 4; found 16"),
        ({"stride": 4.0}, "stride"),
        ({"stride": 8, "input_height": 96}, "input_height: expected a multiple of 64 at stride 8; found 96"),
        ({"stride": 8, "input_width": 192}, "input_width: expected a multiple of 128 at stride 8"),
        ({"split": 3}, "split: expected a whole number 1 to 2"),
        ({"stem_width": 12}, "stem_width: expected a whole number 0 to 1024, a multiple of 8"),
        ({"stem_width": 16, "stem": "patch"}, "stem_width: expected 0, as the stem has one layer"),
        ({"stem_width": 16, "backbone": "resnet18"}, "stem_width: expected 0, as the stem has one layer"),
        ({"stem": "pach"}, "stem: expected convolutions or patch"),
        ({"shared_tower": 1}, "shared_tower: expected true or false"),
        ({"fusion": "gatd"}, "fusion: expected gated or concat or attention, found 'gatd'"),
        ({"loss_family": "cauchy"}, "loss_family: expected laplace or gaussian"),
        ({"backbone": "os.system('x')"}, "backbone"),
        ({"splat_radius": math.nan}, "splat_radius"),
        ({"splat_radius": "1"}, "splat_radius"),
    ],
)
def test_what_is_out_of_range_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(SMALL, **changes)


def test_all_faults_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SMALL, returns=0, fusion="x", input_height=1)
    assert len(caught.value.errors) == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"fused_widht": 8}, "fused_widht: unknown key, did you mean fused_width?"),
        ({"classes": "car"}, "classes: expected a list"),
        ({"control": [{"name": "x"}]}, r"control\[0\]: expected {name, unit}"),
        ({"status": [1]}, r"status\[0\]"),
        ({"widths": [[8], 8, 8]}, r"widths\[0\]"),
        ({"classes": [["a"], {}]}, "classes"),
    ],
)
def test_what_json_holds_is_checked(data: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ModelConfig.from_dict(data)


def test_statistics_go_through_json_and_through_buffers() -> None:
    stats = default_stats(SMALL)
    status = {"speed": ChannelStats(5.0, 2.0, 0.0, 30.5), "yaw_rate": ChannelStats(0.0, 0.25, -1.0, 1.0)}
    stats = replace(stats, status=status)
    assert InputStats.from_dict(json.loads(json.dumps(stats.to_dict()))) == stats
    model = FusionModel(SMALL)
    model.normaliser.set(stats)
    assert model.normaliser.get().status == status
    assert model.normaliser.get().returns["range_m"] == stats.returns["range_m"]


def test_statistics_of_other_channels_are_refused() -> None:
    stats = replace(default_stats(SMALL), status={"rpm": ChannelStats(0.0, 1.0)})
    with pytest.raises(ValueError, match="statistics of status: expected the channels"):
        FusionModel(SMALL, stats=stats)


@pytest.mark.parametrize(
    "bad", [{"std": 0.0}, {"std": -1.0}, {"mean": math.nan}, {"mean": None}, {"minimum": "0"}]
)
def test_statistics_that_cannot_be_are_refused(bad: dict[str, object]) -> None:
    data = default_stats(SMALL).to_dict()
    data["returns"]["u"] |= bad  # type: ignore[operator]
    with pytest.raises(ConfigError, match=r"returns\.u"):
        InputStats.from_dict(data)


def test_inputs_are_normalised_by_the_statistics() -> None:
    model = FusionModel(SMALL)
    image = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = model.normaliser.image_mean, model.normaliser.image_std
    found = model.normaliser.image(image, torch.tensor([True, False]))
    torch.testing.assert_close(found[0], (image[0].float() - mean[:, None, None]) / std[:, None, None])
    assert (found[1] == 0).all()
    wild = torch.tensor([[1e9, -1e9]])
    assert model.normaliser.channels("status", wild).tolist() == [[10.0, -10.0]]
    values = torch.tensor([[0.5, -2.0]])
    model.normaliser.control_mean.copy_(torch.tensor([0.1, 1.0]))
    model.normaliser.control_std.copy_(torch.tensor([0.2, 3.0]))
    torch.testing.assert_close(model.normaliser.standardise("control", values), torch.tensor([[2.0, -1.0]]))


def test_configuration_and_statistics_need_no_torch(forked_python: ForkedPython) -> None:
    code = (
        "import sys; from perception.models import ModelConfig, default_stats; "
        "default_stats(ModelConfig()); print('torch' in sys.modules)"
    )
    assert forked_python.run(program=code).stdout == "False\n"
