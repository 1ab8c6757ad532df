"""A Rerun recording read back with Rerun's own reader, as rows of plain values."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rerun", reason="needs the extra 'rerun'")
from rerun.chunk import RrdReader


class Recording:
    """The rows of a recording by entity and component, in order of the timeline `arrival`."""

    def __init__(self, path: Path) -> None:
        reader = RrdReader(path)
        self.recordings, self.blueprints = reader.recordings(), reader.blueprints()
        self.timelines: set[str] = set()
        self.static: dict[str, dict[str, Any]] = defaultdict(dict)
        self.rows: dict[tuple[str, str], list[tuple[int, Any]]] = defaultdict(list)
        for chunk in reader.stream():
            batch, times = chunk.to_record_batch(), set(chunk.timeline_names)
            self.timelines |= times
            entity = chunk.entity_path.lstrip("/")
            table = batch.to_pydict()
            for name, values in table.items():
                if name in times or name.startswith("rerun.controls"):
                    continue
                if chunk.is_static:
                    self.static[entity][name] = values[0]
                else:
                    at = [int(value.value) for value in batch.column("arrival").to_pandas()]
                    self.rows[entity, name] += zip(at, values, strict=True)
        for rows in self.rows.values():
            rows.sort(key=lambda row: row[0])

    def values(self, entity: str, component: str) -> list[Any]:
        """Return the rows of a component; an empty list for a row without an instance."""
        return [value or [] for _, value in self.rows[entity, component]]

    def times(self, entity: str, component: str) -> list[int]:
        return [at for at, _ in self.rows[entity, component]]

    def texts(self) -> list[tuple[str, str]]:
        """Return level and text of the lines of the log, in order."""
        lines = []
        for (entity, name), rows in self.rows.items():
            if name == "TextLog:text":
                levels = self.values(entity, "TextLog:level")
                lines += [(at, level[0], text[0]) for (at, text), level in zip(rows, levels, strict=True)]
        return [(level, text) for _, level, text in sorted(lines)]
