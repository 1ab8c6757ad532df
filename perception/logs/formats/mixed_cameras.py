"""Pictures of several cameras in one folder, or in one column of a table: told apart by folder or name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from perception.logs.formats.streams import Times

_MOST = 16
_FEWEST = 3  # pictures of each
_TAKE_TURNS = 0.9
"""The least share of pictures that follow one of another camera; a drive after another gives none."""
_WORD = re.compile(r"[A-Za-z]+")


def cameras_of(files: Sequence[Path], stamps_ns: Times | None) -> dict[str, list[int]]:
    """Return the indices of the pictures of each camera by its name; empty where there is one camera.

    They are of several where pictures of different folders, or with different first words in their names,
    take turns in time, or have the same names but for that word (`left_0001.jpg`, `right_0001.jpg`).

    Args:
        files: The pictures.
        stamps_ns: Their times; None: not known.
    """
    for labels in ([file.parent.name for file in files], [_first_word(file) for file in files]):
        parts: dict[str, list[int]] = {}
        for i, label in enumerate(labels):
            parts.setdefault(label, []).append(i)
        sizes = [len(part) for part in parts.values()]
        if not (1 < len(parts) <= _MOST and "" not in parts and min(sizes) >= max(_FEWEST, 0.8 * max(sizes))):
            continue
        if _take_turns(labels, stamps_ns) if stamps_ns is not None else _are_twins(files, parts):
            return parts
    return {}


def _first_word(file: Path) -> str:
    match = _WORD.match(file.stem)
    return match[0] if match else ""


def _take_turns(labels: Sequence[str], stamps_ns: Times) -> bool:
    in_order = [labels[i] for i in np.argsort(stamps_ns, kind="stable")]
    return bool(sum(a != b for a, b in pairwise(in_order)) >= _TAKE_TURNS * (len(in_order) - 1))


def _are_twins(files: Sequence[Path], parts: dict[str, list[int]]) -> bool:
    rests = [{files[i].stem.removeprefix(word) for i in part} for word, part in parts.items()]
    return len(set.intersection(*rests)) >= 0.8 * max(len(rest) for rest in rests)
