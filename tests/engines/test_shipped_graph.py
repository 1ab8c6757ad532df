"""The OpenVINO graphs beside a checkpoint: used for its weights alone, up to date, enough for a first run."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.engines import FusionSource, open_backend, open_fusion_backend
from perception.engines.model_source import random_inputs
from perception.engines.openvino_graph import convert
from perception.engines.shipped_graph import read_shipped_graph, shipped_path
from perception.models.checkpoint import save_checkpoint
from perception.plugin import own_weights
from perception_tools.cli import run
from perception_tools.export.command import _batches
from tests.engines.conftest import CONFIG
from tests.forked_python import ForkedPython
from tests.fusion_scenes import lively_model, numpy_scene

ROOT = Path(__file__).parents[2]
RENEW = (
    "run `perception export plugins/weights/default.openvino.zip --precision int8 "
    "--log sample_logs/yard_dusk.mcap` and commit the file"
)


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default weights; the cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = own_weights("fusion")
    assert path is not None
    return path


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The engine on the shipped graph of the default weights in float32."""
    weights = own_weights("fusion")
    assert weights is not None
    return shipped_backend(weights, "fp32", tmp_path_factory.mktemp("shipped"))


def shipped_backend(default: Path, precision: str, folder: Path) -> Any:
    """The engine on a shipped graph alone."""
    graph = read_shipped_graph(FusionSource(default), precision)
    assert graph is not None, RENEW
    for suffix, data in graph.items():
        (folder / precision).with_suffix(suffix).write_bytes(data)
    return open_backend("openvino", folder / f"{precision}.xml", precision="fp32", threads=1)


def test_the_graphs_of_the_default_weights_say_what_torch_says(default: Path, exact: Any) -> None:
    assert read_shipped_graph(FusionSource(default), "bf16") is not None, RENEW
    torch_backend = open_fusion_backend("torch", default, precision="fp32", threads=1)
    for seed, subset in enumerate(((1, 1, 1), (1, 0, 0), (0, 1, 1))):
        inputs = random_inputs(FusionSource(default).meta.config, 1, seed)
        inputs = inputs._replace(present=np.array([subset], np.float32))
        found, expected = exact.run(inputs), torch_backend.run(inputs)
        np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-4, err_msg=RENEW)
        np.testing.assert_allclose(found["control"], expected.control, rtol=1e-3, atol=1e-5, err_msg=RENEW)


def test_the_int8_graph_of_the_default_weights_says_nearly_what_float_says(
    default: Path, exact: Any, tmp_path: Path
) -> None:
    """On pictures: noise lies outside the ranges that it was quantised on."""
    int8 = shipped_backend(default, "int8", tmp_path)
    meta = FusionSource(default).meta
    for inputs in _batches(meta, ROOT / "sample_logs" / "yard_day.mcap", 1, 3, whole=False):
        found, expected = int8.run(inputs), exact.run(inputs)
        assert (best := expected["scores"].max()) > 0.3
        assert abs(found["scores"].max() - best) < 0.1, RENEW
        np.testing.assert_allclose(found["control"], expected["control"], atol=0.05, err_msg=RENEW)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_graphs_of_the_default_weights_are_up_to_date(
    default: Path, tmp_path: Path, precision: str
) -> None:
    source = FusionSource(default)
    graph = read_shipped_graph(source, precision)
    assert graph is not None, RENEW
    for suffix, data in graph.items():
        (tmp_path / "shipped").with_suffix(suffix).write_bytes(data)
    convert(source, precision, tmp_path / "fresh.xml")
    shipped, fresh = (
        open_backend("openvino", tmp_path / name, precision="fp32", threads=1)
        for name in ("shipped.xml", "fresh.xml")
    )
    for seed in range(3):
        inputs = random_inputs(source.meta.config, 1, seed)
        for subset in ((1, 1, 1), (1, 0, 0), (0, 1, 1)):
            seen = inputs._replace(present=np.array([subset], np.float32))
            found, expected = shipped.run(seen), fresh.run(seen)
            assert all(np.array_equal(found[name], expected[name]) for name in expected), RENEW


def test_a_first_replay_imports_no_torch_and_converts_nothing(
    tmp_path: Path, forked_python: ForkedPython
) -> None:
    code = (
        "import sys\n"
        "from perception_tools.cli import run\n"
        "code = run(['replay', *sys.argv[1:], '--end', '0.5', '--batch', '2', '--device', 'cpu', '--json'])\n"
        "print(code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    log = str(ROOT / "sample_logs" / "yard_day.mcap")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = forked_python.run(log, program=code, cwd=tmp_path, env=cache)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["0 False"]
    assert json.loads(done.stdout)["run"]["backend"] == "openvino"
    assert len(list((tmp_path / "cache").rglob("model.blob"))) == 1


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_done_without(
    default: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = random_inputs(FusionSource(default).meta.config, 1, 0)
    expected = open_fusion_backend("openvino", default, threads=1).run(inputs)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = open_fusion_backend("openvino", default, threads=1).run(inputs)
    assert all(map(np.array_equal, found, expected))


@pytest.mark.slow
def test_the_command_writes_graphs_that_are_used_for_these_weights_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weights, other = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    save_checkpoint(weights, lively_model(CONFIG))
    save_checkpoint(other, lively_model(CONFIG, seed=5))
    command = ["export", str(shipped_path(weights)), "--checkpoint", str(weights)]
    assert run([*command, "--batch", "2"]) == 2
    assert "holds fp32 and bf16 at batch 1" in capsys.readouterr().err
    assert run(command) == 0
    assert "same answers: 4 samples" in capsys.readouterr().out
    assert read_shipped_graph(FusionSource(weights), "bf16") is not None
    caplog.clear()
    with caplog.at_level(logging.WARNING, "perception"):
        backend = open_fusion_backend("auto", weights, precision="fp32", threads=1)
    assert backend.describe()["backend"] == "openvino"
    assert "converting" not in caplog.text
    found = backend.run(numpy_scene(CONFIG))
    expected = open_fusion_backend("torch", weights, precision="fp32", threads=1).run(numpy_scene(CONFIG))
    np.testing.assert_allclose(found.control, expected.control, rtol=1e-4, atol=1e-5)
    whole = shipped_path(weights).read_bytes()
    shipped_path(other).write_bytes(whole)
    assert read_shipped_graph(FusionSource(other), "fp32") is None
    for damaged in (b"", b"no archive", whole[: len(whole) // 2]):
        shipped_path(weights).write_bytes(damaged)
        assert read_shipped_graph(FusionSource(weights), "fp32") is None
