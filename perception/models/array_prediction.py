"""The fusion model applied to arrays of one moment, as `FusionModel.predict` takes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perception.geometry import Matrix, TransformTree
from perception.models.config import ModelConfig
from perception.models.fusion_model import FusionModel
from perception.models.prediction_outputs import output_of, row_of
from perception.models.preprocess import prepare_inputs
from perception.models.pretrained import about_of
from perception.models.tensors import Inputs, Predictions
from perception.types import (
    CameraFrame,
    CameraInfo,
    Input,
    Output,
    RangeScan,
    Rig,
    Sample,
    StatusReading,
    StatusWindow,
    Tick,
    absent_sample,
)

_FRAME, _SCAN = "camera", "range"
_NOT_GIVEN = "not given"
_SKEW = 1e-2
"""Accept a matrix as a rotation if its rows are orthonormal within this: files round to three decimals."""

_SWITCHING = threading.Lock()
"""Held while a model that is in training is switched to inference and back."""

Status = Mapping[str, float | Sequence[float]] | StatusReading
Column = NDArray[np.floating[Any]]


def predict(
    model: FusionModel,
    image: NDArray[np.uint8] | None = None,
    points: NDArray[np.floating[Any]] | None = None,
    status: Status | None = None,
    intensity: Column | None = None,
    radial_speed_m_s: Column | None = None,
    intrinsics: Matrix | None = None,
    camera_from_points: Matrix | None = None,
    min_score: float = 0.3,
) -> Output:
    """Apply a model to arrays: see `FusionModel.predict`."""
    if not 0 <= min_score <= 1:
        raise ValueError(f"min_score: expected a number from 0 to 1, found {min_score!r}")
    sample = absent_sample(Tick(0, "reference", 0, 0), _NOT_GIVEN)
    if points is not None:
        scan = RangeScan.from_array(
            points, intensity=intensity, radial_speed_m_s=radial_speed_m_s, frame_id=_SCAN
        )
        sample = replace(sample, range=Input("range", "", scan, 0, 0.0))
    elif intensity is not None or radial_speed_m_s is not None:
        raise ValueError("points: expected with intensity and radial_speed_m_s, which are theirs; found none")
    pose = _placement(intrinsics, camera_from_points, points is not None)
    if image is not None:
        frame = CameraFrame.from_array(image, frame_id=_FRAME)
        sample = replace(sample, camera=Input("camera", "", frame, 0, 0.0), rig=_rig(frame, intrinsics, pose))
    if status is not None:
        sample = replace(sample, status=Input("status", "", _window(status, model.config), 0, 0.0))
    spec = replace(about_of(model), config=model.config).input_spec()
    used, inputs = prepare_inputs(sample, spec)
    warnings = _dropped(sample, used)
    if image is None and intrinsics is not None:
        warnings["intrinsics"] = "not used: there is no image whose size they are for; no point is placed"
    return output_of(used, _predictions(model, inputs), model.config, spec, min_score, warnings)


def _predictions(model: FusionModel, inputs: Inputs) -> Predictions:
    device = next(model.parameters()).device
    batch = Inputs(*(torch.from_numpy(np.ascontiguousarray(array))[None].to(device) for array in inputs))
    with _inference(model), torch.inference_mode():
        answers = model(batch)
    return row_of(type(answers)(*(tensor.cpu().numpy() for tensor in answers)), 0)


@contextmanager
def _inference(model: FusionModel) -> Iterator[None]:
    """Switch the modules that are in training, and no others, to inference for the block."""
    with _SWITCHING:
        training = [module for module in model.modules() if module.training]
        if training:  # others wait: they would see the modules as they are in between
            try:
                _set_training(training, False)
                yield
            finally:
                _set_training(training, True)
            return
    yield


def _set_training(modules: Sequence[torch.nn.Module], training: bool) -> None:
    for module in modules:
        module.training = training  # `train()` would set all that is below, too


def _dropped(given: Sample, used: Sample) -> dict[str, str]:
    """Return a warning for each input that was given and cannot be used."""
    return {
        f"{after.kind}_absent": f"not used: {after.absence.text}"
        for before, after in zip(given.inputs, used.inputs, strict=True)
        if before.present and after.absence is not None
    }


def _window(status: Status, config: ModelConfig) -> StatusWindow:
    values = status.values if isinstance(status, StatusReading) else status
    if not isinstance(values, Mapping):
        expected = 'values by channel, such as {"speed": 3.1}, or a StatusReading'
        raise ValueError(f"status: expected {expected}; found {status!r:.60}")
    names = [quantity.name for quantity in config.status]
    if unknown := sorted(set(values) - set(names), key=str):
        raise ValueError(
            f"status: expected channels of {', '.join(names)}; found {', '.join(map(str, unknown))}"
        )
    rows = np.full((config.steps, len(names)), np.nan)
    for name, given in values.items():
        try:
            newest = np.atleast_1d(np.asarray(given, np.float64))[-config.steps :]
            rows[config.steps - len(newest) :, names.index(name)] = newest
        except (TypeError, ValueError):
            raise ValueError(
                f"status: {name}: expected a number or a list of numbers, found {given!r:.60}"
            ) from None
    return StatusWindow(0, tuple(names), rows)


def _placement(intrinsics: Matrix | None, camera_from_points: Matrix | None, points: bool) -> Matrix:
    """Return the pose of the points in the camera's frame.

    Raises:
        ValueError: It is no pose, or one of the two matrices that place points is missing.
    """
    if camera_from_points is None:
        if intrinsics is not None and points:
            raise ValueError(
                "camera_from_points: expected with intrinsics and points; np.eye(4) for points in the frame "
                "of the camera (x right, y down, z forward)"
            )
        return np.eye(4)
    if intrinsics is None:
        raise ValueError("intrinsics: expected with camera_from_points; without them no point is placed")
    pose = np.asarray(camera_from_points, np.float64)
    if pose.shape != (4, 4):
        raise ValueError(f"expected camera_from_points [4, 4], found {list(pose.shape)}")
    rotation = pose[:3, :3]
    if not (
        np.isfinite(pose).all()
        and np.allclose(pose[3], (0, 0, 0, 1), atol=1e-6)
        and np.allclose(rotation @ rotation.T, np.eye(3), atol=_SKEW)
        and np.linalg.det(rotation) > 0
    ):
        raise ValueError(
            "camera_from_points: expected a rotation, a translation in metres in the last column, and the "
            f"last row 0 0 0 1 (it may be transposed); found {pose.tolist()}"
        )
    return pose


def _rig(frame: CameraFrame, intrinsics: Matrix | None, camera_from_points: Matrix) -> Rig:
    if intrinsics is None:
        return Rig()
    matrix = np.asarray(intrinsics, np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(f"expected intrinsics [3, 3], found {list(matrix.shape)}")
    info = CameraInfo("", 0, 0, _FRAME, frame.width, frame.height, matrix, np.zeros(5))
    if not (np.isfinite(matrix).all() and info.can_project and np.isclose(matrix[2, 2], 1)):
        raise ValueError(
            "intrinsics: expected focal lengths and centre in pixels, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; "
            f"found {matrix.tolist()}"
        )
    return Rig(info, TransformTree().updated({_SCAN: (_FRAME, camera_from_points)}))
