"""Outputs of a log kept in a temporary file, in the bytes of an output log."""

from __future__ import annotations

from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import NamedTuple

from perception.logs.perception_proto import (
    decode_control,
    decode_detections,
    encode_control,
    encode_detections,
)
from perception.sinks import OutputSink
from perception.types import Output, Sample, Tick, TruthFrame


class _Row(NamedTuple):
    """The offset of an output in the file and the sizes of its parts, which follow each other."""

    tick: Tick
    at: int
    sizes: dict[str, int]


class OutputStore:
    """A store of the outputs of one log in a temporary file."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 (it lives as long as the store)
        self._rows: list[_Row] = []
        self._heads: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def arrivals_ns(self) -> list[int]:
        return [row.tick.log_time_ns for row in self._rows]

    @property
    def ticks(self) -> list[Tick]:
        return [row.tick for row in self._rows]

    @property
    def heads(self) -> frozenset[str]:
        """Return the heads that any output has."""
        return frozenset(self._heads)

    def add(self, output: Output) -> None:
        """Store an output without its warnings."""
        tick, detections, control = output.tick, output.detections, output.control
        parts = {
            "detections": detections,
            **{f"camera {name}": part for name, part in output.cameras.items()},
        }
        data = {key: encode_detections(tick, part, "") for key, part in parts.items() if part is not None}
        if control is not None:
            data["control"] = encode_control(tick, control)
        self._heads.update(output.heads())
        at = self._file.seek(0, 2)
        self._file.write(b"".join(data.values()))
        self._rows.append(_Row(tick, at, {key: len(part) for key, part in data.items()}))

    def get(self, index: int) -> Output:
        """Return the output at an index."""
        row = self._rows[index]
        self._file.seek(row.at)
        data = {key: self._file.read(size) for key, size in row.sizes.items()}
        control = decode_control(data.pop("control"))[1] if "control" in data else None
        parts = {key: decode_detections(part)[2] for key, part in data.items()}
        detections = parts.pop("detections", None)
        cameras = {key.removeprefix("camera "): part for key, part in parts.items()}
        return Output(row.tick, detections, control, cameras=cameras)

    def close(self) -> None:
        self._file.close()


class OutputCollector(OutputSink):
    """A sink that writes the outputs of a run to a store."""

    def __init__(self, store: OutputStore) -> None:
        self._store = store

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self._store.add(output)
