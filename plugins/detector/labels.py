"""The names of a detector's classes: a list, a file, or the file's own metadata."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perception.config.safe_yaml import parse_yaml
from perception.files import open_regular
from perception_plugins.detector.coco import COCO_IDS, COCO_NAMES

MOST_BYTES = 16 << 20
"""Of a file of labels."""

MOST_LABELS = 20_000


_BACKGROUND = frozenset({"background", "__background__", "_background_", "bg", "__bg__", "nothing", "none"})


def is_background(name: str) -> bool:
    """Return whether a name, or an empty one, means background."""
    return name.lower() in _BACKGROUND or not name


class LabelError(ValueError):
    """Labels that cannot be used. The text says what was expected and found."""


def known_labels(name: str) -> tuple[str, ...]:
    """Return COCO's names: `coco80` as YOLO numbers them; `coco91` by COCO's own ids from 0, with gaps;
    `coco90` the same from 1."""
    if name == "coco80":
        return COCO_NAMES
    by_id = dict(zip(COCO_IDS, COCO_NAMES, strict=True))
    return tuple(by_id.get(number, "") for number in range(1 if name == "coco90" else 0, 91))


def read_labels(value: Any) -> tuple[str, ...]:
    """Return the names of the classes, in order. An empty name is a class that is not reported.

    Args:
        value: A list of names, a mapping of numbers to names, `coco80`, `coco90`, `coco91`, or the path of a
            file: a name a line (`.txt`, `.names`), YAML with `names`, COCO's JSON with `categories`, or
            TensorFlow's label map (`.pbtxt`).

    Raises:
        LabelError: It is none of these.
    """
    if isinstance(value, str) and value in ("coco80", "coco90", "coco91"):
        return known_labels(value)
    if isinstance(value, str):
        value = _from_file(Path(value))
    if isinstance(value, Mapping):
        value = _in_order(value)
    if not isinstance(value, list | tuple) or not value:
        raise LabelError(f"expected a list of names or a file of them, found {value!r}"[:200])
    if any(name is None or isinstance(name, bool) for name in value):
        raise LabelError(
            "expected names, found words that YAML reads as no text, such as on, off, yes, no, null; put "
            "them in quotes"
        )
    if len(value) > MOST_LABELS:
        raise LabelError(f"expected at most {MOST_LABELS} names, found {len(value)}")
    return tuple(str(name).strip() for name in value)


def labels_in_metadata(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that a file carries; empty: none. Ultralytics writes `names`, as `{0: 'person', ...}`
    of Python; OpenVINO's Model API `labels`, with spaces between and `_` in place of those within."""
    text = metadata.get("names", "").strip()
    if not text and "model_type" in metadata:
        return tuple(name.replace("_", " ") for name in metadata.get("labels", "").split())
    if not text or len(text) > MOST_BYTES:
        return ()
    try:
        return read_labels(_plain(text) if text.startswith(("{", "[")) else text.split(","))
    except ValueError:
        return ()


def _plain(text: str) -> Any:
    """Return the value of a text of Python, JSON or YAML."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return parse_yaml(_with_text_keys(text))


def metadata_beside(path: Path) -> dict[str, str]:
    """Return what `metadata.yaml` says in the folder of an OpenVINO graph, as Ultralytics writes it: the
    graph itself has neither names nor the task. Empty: there is none."""
    try:
        with open_regular(path.with_name("metadata.yaml")) as file:
            data = parse_yaml(_with_text_keys(file.read(MOST_BYTES).decode("utf-8", errors="replace")))
    except (OSError, ValueError):
        return {}
    return {key: str(value) for key, value in data.items()} if isinstance(data, Mapping) else {}


def _from_file(path: Path) -> Any:
    try:
        with open_regular(path) as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise LabelError(f"{path}: cannot be read: {error.strerror or error}; give names or a file") from None
    if len(text) > MOST_BYTES:
        raise LabelError(f"{path}: expected at most {MOST_BYTES >> 20} MiB of names")
    plain = text.decode("utf-8-sig", errors="replace")
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            data = parse_yaml(_with_text_keys(plain))
        except ValueError as error:
            raise LabelError(f"{path}: {error}") from None
        return data.get("names") if isinstance(data, Mapping) else data
    if path.suffix.lower() == ".json":
        return _from_coco(path, plain)
    if items := re.findall(r"\bitem\s*\{(.*?)\}", plain, re.DOTALL):
        return _from_label_map(path, items)
    return [line.strip() for line in plain.rstrip().splitlines()]  # an empty line is a class without a name


def _with_text_keys(text: str) -> str:
    """Return YAML with numbers as keys in quotes, which our parser asks for."""
    return re.sub(r"(^|[{,]|\n)(\s*)(\d{1,9})(\s*:)", r"\1\2'\3'\4", text)


def _from_coco(path: Path, text: str) -> Any:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path}: expected JSON, found {error}") from None
    if isinstance(data, Mapping) and isinstance(data.get("categories"), list):
        rows = [row for row in data["categories"] if isinstance(row, Mapping)]
        return {row.get("id"): row.get("name") for row in rows}
    return data


def _from_label_map(path: Path, items: list[str]) -> dict[str, str]:
    """Return the names of the items of a label map of TensorFlow (`.pbtxt`) by their numbers."""
    found = {}
    for item in items:
        number = re.search(r"\bid\s*:\s*(\d+)", item)
        names = dict(re.findall(r"""\b(name|display_name)\s*:\s*["'](.*?)["']\s*$""", item, re.MULTILINE))
        if number is None or not names:
            raise LabelError(
                f"{path}: expected an id and a name in each item, found {' '.join(item.split())[:60]}"
            )
        found[number[1]] = names.get("display_name") or names["name"]
    return found


def _in_order(names: Mapping[Any, Any]) -> list[Any]:
    """Return the names of a mapping from numbers; numbers in between have none."""
    try:
        by_number = {int(number): name for number, name in names.items()}
    except (TypeError, ValueError):
        raise LabelError("expected a mapping of numbers to names, found other keys") from None
    if by_number and (min(by_number) < 0 or max(by_number) > MOST_LABELS):
        raise LabelError(
            f"expected numbers from 0 to {MOST_LABELS}, found {min(by_number)} to {max(by_number)}"
        )
    return [by_number.get(number, "") for number in range(max(by_number, default=-1) + 1)]
