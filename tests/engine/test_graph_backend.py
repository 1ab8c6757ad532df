"""The CUDA graph gives the answers of eager torch, to several threads, and never writes over one it gave."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from perception.engine import Backend, open_backend
from perception.engine.compare import compare
from perception.errors import ConfigError
from perception.tensors import Inputs, Predictions
from tests.fusion_scenes import SMALL, lively_model, numpy_scene

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def scenes(count: int) -> list[Inputs]:
    return [numpy_scene(SMALL, batch=2, seed=seed) for seed in range(count)]


@pytest.fixture
def graph() -> Iterator[Backend]:
    backend = open_backend("graph", lively_model(), device="cuda", precision="fp32", batch=2)
    yield backend
    backend.close()


def assert_equal(found: Predictions, expected: Predictions) -> None:
    for name, a, b in zip(Predictions._fields, found, expected, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_without_a_gpu_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="graph needs a CUDA device"):
        open_backend("graph", lively_model(), device="cpu")


@pytest.mark.gpu
@needs_gpu
def test_it_says_what_eager_torch_says_on_the_cpu(graph: Backend) -> None:
    exact = open_backend("torch", lively_model(), precision="fp32", batch=2)
    verdict = compare(
        [exact.run(inputs) for inputs in scenes(6)], [graph.run(inputs) for inputs in scenes(6)]
    )
    assert verdict.boxes >= 60
    assert verdict.passed


@pytest.mark.gpu
@needs_gpu
def test_answers_stay_as_they_were_given(graph: Backend) -> None:
    first, *others = scenes(12)
    answer = graph.run(first)
    kept = Predictions(*(np.array(array) for array in answer))
    for inputs in others:
        graph.run(inputs)
    assert_equal(answer, kept)
    assert_equal(graph.run(first), kept)


@pytest.mark.gpu
@needs_gpu
def test_threads_get_their_own_answers(graph: Backend) -> None:
    every = scenes(8) * 5
    expected = [graph.run(inputs) for inputs in every]
    with ThreadPoolExecutor(6) as pool:
        for found, wanted in zip(pool.map(graph.run, every), expected, strict=True):
            assert_equal(found, wanted)
