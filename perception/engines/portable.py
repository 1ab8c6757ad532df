"""The model as one file that runs without this package: ONNX, or torch's own `.pt2`; and the OpenVINO graphs
that come beside a checkpoint (`shipped_graph`).

What a robot runs, with `image` uint8 RGB `[B, 3, H, W]` and the other inputs as the metadata say::

    session = onnxruntime.InferenceSession("model.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["perception"])
    scores, labels, boxes, *_ = session.run(None, {"image": image, "returns": returns, ...})

    extra = {"perception.json": ""}
    program = torch.export.load("model.pt2", extra_files=extra).module()
    about = json.loads(extra["perception.json"])
    scores, labels, boxes, *_ = program(image, returns, returns_valid, status, present, age_s)

Normalisation, decode and calibration are inside; boxes are `xyxy` in pixels of the input image, in which
the picture lies as `preprocess.InputSpec.area` says (the `stretch` in the metadata).
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from perception.engines.exporting import program_of, quiet, write_onnx
from perception.engines.model_source import FusionSource, input_specs
from perception.engines.quantised_graph import check_quantiser
from perception.engines.registry import open_backend
from perception.engines.shipped_graph import SUFFIX, write_shipped_graphs
from perception.errors import ConfigError, MissingExtraError
from perception.files import replaced_whole
from perception.models.checkpoint import Checkpoint
from perception.models.tensors import RETURN_CHANNELS, Inputs, Predictions, predictions_type
from perception.path_guard import marked
from perception.types import SENSORS

KEY = "perception"


_is_zip = marked(b"PK", within=b"fp32.xml")
_is_program = marked(b"PK", within=f"{KEY}.json".encode())
_is_onnx = marked(within=b'"format": "perception.portable/1"')


def is_portable(path: Path) -> bool:
    """Return whether a file is one that `write_portable` made under a name of that ending."""
    if path.name.endswith(SUFFIX):
        return _is_zip(path)
    return _is_program(path) if path.suffix == ".pt2" else _is_onnx(path)


def check_portable(path: Path, batch: int, precision: str) -> None:
    """Check what a file is to hold, before the model is loaded.

    Raises:
        ConfigError: The name has another ending than `.onnx`, `.pt2` and `.openvino.zip`, or the format
            does not hold this precision or batch.
        MissingExtraError: ONNX needs the extra `export`.
    """
    if path.name.endswith(SUFFIX):
        if batch != 1 or precision not in ("fp32", "int8"):
            text = "holds fp32 and bf16 at batch 1, and int8 where --precision asks for it"
            raise ConfigError([f"OUT: {SUFFIX} {text}; leave out --batch and any other --precision"])
        if precision == "int8":
            check_quantiser()
        return
    if path.suffix not in (".onnx", ".pt2"):
        raise ConfigError([f"OUT: expected a name that ends in .onnx or .pt2 or {SUFFIX}, found {path}"])
    if precision not in ("fp32", "bf16") or (path.suffix == ".onnx" and precision != "fp32"):
        raise ConfigError([f"--precision: expected fp32, or bf16 for a .pt2; found {precision}"])
    if path.suffix == ".onnx" and not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))):
        raise MissingExtraError("an ONNX file", "export")


def write_portable(source: FusionSource, path: Path, batch: int, precision: str) -> None:
    """Write the file, its metadata inside.

    An int8 graph is none of it: `write_shipped_graphs` adds it, given samples to quantise on.

    Raises:
        ConfigError, MissingExtraError: As `check_portable`.
        OutputError: The file cannot be written; an earlier one in its place is unchanged.
    """
    check_portable(path, batch, precision)
    if path.name.endswith(SUFFIX):
        write_shipped_graphs(source, path)
        return
    program = program_of(source, precision, batch)
    text = json.dumps(about(source.meta, batch, precision))
    with replaced_whole(path, "model") as part:
        if path.suffix == ".onnx":
            write_onnx(program, source, part)
            _describe_onnx(part, text)
        else:
            data = io.BytesIO()  # where a disk is full while torch writes to it, it ends the process
            with quiet():
                torch.export.save(program, data, extra_files={f"{KEY}.json": text})
            part.write_bytes(data.getbuffer())


def about(meta: Checkpoint, batch: int, precision: str) -> dict[str, Any]:
    """Return the metadata: names, shapes, units, classes and preprocessing."""
    config = meta.config
    inputs = input_specs(config).items()
    return {
        "format": "perception.portable/1",
        "batch": batch,
        "precision": precision,
        "weights_sha256": meta.sha256,
        "trained": meta.trained,
        "inputs": {name: {"shape": [batch, *spec.shape], "dtype": str(spec.dtype)} for name, spec in inputs},
        "outputs": list(predictions_type(config.extra_heads)._fields),
        "classes": list(config.classes),
        "control": [quantity._asdict() for quantity in config.control],
        "status": [quantity._asdict() for quantity in config.status],
        "sensors": list(SENSORS),
        "return_channels": list(RETURN_CHANNELS),
        "input_size": {"height": config.input_height, "width": config.input_width},
        "preprocess": dict(meta.preprocess),
        "loss_family": config.loss_family,
        "units": {
            "image": "uint8 RGB",
            "boxes": "xyxy, input pixels",
            "distance_m": "m",
            "age_s": "s",
            "present": "0 or 1, in the order of sensors",
            "status": "oldest first, NaN where unknown",
        },
    }


def run_portable(path: Path, batches: Sequence[Inputs]) -> list[Predictions]:
    """Return what the file computes, with its runtime alone; of further heads nothing.

    Raises:
        MissingExtraError: Running ONNX needs the extra `export`.
    """
    if path.suffix == ".onnx":
        try:
            import onnxruntime  # type: ignore[import-untyped,unused-ignore]
        except ModuleNotFoundError:
            raise MissingExtraError("checking ONNX", "export") from None
        onnxruntime.disable_telemetry_events()
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = list(Predictions._fields)
        return [Predictions(*session.run(names, batch._asdict())) for batch in batches]
    if path.name.endswith(SUFFIX):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
            graph = Path(archive.extract("fp32.xml", folder))
            archive.extract("fp32.bin", folder)
            backend = open_backend("openvino", graph, precision="fp32", threads=1)
            found = [backend.run(batch) for batch in batches]
            backend.close()
        return [Predictions(*(outputs[name] for name in Predictions._fields)) for outputs in found]
    program, fields = torch.export.load(path).module(), len(Predictions._fields)
    with torch.inference_mode():
        answers = [program(*map(torch.from_numpy, batch))[:fields] for batch in batches]
    return [Predictions(*(tensor.numpy() for tensor in tensors)) for tensors in answers]


def _describe_onnx(path: Path, text: str) -> None:
    import onnx  # type: ignore[import-untyped,unused-ignore]

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {KEY: text})
    onnx.save(model, path)
