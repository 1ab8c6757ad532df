"""The replay of one recording of a batch, and the sums over all."""

from __future__ import annotations

import hashlib
import importlib.util
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

from perception.autoconfig import Overrides
from perception.config import Config, PluginConfig, load_config
from perception.files import file_sha256, read_regular
from perception.path_guard import Read
from perception.pipeline.batch.recording_job import JobEnd, ResultPlace
from perception.pipeline.batch.result_store import MAX_BYTES
from perception.pipeline.files_read import files_read
from perception.pipeline.log_source import Span
from perception.pipeline.opened_plugin import resolve_device
from perception.pipeline.replay_job import Observe, ReplayJob, run_job
from perception.pipeline.run_record import recorded_versions
from perception.pipeline.workers import default_workers
from perception.sinks import McapSink
from perception.sinks.tables import TablesFolder

_ENGINES = ("openvino", "onnxruntime")


@dataclass(frozen=True, slots=True)
class ReplayRecording:
    """The replay of one log, or of a span of it, into an output log.

    Attributes:
        job: The replay; its output is replaced.
        span: The span that is replayed in place of the job's; None: that of the job.
        part: What follows the log's name in that of the recording: `.0003`; empty: there is one span.
        split_s: The length of spans; 0: there is one.
    """

    job: ReplayJob
    span: Span | None = None
    part: str = ""
    split_s: float = 0.0
    suffix: ClassVar[str] = ".outputs.mcap"

    @property
    def log(self) -> Path:
        return self.job.log

    def settings(self) -> Mapping[str, Any]:
        job = self.job
        engine = {key: value for key, value in job.overrides.engine.items() if key != "workers"}
        overrides = replace(job.overrides, checkpoint=None, engine=engine)
        plugin = self._plugin()
        # Where tables go changes none of them; `has_tables` looks whether they are there.
        plain = replace(
            job, log=Path(), output=None, config=None, overrides=Overrides(), force=False, tables=None
        )
        return asdict(plain) | {
            "split_s": self.split_s,
            "matches": None if job.tables is None else job.tables.matches,
            "overrides": asdict(overrides),
            "config_text": read_regular(job.config, MAX_BYTES).decode() if job.config is not None else "",
            # The plugin's own weights are in its package.
            "weights": file_sha256(plugin.checkpoint) if plugin.checkpoint is not None else "",
            "option_files": _option_files(plugin),
            "code": _package_sha256(plugin.name),
            "versions": {**recorded_versions(), **recorded_versions(_ENGINES)},
        }

    def reads(self, logs: Sequence[Path]) -> list[Read]:
        config = load_config(self.job.config) if self.job.config is not None else Config()
        return files_read(logs, config.model_copy(update={"plugin": self._plugin()}), self.job.config)

    def is_ours(self, path: Path) -> bool:
        return McapSink.is_ours(path)

    def has_tables(self, recording: str) -> bool:
        tables = self.job.tables
        return tables is None or TablesFolder(tables.place).has(recording)

    def run(self, place: ResultPlace, observe: Observe) -> JobEnd:
        tables = self.job.tables
        if tables is not None:
            tables = replace(tables, recording=place.recording, receipt=place.receipt)
        job = replace(self.job, output=place.folder / f"{place.recording}{self.suffix}", tables=tables)
        if self.span is not None:
            times = (self.span.start_ns, self.span.end_ns)
            start, end = (None if time_ns is None else str(time_ns) for time_ns in times)
            job = replace(job, start=start, end=end)
        summary = run_job(job, observe)
        if self.span is not None and not summary.frames and summary.status == "failed" and not summary.errors:
            summary = replace(summary, status="clean")  # nothing was recorded in this span
        return JobEnd(summary.status, summary.to_json(), summary.frames)

    def _plugin(self) -> PluginConfig:
        """Return the plugin that is configured or named instead, with its checkpoint and options."""
        configured = load_config(self.job.config).plugin if self.job.config is not None else PluginConfig()
        chosen = self.job.overrides
        changes = {
            "name": chosen.plugin or configured.name,
            "checkpoint": chosen.checkpoint or configured.checkpoint,
            "options": {**configured.options, **chosen.options},
        }
        return configured.model_copy(update=changes)


def replay_recordings(like: ReplayJob, logs: Sequence[Path], count: int = 1) -> list[ReplayRecording]:
    """Return the replay of each log, as one job describes it.

    Args:
        like: The job to copy; its log is replaced.
        logs: The logs.
        count: How many run at a time on one machine. They share its cores, unless `like` sets the workers.
    """
    overrides = like.overrides
    if count > 1 and "workers" not in overrides.engine:
        device = resolve_device(like.device, overrides.engine.get("backend", "auto"))
        workers = max(1, default_workers(device, overrides.engine.get("threads", 1)) // count)
        overrides = replace(overrides, engine={**overrides.engine, "workers": workers})
    return [ReplayRecording(replace(like, log=log, overrides=overrides)) for log in logs]


def replay_totals(summaries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums over replays: `frames`, `errors`, `outputs` by head, `in_doubt_s` by head,
    `log_seconds`."""
    summaries = list(summaries)
    heads: dict[str, Counter[str]] = {}
    in_doubt_s: dict[str, float] = {}
    for summary in summaries:
        for head, counts in summary["outputs"].items():
            heads.setdefault(head, Counter()).update(counts)
        for head, report in summary.get("monitor", {}).get("heads", {}).items():
            in_doubt_s[head] = in_doubt_s.get(head, 0.0) + report["in_doubt_s"]
    return {
        "frames": sum(summary["frames"] for summary in summaries),
        "errors": sum(summary["errors"] for summary in summaries),
        "outputs": {head: dict(counts) for head, counts in heads.items()},
        "in_doubt_s": {head: round(seconds, 3) for head, seconds in in_doubt_s.items()},
        "log_seconds": sum(summary["log_seconds"] for summary in summaries),
    }


def _option_files(plugin: PluginConfig) -> dict[str, str]:
    """Return the hashes of the files that options of a plugin name, as of a model."""
    texts = [str(value) for value in plugin.options.values() if isinstance(value, str | Path) and str(value)]
    return {text: file_sha256(Path(text)) for text in texts if Path(text).is_file()}


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
