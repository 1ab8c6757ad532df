"""The second set of weights: loaded by name, and better on a real street than the default ones."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from perception.autoconfig import Overrides
from perception.config import parse_config
from perception.diagnosis.conformance.samples import STATUS, drawn_samples
from perception.evaluation import EvaluateOptions, evaluate_logs
from perception.evaluation.metrics import Rules
from perception.models import FusionModel
from perception.plugin import Context, load_plugin
from perception.training import LabelledPicture, write_picture_log
from perception.types import TruthBox

CONTEXT = Context(backend="torch", precision="fp32", status=STATUS, threads=1)
CARS = {"Car": "vehicle", "Medium-sized Truck": "vehicle", "Pickup Truck": "vehicle"}


def test_its_own_weights_answer() -> None:
    plugin = load_plugin("street")
    plugin.open(CONTEXT)
    about = plugin.describe()
    assert (about["weights"], about["untrained"]) == ("street", "false")
    sample = drawn_samples(1)[0]
    (output,) = plugin.step([plugin.prepare(sample)])
    plugin.close()
    assert output.detections is not None
    assert output.detections.valid


def test_its_distances_are_those_of_returns_unless_a_configuration_says_otherwise() -> None:
    """Its own are of other scanners and streets."""
    found = []
    for options in ({}, {"distance": "returns"}, {"distance": "model"}):
        plugin = load_plugin("street")
        plugin.open(replace(CONTEXT, options={"min_score": 0.0, **options}))
        outputs = [plugin.step([plugin.prepare(sample)])[0].detections for sample in drawn_samples(4)]
        found.append([item.distance_m for head in outputs if head is not None for item in head.items])
        plugin.close()
    assert found[0] == found[1] != found[2]


def test_programs_load_it_by_name() -> None:
    model = FusionModel.from_pretrained("street")
    assert (model.config.stride, model.config.stem) == (8, "patch")


@pytest.mark.slow
@pytest.mark.shared
def test_it_finds_vehicles_on_a_street_that_it_never_saw(shared: Path) -> None:
    log = shared / "pandaset_002_front.mcap"
    config = parse_config({"version": 1, "truth": {"classes": CARS}})
    found = {
        name: evaluate_logs(
            [log],
            config,
            EvaluateOptions(rules=Rules(min_height_px=25), overrides=Overrides(plugin=name)),
        )["class.AP50/vehicle"].value
        for name in ("fusion", "street")
    }
    assert found["street"] > 0.5 > 3 * found["fusion"]


@pytest.mark.slow
@pytest.mark.shared
def test_it_finds_cones_in_pictures_of_a_hall_that_it_never_saw(shared: Path, tmp_path: Path) -> None:
    """Large ones of one colour; no real picture of a cone was learned from."""
    folder = shared.parent / "train_real"
    if not folder.is_dir():
        pytest.skip("there are no labelled pictures")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    pictures = [
        LabelledPicture(
            folder / row["image"],
            [
                TruthBox("cone", tuple(box["xyxy"]), distance_m=math.nan, visible=1.0, track_id="")
                for box in row["boxes"]
                if box["cls"] == "cone"
            ],
        )
        for row in rows
        if row["source"] == "frc_cones" and row["split"] == "val"
    ]
    write_picture_log(tmp_path / "cones.mcap", pictures)
    options = EvaluateOptions(overrides=Overrides(plugin="street"))
    assert evaluate_logs([tmp_path / "cones.mcap"], options=options)["class.AP50/cone"].value > 0.6
