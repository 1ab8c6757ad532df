"""Validation: a model scored on samples outside its training set, with the metrics of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from perception.align.truth.boxes import unlabelled_regions
from perception.evaluation.metrics import Rules, Suite
from perception.evaluation.metrics.base import Result
from perception.evaluation.metrics.box_errors import DistanceErrors
from perception.evaluation.metrics.control_errors import ControlErrors
from perception.evaluation.metrics.detection_calibration import DetectionCalibration
from perception.evaluation.metrics.mean_average_precision import MeanAveragePrecision
from perception.models import FusionModel, ModelConfig
from perception.models.prediction_outputs import NO_SENSOR, extra_heads_of, row_of, source_items, values_of
from perception.models.preprocess import InputSpec, PictureArea
from perception.models.tensors import Inputs, Predictions
from perception.training.data.dataset import Dataset
from perception.training.data.training_sample import IGNORED, SampleTruth, TrainingSample, collate
from perception.types import (
    HEADS,
    SENSORS,
    Detection,
    Detections,
    Output,
    Tick,
    TruthBox,
    TruthFrame,
    extra_specs,
    head_spec,
    invalid_output,
    load_named,
    truth_columns,
)

MIN_SCORE = 0.02
"""Detections of lower scores are left out: they do not change the reported precisions."""


def validate(
    model: FusionModel, dataset: Dataset, device: torch.device, batch: int = 8, autocast: bool = False
) -> dict[str, float]:
    """Return the scores of a model on a data set, without those that lack of truth leaves undefined.

    Keys: `joint`, `mAP50`, `mAP`, `distance_rel` (mean of |predicted - true| / true), `distance_abs` (mean
    error, m), `D-ECE`; in the unit of each channel `MAE/<channel>`, and beside it `MAE_mean/<channel>` and
    `MAE_persistence/<channel>`. Boxes are scored in source pixels, as an evaluation does.
    """
    family: Literal["gaussian", "laplace"] = (
        "gaussian" if model.config.loss_family == "gaussian" else "laplace"
    )
    rules = Rules(classes=model.config.classes, family=family)
    suite = Suite(
        rules,
        [
            DetectionCalibration(rules),
            MeanAveragePrecision(rules),
            DistanceErrors(rules),
            ControlErrors(rules),
            *(
                load_named(name)(rules)
                for head in model.config.extra_heads
                for name in head_spec(head).metrics
            ),
        ],
    )
    for start in range(0, len(dataset), batch):
        examples = [dataset[i] for i in range(start, min(start + batch, len(dataset)))]
        predictions = predict(model, examples, device, autocast)
        for row, example in enumerate(examples):
            sample_predictions = row_of(predictions, row)
            suite.update(
                output_of(example, sample_predictions, model.config), truth_of(example.truth, model.config)
            )
    return scores(suite.compute())


@torch.inference_mode()
def predict(
    model: FusionModel, examples: Sequence[TrainingSample], device: torch.device, autocast: bool = False
) -> Predictions:
    """Return the predictions of the model for a list of samples, as numpy arrays."""
    inputs = Inputs(*(torch.from_numpy(a).to(device) for a in collate(examples).inputs))
    with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        predictions: Predictions = model(inputs)
    return type(predictions)(
        *(t.float().cpu().numpy() if t.is_floating_point() else t.cpu().numpy() for t in predictions)
    )


def output_of(example: TrainingSample, found: Predictions, model: ModelConfig) -> Output:
    """Return the predictions for one sample as an output, boxes in source pixels."""
    tick = Tick(0, "reference", 0, 0)
    present = tuple(name for name, flag in zip(SENSORS, example.inputs.present, strict=True) if flag > 0)
    if not present:
        return invalid_output(tick, (*HEADS, *model.extra_heads), NO_SENSOR)
    return Output(
        tick,
        Detections(True, present, items=_items(example.truth, found, model)),
        values_of("control", present, found.control, found.control_std, model.control),
        extra=extra_heads_of(found, model, present),
    )


def truth_of(truth: SampleTruth, model: ModelConfig) -> TruthFrame:
    """Return the truth of one sample as the metrics take it, boxes in source pixels.

    The whole picture is a region to ignore for each class that is not completely labelled: what is found
    beside the labelled objects is then no false alarm.
    """
    scale = np.array(_input_area(truth, model).scale * 2)
    boxes = None
    if truth.boxes_known > 0:
        width, height = np.asarray(truth.source_size, np.float64).tolist()
        boxes = (
            *(
                TruthBox(
                    "" if seen == IGNORED else model.classes[label],
                    tuple((box * scale).tolist()),
                    float("nan" if seen < 0 else metres),
                    float(1.0 if seen < 0 else seen),
                    "",
                    ignore=bool(seen < 0),
                )
                for label, box, metres, seen in zip(
                    truth.labels, truth.boxes.astype(np.float64), truth.distance_m, truth.visible, strict=True
                )
            ),
            *unlabelled_regions(incomplete_classes(truth, model), (width, height)),
        )
    extra = {
        head: {name: float(v) for name, v in zip(names, values, strict=True) if np.isfinite(v)}
        for head, columns in truth_columns(model.extra_heads).items()
        for names, values in [(head_spec(head).truth, truth.extra[columns])]
    }
    return TruthFrame(
        0,
        boxes,
        _channels(truth.control, model),
        _channels(truth.measured, model),
        {head: known for head, known in extra.items() if known},
    )


def incomplete_classes(truth: SampleTruth, model: ModelConfig) -> list[str]:
    """Return the classes of which not every object in the picture has a box."""
    complete = np.broadcast_to(truth.complete, len(model.classes)) > 0
    return [label for label, known in zip(model.classes, complete, strict=True) if not known]


def units(model: ModelConfig) -> dict[str, str]:
    """Return the units of the scores that have one."""
    kinds = ("MAE", "MAE_mean", "MAE_persistence")
    return {"distance_abs": "m"} | {f"{kind}/{q.name}": q.unit for kind in kinds for q in model.control}


def scores(results: Sequence[Result]) -> dict[str, float]:
    """Select the values of the metrics that a training run reports; return them by score name."""
    wanted = {"AP50": "mAP50", "mAP50": "mAP50", "mAP": "mAP", "mAP@50": "mAP50"}
    wanted |= {spec.score: spec.score for spec in extra_specs() if spec.score}
    values: dict[str, float] = {}
    for result in results:
        for name, value in result.values.items():
            shown = name in wanted or name.startswith(
                ("MAE", "distance_rel", "distance_abs", "D-ECE", "joint")
            )
            if shown and "/" in name and not name.startswith(("MAE", "joint")):
                continue
            if shown and value.value is not None:
                values[wanted.get(name, name)] = float(value.value)
    return values


def _items(truth: SampleTruth, predictions: Predictions, model: ModelConfig) -> tuple[Detection, ...]:
    kept = (predictions.scores >= MIN_SCORE) & np.isfinite(predictions.boxes).all(-1)
    labels = [model.classes[label] for label in predictions.labels[kept].tolist()]
    columns = (
        predictions.scores,
        predictions.boxes,
        predictions.box_std,
        predictions.distance_m,
        predictions.distance_std_m,
    )
    width, height = np.asarray(truth.source_size, np.float64).tolist()
    kept_columns = [column[kept].astype(np.float64) for column in columns]
    return source_items(labels, kept_columns, _input_area(truth, model), (width, height))


def _input_area(truth: SampleTruth, model: ModelConfig) -> PictureArea:
    """Return the whole input as an area, in pixels of the image that truth refers to."""
    return InputSpec(model.input_width, model.input_height).area(*truth.source_size.tolist())


def _channels(values: Any, model: ModelConfig) -> Mapping[str, float] | None:
    known = {q.name: float(v) for q, v in zip(model.control, values, strict=True) if np.isfinite(v)}
    return known or None
