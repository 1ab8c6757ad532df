"""The state of a run as one safetensors file: tensors, and JSON in its metadata. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from perception.errors import CheckpointError, TrainingError
from perception.models.safetensors_file import read_whole, write_whole
from perception.models.weights import to_safetensors

FORMAT = "perception.training/1"
_KEY = "state"


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write nested mappings and lists of tensors, numbers and texts, atomically.

    Raises:
        TrainingError: The file cannot be written; the previous file is kept.
    """
    tensors: dict[str, Tensor] = {}
    plain = _pack(state, tensors)
    metadata = {"format": FORMAT, _KEY: json.dumps(plain)}
    data = to_safetensors(tensors or {"none": torch.zeros(1)}, metadata)
    try:
        write_whole(path, data)
    except CheckpointError as error:
        raise TrainingError(f"{error}; what was trained until the state before is kept") from None


def load_state(path: Path) -> dict[str, Any]:
    """Return the values that `save_state` wrote.

    Raises:
        TrainingError: The file is missing, damaged, or no state of a run.
    """
    try:
        data = read_whole(path)
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise TrainingError(
                f"{path}: expected the state of a training run, found {metadata.get('format')!r}"
            )
        tensors = safetensors.torch.load(data)
        plain = json.loads(metadata[_KEY])
        unpacked: dict[str, Any] = _unpack(plain, tensors)
        return unpacked
    except (CheckpointError, safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise TrainingError(
            f"{path}: the state of the run cannot be read: {' '.join(str(error).split())}"
        ) from None


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the value as JSON, each tensor replaced by its name in `tensors`.

    A mapping becomes a list of pairs, because JSON would turn an optimiser's numeric keys into texts.
    """
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"items": [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": [_pack(v, tensors) for v in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"expected tensors, numbers and texts in a state, found {type(value).__name__}")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "items":
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in content}
    return (list if kind == "list" else tuple)(_unpack(v, tensors) for v in content)
