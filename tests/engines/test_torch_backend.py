"""The torch backend gives the model's answers, the same each time, whoever stands beside a sample."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from perception.engines import FusionBackend, FusionSource, open_backend, open_fusion_backend
from perception.errors import CheckpointError
from perception.models import FusionModel
from perception.models.checkpoint import save_checkpoint
from perception.models.tensors import Inputs, Predictions
from tests.forked_python import ForkedPython
from tests.fusion_scenes import FUSIONS, SMALL, lively_model, numpy_scene


def eager(model: FusionModel, inputs: Inputs) -> Predictions:
    with torch.inference_mode():
        return Predictions(*(t.numpy() for t in model(Inputs(*map(torch.from_numpy, inputs)))))


def assert_equal(found: Predictions, expected: Predictions) -> None:
    for name, a, b in zip(Predictions._fields, found, expected, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def joined(*parts: Inputs) -> Inputs:
    return Inputs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def sample_of(batch: Predictions, index: int) -> Predictions:
    return Predictions(*(values[index : index + 1] for values in batch))


@pytest.mark.parametrize(
    ("fusion", "backbone"),
    [
        *((fusion, "small") for fusion in FUSIONS),
        ("gated", "resnet18"),
        *(
            pytest.param(fusion, "resnet18", marks=pytest.mark.slow)
            for fusion in FUSIONS
            if fusion != "gated"
        ),
    ],
)
def test_it_says_what_the_model_says(fusion: str, backbone: str) -> None:
    model = lively_model(fusion=fusion, backbone=backbone)
    inputs = numpy_scene(SMALL, batch=2)
    backend = open_fusion_backend("torch", model, precision="fp32", batch=2)
    found, expected = backend.run(inputs), eager(model, inputs)
    for name, a, b in zip(Predictions._fields, found, expected, strict=True):
        assert isinstance(a, np.ndarray)
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3, err_msg=name)


def test_opening_leaves_the_given_model_as_it_was() -> None:
    model = lively_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    open_fusion_backend("torch", model, precision="bf16")
    assert all(torch.equal(v.nan_to_num(), before[n].nan_to_num()) for n, v in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


def test_a_checkpoint_gives_the_same_answers_as_its_model(tmp_path: Path) -> None:
    model = lively_model()
    saved = save_checkpoint(tmp_path / "weights.safetensors", model)
    backend = open_fusion_backend("torch", tmp_path / "weights.safetensors")
    inputs = numpy_scene(SMALL)
    assert_equal(backend.run(inputs), open_fusion_backend("torch", model).run(inputs))
    assert backend.describe()["weights_sha256"] == saved.sha256


def test_weights_that_are_replaced_while_they_are_opened_are_refused(tmp_path: Path) -> None:
    """A training writes its last weights again and again: an export of them lies under the hash of those."""
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, lively_model(seed=1))
    source = FusionSource(path)
    source.model()
    save_checkpoint(path, lively_model(seed=2))
    with pytest.raises(CheckpointError, match=r"last\.safetensors: replaced by other weights"):
        open_backend("torch", source)
    assert FusionSource(path).model().config == lively_model().config


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_sample_gives_the_same_bits(precision: str) -> None:
    model = lively_model()
    first, second = (open_fusion_backend("torch", model, precision=precision, threads=1) for _ in range(2))
    inputs, other = numpy_scene(SMALL, seed=1), numpy_scene(SMALL, seed=2)
    expected = first.run(inputs)
    first.run(other)
    assert_equal(first.run(inputs), expected)
    assert_equal(second.run(inputs), expected)


@pytest.mark.parametrize(
    "batch", [2, 3, pytest.param(4, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
def test_neighbours_and_place_in_the_batch_change_no_bit(batch: int) -> None:
    backend = open_fusion_backend("torch", lively_model(), batch=batch, threads=1)
    inputs = numpy_scene(SMALL, seed=1)
    expected = open_fusion_backend("torch", lively_model(), threads=1).run(inputs)  # alone
    others = [numpy_scene(SMALL, seed=10 + i) for i in range(batch - 1)]
    for place in range(batch):
        found = backend.run(joined(*others[:place], inputs, *others[place:]))
        assert_equal(sample_of(found, place), expected)


def test_garbage_of_an_earlier_batch_does_not_stay() -> None:
    backend = open_fusion_backend("torch", lively_model(), batch=3)
    inputs = numpy_scene(SMALL, seed=1)
    expected = backend.run(inputs)
    wild = numpy_scene(SMALL, batch=3)
    backend.run(
        wild._replace(status=np.full_like(wild.status, np.nan), returns=np.full_like(wild.returns, np.inf))
    )
    assert_equal(backend.run(inputs), expected)


def test_answers_belong_to_the_caller() -> None:
    backend = open_fusion_backend("torch", lively_model())
    first = backend.run(numpy_scene(SMALL, seed=1))
    kept = Predictions(*(values.copy() for values in first))
    backend.run(numpy_scene(SMALL, seed=2))
    assert_equal(first, kept)
    first.scores[:] = 0  # and are writable


def test_inputs_may_be_read_only() -> None:
    inputs = numpy_scene(SMALL)
    for array in inputs:
        array.flags.writeable = False
    open_fusion_backend("torch", lively_model()).run(inputs)


def test_bfloat16_stays_close() -> None:
    model = lively_model()
    inputs = numpy_scene(SMALL)
    exact, lowered = (open_fusion_backend("torch", model, precision=p).run(inputs) for p in ("fp32", "bf16"))
    assert lowered.scores.dtype == np.float32
    np.testing.assert_allclose(lowered.scores[0, 0], exact.scores[0, 0], atol=0.05)
    np.testing.assert_allclose(lowered.control, exact.control, atol=0.1)
    assert not np.array_equal(lowered.scores, exact.scores)


@pytest.mark.parametrize("field", Inputs._fields)
def test_arrays_of_another_shape_or_kind_are_refused(field: str) -> None:
    backend = open_fusion_backend("torch", lively_model(), batch=2)
    inputs = numpy_scene(SMALL)
    wrong = getattr(inputs, field)
    with pytest.raises(ValueError, match=f"{field}: expected .*, found float64"):
        backend.run(inputs._replace(**{field: wrong.astype(np.float64)}))
    if field != "present":
        with pytest.raises(ValueError, match=f"{field}: expected"):
            backend.run(inputs._replace(**{field: wrong[..., :-1]}))


def test_batches_of_another_size_are_refused() -> None:
    backend = open_fusion_backend("torch", lively_model(), batch=2)
    with pytest.raises(ValueError, match="expected 1 to 2 samples, found 3"):
        backend.run(numpy_scene(SMALL, batch=3))
    with pytest.raises(ValueError, match="expected 1 to 2 samples, found 0"):
        backend.run(Inputs(*(array[:0] for array in numpy_scene(SMALL))))


def test_threads_are_set_and_given_back() -> None:
    before = torch.get_num_threads()
    other = 2 if before == 1 else 1
    backend = open_fusion_backend("torch", lively_model(), threads=other)
    assert torch.get_num_threads() == other
    assert backend.describe()["threads"] == str(other)
    backend.close()
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="not open"):
        backend.run(numpy_scene(SMALL))
    backend.open()
    backend.run(numpy_scene(SMALL))
    backend.close()


def test_names_that_are_not_known_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a backend of auto, openvino, torch, .*; found 'tensorrt'"):
        open_fusion_backend("tensorrt", lively_model())
    with pytest.raises(ValueError, match="expected a precision of"):
        open_fusion_backend("torch", lively_model(), precision="int4")
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_fusion_backend("torch", tmp_path / "none.safetensors")


def test_the_door_opens_without_torch(forked_python: ForkedPython) -> None:
    code = "import sys, perception.engines; print('torch' in sys.modules)"
    assert forked_python.run(program=code).stdout == "False\n"


def test_it_is_a_backend() -> None:
    backend: FusionBackend = open_fusion_backend("torch", lively_model())
    assert set(backend.describe()) >= {"backend", "precision", "device", "batch", "threads", "torch"}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_that_call_at_once_get_the_bits_of_one_that_calls_alone(precision: str) -> None:
    backend = open_fusion_backend("torch", lively_model(), precision=precision, batch=2, threads=1)
    scenes = [numpy_scene(SMALL, batch=1 + i % 2, seed=i) for i in range(6)]
    alone = [backend.run(inputs) for inputs in scenes]
    subsets = np.array([[True, False, True], [False, True, True]])
    alone_subsets = backend.run_subsets(scenes[1], subsets)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(backend.run, scenes * 3))
        at_once = [pool.submit(backend.run_subsets, scenes[1], subsets) for _ in range(4)]
        for future in at_once:
            for found, expected in zip(future.result(), alone_subsets, strict=True):
                assert_equal(found, expected)
    for found, expected in zip(together, alone * 3, strict=True):
        assert_equal(found, expected)
