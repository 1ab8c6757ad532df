"""The fusion model for programs: loaded by name, saved in the layout of the Hub, applied to arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perception.errors import CheckpointError
from perception.geometry import Matrix, TransformTree
from perception.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perception.models.config import ModelConfig
from perception.models.fusion_model import FusionModel
from perception.models.prediction_outputs import output_of, row_of
from perception.models.preprocess import InputSpec, prepare_inputs
from perception.models.tensors import Inputs
from perception.plugin import own_weights
from perception.types import (
    CameraFrame,
    CameraInfo,
    Input,
    Output,
    RangeScan,
    Rig,
    StatusWindow,
    Tick,
    absent_sample,
)

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
_FRAME, _SCAN = "camera", "range"
_NOT_GIVEN = "not given"

Status = Mapping[str, float | Sequence[float]]


def from_pretrained(source: str | Path | None = None) -> FusionModel:
    """Load a model: see `FusionModel.from_pretrained`."""
    model, about = load_checkpoint(weights_file(source))
    model.about = about
    return model


def save_pretrained(model: FusionModel, folder: str | Path, about: Checkpoint | None = None) -> Checkpoint:
    """Write a model in the layout of the Hub: see `FusionModel.save_pretrained`."""
    folder = Path(folder)
    about = about or _about(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        saved = save_checkpoint(folder / WEIGHTS, model, replace(about, config=model.config))
        config = {
            "model_type": "perception-fusion",
            "architectures": ["FusionModel"],
            **model.config.to_dict(),
            "preprocess": dict(saved.preprocess),
            "versions": dict(saved.versions),
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / CARD).write_text(_card(saved), encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written: {error.strerror or error}") from None
    return saved


def predict(
    model: FusionModel,
    image: NDArray[np.uint8] | None = None,
    points: NDArray[np.floating[Any]] | None = None,
    status: Status | None = None,
    *,
    intrinsics: Matrix | None = None,
    camera_from_points: Matrix | None = None,
    min_score: float = 0.3,
) -> Output:
    """Apply a model to arrays: see `FusionModel.predict`."""
    spec = InputSpec.of(model.config, _about(model).preprocess)
    sample = absent_sample(Tick(0, "reference", 0, 0), _NOT_GIVEN)
    if image is not None:
        frame = CameraFrame.from_array(image, frame_id=_FRAME)
        sample = replace(sample, camera=Input("camera", "", frame, 0, 0.0))
        sample = replace(sample, rig=_rig(frame, intrinsics, camera_from_points))
    if points is not None:
        scan = RangeScan.from_array(points, frame_id=_SCAN)
        sample = replace(sample, range=Input("range", "", scan, 0, 0.0))
    if status is not None:
        sample = replace(sample, status=Input("status", "", _window(status, model.config), 0, 0.0))
    sample, inputs = prepare_inputs(sample, spec)
    device, training = next(model.parameters()).device, model.training
    batch = Inputs(*(torch.from_numpy(np.ascontiguousarray(array))[None].to(device) for array in inputs))
    model.eval()
    try:
        with torch.inference_mode():
            batch_predictions = model(batch)
    finally:
        model.train(training)
    predictions = row_of(type(batch_predictions)(*(tensor.cpu().numpy() for tensor in batch_predictions)), 0)
    return output_of(sample, predictions, model.config, spec, min_score)


def weights_file(source: str | Path | None) -> Path:
    """Return the file of weights that a path, a folder or the name of an installed plugin stands for.

    Raises:
        CheckpointError: There is none.
        PluginError: No plugin of that name is installed.
    """
    if source is None or (isinstance(source, str) and source.isidentifier() and not Path(source).exists()):
        weights = own_weights(source or "fusion")
        if weights is None:
            raise CheckpointError(f"the plugin {source or 'fusion'} has no weights of its own; name a file")
        return weights
    path = Path(source)
    if path.is_dir():
        path /= WEIGHTS
    if not path.is_file():
        raise CheckpointError(
            f"{source}: expected a checkpoint, a folder with {WEIGHTS}, or the name of an installed plugin"
        )
    return path


def _about(model: FusionModel) -> Checkpoint:
    about = model.about
    return about if isinstance(about, Checkpoint) else Checkpoint(config=model.config)


def _window(status: Status, config: ModelConfig) -> StatusWindow:
    names = [quantity.name for quantity in config.status]
    if unknown := sorted(set(status) - set(names)):
        raise ValueError(f"status: expected channels of {', '.join(names)}; found {', '.join(unknown)}")
    values = np.full((config.steps, len(names)), np.nan)
    for name, given in status.items():
        newest = np.atleast_1d(np.asarray(given, np.float64))[-config.steps :]
        values[config.steps - len(newest) :, names.index(name)] = newest
    return StatusWindow(0, tuple(names), values)


def _rig(frame: CameraFrame, intrinsics: Matrix | None, camera_from_points: Matrix | None) -> Rig:
    if intrinsics is None:
        return Rig()
    matrix = np.asarray(intrinsics, np.float64)
    pose = np.eye(4) if camera_from_points is None else np.asarray(camera_from_points, np.float64)
    if matrix.shape != (3, 3) or pose.shape != (4, 4):
        raise ValueError(
            "expected intrinsics [3, 3] and camera_from_points [4, 4], "
            f"found {list(matrix.shape)} and {list(pose.shape)}"
        )
    info = CameraInfo("", 0, 0, _FRAME, frame.width, frame.height, matrix, np.zeros(5))
    return Rig(info, TransformTree().updated({_SCAN: (_FRAME, pose)}))


def _card(about: Checkpoint) -> str:
    config = about.config
    trained_on = [f"- {source.get('log', source)}" for source in about.trained_on] or ["- nothing: untrained"]
    heads = ["class", "box", "control", *config.extra_heads]
    lines = [
        "---",
        "library_name: perception-fusion",
        "pipeline_tag: object-detection",
        f"tags: [sensor-fusion, camera, range, {', '.join(heads)}]",
        "---",
        "",
        "# Fusion of camera, range and status",
        "",
        f"Classes: {', '.join(config.classes)}. "
        f"Control: {', '.join(f'{q.name} ({q.unit})' for q in config.control)}.",
        f"Image: {config.input_width} x {config.input_height}. "
        f"Status: {', '.join(f'{q.name} ({q.unit})' for q in config.status)}, {config.steps} steps.",
        f"Confidence: {about.calibration.get('method', 'not calibrated')}.",
        "",
        "```python",
        "from perception.models import FusionModel",
        "",
        "model = FusionModel.from_pretrained(path)",
        "output = model.predict(image=rgb, points=xyz, status={...})",
        "```",
        "",
        "Trained on:",
        "",
        *trained_on,
        "",
    ]
    return "\n".join(lines)
