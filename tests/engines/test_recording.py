"""A recorded model gives the bits of the model, from some call on, whoever calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
import torch

from perception.engines import recording
from perception.engines.lowering import fold_batch_norms, lower_precision
from perception.engines.recording import RECORD_AFTER, RecordedModel, record
from perception.engines.torch_backend import TorchBackend
from perception.models import FusionModel
from perception.models.tensors import Inputs, Predictions
from tests.fusion_scenes import FUSIONS, SMALL, SUBSETS, lively_model, numpy_scene

torch.set_num_threads(1)


def prepared(precision: str, **options: str) -> FusionModel:
    model = fold_batch_norms(lively_model(**options).requires_grad_(False))
    return lower_precision(model, torch.bfloat16) if precision == "bf16" else model


def tensors(seed: int, present: tuple[float, ...] = (1, 1, 1)) -> Inputs:
    inputs = numpy_scene(SMALL, batch=1, seed=seed)
    return Inputs(*map(torch.from_numpy, inputs._replace(present=np.array([present], np.float32))))


def assert_same_bits(found: Predictions, expected: Predictions) -> None:
    for name, a, b in zip(Predictions._fields, found, expected, strict=True):
        assert torch.equal(torch.as_tensor(a), torch.as_tensor(b)), name


@pytest.mark.parametrize(("fusion", "precision"), list(product(FUSIONS, ("fp32", "bf16"))))
@torch.inference_mode()
def test_a_recording_gives_the_bits_of_the_model(fusion: str, precision: str) -> None:
    """Made with one sample, asked for others, whatever sensors they have."""
    model = prepared(precision, fusion=fusion)
    found = record(model, tensors(0))
    assert found is not None
    for seed, present in enumerate(SUBSETS):
        inputs = tensors(seed, present)
        for _ in range(3):  # TorchScript may look at shapes more than once
            assert_same_bits(Predictions(*found(*inputs)), model(inputs))


def test_threads_get_the_same_bits_before_during_and_after() -> None:
    backend = TorchBackend(lively_model(), precision="bf16", threads=1)
    backend.open()
    samples = [numpy_scene(SMALL, batch=1, seed=seed) for seed in range(5)]
    expected = [backend.run(inputs) for inputs in samples]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(backend.run, samples * (RECORD_AFTER // 5 + 10)))
    assert backend._recording is not None
    backend._recording.close()
    assert backend._recording.recorded
    found += [backend.run(inputs) for inputs in samples]
    for index, answers in enumerate(found):
        assert_same_bits(answers, expected[index % 5])
    backend.close()


@pytest.mark.parametrize("fault", ["other bits", "cannot record"])
def test_what_does_not_give_the_same_bits_is_not_used(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*_: object, **__: object) -> object:
        if fault == "cannot record":
            raise RuntimeError("no TorchScript here")
        return lambda *inputs: tuple(t + 1 for t in model(Inputs(*inputs)))

    monkeypatch.setattr(torch.jit, "trace" if fault == "cannot record" else "freeze", other)
    monkeypatch.setattr(recording, "RECORD_AFTER", 2)
    model = prepared("fp32")
    answers = RecordedModel(model)
    with torch.inference_mode():
        for seed in range(4):
            inputs = tensors(seed)
            assert_same_bits(answers(inputs), model(inputs))
            answers.close()
    assert not answers.recorded
