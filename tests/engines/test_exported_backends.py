"""Exported backends give the model's answers, without torch once the file is made, to several threads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from perception.caches import cache_root
from perception.engines import FusionBackend, open_fusion_backend
from perception.engines.processor import processor
from perception.errors import ConfigError, MissingExtraError
from perception.evaluation.agreement.backend_check import compare_backends
from perception.models.tensors import Inputs, Predictions
from tests.engines.conftest import CONFIG
from tests.forked_python import ForkedPython
from tests.fusion_scenes import numpy_scene

SUBSETS = np.array([[True, True, True], [True, False, False], [False, True, True], [False, False, False]])


@pytest.fixture(scope="module")
def weights(exports: Path) -> Path:
    return exports / "weights.safetensors"


@pytest.fixture(scope="module", params=["openvino-bf16", pytest.param("onnx-fp32", marks=pytest.mark.slow)])
def backend(weights: Path, request: pytest.FixtureRequest) -> Iterator[FusionBackend]:
    name, precision = request.param.split("-")
    pytest.importorskip("onnxruntime" if name == "onnx" else name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(weights.parent / name))
        opened = open_fusion_backend(name, weights, precision=precision, batch=3, threads=1)
        yield opened
        opened.close()


def scenes(count: int) -> list[Inputs]:
    return [numpy_scene(CONFIG, batch=1, seed=seed) for seed in range(count)]


def assert_equal(found: Predictions, expected: Predictions) -> None:
    for name, a, b in zip(Predictions._fields, found, expected, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_it_says_what_float32_in_torch_says(backend: FusionBackend, weights: Path) -> None:
    exact = open_fusion_backend("torch", weights, precision="fp32", threads=1)
    expected = [exact.run(inputs) for inputs in scenes(6)]
    found = [backend.run(inputs) for inputs in scenes(6)]
    for one, other in zip(expected, found, strict=True):
        assert [a.dtype for a in one] == [a.dtype for a in other]
        assert [a.shape for a in one] == [a.shape for a in other]
    verdict = compare_backends(expected, found)
    assert verdict.boxes >= 60
    if backend.describe()["precision"] == "fp32":
        assert verdict.passed
        assert verdict.share_within == 1
    else:  # an untrained model's scores lie so close that rounding reorders them
        gaps = [np.abs(a.scores - b.scores).max() for a, b in zip(expected, found, strict=True)]
        assert 0 < max(gaps) < 0.02
        assert verdict.control_gap < 0.05


def test_batches_places_and_neighbours_change_no_bit(backend: FusionBackend) -> None:
    samples = scenes(3)
    alone = [backend.run(inputs) for inputs in samples]
    together = backend.run(Inputs(*(np.concatenate(column) for column in zip(*samples, strict=True))))
    for index, expected in enumerate(alone):
        assert_equal(Predictions(*(values[index : index + 1] for values in together)), expected)


def test_threads_that_call_at_once_get_the_bits_of_one_that_calls_alone(backend: FusionBackend) -> None:
    samples = scenes(4)
    alone = [backend.run(inputs) for inputs in samples]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(backend.run, samples * 5))
    for found, expected in zip(together, alone * 5, strict=True):
        assert_equal(found, expected)


def test_answers_belong_to_the_caller(backend: FusionBackend) -> None:
    first = backend.run(scenes(1)[0])
    kept = Predictions(*(values.copy() for values in first))
    backend.run(numpy_scene(CONFIG, seed=9))
    assert_equal(first, kept)
    first.scores[:] = 0


def test_subsets_are_answered_as_if_the_others_were_absent(backend: FusionBackend) -> None:
    inputs = scenes(1)[0]
    for found, subset in zip(backend.run_subsets(inputs, SUBSETS), SUBSETS, strict=True):
        absent = inputs._replace(present=inputs.present * subset.astype(np.float32))
        assert_equal(found, backend.run(absent))


def test_wrong_arrays_are_refused_and_so_is_a_closed_backend(backend: FusionBackend, weights: Path) -> None:
    inputs = scenes(1)[0]
    with pytest.raises(ValueError, match=r"image: expected uint8 .*, found float32"):
        backend.run(inputs._replace(image=inputs.image.astype(np.float32)))
    with pytest.raises(ValueError, match="expected 1 to 3 samples, found 4"):
        backend.run(numpy_scene(CONFIG, batch=4))
    told = backend.describe()
    other = open_fusion_backend(told["backend"], weights, precision=told["precision"], threads=1)
    other.close()
    with pytest.raises(ValueError, match="not open"):
        other.run(inputs)


def test_once_made_it_runs_without_torch_and_gives_the_same_bits(
    backend: FusionBackend, weights: Path, tmp_path: Path, forked_python: ForkedPython
) -> None:
    inputs, told = scenes(1)[0], backend.describe()
    np.savez(tmp_path / "inputs.npz", **inputs._asdict())
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from perception.engines import open_fusion_backend\n"
        "from perception.models.tensors import Inputs\n"
        f"folder, weights = Path({str(tmp_path)!r}), Path({str(weights)!r})\n"
        f"precision = {told['precision']!r}\n"
        f"backend = open_fusion_backend({told['backend']!r}, weights, precision=precision, threads=1)\n"
        "found = backend.run(Inputs(**np.load(folder / 'inputs.npz')))\n"
        "np.savez(folder / 'found.npz', **found._asdict())\n"
        "print(backend.describe()['backend'], 'torch' in sys.modules)\n"
    )
    done = forked_python.run(program=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [told["backend"], "False"]
    assert_equal(Predictions(**np.load(tmp_path / "found.npz")), backend.run(inputs))


def test_the_file_is_kept_by_what_it_depends_on(backend: FusionBackend, weights: Path) -> None:
    told = backend.describe()
    keys = [json.loads(path.read_text()) for path in (cache_root() / "exports").glob("*/key.json")]
    (key,) = [k for k in keys if k["backend"] == told["backend"]]
    assert key["weights_sha256"] == told["weights_sha256"]
    assert key["processor"] == processor().name
    assert key["instructions"] == processor().instructions
    assert key["version.torch"].startswith("2.")


def test_precisions_and_devices_that_a_backend_does_not_have_are_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"engine.precision: backend onnx computes in fp32, found bf16"):
        open_fusion_backend("onnx", weights, precision="bf16")
    with pytest.raises(ConfigError, match=r"engine.backend: openvino computes on the cpu"):
        open_fusion_backend("openvino", weights, device="cuda")
    with pytest.raises(ConfigError, match=r"engine.precision: fp16 needs a CUDA device"):
        open_fusion_backend("torch", weights, precision="fp16")
    with pytest.raises(ConfigError, match=r"engine.backend: graph needs a CUDA device"):
        open_fusion_backend("graph", weights)


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx", "onnxscript"])
def test_a_missing_extra_is_said_before_a_model_is_converted(
    weights: Path, missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match="the backend onnx needs the extra 'export'"):
        open_fusion_backend("onnx", weights)
    assert "converting" not in caplog.text
