"""OpenVINO's own: what it compiled before is used where it fits, and only what is needed is imported."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from perception.caches import cache_root
from perception.engines import open_fusion_backend
from perception.engines.openvino_backend import COMPILED, OpenVinoBackend
from perception.models.checkpoint import save_checkpoint
from perception.models.tensors import Predictions
from tests.engines.conftest import CONFIG
from tests.forked_python import ForkedPython
from tests.fusion_scenes import lively_model, numpy_scene

GRAPH = OpenVinoBackend.graph


@pytest.fixture
def weights(exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint; the cache is a copy of what was made of it."""
    path, made = exports / "weights.safetensors", exports / "openvino"
    monkeypatch.setenv("XDG_CACHE_HOME", str(made))
    answer(path, threads=1)
    shutil.copytree(made, tmp_path / "cache", ignore=shutil.ignore_patterns(".*"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def answer(weights: Path, threads: int) -> Predictions:
    backend = open_fusion_backend("openvino", weights, precision="bf16", threads=threads)
    try:
        return backend.run(numpy_scene(CONFIG))
    finally:
        backend.close()


@pytest.mark.slow
def test_what_was_compiled_gives_the_graphs_bits_and_is_done_without_where_it_does_not_fit(
    weights: Path,
) -> None:
    made = answer(weights, threads=1)
    (folder,) = (cache_root() / "exports").iterdir()
    (folder / GRAPH).rename(folder / "aside")
    loaded = answer(weights, threads=2)  # the graph is not needed
    (folder / "aside").rename(folder / GRAPH)
    blob = (folder / COMPILED).read_bytes()
    (folder / COMPILED).write_bytes(blob[: len(blob) // 2])
    damaged = answer(weights, threads=1)
    (folder / COMPILED).unlink()
    compiled = answer(weights, threads=1)
    for other in (loaded, damaged, compiled):
        for name, a, b in zip(Predictions._fields, made, other, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_the_converter_is_imported_only_by_who_asks_for_it_and_reports_nothing(
    forked_python: ForkedPython,
) -> None:
    code = (
        "import sys\n"
        "from perception.engines.openvino_graph import openvino_package\n"
        "openvino = openvino_package()\n"
        "print([name for name in sys.modules if name.startswith('openvino.tools')])\n"
        "import openvino as other\n"
        "try:\n"
        "    other.convert_model('missing.onnx')\n"
        "except Exception as error:\n"
        "    print('missing.onnx' in str(error), 'openvino.tools.ovc' in sys.modules)\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry.')])\n"
    )
    done = forked_python.run(program=code)
    assert done.stdout.splitlines() == ["[]", "True True", "[]"]


def test_torch_in_place_of_a_model_that_cannot_be_converted_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("OpenVINO cannot convert this model: no such operation; use the backend torch")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(OpenVinoBackend, "_write", refuse)
    save_checkpoint(tmp_path / "mine.safetensors", lively_model(CONFIG))
    backend = open_fusion_backend("auto", tmp_path / "mine.safetensors")
    assert backend.describe()["backend"] == "torch"
    backend.close()
    assert (
        "openvino is not used, torch computes in its place: OpenVINO cannot convert this model" in caplog.text
    )
    assert "use the backend torch" not in caplog.text
    with pytest.raises(RuntimeError, match="no such operation"):
        open_fusion_backend("openvino", tmp_path / "mine.safetensors")


def test_a_conversion_that_fails_leaves_the_logging_of_the_program(forked_python: ForkedPython) -> None:
    code = (
        "import logging, perception.engines.exporting as exporting\n"
        "from perception.engines.openvino_graph import openvino_package\n"
        "try:\n"
        "    with exporting.quiet():\n"
        "        openvino_package().convert_model('missing.onnx')\n"
        "except Exception as error:\n"
        "    print('missing.onnx' in str(error))\n"
        "print(logging.root.level == logging.WARNING, logging.root.handlers, logging.root.filters)\n"
    )
    assert forked_python.run(program=code).stdout.splitlines() == ["True", "True [] []"]
