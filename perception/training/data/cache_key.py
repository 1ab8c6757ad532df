"""What a cache was made from, as one digest: when any of it changes, the digest does."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from perception.config import Config
from perception.errors import LogError
from perception.models.config import ModelConfig
from perception.models.preprocess import InputSpec

LAYOUT = 1
"""Of the cache's files; raised when they change."""

_NOUNS = ("types/messages.py", "types/samples.py", "types/truth.py")

# Of everything between a log and an array.
_CODE = ("align", "models/preprocess", "logs", "geometry", *_NOUNS, "training/data/sample_cache.py")


def cache_key(log: Path, config: Config, spec: InputSpec, model: ModelConfig) -> str:
    """The digest of a log's bytes, how it is read and prepared, and the code that does it.

    Raises:
        LogError: The log cannot be read.
    """
    # Of the configuration only what samples and truth rest on: weights and engines change nothing here.
    how = config.model_dump(
        mode="json", include={"reference", "reference_rate_hz", "wait_ms", "sensors", "truth"}
    )
    what = {
        "layout": LAYOUT,
        "log": file_digest(log),
        "code": code_digest(_CODE),
        "config": how,
        "spec": asdict(spec),
        "classes": model.classes,
        "control": [quantity.name for quantity in model.control],
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """The sha256 of a file's bytes.

    Raises:
        LogError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LogError(f"{path}: cannot be read: {error.strerror or error}") from None


@cache
def code_digest(names: tuple[str, ...]) -> str:
    """The sha256 of the sources of these files and folders of the package."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for name in names:
        place = root / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
