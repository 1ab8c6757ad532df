"""Which replays are done: a small file beside each output says what made it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import asdict, dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from perception.files import file_sha256
from perception_tools.replay.job import ReplayJob


@dataclass(frozen=True, slots=True)
class Receipts:
    """Tells whether a job is done, and keeps what it came to.

    A job is done when its log, its weights, its plugin and its settings are those of before, and what it
    wrote still has its size. A log of the same size and time of change is taken for the same; one that was
    touched is read and compared.
    """

    settings: str

    @classmethod
    def of(cls, job: ReplayJob) -> Receipts:
        """For all jobs that differ in their log and outputs only."""
        from perception.pipeline.provenance import recorded_versions

        config = job.config.read_text("utf-8") if job.config is not None else ""
        said = asdict(replace(job, log=Path(), output=None, config=None, overrides=None))
        if job.overrides is not None:
            engine = {key: value for key, value in job.overrides.engine.items() if key != "workers"}
            said["overrides"] = asdict(replace(job.overrides, checkpoint=None, engine=engine))
        said |= {
            "config_text": config,
            "weights": [file_sha256(path) for path in _weights(job)],
            "code": _package_sha256(job),
            "versions": dict(recorded_versions()),
        }
        return cls(hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest())

    def done(self, job: ReplayJob) -> dict[str, Any] | None:
        """The summary of the job if it is done; else None."""
        try:
            receipt = json.loads(_path(job).read_text("utf-8"))
            stat = job.log.stat()
            if receipt["settings"] != self.settings or receipt["bytes"] != stat.st_size:
                return None
            if any(Path(name).stat().st_size != size for name, size in receipt["written"].items()):
                return None
            if receipt["mtime_ns"] != stat.st_mtime_ns and receipt["sha256"] != file_sha256(job.log):
                return None
            summary = receipt["summary"]
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return None  # none, or not one of ours: then it is not known to be done
        return summary if isinstance(summary, dict) else None

    def begin(self, job: ReplayJob) -> None:
        """What is there will not be what it was."""
        _path(job).unlink(missing_ok=True)

    def keep(self, job: ReplayJob, summary: dict[str, Any]) -> None:
        """The job is done. The receipt appears whole or not at all."""
        stat, path = job.log.stat(), _path(job)
        receipt = {
            "settings": self.settings,
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "sha256": file_sha256(job.log),
            "written": {str(name): name.stat().st_size for name in job.written},
            "summary": summary,
        }
        part = path.with_suffix(".part")
        part.write_text(json.dumps(receipt), "utf-8")
        os.replace(part, path)


def _path(job: ReplayJob) -> Path:
    assert job.output is not None
    return job.output.with_suffix(".json")


def _weights(job: ReplayJob) -> list[Path]:
    """The files of weights that are named; a plugin's own are part of its package."""
    if job.overrides is not None and job.overrides.checkpoint is not None:
        return [job.overrides.checkpoint]
    if job.config is None:
        return []
    from perception.config import load_config

    checkpoint = load_config(job.config).plugin.checkpoint
    return [checkpoint] if checkpoint is not None else []


def _package_sha256(job: ReplayJob) -> str:
    """A hash over the files of the plugin's package, its code and its own weights. Imports nothing of it."""
    name = job.overrides.plugin if job.overrides is not None else None
    if name is None and job.config is not None:
        from perception.config import load_config

        name = load_config(job.config).plugin.name
    points = [point for point in entry_points(group="perception.plugins") if point.name == (name or "fusion")]
    found = hashlib.sha256()
    for point in points:
        spec = importlib.util.find_spec(point.value.partition(":")[0].split(".")[0])
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    found.update(f"{path.relative_to(folder)} {file_sha256(path)}\n".encode())
    return found.hexdigest()
