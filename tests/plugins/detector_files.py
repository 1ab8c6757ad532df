"""ONNX files that answer any picture with given arrays, for tests of the detector plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.extras import needs

needs("export", "onnx")


def write_detector(
    path: Path,
    outputs: Mapping[str, NDArray],
    *,
    shape: Sequence[int | str] = (1, 3, 64, 96),
    dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
    more_inputs: Mapping[str, tuple[str, Sequence[int | str]]] | None = None,
    name: str = "images",
) -> Path:
    """Write a file whose outputs are constants, as long as its picture is finite (else NaN)."""
    from onnx import TensorProto, helper, numpy_helper, save

    kinds = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}
    kinds |= {"int64": TensorProto.INT64}
    inputs = [helper.make_tensor_value_info(name, kinds[dtype], list(shape))]
    used, nodes, weights, results = [name], [], [], []
    for other, (kind, size) in (more_inputs or {}).items():
        inputs.append(helper.make_tensor_value_info(other, kinds[kind], list(size)))
        used.append(other)
    for place, each in enumerate(used):
        nodes += [
            helper.make_node("Cast", [each], [f"f{place}"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [f"f{place}"], [f"m{place}"], keepdims=0),
            helper.make_node("Mul", [f"m{place}", "zero"], [f"z{place}"]),
        ]
    nodes.append(helper.make_node("Sum", [f"z{place}" for place in range(len(used))], ["nothing"]))
    weights.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    for output, array in outputs.items():
        weights.append(numpy_helper.from_array(array.astype(np.float32), f"{output}_value"))
        nodes.append(helper.make_node("Add", [f"{output}_value", "nothing"], [f"{output}_float"]))
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        nodes.append(helper.make_node("Cast", [f"{output}_float"], [output], to=kind))
        results.append(helper.make_tensor_value_info(output, kind, list(array.shape)))
    graph = helper.make_graph(nodes, "detector", inputs, results, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, dict(metadata or {}))
    save(model, path)
    return path
