"""The metrics of a run: JSON lines, and TensorBoard events where that is installed."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perception.errors import CheckpointError, MissingExtraError, TrainingError
from perception.files import write_problem
from perception.models.safetensors_file import write_whole

FILE = "metrics.jsonl"


class Journal:
    """The file of metrics in a run's folder.

    Args:
        folder: The run's folder.
        step: The step that the run continues from; lines of later steps are dropped.
        tensorboard: Write events too, where the extra `train` is installed.

    Raises:
        TrainingError: The file cannot be written.
    """

    def __init__(self, folder: Path, step: int = 0, tensorboard: bool = True) -> None:
        self.path = folder / FILE
        try:
            write_whole(self.path, "".join(_lines_until(self.path, step)).encode())
            self._file = self.path.open("a", buffering=1)
        except CheckpointError as error:
            raise TrainingError(f"{error}; the last state is kept, --resume goes on from it") from None
        except OSError as error:
            raise _unwritable(self.path, error) from None
        self._events = _events(folder / "events", step) if tensorboard else None

    def note(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Write one line; numbers that are not finite become null.

        Raises:
            TrainingError: The disk is full.
        """
        line = json.dumps({"kind": kind, "step": step, **_plain(values)}, allow_nan=False)
        try:
            self._file.write(line + "\n")
            if self._events is not None:
                for name, value in values.items():
                    if isinstance(value, int | float) and math.isfinite(value):
                        self._events.add_scalar(f"{kind}/{name}", value, step)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def close(self) -> None:
        """Close all files; a full disk is not reported again."""
        for writer in (self._file, self._events):
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.close()


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics."""
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def tensorboard_writer() -> Any:
    """Return the class that writes TensorBoard events.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("writing TensorBoard events", "train") from None
    return SummaryWriter


def _events(folder: Path, step: int) -> Any:
    try:
        return tensorboard_writer()(str(folder), purge_step=step or None)
    except (MissingExtraError, OSError):
        return None  # events are a convenience: the same numbers are in the JSON lines


def _lines_until(path: Path, step: int) -> list[str]:
    if step == 0 or not path.is_file():
        return []
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # cut short when the run was killed
    return kept


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _unwritable(path: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"cannot write {path}: {write_problem(path, error)}; the last state is kept, --resume goes on from it"
    )
