"""The backends on a GPU: eager torch, and the CUDA graph.

Without a GPU, how calls go round the ring is told all the same, by streams on which everything is done at
once: what is padded, what is handed out, who owns it. What is fast, and what overlaps, only a GPU tells.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perception.engines import FusionBackend, cuda_backend, cuda_ring, open_fusion_backend
from perception.engines.cuda_backend import CudaBackend, GraphBackend
from perception.engines.fusion_backend import only
from perception.errors import ConfigError
from perception.evaluation.agreement.backend_check import compare_backends
from perception.models.tensors import Inputs, Predictions
from perception_tools.cli import run
from tests.fusion_scenes import SMALL, lively_model, numpy_scene

GPU = torch.cuda.is_available()
NAMES = ("torch", "graph")
YARD = Path(__file__).parents[2] / "sample_logs" / "yard_day.mcap"
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not GPU, reason="there is no GPU")]


def scenes(count: int, batch: int = 2) -> list[Inputs]:
    return [numpy_scene(SMALL, batch=batch, seed=seed) for seed in range(count)]


def part(inputs: Inputs, rows: slice) -> Inputs:
    return Inputs(*(array[rows] for array in inputs))


def assert_equal(found: Predictions, expected: Predictions) -> None:
    for name, a, b in zip(Predictions._fields, found, expected, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


# --- without a GPU -------------------------------------------------------------------------------


class AtOnce:
    """A stream, and an event: what is asked for has happened when the call returns."""

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def record(self) -> None: ...

    def synchronize(self) -> None: ...

    def wait_event(self, event: object) -> None: ...

    def wait_stream(self, stream: object) -> None: ...

    def elapsed_time(self, other: object) -> float:
        return 2.0


class Recording:
    """A CUDA graph: does again what was done while it was recorded."""

    work: Any = None

    def replay(self) -> None:
        Recording.work()


@contextmanager
def _current(*args: object, **options: object) -> Iterator[None]:
    yield


@pytest.fixture
def as_if(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU whose memory is the CPU's."""
    zeros = torch.zeros
    for name in ("Stream", "Event"):
        monkeypatch.setattr(torch.cuda, name, AtOnce)
    for name in ("stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, _current)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recording)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: AtOnce())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "none")
    monkeypatch.setattr(torch, "zeros", lambda *a, pin_memory=False, **named: zeros(*a, **named))
    open_, work = CudaBackend.open, GraphBackend._work

    def open_here(self: CudaBackend) -> None:
        self.device = torch.device("cpu")
        open_(self)

    def noted(self: GraphBackend, compute: Any, *around: Any) -> Any:
        Recording.work = staticmethod(compute)
        return work(self, compute, *around)

    monkeypatch.setattr(CudaBackend, "open", open_here)
    monkeypatch.setattr(GraphBackend, "_work", noted)


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_without_a_gpu_they_are_refused() -> None:
    with pytest.raises(ConfigError, match="graph needs a CUDA device"):
        open_fusion_backend("graph", lively_model(), device="cpu")
    for name in NAMES:
        with pytest.raises(ValueError, match="expected a CUDA device, found none"):
            open_fusion_backend(name, lively_model(), device="cuda")


@pytest.mark.usefixtures("as_if")
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("torch", "fp32"),
        ("graph", "bf16"),
        pytest.param("torch", "bf16", marks=pytest.mark.slow),
        pytest.param("graph", "fp32", marks=pytest.mark.slow),
    ],
)
def test_calls_go_round_the_ring(name: str, precision: str) -> None:
    exact = open_fusion_backend("torch", lively_model(), precision=precision)
    backend = open_fusion_backend(name, lively_model(), device="cuda", precision=precision, batch=2)
    three = scenes(1, batch=3)[0]
    pair, last = part(three, slice(0, 2)), part(three, slice(2, 3))
    both, one = backend.run(pair), backend.run(last)
    assert (len(both.scores), len(one.scores)) == (2, 1)
    assert_equal(backend.run(pair), both)
    expected = [exact.run(part(three, slice(row, row + 1))) for row in range(3)]
    found = [Predictions(*(array[row : row + 1] for array in both)) for row in range(2)]
    assert compare_backends(expected, [*found, one]).passed
    subsets = np.array([[True, False, True], [False, True, False]])
    for subset, answer in zip(subsets, backend.run_subsets(pair, subsets), strict=True):
        assert_equal(
            answer, backend.run(pair._replace(present=np.where(subset, pair.present, np.float32(0))))
        )
    assert (backend.device_s() > 0) == (name != "torch")
    with pytest.raises(ValueError, match="expected 1 to 2 samples, found 3"):
        backend.run(three)
    backend.close()
    with pytest.raises(ValueError, match="not open"):
        backend.run(pair)
    backend.open()
    assert_equal(backend.run(pair), both)
    backend.close()


@pytest.mark.usefixtures("as_if")
def test_auto_is_the_graph_and_eager_torch_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("graph", "torch"):
        backend = open_fusion_backend("auto", lively_model(), device="cuda")
        assert backend.describe()["backend"] == name
        backend.close()
        monkeypatch.setattr(Recording, "replay", lambda self: None)
    with pytest.raises(RuntimeError, match="does not repeat what was recorded"):
        open_fusion_backend("graph", lively_model(), device="cuda")


@pytest.mark.usefixtures("as_if")
def test_the_process_computes_exactly_as_long_as_one_is_open() -> None:
    flags = torch.backends.cudnn
    torch.set_float32_matmul_precision("high")
    before = (flags.deterministic, flags.allow_tf32)
    first, second = (open_fusion_backend("torch", lively_model(), device="cuda") for _ in range(2))
    first.close()
    first.close()
    assert (flags.deterministic, flags.allow_tf32) == (True, False)
    assert torch.get_float32_matmul_precision() == "highest"
    second.close()
    assert (flags.deterministic, flags.allow_tf32) == before
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    assert cuda_backend._EXACT._open == 0


def test_several_tensors_lie_in_one_piece_of_memory() -> None:
    shapes: list[tuple[tuple[int, ...], torch.dtype]] = [
        ((2, 3, 5), torch.uint8),
        ((2, 7), torch.float32),
        ((0, 4), torch.float32),
        ((3,), torch.int64),
    ]
    whole, parts = cuda_ring.packed([torch.ones(size, dtype=dtype) for size, dtype in shapes], "cpu")
    assert [(tuple(one.shape), one.dtype) for one in parts] == shapes
    assert not any(one.any() for one in parts)
    for value, one in enumerate(parts, 1):
        one.fill_(value)
    assert [set(one.flatten().tolist()) for one in parts] == [{1}, {2}, set(), {4}]
    assert all((one.data_ptr() - whole.data_ptr()) % cuda_ring.ALIGNMENT == 0 for one in parts if len(one))
    other = cuda_ring.packed(parts, "cpu")
    other.whole.copy_(whole)
    assert all(map(torch.equal, parts, other.parts))


# --- on one --------------------------------------------------------------------------------------


def gpu(name: str, precision: str = "bf16", batch: int = 2) -> FusionBackend:
    return open_fusion_backend(name, lively_model(), device="cuda", precision=precision, batch=batch)


def delayed(backend: FusionBackend, inputs: Inputs) -> Predictions:
    time.sleep(random.uniform(0, 0.004))
    return backend.run(inputs)


def same(*outputs: Predictions) -> bool:
    def equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
        return np.array_equal(a, b)

    return all(all(map(equal, outputs[0], other)) for other in outputs[1:])


for_each = pytest.mark.parametrize("name", [pytest.param(name, marks=on_a_gpu) for name in NAMES])


@for_each
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_they_say_what_eager_torch_says_on_the_cpu(name: str, precision: str) -> None:
    exact, backend = (
        open_fusion_backend("torch", lively_model(), precision="fp32", batch=2),
        gpu(name, precision),
    )
    expected, found = ([one.run(inputs) for inputs in scenes(6)] for one in (exact, backend))
    backend.close()
    verdict = compare_backends(expected, found)
    assert verdict.boxes >= 60
    if precision == "fp32":
        assert verdict.passed
    else:  # an untrained model's scores lie so close that rounding reorders them
        assert max(np.abs(a.scores - b.scores).max() for a, b in zip(expected, found, strict=True)) < 0.02
        assert verdict.control_gap < 0.05


@for_each
def test_a_log_is_checked_replayed_and_made_again(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.mcap"
    options = ["--device", "cuda", "--backend", name, "--check", "10", "--end", "5", "--output", str(out)]
    assert run(["replay", str(YARD), *options]) == 0
    assert run(["verify", str(out), "--input", str(YARD)]) == 0


@for_each
def test_answers_stay_as_they_were_given(name: str) -> None:
    backend, (first, *others) = gpu(name), scenes(12)
    answer = backend.run(first)
    kept = Predictions(*(np.array(array) for array in answer))
    for inputs in others:
        backend.run(inputs)
    assert_equal(answer, kept)
    assert_equal(backend.run(first), kept)
    backend.close()


@for_each
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_get_their_own_answers_whatever_the_delays(name: str, precision: str) -> None:
    backend, every = gpu(name, precision), scenes(8) * 10
    every[3::8] = [part(inputs, slice(0, 1)) for inputs in every[3::8]]  # short batches among them
    expected = [backend.run(inputs) for inputs in every]
    with ThreadPoolExecutor(2 * cuda_ring.SLOTS) as pool:
        found = list(pool.map(lambda inputs: delayed(backend, inputs), every))
    for one, wanted in zip(found, expected, strict=True):
        assert_equal(one, wanted)
    backend.close()
    backend.open()
    assert same(backend.run(every[0]), expected[0])
    backend.close()


@for_each
def test_a_subset_is_what_is_said_with_the_others_absent(name: str) -> None:
    backend, [inputs], subset = gpu(name), scenes(1), np.array([[True, False, True]])
    [found] = backend.run_subsets(inputs, subset)
    assert_equal(found, backend.run(only(inputs, subset[0])))
    assert (backend.device_s() > 0) == (name != "torch")
    assert backend.describe()["device"] == "cuda"  # which `verify` opens again
    backend.close()
