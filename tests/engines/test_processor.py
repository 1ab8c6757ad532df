"""What is read of a processor, and what follows from it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import perception
from perception.caches import cache_root, sources_sha256
from perception.engines import FusionSource, registry
from perception.engines.export_cache import SOURCES, SUMS, ensure, export_folder
from perception.engines.processor import Processor, parse_cpuinfo, processor, usable_cores
from perception.models.checkpoint import save_checkpoint
from tests.fusion_scenes import lively_model

AMD = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx512_bf16 avx2\n\n"
OLD = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon E5\nflags\t\t: fpu avx2 sse\n\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"


@pytest.mark.parametrize(
    ("text", "bf16"), [(AMD, True), (OLD, False), (ARM, True), ("", False), ("x", False)]
)
def test_bfloat16_units_are_read_from_the_flags(text: str, bf16: bool) -> None:
    assert parse_cpuinfo(text).bf16 is bf16


def test_processors_that_compute_differently_have_different_names() -> None:
    names = {parse_cpuinfo(text).name for text in (AMD, OLD, ARM)}
    assert len(names) == 3
    assert parse_cpuinfo(AMD + AMD).name == parse_cpuinfo(AMD).name
    hidden = AMD.replace(" avx2", "")  # as a virtual machine may: code made for the one stops the other
    assert parse_cpuinfo(hidden).name == parse_cpuinfo(AMD).name
    assert parse_cpuinfo(hidden).instructions != parse_cpuinfo(AMD).instructions
    assert processor().name
    assert usable_cores() >= 1


@pytest.mark.parametrize("bf16", [True, False])
def test_a_processor_without_bfloat16_units_is_not_slowed_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bf16: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(registry, "processor", lambda: Processor("some", bf16))
    lowered = "bf16" if bf16 else "fp32"
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, lively_model())
    source = FusionSource(path)
    assert registry.resolve("torch", "auto", "cpu", source) == ("torch", lowered)
    assert registry.resolve("openvino", "auto", "cpu", source) == ("openvino", lowered)
    assert registry.resolve("onnx", "auto", "cpu", source) == ("onnx", "fp32")
    assert registry.resolve("onnx", "bf16", "cpu", source) == ("onnx", "bf16")  # refused when it is opened
    assert registry.resolve("auto", "auto", "cpu", source) == ("openvino", lowered)
    assert registry.resolve("auto", "auto", "cpu", FusionSource(lively_model())) == ("torch", lowered)
    assert registry.resolve("auto", "auto", "cpu", tmp_path / "any.onnx") == ("openvino", "fp32")
    monkeypatch.setattr(registry, "compute_capability", lambda: 9 if bf16 else 7)
    assert registry.resolve("graph", "fp16", "cuda", source) == ("graph", "fp16")
    assert registry.resolve("torch", "auto", "cuda", source) == ("torch", lowered)
    assert registry.resolve("auto", "auto", "cuda", source) == ("graph", lowered)


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "perception"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_root() == Path.home() / ".cache" / "perception"


def test_what_fails_half_way_leaves_nothing_and_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("no")

    folder = tmp_path / "exports" / "one"
    with pytest.raises(RuntimeError, match="no"):
        ensure(folder, {}, fail)
    assert not list(folder.parent.glob("*one")) + list(folder.parent.glob(".one.[!l]*"))
    ensure(folder, {"a": "b"}, lambda path: None)
    assert (folder / "key.json").read_text() == '{\n  "a": "b"\n}'
    ensure(folder, {}, fail)


def test_an_export_that_was_changed_or_planted_is_made_anew(tmp_path: Path) -> None:
    folder, made = tmp_path / "exports" / "one", []

    def make(beside: Path) -> None:
        made.append(beside)
        (beside / "graph").write_text("ours")

    folder.mkdir(parents=True)
    (folder / "graph").write_text("planted")
    (folder / "key.json").write_text("{}")
    for _ in range(2):
        ensure(folder, {}, make)
        assert (folder / "graph").read_text() == "ours"
    assert len(made) == 1
    (folder / "graph").write_text("changed")
    ensure(folder, {}, make)
    (folder / "graph").unlink()
    (folder / "graph").symlink_to("/dev/zero")
    ensure(folder, {}, make)
    (folder / SUMS).unlink()
    ensure(folder, {}, make)
    assert (folder / "graph").read_text() == "ours"
    assert len(made) == 4


def test_of_several_that_want_the_same_one_makes_it(tmp_path: Path) -> None:
    folder, made = tmp_path / "one", []

    def make(beside: Path) -> None:
        made.append(beside)
        time.sleep(0.1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda by: ensure(folder, {"by": str(by)}, make), range(4)))
    assert len(made) == 1
    assert (folder / "key.json").is_file()


def test_without_locks_one_wins(tmp_path: Path) -> None:
    folder = tmp_path / "one"

    def make(beside: Path) -> None:  # another has finished meanwhile
        assert beside != folder
        folder.mkdir()
        (folder / "key.json").write_text("other")

    ensure(folder, {"by": "me"}, make)
    assert (folder / "key.json").read_text() == "other"
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["one"]


def test_an_export_is_made_anew_when_the_code_of_the_graph_has_changed(tmp_path: Path) -> None:
    for name, text in (("models/decode.py", "a"), ("tensors.py", "b"), ("logs/reader.py", "c")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    digest = sources_sha256.__wrapped__  # not cached
    first = digest(tmp_path, SOURCES)
    (tmp_path / "logs/reader.py").write_text("other")
    assert digest(tmp_path, SOURCES) == first
    (tmp_path / "models/decode.py").write_text("other")
    assert digest(tmp_path, SOURCES) != first
    assert export_folder("onnx", "0" * 64, "fp32", ())[1]["code"] == sources_sha256(
        Path(perception.__file__).parent, SOURCES
    )
