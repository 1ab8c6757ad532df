"""What a GPU asks of the model, told without one: torch goes through all operations with tensors that have a
shape and a device, and no content. It refuses an operation on tensors of two devices, and one that must know
a value, for which a GPU would have to be waited for and a CUDA graph could not be recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from perception.engines.lowering import lower_precision
from perception.engines.model_source import zero_inputs
from perception.models.fusion_model import FusionModel
from perception.models.layers import fold_batch_norms
from perception.models.tensors import Inputs
from tests.fusion_scenes import SMALL, architecture, lively_model


class Elsewhere(TorchDispatchMode):
    """Notes what leaves a tensor on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.device.type == "cpu":
            self.names.append(str(func))
        return out


@contextmanager
def on_a_gpu(model: FusionModel, rows: int = 4) -> Iterator[tuple[Inputs, Elsewhere]]:
    """A batch and the model's weights on a GPU that is not there."""
    zeros = [torch.from_numpy(array) for array in zero_inputs(model.config, rows)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in model.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    module._parameters[name] = nn.Parameter(_there(weight), requires_grad=False)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = _there(buffer)
        inputs = Inputs(*map(_there, zeros))
        # Not inference mode, which keeps from sight what larger operations consist of.
        with torch.no_grad(), Elsewhere() as elsewhere:
            yield inputs, elsewhere


def _there(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")


def model_of(fusion: str, dtype: torch.dtype, **changes: Any) -> FusionModel:
    model = lively_model(replace(SMALL, **architecture(fusion), **changes)).eval()
    fold_batch_norms(model)
    return model if dtype == torch.float32 else lower_precision(model, dtype)


@pytest.mark.parametrize(
    ("fusion", "dtype"),
    [
        ("gated", torch.bfloat16),
        ("second", torch.bfloat16),
        pytest.param("concat", torch.bfloat16, marks=pytest.mark.slow),
        pytest.param("attention", torch.bfloat16, marks=pytest.mark.slow),
        pytest.param("gated", torch.float32, marks=pytest.mark.slow),
    ],
)
def test_all_is_computed_there_and_nothing_is_waited_for(fusion: str, dtype: torch.dtype) -> None:
    model = model_of(fusion, dtype, adapters=("class", "box", "control"), control_status=True)
    with on_a_gpu(model) as (inputs, elsewhere):
        answers = model(inputs)
        subsets = torch.empty((2, 3), dtype=torch.bool, device="cuda")
        found = [answers, *model.on_subsets(inputs, subsets)]
    assert not elsewhere.names
    assert {tensor.device.type for predictions in found for tensor in predictions} == {"cuda"}
    assert {tensor.dtype for tensor in answers} == {torch.float32, torch.int64}


def test_what_would_be_waited_for_and_what_lies_elsewhere_is_found_out() -> None:
    with on_a_gpu(model_of("gated", torch.float32)) as (_, elsewhere):
        there = torch.empty(3, device="cuda")
        with pytest.raises(DataDependentOutputException):
            there.sum().item()
        with pytest.raises(RuntimeError, match="device"):
            there + torch.arange(3.0)
    assert elsewhere.names
