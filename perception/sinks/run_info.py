"""The record of a run that its outputs carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from perception.text import file_name_text

_TEXTS = (
    "input_path",
    "input_sha256",
    "plugin",
    "weights_sha256",
    "backend",
    "precision",
    "device",
    "config",
)
_INTEGERS = ("input_bytes", "start_ns", "end_ns", "batch", "threads")
_LISTS = ("classes", "faults")
_TABLES = {"versions": "version.", "extra": "extra."}
"""Field -> the prefix of its entries in a record."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How outputs were made. It holds no wall-clock time: the same run gives the same record.

    Attributes:
        input: The log the samples come from. A sink refuses to write to it; the record holds its name only.
        input_path: Where it was, absolute.
        input_bytes, input_sha256: Its size and hash.
        simulated: Its pictures are drawn.
        start_ns, end_ns: The requested log time, end exclusive; None: from the start, to the end.
        plugin, weights_sha256, backend, precision, device, batch, threads: How
            they were computed.
        untrained: The weights were never trained; drawings show it.
        classes: The labels of the plugin, in order; they choose the colours.
        reference_rate_hz: The nominal rate of ticks, which a video plays at.
        versions: Package -> version.
        config: The configuration as YAML.
        faults: The faults injected into the log, as `perception.pipeline.faults` writes it.
        extra: Further entries, such as the description of the plugin.
    """

    input: Path | None = None
    input_path: str = ""
    input_bytes: int | None = None
    input_sha256: str = ""
    simulated: bool = False
    start_ns: int | None = None
    end_ns: int | None = None
    plugin: str = ""
    weights_sha256: str = ""
    untrained: bool = False
    backend: str = ""
    precision: str = ""
    device: str = ""
    batch: int = 1
    threads: int | None = None
    reference_rate_hz: float | None = None
    classes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    faults: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    def to_metadata(self) -> dict[str, str]:
        """Return a flat record. Unknown values are left out."""
        record: dict[str, str] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in _TABLES:
                prefix = _TABLES[item.name]
                record |= {f"{prefix}{key}": text for key, text in sorted(value.items())}
            else:
                record[item.name] = _text(value)
        return {key: text for key, text in record.items() if text}

    @classmethod
    def from_metadata(cls, record: Mapping[str, str]) -> RunInfo:
        """Return the run of a record. Keys of a later version are ignored.

        Raises:
            ValueError: A number in it is not one.
        """
        texts = {name: record[name] for name in _TEXTS if name in record}
        integers = {name: int(record[name]) for name in _INTEGERS if name in record}
        lists = {name: tuple(record[name].split("\n")) for name in _LISTS if name in record}
        values: dict[str, Any] = {**texts, **integers, **lists}
        if "input" in record:
            values["input"] = Path(record["input"])
        if "reference_rate_hz" in record:
            values["reference_rate_hz"] = float(record["reference_rate_hz"])
        if not values.get("batch", 1):
            del values["batch"]
        for name, prefix in _TABLES.items():
            values[name] = {
                k.removeprefix(prefix): text for k, text in record.items() if k.startswith(prefix)
            }
        values |= {name: record.get(name) == "true" for name in ("simulated", "untrained")}
        return cls(**values)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "\n".join(value)
    if isinstance(value, Path):
        return file_name_text(value.name)
    return "" if value is None else str(value)
