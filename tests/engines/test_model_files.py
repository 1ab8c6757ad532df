"""Backends run any model with named inputs: ONNX files, OpenVINO graphs, torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perception.engines import ModuleSource, open_backend
from perception.errors import ConfigError
from tests.extras import needs

needs("export", "onnx", "onnxruntime")

WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3)
FILES = ("openvino", "onnx")


def write_model(path: Path, rows: int | str = "N", width: int | str = 4, batched: bool = True) -> Path:
    """`scores = relu(features @ WEIGHT) + bias`, and `count`, the sum of each row of `mask` as int64."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes = [
        helper.make_node("MatMul", ["features", "weight"], ["product"]),
        helper.make_node("Relu", ["product"], ["positive"]),
        helper.make_node("Add", ["positive", "bias"], ["scores"]),
        helper.make_node("Cast", ["mask"], ["numbers"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["numbers", "axes"], ["count"], keepdims=0 if batched else 1),
    ]
    axes = np.array([1] if batched else [0, 1], np.int64)
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [rows, width]),
            helper.make_tensor_value_info("bias", TensorProto.FLOAT, [rows, 3]),
            helper.make_tensor_value_info("mask", TensorProto.UINT8, [rows, 5]),
        ],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [rows, 3]),
            helper.make_tensor_value_info("count", TensorProto.INT64, [rows] if batched else [1, 1]),
        ],
        [numpy_helper.from_array(WEIGHT, "weight"), numpy_helper.from_array(axes, "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    save(model, path)
    return path


def inputs_of(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        "mask": draw.integers(0, 2, (rows, 5)).astype(np.uint8),  # in another order than the file's
        "bias": draw.normal(size=(rows, 3)).astype(np.float32),
        "features": draw.normal(size=(rows, 4)).astype(np.float32),
    }


def assert_right(found: dict[str, np.ndarray], inputs: dict[str, np.ndarray]) -> None:
    expected = np.maximum(inputs["features"] @ WEIGHT, 0) + inputs["bias"]
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found["count"], inputs["mask"].sum(1, dtype=np.int64))
    assert list(found) == ["scores", "count"]


@pytest.mark.parametrize("name", [*FILES, "auto"])
@pytest.mark.parametrize("rows", ["N", 1, 2])
def test_an_onnx_file_runs_with_named_inputs_at_any_batch(tmp_path: Path, name: str, rows: int | str) -> None:
    backend = open_backend(name, write_model(tmp_path / "model.onnx", rows), batch=5, threads=1)
    for count in (1, 2, 5):
        inputs = inputs_of(count, seed=count)
        found = backend.run(inputs)
        assert_right(found, inputs)
        backend.run(inputs_of(count, seed=9))
        assert_right(found, inputs)  # the arrays belong to the caller
    told = backend.describe()
    assert told["backend"] == ("openvino" if name == "auto" else name)
    assert len(told["weights_sha256"]) == 64
    backend.close()
    with pytest.raises(ValueError, match="not open"):
        backend.run(inputs_of(1))
    backend.open()
    assert_right(backend.run(inputs_of(1)), inputs_of(1))
    backend.close()


@pytest.mark.parametrize("name", FILES)
def test_a_dimension_may_have_any_size(tmp_path: Path, name: str) -> None:
    backend = open_backend(name, write_model(tmp_path / "model.onnx", width="W"), batch=2, threads=1)
    assert_right(backend.run(inputs_of(2)), inputs_of(2))


@pytest.mark.parametrize("name", FILES)
def test_wrong_names_shapes_and_types_are_named(tmp_path: Path, name: str) -> None:
    backend = open_backend(name, write_model(tmp_path / "model.onnx"), batch=2, threads=1)
    inputs = inputs_of(2)
    with pytest.raises(ValueError, match="inputs: expected features, bias, mask; found mask, bias"):
        backend.run({key: inputs[key] for key in ("mask", "bias")})
    with pytest.raises(ValueError, match=r"bias: expected float32 \(2, 3\), found float64"):
        backend.run({**inputs, "bias": inputs["bias"].astype(np.float64)})
    with pytest.raises(ValueError, match=r"bias: expected float32 \(2, 3\), found float32 \(1, 3\)"):
        backend.run({**inputs, "bias": inputs["bias"][:1]})
    with pytest.raises(ValueError, match="expected 1 to 2 samples, found 3"):
        backend.run(inputs_of(3))


@pytest.mark.parametrize("name", FILES)
def test_outputs_without_a_row_for_each_row_are_refused_beyond_batch_1(tmp_path: Path, name: str) -> None:
    path = write_model(tmp_path / "model.onnx", 2, batched=False)
    with pytest.raises(ValueError, match="output count: expected 2 rows for 2 rows of inputs, found 1"):
        open_backend(name, path, batch=2, threads=1).run(inputs_of(2))


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_model_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError, match=r"model\.onnx: (OpenVINO|ONNX Runtime) cannot load it: "):
        open_backend(name, tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match=r"gone\.onnx: cannot be read: No such file"):
        open_backend(name, tmp_path / "gone.onnx")


def test_a_backend_that_does_not_run_such_a_file_names_those_that_do(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match=r"torch does not run .*model\.onnx; use openvino or onnx"):
        open_backend("torch", path)
    with pytest.raises(ConfigError, match=r"onnx does not run .*model\.xml; use openvino"):
        open_backend("onnx", tmp_path / "model.xml")


class Linear(nn.Module):
    """`scores` and `count` of the file, in torch."""

    def __init__(self, returns: type) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(WEIGHT))
        self.returns = returns

    def forward(self, features: Tensor, bias: Tensor, mask: Tensor) -> Sequence[Tensor] | dict[str, Tensor]:
        scores, count = torch.relu(features @ self.weight) + bias, mask.long().sum(1)
        return {"count": count, "scores": scores} if self.returns is dict else (scores, count)


@pytest.mark.parametrize(("name", "returns"), [("torch", dict), ("torch", tuple), ("openvino", dict)])
def test_any_torch_module_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, returns: type
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = ModuleSource(Linear(returns), inputs_of(1), ("scores", "count"))
    backend = open_backend(name, source, batch=3, threads=1)
    assert_right(backend.run(inputs_of(3)), inputs_of(3))
    assert not list(tmp_path.iterdir()), "a module in memory may change: nothing is kept of it"
    with pytest.raises(ConfigError, match=f"backend {name} computes in fp32, found bf16"):
        open_backend(name, source, precision="bf16")
    backend.close()
