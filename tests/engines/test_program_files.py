"""Programs of `torch.export` run in every backend; nothing in such a file runs code."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perception.engines import open_backend
from perception.engines.model_file import open_model_file
from perception.errors import ConfigError


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor, gain: Tensor) -> dict[str, Tensor]:
        maps = self.conv(images) * gain[:, None, None, None]
        return {"maps": maps, "means": maps.mean((2, 3))}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Two]:
    torch.manual_seed(0)
    module, path = Two().eval(), tmp_path_factory.mktemp("program") / "two.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 8, 9), torch.ones(1))), path)
    return path, module


@pytest.mark.parametrize("backend", ["auto", "torch", "onnx"])
def test_a_program_runs_with_named_inputs_and_outputs(program: tuple[Path, Two], backend: str) -> None:
    path, module = program
    file = open_model_file(backend, path, threads=1)
    assert [(port.name, port.shape) for port in file.inputs] == [("images", (1, 3, 8, 9)), ("gain", (1,))]
    draw = np.random.default_rng(0)
    images, gain = draw.normal(size=(1, 3, 8, 9)).astype(np.float32), np.array([2.0], np.float32)
    found = file.call({"gain": gain, "images": images})
    file.close()
    with torch.inference_mode():
        expected = module(torch.from_numpy(images), torch.from_numpy(gain))
    assert list(found) == ["maps", "means"]
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name].numpy(), atol=1e-5)


def test_a_batch_of_a_program_is_computed_row_by_row(program: tuple[Path, Two]) -> None:
    path, module = program
    backend = open_backend("torch", path, batch=3, threads=1)
    images = torch.rand(3, 3, 8, 9)
    found = backend.run({"images": images.numpy(), "gain": np.ones(3, np.float32)})
    backend.close()
    with torch.inference_mode():
        np.testing.assert_allclose(found["maps"], module(images, torch.ones(3))["maps"].numpy(), atol=1e-5)


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_pickles_in_a_program_do_not_run(program: tuple[Path, Two], tmp_path: Path) -> None:
    path, _ = program
    mark = tmp_path / "mark"
    payload = pickle.dumps(_Evil(mark))
    torch.save(_Evil(mark), tmp_path / "evil.pt")
    evil = (tmp_path / "evil.pt").read_bytes()
    for replaced, config in ((".pt", False), ("weight_0", True), ("weight_0", False)):
        target = tmp_path / "bad.pt2"
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
            for item in source.infolist():
                data = source.read(item)
                if item.filename.endswith(replaced):
                    data = evil if replaced == ".pt" or config else payload
                if config and item.filename.endswith("config.json"):
                    data = data.replace(b'"use_pickle": false', b'"use_pickle": true')
                out.writestr(item, data)
        try:
            open_model_file("torch", target, threads=1).close()
        except ConfigError as error:
            assert "torch.export cannot load it" in str(error) or "holds pickled" in str(error)  # noqa: PT017
        assert not mark.exists()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "custom.pt2", "w") as out:
        for item in source.infolist():
            out.writestr(item, source.read(item))
        out.writestr("two/data/constants/custom_obj_0", payload)
    with pytest.raises(ConfigError, match="holds pickled objects"):
        open_model_file("torch", tmp_path / "custom.pt2")


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "x.pt2").write_bytes(b"PK nothing")
    with pytest.raises(ConfigError, match=r"expected a program of torch\.export"):
        open_model_file("auto", tmp_path / "x.pt2")


@pytest.mark.parametrize("shape", [(4, 3, 8, 9), (3, 8, 9)])
def test_a_program_without_a_batch_of_one_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(nn.ReLU(), (torch.zeros(shape),)), path)
    with pytest.raises(ConfigError) as error:
        open_model_file("torch", path)
    assert "expected a batch of 1, or of any size, as the first dimension of input" in str(error.value)
    assert "export the module with one row as example" in str(error.value)


def test_outputs_in_mappings_of_others_are_taken_in_their_order(tmp_path: Path) -> None:
    class Nested(nn.Module):
        def forward(self, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
            return {"found": (images + 1, images * 3)}

    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(Nested(), (torch.zeros(1, 3),)), path)
    file = open_model_file("torch", path, threads=1)
    found = [array.tolist() for array in file.call({"images": np.ones((1, 3), np.float32)}).values()]
    file.close()
    assert found == [[[2.0] * 3], [[3.0] * 3]]
