"""A model file as it is: named inputs of any shape, one call at a time, without a contract of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from perception.engines.arrays import Arrays
from perception.engines.graph_file_backend import GraphFileBackend, Port
from perception.engines.registry import FILES, backend_class, open_backend, resolve_file
from perception.errors import ConfigError
from perception.files import open_regular


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A loaded model file. `call` is thread-safe and returns arrays that the caller owns.

    Attributes:
        inputs: Names, types and shapes as the file declares them; None in a shape is any size.
        metadata: Texts that the file carries, by key (Ultralytics writes `names`, `stride`, `task`).
        call: Arrays by name -> outputs by name.
        describe: What computes, as `Backend.describe`.
        close: Releases it.
    """

    inputs: tuple[Port, ...]
    metadata: Mapping[str, str]
    call: Callable[[Arrays], dict[str, NDArray[Any]]]
    describe: Callable[[], Mapping[str, str]]
    close: Callable[[], None]


def open_model_file(
    name: str, path: Path, *, precision: str = "auto", threads: int | None = None
) -> ModelFile:
    """Load an ONNX file, an OpenVINO graph or a `torch.export` program, to compute on the CPU.

    Args:
        name: `auto`, or a backend that runs such files.
        path: The file.
        precision: `auto`, `fp32`, or what the backend has for files.
        threads: For one call; None: the library's default.

    Raises:
        ConfigError: It is no such file, the backend does not run it, or cannot load it.
        MissingExtraError: The backend needs a package that is not installed.
    """
    if path.suffix not in FILES:
        graph = path.with_suffix(".xml") if path.suffix == ".bin" else next(iter(path.glob("*.xml")), path)
        cure = f"give {graph}" if graph != path and graph.is_file() else "export the model to ONNX"
        raise ConfigError([f"{path}: expected a model file ({', '.join(FILES)}), found the suffix "
                           f"{path.suffix or 'none'}; {cure}"])  # fmt: skip
    if not path.is_file():
        start = "" if path.is_absolute() else f" in {Path.cwd()}, where relative paths start"
        raise ConfigError([f"{path}: expected a model file, found none there{start}; check the path"])
    _check_beginning(path)
    chosen, precision, source = resolve_file(name, precision, path)
    kind = backend_class(chosen, "cpu")
    if issubclass(kind, GraphFileBackend):
        graph = kind(source, precision=precision, threads=threads)
        graph.load()
        return ModelFile(tuple(graph.inputs), graph.metadata(), graph.call, graph.describe, graph.close)
    backend = open_backend(chosen, path, precision=precision, threads=threads)
    assert not isinstance(source, Path)
    ports = tuple(Port(port, spec.dtype, (1, *spec.shape)) for port, spec in source.inputs.items())
    return ModelFile(ports, {}, backend.run, backend.describe, backend.close)


_ONNX_FIELDS = frozenset({0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2, 0xCA})
"""The first byte of an ONNX file: the number and type of a field of `ModelProto`."""


def _check_beginning(path: Path) -> None:
    """Raise if a file cannot be what its suffix says: runtimes would print pages about it."""
    with open_regular(path) as file:
        head = file.read(40)
    if not head:
        raise ConfigError([f"{path}: expected a model, found an empty file; export or copy it again"])
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    right = {".onnx": head[0] in _ONNX_FIELDS, ".xml": text.startswith((b"<?xml", b"<net"))}
    if not right.get(path.suffix, True):
        kind = {".onnx": "an ONNX model", ".xml": "a graph of OpenVINO"}[path.suffix]
        hint = (
            "fetch it with `git lfs pull`"
            if head.startswith(b"version https://git-lfs")
            else "export it again"
        )
        raise ConfigError([f"{path}: expected {kind}, found a file that begins with {head[:24]!r}; {hint}"])
