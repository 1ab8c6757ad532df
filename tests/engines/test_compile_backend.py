"""Compiled code is called through C, by what it depends on, and what it cannot do is said."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from perception.engines import open_backend
from perception.engines.cache import cache_root
from perception.engines.compile_backend import CALLS_BACK, CODE, CompileBackend, _code_of
from perception.engines.native import ALIGNMENT, DTYPES, NativeModel, TorchLibrary, aligned
from perception.errors import ConfigError
from perception.models.checkpoint import save_checkpoint
from tests.engines.conftest import CONFIG
from tests.fusion_scenes import lively_model


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, lively_model(CONFIG))
    with pytest.raises(
        ConfigError, match=r"compile needs a C\+\+ compiler, found no no-such-compiler; install"
    ):
        open_backend("compile", path, threads=1)
    assert not [path for path in (cache_root() / "exports").iterdir() if path.is_dir()]


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 4)])
def test_copies_begin_where_vectors_may_be_loaded(shape: tuple[int, ...]) -> None:
    for dtype in (np.uint8, np.float32, np.int64):
        array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
        copied = aligned(array)
        assert copied.ctypes.data % ALIGNMENT == 0
        assert copied.flags.c_contiguous
        np.testing.assert_array_equal(copied, array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_are_read_whatever_their_type_and_order_in_memory(dtype: str) -> None:
    library, array = TorchLibrary(), np.arange(60).reshape(3, 4, 5).astype(dtype)
    for given in (array, array.T, array[1:, ::2, 3:], array[:0], array[:, 0, 0], np.array(array[2, 3, 4])):
        tensor = library.over(given)
        layout = library.layout(tensor)
        found = library.copied(tensor, layout)
        library.delete(tensor)
        assert found.dtype == given.dtype
        assert found.flags.owndata
        np.testing.assert_array_equal(found, given)


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / CODE).write_bytes(b"no code")
    with pytest.raises(OSError, match=CODE):
        NativeModel(tmp_path / CODE, 1, None)


def test_damaged_code_is_named_and_how_to_make_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        CompileBackend, "_write", lambda self, folder: (folder / CODE).write_bytes(b"\x7fELF")
    )
    with pytest.raises(ConfigError, match=rf"cannot load its code: .*{CODE}.*; delete .* to compile anew"):
        open_backend("compile", lively_model(CONFIG), threads=1)


def test_code_that_would_call_back_into_torch_is_refused(tmp_path: Path) -> None:
    for called, name in ((b"aoti_torch_cpu_topk(", "well.pt2"), (CALLS_BACK, "ill.pt2")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("m/model.wrapper.cpp", b"int main() { " + called + b"); }")
            archive.writestr("m/model.wrapper.so", b"code")
    assert _code_of(tmp_path / "well.pt2") == b"code"
    with pytest.raises(ConfigError, match="no code for an operation of this model; use torch"):
        _code_of(tmp_path / "ill.pt2")


def test_torch_can_be_imported_after_its_library_was_loaded_alone() -> None:
    code = (
        "import sys\n"
        "from perception.engines.native import TorchLibrary\n"
        "library = TorchLibrary()\n"
        "library.set_threads(3)\n"
        "assert library.threads == 3 and 'torch' not in sys.modules\n"
        "import torch\n"
        "print(torch.get_num_threads(), torch.ones(3).sum().item())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "3.0"]
