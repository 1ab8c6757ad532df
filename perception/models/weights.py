"""A model's weights as safetensors bytes, and back. Nothing is unpickled."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

import perception
from perception.errors import CheckpointError, ConfigError
from perception.models.config import ModelConfig
from perception.models.fusion_model import FusionModel
from perception.text import listed

CODES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The names that safetensors has for types."""
MAY_BE_UNKNOWN = ("_minimum", "_maximum")
"""Buffers in which NaN means that nobody has measured them."""


def model_to_bytes(model: FusionModel, metadata: Mapping[str, str], path: str) -> bytes:
    """Return all parameters and buffers of a model as bytes, float ones in float32, with metadata.

    Raises:
        CheckpointError: A weight is not finite.
    """
    state = {name: _storable(tensor) for name, tensor in sorted(model.state_dict().items())}
    if misfits := _misfits(state, state):
        raise CheckpointError(f"{path} is not written: {misfits[0]}; training has diverged")
    return to_safetensors(state, dict(sorted(metadata.items())))


def to_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of a safetensors file, its tensors and metadata in the order given.

    Written by hand, because the library's writer orders the metadata anew in every process, where the same
    model must give the same bytes, and takes a fifth of a millisecond for each tensor.

    Args:
        tensors: Contiguous ones on the CPU, of the types in `CODES`.
        metadata: Texts.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of 8 bytes
    return b"".join([struct.pack("<Q", len(text)), text, *(_bytes(t) for t in tensors.values())])


def _bytes(tensor: Tensor) -> bytes:
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.view(torch.int16)
    return tensor.numpy().tobytes()


def model_from_bytes(config: ModelConfig, data: bytes, path: str) -> FusionModel:
    """Return the model of a configuration with these weights, in evaluation mode.

    Raises:
        CheckpointError: The bytes are not safetensors or do not fit the model, tensor by tensor.
    """
    try:
        state = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: its tensors cannot be read: {' '.join(str(error).split())}; copy the file again"
        ) from None
    held = sum(tensor.numel() for tensor in state.values())
    if config.backbone_weights > held:  # checked before a small file makes the program allocate much memory
        raise CheckpointError(
            f"{path}: expected at least {config.backbone_weights} weights, found {held}; save it again"
        )
    try:
        model = FusionModel(config)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {'; '.join(error.errors)}") from None
    if misfits := _misfits(model.state_dict(), state):
        text = listed(misfits, 3, "; ")
        raise CheckpointError(f"{path}: the weights do not fit their model: {text}; save it again")
    model.load_state_dict(state)
    return model.eval()


def versions() -> dict[str, str]:
    """Return the versions of the software that writes a checkpoint."""
    return {"perception": perception.__version__, "torch": torch.__version__}


def _storable(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous()


def _misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    misfits = [f"{name} is missing" for name in expected if name not in found]
    misfits += [f"{name[:100]!r} is not known" for name in found if name not in expected]
    for name, tensor in found.items():
        want = expected.get(name)
        if want is None:
            continue
        if want.shape != tensor.shape or want.dtype != tensor.dtype:
            misfits.append(f"{name}: expected {_shape(want)}, found {_shape(tensor)}")
        elif tensor.is_floating_point() and not name.endswith(MAY_BE_UNKNOWN) and not tensor.isfinite().all():
            misfits.append(f"{name}: expected finite numbers, found others")
    return misfits


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
