"""Receipts of a batch: files beside the outputs that say which replays are finished, and of which log."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from perception.autoconfig import Overrides
from perception.config import load_config
from perception.errors import OutputError
from perception.files import file_sha256, read_regular, write_whole
from perception.path_guard import marked
from perception.pipeline.replay_job import ReplayJob
from perception.pipeline.run_record import recorded_versions
from perception.remote import RemotePath, log_path

MAX_BYTES = 64 << 20
"""The largest receipt that is read."""


@dataclass(frozen=True, slots=True)
class Receipts:
    """Files beside the outputs of a batch, each with the summary of a finished replay and what made it.

    A replay is finished if its log, weights, plugin and settings are those of its receipt, and what it wrote
    is unchanged. A file of the same size and modification time counts as unchanged; any other is read and
    compared. From the beginning of a replay its receipt also keeps the name of its output for its log.

    Attributes:
        settings: A hash over code, versions, weights and settings of the replays.
    """

    settings: str

    @classmethod
    def of(cls, job: ReplayJob) -> Receipts:
        """Return the receipts of jobs that differ from this one in log and output only."""
        engine = {key: value for key, value in job.overrides.engine.items() if key != "workers"}
        overrides = replace(job.overrides, checkpoint=None, engine=engine)
        configured = load_config(job.config).plugin if job.config is not None else None
        weights = job.overrides.checkpoint or (configured.checkpoint if configured else None)
        plugin = job.overrides.plugin or (configured.name if configured else "fusion")
        settings = asdict(
            replace(job, log=Path(), output=None, config=None, overrides=Overrides(), force=False)
        ) | {
            "overrides": asdict(overrides),
            "config_text": read_regular(job.config, MAX_BYTES).decode() if job.config is not None else "",
            # The plugin's own weights are in its package.
            "weights": file_sha256(weights) if weights is not None else "",
            "code": _package_sha256(plugin),
            "versions": dict(recorded_versions()),
        }
        return cls(hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest())

    def finished(self, job: ReplayJob) -> Mapping[str, Any] | None:
        """Return the summary of a job that is finished, else None."""
        try:
            receipt = _read(receipt_path(job.output))
            if receipt["settings"] != self.settings or not _unchanged(job.log, receipt):
                return None
            if not all(_unchanged(path, receipt["written"][path.name]) for path in job.written):
                return None
            summary: Mapping[str, Any] = receipt["summary"]
            return summary if summary["status"] in ("clean", "loss") else None
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return None  # no receipt, or not one of this program

    def begin(self, job: ReplayJob) -> None:
        """Replace the receipt of a job that is about to run by one that says so.

        Raises:
            OutputError: It cannot be written.
        """
        _write(job, {"settings": "", "log": str(job.log.resolve())})

    def write(self, job: ReplayJob, summary: Mapping[str, Any]) -> None:
        """Write the receipt of a finished job. It appears whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        receipt = {
            "settings": self.settings,
            "log": str(job.log.resolve()),
            **_identity(job.log),
            "written": {path.name: _identity(path) for path in job.written},
            "summary": summary,
        }
        _write(job, receipt)


is_receipt = marked(b'{"settings": ')
"""Returns whether an existing file is a receipt."""


def receipt_path(output: Path | None) -> Path:
    """Return where the receipt of an output lies."""
    assert output is not None
    return output.with_suffix(".json")


def is_of_another_log(output: Path, log: Path) -> bool:
    """Return whether a receipt says that an output is that of another log, which is still there."""
    with suppress(OSError, ValueError, AttributeError, TypeError):
        owner = _read(receipt_path(output)).get("log")
        return isinstance(owner, str) and owner != str(log.resolve()) and log_path(owner).exists()
    return False


def _read(path: Path) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(read_regular(path, MAX_BYTES))
    return receipt


def _write(job: ReplayJob, receipt: Mapping[str, Any]) -> None:
    path = receipt_path(job.output)
    try:
        write_whole(path, json.dumps(receipt).encode())
    except OSError as error:
        raise OutputError(f"the receipt cannot be written: {error.strerror or error}: {path}") from None


def _identity(path: Path) -> dict[str, Any]:
    if isinstance(path, RemotePath):
        return {"bytes": path.file.size, "tag": path.file.tag}
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file_sha256(path)}


def _unchanged(path: Path, before: Mapping[str, Any]) -> bool:
    if isinstance(path, RemotePath):
        return bool(path.file.tag) and _identity(path) == {key: before[key] for key in ("bytes", "tag")}
    stat = path.stat()
    if stat.st_size != before["bytes"]:
        return False
    if path.is_dir():  # whose time does not tell of its files
        return bool(before["sha256"] == file_sha256(path))
    return bool(stat.st_mtime_ns == before["mtime_ns"] or before["sha256"] == file_sha256(path))


def _package_sha256(plugin: str) -> str:
    """Return a hash over a plugin's package, its code and its own weights, without importing it."""
    digest = hashlib.sha256()
    for point in entry_points(group="perception.plugins", name=plugin):
        spec = importlib.util.find_spec(point.value.partition(":")[0].split(".")[0])
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    digest.update(f"{path.relative_to(folder)} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
