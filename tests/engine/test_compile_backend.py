"""The compiled model says what float32 in eager torch says, and its code is kept where the cache is."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception.checkpoint import save_checkpoint
from perception.engine import open_backend
from perception.engine.compare import compare
from tests.fusion_scenes import SMALL, lively_model, numpy_scene

CONFIG = replace(SMALL, steps=2)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling takes a C++ compiler")
def test_it_says_what_eager_torch_says_and_keeps_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, lively_model(CONFIG))
    scenes = [numpy_scene(CONFIG, batch=1, seed=seed) for seed in range(4)]
    exact = open_backend("torch", path, precision="fp32", threads=1)
    compiled = open_backend("compile", path, precision="fp32", threads=1)
    try:
        assert compiled.describe()["backend"] == "compile"
        expected, found = ([one.run(inputs) for inputs in scenes] for one in (exact, compiled))
        verdict = compare(expected, found)
        assert verdict.passed
        assert verdict.boxes >= 40
        assert verdict.share_within == 1
        for again, before in zip((compiled.run(inputs) for inputs in scenes), found, strict=True):
            for a, b in zip(again, before, strict=True):
                np.testing.assert_array_equal(a, b)
    finally:
        compiled.close()
        exact.close()
    assert list((tmp_path / "perception" / "inductor").rglob("*.so"))
