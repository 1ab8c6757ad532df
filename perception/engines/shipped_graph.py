"""OpenVINO graphs that come beside a checkpoint, so that its first run needs neither torch nor a conversion.

`NAME.openvino.zip` belongs to `NAME.safetensors`. It holds one graph for each precision (`fp32.xml`,
`fp32.bin`, ...; int8 where it was quantised on samples of a log) and `about.json` with the SHA-256 of the
checkpoint. A file that belongs to other weights is not used.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from perception.engines.model_source import FusionSource
from perception.engines.openvino_graph import convert
from perception.models.safetensors_file import write_whole
from perception.models.tensors import Inputs

FORMAT = "perception.openvino/1"
PRECISIONS = ("fp32", "bf16")
SUFFIX = ".openvino.zip"
MOST_BYTES = 1 << 30
"""Of one member, unpacked."""


def shipped_path(checkpoint: Path) -> Path:
    """Return where the graphs of a checkpoint lie, if it has any."""
    return checkpoint.with_suffix(SUFFIX)


def read_shipped_graph(source: FusionSource, precision: str) -> Mapping[str, bytes] | None:
    """Return the graph of a checkpoint (`.xml`, `.bin`); None if there is none for these weights and this
    precision, or it cannot be read."""
    if source.path is None or not shipped_path(source.path).is_file():
        return None
    try:
        with zipfile.ZipFile(shipped_path(source.path)) as archive:
            about = json.loads(_member(archive, "about.json"))
            if (about["format"], about["weights_sha256"]) != (FORMAT, source.weights_sha256):
                return None
            return {suffix: _member(archive, precision + suffix) for suffix in (".xml", ".bin")}
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def write_shipped_graphs(
    source: FusionSource, out: Path, samples: Sequence[Inputs] = (), scope: str = "wide"
) -> None:
    """Convert a model and write its graphs as one file.

    Args:
        source: The model.
        out: The file.
        samples: One row each, to quantise an int8 graph on; without them there is none.
        scope: Of the int8 graph, one of `quantised_graph.SCOPES`.

    Raises:
        CheckpointError: It cannot be loaded, or the file cannot be written.
        RuntimeError: OpenVINO cannot convert it.
        MissingExtraError: Quantising needs the extra `quantize`.
    """
    about = {
        "format": FORMAT,
        "weights_sha256": source.weights_sha256,
        "versions": {name: version(name) for name in ("torch", "openvino")},
    }
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            convert(source, precision, Path(folder) / f"{precision}.xml")
        if samples:
            from perception.engines.quantised_graph import quantise

            quantise(Path(folder) / "fp32.xml", samples, Path(folder) / "int8.xml", scope)
        (Path(folder) / "about.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for path in sorted(Path(folder).iterdir()):
                member = zipfile.ZipInfo(path.name)  # without a time stamp: the same graphs, the same file
                archive.writestr(member, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    write_whole(out, data.getvalue())


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ValueError(f"{name}: larger than {MOST_BYTES} bytes")
    return archive.read(name)
