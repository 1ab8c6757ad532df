"""The audit says how far a log lies from what the weights were trained on."""

from __future__ import annotations

import random
from dataclasses import replace
from math import inf
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.align import align
from perception.autoconfig import complete_config
from perception.diagnosis.audit import Audit, TrainedInputs, audit
from perception.diagnosis.trained_inputs import NOUNS, describe
from perception.logs import Query, open_log
from perception.models.checkpoint import load_checkpoint, save_checkpoint
from perception.models.preprocess import image_pixels
from perception.models.preprocess.descriptors import describe_picture
from perception.plugin import own_weights
from perception.types import CameraFrame
from tests.scripted_scene import write_scene

SAMPLES = Path(__file__).parents[2] / "sample_logs"


def audited(path: Path) -> Audit:
    with open_log(path) as log:
        config = complete_config(log).config
        return audit(log, config, TrainedInputs.of(config))


def default() -> TrainedInputs:
    with open_log(SAMPLES / "yard_day.mcap") as log:
        return TrainedInputs.of(complete_config(log).config)


@pytest.mark.parametrize(
    "name",
    ["yard_day", *(pytest.param(name, marks=pytest.mark.slow) for name in ("yard_dusk", "yard_faults"))],
)
def test_logs_of_the_simulator_are_like_training(name: str) -> None:
    found = audited(SAMPLES / f"{name}.mcap")
    assert {sensor: distance.unlike for sensor, distance in found.training.items()} == dict.fromkeys(
        NOUNS, False
    )
    notes = [finding for finding in found.findings if finding.code == "like_training"]
    assert [finding.severity for finding in notes] == ["note", "note"]
    assert "like those that default.safetensors was trained on" in notes[0].text


def test_drawn_pictures_are_unlike_training(tmp_path: Path) -> None:
    found = audited(write_scene(tmp_path / "scene.mcap", duration_s=1.0))
    assert found.training["camera"].unlike
    finding = next(f for f in found.findings if f.code == "unlike_training" and f.topic == "/camera/image")
    assert finding.severity == "warning"
    assert finding in found.unlike_training()["class and box"]
    assert found.verdicts()["class and box"] == []  # a defect it is not
    assert "scores and deviations do not hold there" in finding.text


def test_the_grey_beside_a_picture_is_not_described(tmp_path: Path) -> None:
    """The descriptor of a square picture is that of the part of the input that it fills."""
    trained = default()
    with open_log(write_scene(tmp_path / "square.mcap", duration_s=0.5, image_size=(256, 256))) as log:
        config = complete_config(log).config
        sample = next(align(log.messages(Query(frozenset(config.roles()))), config))
    limited = replace(trained, spec=replace(trained.spec, stretch=(1.0, 1.0)))
    alone = replace(trained, spec=replace(trained.spec, width=256, stretch=(0.0, inf)))
    found, expected = (describe(sample, each).numbers["camera"] for each in (limited, alone))
    np.testing.assert_array_equal(found, expected)


def test_weights_that_say_nothing_of_their_training_leave_it_unjudged(tmp_path: Path) -> None:
    own = own_weights("fusion")
    assert own is not None
    model, meta = load_checkpoint(own)
    save_checkpoint(tmp_path / "bare.safetensors", model, replace(meta, calibration={}))
    with open_log(SAMPLES / "yard_day.mcap") as log:
        config = complete_config(log).config
        plugin = config.plugin.model_copy(update={"checkpoint": tmp_path / "bare.safetensors"})
        found = audit(log, config, TrainedInputs.of(config.model_copy(update={"plugin": plugin})))
        missing = config.plugin.model_copy(update={"checkpoint": tmp_path / "none"})
        nothing = TrainedInputs.of(config.model_copy(update={"plugin": missing}))
    assert found.training == {}
    assert [f.code for f in found.unjudged()["class and box"]] == ["training_unknown"]
    assert "bare.safetensors does not say" in found.unjudged()["distance"][0].text
    assert "cannot be read" in nothing.problem


@pytest.mark.slow
@pytest.mark.shared
def test_a_real_street_is_unlike_training(shared: Path) -> None:
    found = audited(shared / "pandaset_002_front.mcap")
    assert {sensor: distance.unlike for sensor, distance in found.training.items()} == dict.fromkeys(
        NOUNS, True
    )
    assert {head for head, why in found.unlike_training().items() if why} == {"class and box", "distance"}


@pytest.mark.shared
def test_real_pictures_are_unlike_training(shared: Path) -> None:
    pictures = shared.parent / "train_real" / "images"
    if not pictures.is_dir():
        pytest.skip("no real pictures beside the recordings")
    trained = default()
    profile = trained.profiles["camera"]
    for source in sorted(pictures.iterdir()):
        paths = sorted(source.glob("*.jpg"))
        chosen = random.Random(0).sample(paths, min(8, len(paths)))
        rows = []
        for path in chosen:
            data = path.read_bytes()
            height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
            frame = CameraFrame("", 0, 0, "", data, "jpeg", width, height)
            image = image_pixels(frame, trained.spec)
            rows.append(describe_picture(trained.spec.area(width, height).cut(image)))
        assert np.median(profile.distances(np.array(rows))) > profile.limit, source.name
