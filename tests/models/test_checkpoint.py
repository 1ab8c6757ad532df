"""Checkpoints: the same model after a round trip, and one clear line for every file that is not one."""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perception.errors import CheckpointError
from perception.models import FusionModel
from perception.models.checkpoint import (
    FORMAT,
    KEYS,
    Checkpoint,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)
from perception.models.safetensors_file import MAX_HEADER
from perception.models.tensors import Predictions
from tests.forked_python import ForkedPython
from tests.fusion_scenes import FUSIONS, SMALL, lively_model, scene

META = Checkpoint(
    preprocess={"interpolation": "area", "decode_scale": 2},
    calibration={"method": "platt", "samples": 1200},
    trained_on=({"name": "town", "seconds": 600, "seed": 3},),
    versions={"trainer": "1.2"},
)


@pytest.fixture(scope="module")
def model() -> FusionModel:
    return lively_model()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, model: FusionModel) -> bytes:
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    save_checkpoint(path, model, META)
    return path.read_bytes()


def assert_same_weights(found: FusionModel, expected: FusionModel) -> None:
    state = found.state_dict()
    assert list(state) == list(expected.state_dict())
    for name, value in expected.state_dict().items():
        assert state[name].dtype == value.dtype
        assert torch.equal(state[name].nan_to_num(1.5), value.nan_to_num(1.5)), name


@pytest.mark.parametrize("limits", [None, "ab", [1.5, 2.0], [0.8, None]])
def test_wrong_preprocessing_is_an_error_that_names_it(
    tmp_path: Path, model: FusionModel, limits: object
) -> None:
    path = tmp_path / "model.safetensors"
    meta = save_checkpoint(path, model, replace(META, preprocess={"stretch": limits}))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: preprocess: stretch must be one number"):
        meta.input_spec(path=path)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_round_trip_changes_no_bit(tmp_path: Path, fusion: str) -> None:
    model = lively_model(fusion=fusion, loss_family="gaussian", classes=("Ähre", "b"))
    path = tmp_path / "model.safetensors"
    saved = save_checkpoint(path, model, META)
    found, meta = load_checkpoint(path)
    assert meta == saved == read_metadata(path)
    assert meta.config == found.config == model.config
    assert meta.preprocess == META.preprocess
    assert meta.calibration == META.calibration
    assert meta.trained_on == META.trained_on
    assert meta.trained
    assert meta.versions["trainer"] == "1.2"
    assert set(meta.versions) >= {"perception", "torch"}
    assert meta.input_stats == model.normaliser.get()
    assert not found.training
    assert_same_weights(found, model)
    inputs = scene(model.config, batch=2)
    with torch.inference_mode():
        for name, a, b in zip(Predictions._fields, found(inputs), model(inputs), strict=True):
            assert torch.equal(a, b), name


def test_a_model_from_torchvision_comes_back(tmp_path: Path) -> None:
    model = lively_model(backbone="resnet18")
    save_checkpoint(tmp_path / "model.safetensors", model)
    assert_same_weights(load_checkpoint(tmp_path / "model.safetensors")[0], model)


def test_an_untrained_model_says_so(tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path / "model.safetensors", FusionModel(SMALL))
    assert not saved.trained
    assert saved.calibration == {}


def test_the_metadata_are_those_of_the_format(good: bytes) -> None:
    header = json.loads(good[8 : 8 + struct.unpack("<Q", good[:8])[0]])
    assert set(header["__metadata__"]) == set(KEYS)
    assert header["__metadata__"].pop("format") == FORMAT
    texts = {key: json.loads(text) for key, text in header["__metadata__"].items()}
    assert texts["classes"] == list(SMALL.classes)
    assert texts["control"][0] == {"name": "curvature", "unit": "1/m"}
    assert texts["input_size"] == {"height": 64, "width": 128}
    assert "classes" not in texts["model"]
    # The file is one that the library reads, and its tensors lie where tensors should.
    assert len(safetensors.torch.load(good)) == len(header) - 1
    assert struct.unpack("<Q", good[:8])[0] % 8 == 0


def test_a_header_has_an_order_of_its_own(good: bytes) -> None:
    """What makes the same file of the same model in every process."""
    header = json.loads(good[8 : 8 + struct.unpack("<Q", good[:8])[0]])
    metadata = header.pop("__metadata__")
    assert list(metadata) == sorted(metadata)
    assert list(header) == sorted(header)


@pytest.mark.slow
def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.fusion_scenes import lively_model;"
        "from perception.models.checkpoint import save_checkpoint;"
        "print(save_checkpoint(Path(sys.argv[1]), lively_model()).sha256)"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "other.safetensors")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert other.stdout.strip() == save_checkpoint(tmp_path / "one.safetensors", lively_model()).sha256


def test_metadata_are_read_without_torch(tmp_path: Path, good: bytes, forked_python: ForkedPython) -> None:
    (tmp_path / "model.safetensors").write_bytes(good)
    code = (
        "import sys; from pathlib import Path; from perception.models.checkpoint import read_metadata;"
        "print(read_metadata(Path(sys.argv[1])).config.classes[0], 'torch' in sys.modules)"
    )
    done = forked_python.run(tmp_path / "model.safetensors", program=code)
    assert done.stdout == "vehicle False\n"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, model: FusionModel) -> None:
    path = tmp_path / "model.safetensors"
    first = save_checkpoint(path, model)
    second = save_checkpoint(path, lively_model(seed=5))
    assert read_metadata(path).sha256 == second.sha256 != first.sha256
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    with pytest.raises(CheckpointError, match="not plain JSON"):
        save_checkpoint(path, model, replace(META, calibration={"x": float("nan")}))
    with pytest.raises(CheckpointError, match="not plain JSON"):
        save_checkpoint(path, model, replace(META, calibration={"x": {1, 2}}))
    assert read_metadata(path).sha256 == second.sha256
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, model: FusionModel) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(tmp_path / "folder", model)  # a folder is in its place
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(tmp_path / "none" / "model.safetensors", model)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    model = lively_model()
    with torch.no_grad():
        model.class_head.predict.bias[0] = torch.nan
    with pytest.raises(CheckpointError, match=r"class_head\.predict\.bias: expected finite numbers"):
        save_checkpoint(tmp_path / "model.safetensors", model)
    assert not list(tmp_path.iterdir())


def rewritten(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with another header; tensors stay as they are."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def meta_change(key: str, value: object) -> Callable[[bytes], bytes]:
    def change(header: dict[str, Any]) -> None:
        header["__metadata__"][key] = value if isinstance(value, str) else json.dumps(value)

    return lambda data: rewritten(data, change)


def model_change(**changes: object) -> Callable[[bytes], bytes]:
    def change(header: dict[str, Any]) -> None:
        model = json.loads(header["__metadata__"]["model"]) | changes
        header["__metadata__"]["model"] = json.dumps(model)

    return lambda data: rewritten(data, change)


def header_change(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    return lambda data: rewritten(data, change)


def other_safetensors(_: bytes) -> bytes:
    return safetensors.torch.save({"x": torch.zeros(3)}, metadata={"format": "pt"})


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda d: b"", "expected a safetensors file, found 0 bytes"),
    "seven bytes": (lambda d: d[:7], "expected a safetensors file, found 7 bytes"),
    "a pickle": (lambda d: b"\x80\x04\x95" + b"x" * 100, "expected a safetensors file"),
    "a zip, as torch.save makes": (lambda d: b"PK\x03\x04" + b"\0" * 100, "expected a safetensors file"),
    "a huge header": (lambda d: struct.pack("<Q", MAX_HEADER + 1) + d[8:], "expected a safetensors file"),
    "an endless header": (lambda d: b"\xff" * 8 + d[8:], "expected a safetensors file"),
    "cut in the header": (lambda d: d[:500], "is cut short: expected a header of"),
    "cut by a byte": (lambda d: d[:-1], "is cut short: 1 bytes are missing"),
    "a byte too many": (lambda d: d + b"x", "its tensors cannot be read"),
    "header not JSON": (lambda d: d[:8] + b"{]" + d[10:], "header: expected JSON"),
    "deep JSON": (lambda d: struct.pack("<Q", 200_000) + b'{"a":' + b"[" * 199_995, "header: expected JSON"),
    "other safetensors": (other_safetensors, "only checkpoints of this project load"),
    "no metadata": (header_change(lambda h: h.pop("__metadata__")), "only checkpoints of this project load"),
    "metadata a number": (
        header_change(lambda h: h.update(__metadata__=3)),
        "only checkpoints of this project load",
    ),
    "metadata not text": (
        header_change(lambda h: h["__metadata__"].update(model={})),
        "model: expected JSON",
    ),
    "another format": (meta_change("format", "perception.checkpoint/2"), "found 'perception.checkpoint/2'"),
    "classes missing": (header_change(lambda h: h["__metadata__"].pop("classes")), "classes missing"),
    "a key too many": (meta_change("pickle", "x" * 10), "pickle: expected JSON"),
    "an unknown key": (meta_change("pickle", 1), "pickle unknown in the metadata"),
    "unknown model key": (model_change(fused_widht=3), "fused_widht: unknown key, did you mean fused_width"),
    "model out of range": (model_change(fusion="magic"), "fusion: expected gated or concat"),
    "model key twice": (model_change(classes=["x"]), "classes: given twice"),
    "model for lots of memory": (model_change(widths=[2048] * 3, blocks=[64] * 3), "expected at least"),
    "model that is larger": (model_change(fused_width=24), "the weights do not fit their model"),
    "model of other steps": (model_change(backbone="resnet18"), "the weights do not fit their model"),
    "an unknown backbone": (model_change(backbone="resnet19"), "torchvision knows no network"),
    "model a list": (meta_change("model", [1]), "model: expected a dict"),
    "size without width": (meta_change("input_size", {"height": 64}), "expected input_size"),
    "size of text": (
        meta_change("input_size", {"height": "64", "width": 128}),
        "input_height: expected a whole",
    ),
    "classes a word": (meta_change("classes", 5), "classes: expected a list"),
    "more classes": (meta_change("classes", list("abcd")), "the weights do not fit their model"),
    "statistics of nothing": (meta_change("input_stats", {}), "expected the groups"),
    "statistics a number": (meta_change("input_stats", 5), "expected the groups"),
    "status renamed": (meta_change("status", [{"name": n, "unit": ""} for n in "ab"]), "input_stats.status"),
    "trained on a word": (meta_change("trained_on", {}), "trained_on: expected a list"),
    "trained on words": (meta_change("trained_on", ["all"]), "trained_on a list of objects"),
    "a tensor missing": (
        header_change(lambda h: h.update({"class_head.other.bias": h.pop("class_head.predict.bias")})),
        "class_head.predict.bias is missing; 'class_head.other.bias' is not known",
    ),
    "a tensor of another shape": (
        header_change(lambda h: h["class_head.predict.weight"].update(shape=[16, 3, 1, 1])),
        r"expected float32 \[3, 16, 1, 1\], found float32 \[16, 3, 1, 1\]",
    ),
    "a tensor of another kind": (
        header_change(lambda h: h["class_head.predict.bias"].update(dtype="I32")),
        r"expected float32 \[3\], found int32 \[3\]",
    ),
    "tensors on top of each other": (
        header_change(lambda h: h["class_head.predict.bias"].update(data_offsets=[0, 12])),
        "its tensors cannot be read",
    ),
    "a tensor without place": (
        header_change(lambda h: h["class_head.predict.bias"].pop("data_offsets")),
        "damaged",
    ),
    "a tensor of words": (header_change(lambda h: h.update(x="y")), "damaged"),
    "a negative shape": (
        header_change(lambda h: h["class_head.predict.bias"].update(shape=[-3])),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_not_a_checkpoint_is_one_line(tmp_path: Path, good: bytes, case: str) -> None:
    damage, words = HOSTILE[case]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(damage(good))
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("name", ["none.safetensors", "."])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    for read in (read_metadata, load_checkpoint):
        with pytest.raises(CheckpointError, match="cannot be read: "):
            read(tmp_path / name)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # sparse
    with pytest.raises(CheckpointError, match="at most 2048 MiB, found 3072 MiB"):
        read_metadata(path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 22_000), byte=st.integers(0, 255), cut=st.just(None) | st.integers(0, 60_000))
def test_damage_is_a_checkpoint_error_or_harmless(
    tmp_path: Path, good: bytes, position: int, byte: int, cut: int | None
) -> None:
    damaged = bytearray(good[:cut])
    if position < len(damaged):
        damaged[position] = byte
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged)
    try:
        load_checkpoint(path)
    except CheckpointError:
        return
    read_metadata(path)
