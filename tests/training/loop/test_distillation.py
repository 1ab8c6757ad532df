"""What a student hears from its teacher: distributions in its own units, and nothing where both agree."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from perception.errors import ConfigError
from perception.models import FusionModel
from perception.models.checkpoint import save_checkpoint
from perception.models.tensors import Inputs
from perception.training.loop.distillation import Teacher
from perception.training.train_config import DistillConfig
from tests.fusion_scenes import SMALL, lively_model, scene

HEADS = {"class", "box", "distance", "control"}


def taught(
    model: FusionModel, path: Path, student: FusionModel, regression: str = "kl", weight: float = 1.0
) -> Teacher:
    save_checkpoint(path / "teacher.safetensors", model)
    settings = {"checkpoint": str(path / "teacher.safetensors"), "regression": regression, "weight": weight}
    return Teacher(DistillConfig.model_validate(settings), student)


def uncorrected(model: FusionModel) -> FusionModel:
    for name, buffer in model.decoder.calibration.named_buffers():
        if name.endswith("_factor"):
            buffer.fill_(1.0)
    return model


@pytest.mark.parametrize("regression", ["kl", "l1"])
@pytest.mark.parametrize("family", ["laplace", "gaussian"])
def test_two_that_say_the_same_have_nothing_to_learn(family: str, regression: str, tmp_path: Path) -> None:
    model = uncorrected(lively_model(seed=2, loss_family=family))
    inputs = scene(SMALL, 2)
    predicted = model.dense(inputs)
    losses = taught(model, tmp_path, model, regression).losses(model, predicted, inputs)
    assert losses.keys() == HEADS
    for loss in losses.values():
        assert abs(float(loss.detach())) < 1e-4


@pytest.mark.parametrize(
    ("family", "other"), [("laplace", "laplace"), ("laplace", "gaussian"), ("gaussian", "laplace")]
)
def test_the_teachers_words_mean_what_it_would_output(family: str, other: str, tmp_path: Path) -> None:
    """Its control with its standard deviations, calibrated, whatever the statistics and families of both."""
    model, student = lively_model(seed=2, loss_family=other), lively_model(seed=9, loss_family=family)
    teacher, inputs = taught(model, tmp_path, student), scene(SMALL, 2)
    with torch.no_grad():
        _, _, control = teacher._values(student, model.dense(inputs))
        expected = model(inputs)
    mean, unit = (student.normaliser.get_buffer(f"control_{key}") for key in ("mean", "std"))
    per_scale = math.sqrt(2) if family == "laplace" else 1.0
    torch.testing.assert_close(control.value * unit + mean, expected.control, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(control.log_scale.exp() * unit * per_scale, expected.control_std)


def test_the_teachers_boxes_and_distances_come_with_its_calibrated_scales(tmp_path: Path) -> None:
    model = lively_model(seed=2)
    calibration = model.decoder.calibration
    teacher, inputs = taught(model, tmp_path, model), scene(SMALL, 2)
    with torch.no_grad():
        true = model.dense(inputs)
        box, distance, _ = teacher._values(model, true)
    for word, plain, factor in (
        (box, true.ltrb_log_scale, calibration.box_factor),
        (distance, true.distance_log_scale, calibration.distance_factor),
    ):
        expected = plain.exp() * factor[7].view(1, -1, 1, 1)  # all sensors are present: row 7
        torch.testing.assert_close(word.log_scale.exp(), expected)


def test_a_student_that_follows_its_teacher_comes_to_say_what_it_says(tmp_path: Path) -> None:
    """Gradient descent on what it says, by the divergence alone: values and scales arrive."""
    model = uncorrected(lively_model(seed=2))
    teacher, inputs = taught(model, tmp_path, model), scene(SMALL, 1)
    with torch.no_grad():
        true = model.dense(inputs)
    predicted = {
        name: torch.zeros_like(getattr(true, name)).requires_grad_()
        for name in ("control", "control_log_scale")
    }
    optimiser = torch.optim.Adam(predicted.values(), lr=0.2)
    for _ in range(80):
        optimiser.zero_grad()
        teacher.losses(model, true._replace(**predicted), inputs)["control"].backward()
        optimiser.step()
    for name, value in predicted.items():
        wanted: Tensor = getattr(true, name)
        torch.testing.assert_close(value.detach(), wanted, rtol=0.05, atol=0.1)


def test_weight_multiplies(tmp_path: Path) -> None:
    model, student, inputs = lively_model(seed=2), lively_model(seed=3), scene(SMALL, 1)
    predicted = student.dense(inputs)
    one, three = (
        taught(model, tmp_path, student, weight=w).losses(student, predicted, inputs) for w in (1.0, 3.0)
    )
    for head in HEADS:
        assert float(one[head].detach()) > 0
        torch.testing.assert_close(3 * one[head], three[head])


def test_only_the_samples_it_teaches_count(tmp_path: Path) -> None:
    model, student, inputs = lively_model(seed=2), lively_model(seed=3), scene(SMALL, 3)
    teacher = taught(model, tmp_path, student)
    rows = torch.tensor([True, False, True])
    of_rows = Inputs(*(values[rows] for values in inputs))
    with torch.no_grad():
        found = teacher.losses(student, student.dense(inputs), inputs, rows)
        expected = teacher.losses(student, student.dense(of_rows), of_rows)
        nothing = teacher.losses(student, student.dense(inputs), inputs, torch.zeros(3, dtype=torch.bool))
    for head in HEADS:
        torch.testing.assert_close(found[head], expected[head], rtol=1e-4, atol=1e-5)
    assert nothing == {}


@pytest.mark.parametrize("drives", [(True,) * 4, (True, True, True, False), (True, False, False, False)])
def test_losses_of_processes_add_up_to_those_of_the_batch(drives: tuple[bool, ...], tmp_path: Path) -> None:
    student = lively_model(seed=5)
    teacher = taught(lively_model(seed=6), tmp_path, student)
    inputs, rows = scene(SMALL, batch=4, seed=3), torch.tensor(drives)
    shards = [(Inputs(*(v[part] for v in inputs)), rows[part]) for part in (slice(0, 2), slice(2, 4))]
    counts: list[Tensor] = []
    with torch.no_grad():
        whole = teacher.losses(student, student.dense(inputs), inputs, rows)
        for mine, of_mine in shards:
            teacher.losses(student, student.dense(mine), mine, of_mine, lambda own: counts.append(own) or own)
        assert len(counts) == 2
        found = [
            teacher.losses(student, student.dense(mine), mine, of_mine, lambda own: counts[0] + counts[1])
            for mine, of_mine in shards
        ]
    for head in HEADS:
        total = sum(losses[head] for losses in found if losses)
        torch.testing.assert_close(total, whole[head], rtol=1e-4, atol=1e-5)


def test_the_weights_of_a_plugin_teach_by_its_name() -> None:
    student = FusionModel.from_pretrained()
    teacher = Teacher(DistillConfig(checkpoint="fusion"), student)
    inputs = scene(student.config)
    with torch.no_grad():
        found, expected = teacher.model.dense(inputs), student.eval().dense(inputs)
    torch.testing.assert_close(found.heatmap, expected.heatmap, rtol=1e-4, atol=1e-4)


def test_a_teacher_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"transfer\.distill\.checkpoint: its classes is"):
        taught(lively_model(classes=("a", "b", "c")), tmp_path, FusionModel(replace(SMALL)))
    with pytest.raises(ConfigError, match=r"its output_stride is 4, expected the model's 8"):
        taught(lively_model(), tmp_path, lively_model(fusion="second"))
