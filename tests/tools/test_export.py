"""`perception export` writes what runs without this package and says what the model says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.engines import open_fusion_backend, portable
from perception.engines.model_source import FusionSource
from perception.errors import OutputError
from perception.logs import open_log
from perception.models.checkpoint import save_checkpoint
from perception.models.preprocess import InputSpec, prepare_inputs
from perception.models.tensors import Inputs, Predictions
from perception.pipeline.log_source import LogSource
from perception_tools.cli import run
from perception_tools.export.command import _batches
from tests.fusion_scenes import SMALL, lively_model, numpy_scene
from tests.scripted_scene import write_scene

CONFIG = replace(SMALL, steps=2)

ONNX = """
import onnxruntime
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["perception"])
found = session.run(None, {name: inputs[name] for name in about["inputs"]})
names = [output.name for output in session.get_outputs()]
"""
PT2 = """
import torch
extra = {"perception.json": ""}
program = torch.export.load("model.pt2", extra_files=extra).module()
about = json.loads(extra["perception.json"])
found = [t.numpy() for t in program(*(torch.from_numpy(inputs[name]) for name in about["inputs"]))]
names = about["outputs"]
"""


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "robot"), [("onnx", ONNX), ("pt2", PT2)])
def test_the_file_runs_where_this_package_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, robot: str
) -> None:
    weights, out = tmp_path / "weights.safetensors", tmp_path / f"model.{suffix}"
    saved = save_checkpoint(weights, lively_model(CONFIG))
    assert run(["export", str(out), "--checkpoint", str(weights), "--batch", "2"]) == 0
    told = capsys.readouterr().out
    assert "checked on noise (give --log for real samples): same answers: 8 samples" in told
    inputs = numpy_scene(CONFIG, batch=2)
    np.savez(tmp_path / "inputs.npz", **inputs._asdict())
    code = (
        "import sys, json, numpy as np\n"
        "sys.modules['perception'] = None\n"
        "inputs = np.load('inputs.npz')\n"
        f"{robot}\n"
        "assert names == about['outputs']\n"
        "np.savez('found.npz', **dict(zip(names, found)))\n"
        "print(json.dumps(about))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)
    assert about["classes"] == list(CONFIG.classes)
    assert about["control"][0] == {"name": "curvature", "unit": "1/m"}
    assert about["weights_sha256"] == saved.sha256
    assert about["inputs"]["image"] == {"shape": [2, 3, 64, 128], "dtype": "uint8"}
    assert list(about["inputs"]) == list(Inputs._fields)
    assert about["preprocess"] == dict(saved.preprocess)
    found = Predictions(**np.load(tmp_path / "found.npz"))
    expected = open_fusion_backend("torch", weights, precision="fp32", batch=2, threads=1).run(inputs)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.control, expected.control, rtol=1e-4, atol=1e-5)


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch ends the process where the file that it writes to cannot grow."""
    import torch

    def save(program: object, file: Any, extra_files: object) -> None:
        file.write(b"a program")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "model.pt2"
    monkeypatch.setattr(portable, "program_of", lambda *arguments: None)
    monkeypatch.setattr(portable, "about", lambda *arguments: {})
    monkeypatch.setattr(torch.export, "save", save)
    source = FusionSource(lively_model(CONFIG))
    portable.write_portable(source, out, 1, "fp32")
    assert out.read_bytes() == b"a program"
    out.write_bytes(b"the earlier one")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"cannot put the model in its place: .*no space left"):
        portable.write_portable(source, out, 1, "fp32")
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes() == b"the earlier one"


def test_other_names_and_precisions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(weights, lively_model(CONFIG))
    assert run(["export", str(tmp_path / "model.trt"), "--checkpoint", str(weights)]) == 2
    assert "ends in .onnx or .pt2" in capsys.readouterr().err
    options = ["--checkpoint", str(weights), "--precision", "bf16"]
    assert run(["export", str(tmp_path / "model.onnx"), *options]) == 2
    assert "expected fp32, or bf16 for a .pt2; found bf16" in capsys.readouterr().err
    assert not list(tmp_path.glob("model.*"))


@pytest.mark.parametrize(
    ("whole", "count", "rows"), [(True, 4, [0, 3, 6, 9]), (True, 200, range(10)), (False, 20, [0, 5])]
)
def test_ranges_come_from_the_whole_log_and_a_check_from_its_beginning(
    whole: bool, count: int, rows: list[int], tmp_path: Path
) -> None:
    path = write_scene(tmp_path / "street.mcap", duration_s=1.0, image_size=(64, 32))
    meta = save_checkpoint(tmp_path / "weights.safetensors", lively_model(CONFIG))
    with open_log(path) as log:
        config = complete_config(log).config
        samples = list(LogSource(log, config, Ledger(None, None, None)).samples())
    spec = InputSpec.of(meta.config, meta.preprocess, 30.0)
    found = _batches(meta, path, 1, count, whole)
    assert len(samples) == 10
    assert len(found) == len(rows)
    for inputs, row in zip(found, rows, strict=True):
        expected = prepare_inputs(samples[row], spec)[1]
        np.testing.assert_array_equal(inputs.image[0], expected.image)
        np.testing.assert_array_equal(inputs.age_s[0], expected.age_s)
