"""The profile of a checkpoint's training inputs, written into its metadata for the audit and the monitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from perception.models.checkpoint import load_checkpoint, save_checkpoint
from perception.models.input_profile import FEATURES, KEY, LEAST_GROUPS, InputProfile, fit_profile, to_plain
from perception.models.preprocess import PictureArea
from perception.models.preprocess.descriptors import describe_picture, describe_returns
from perception.models.tensors import Inputs
from perception.training.data.dataset import Dataset
from perception.types import SENSORS, Float64


def store_input_profile(path: Path, dataset: Dataset, most: int = 600) -> list[InputProfile]:
    """Measure what training inputs look like, and write it into a checkpoint's metadata.

    Args:
        path: The checkpoint; it is replaced, with the same weights.
        dataset: The samples that trained it.
        most: Samples used, evenly spaced.

    Returns:
        One profile for each input of which there are enough samples.

    Raises:
        CheckpointError: The checkpoint cannot be read or written.
    """
    model, meta = load_checkpoint(path)
    profiles = measure_profiles(dataset, most)
    calibration: Mapping[str, object] = {**meta.calibration, KEY: to_plain(profiles)}
    save_checkpoint(path, model, replace(meta, calibration=calibration))
    return profiles


def measure_profiles(dataset: Dataset, most: int = 600) -> list[InputProfile]:
    """Return the profiles of the inputs of a data set. Where it has few logs, their pieces stand for logs."""
    rows: dict[str, list[Float64]] = {name: [] for name in FEATURES}
    groups: dict[str, list[int]] = {name: [] for name in FEATURES}
    samples = dataset.some(most)
    few_logs = len({sample.log for sample in samples.ids}) < LEAST_GROUPS
    for place in range(len(samples)):
        example = samples[place]
        group = place * 2 * LEAST_GROUPS // len(samples) if few_logs else example.id.log
        area = dataset.logs[example.id.log].area(example.id.row)
        for name, described in _described(example.inputs, area).items():
            rows[name].append(described)
            groups[name].append(group)
    profiles = [fit_profile(name, np.array(rows[name]), np.array(groups[name])) for name in rows]
    return [profile for profile in profiles if profile is not None]


def _described(inputs: Inputs, area: PictureArea) -> dict[str, Float64]:
    """Return the descriptor of each input that is present."""
    present = dict(zip(SENSORS, inputs.present > 0, strict=True))
    described = {
        "camera": describe_picture(area.cut(inputs.image)) if present["camera"] else None,
        "range": describe_returns(inputs.returns, inputs.returns_valid) if present["range"] else None,
    }
    return {name: numbers for name, numbers in described.items() if numbers is not None}
