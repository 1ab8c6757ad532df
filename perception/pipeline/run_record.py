"""The record of a run: what made its outputs, and a receipt with hashes to verify them by.

`RunInfo` stands at the head of an output log, also where the writer is killed. The receipt is written at the
end of a run and adds the hashes of the configuration, of the input as it was read, and of the outputs.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from perception.config import Config, parse_config, to_yaml
from perception.config.fault_plan import parse_plan
from perception.config.safe_yaml import parse_yaml
from perception.files import file_sha256
from perception.logs import Log
from perception.logs.joined_path import recorded_place
from perception.pipeline.digest import ContentDigest
from perception.pipeline.replay_options import ReplayOptions
from perception.plugin import Plugin
from perception.remote import RemotePath, is_remote
from perception.sinks import RunInfo
from perception.text import file_name_text

RECORDED_VERSIONS = ("perception-fusion", "torch", "numpy", "opencv-python-headless")
HASHED_BYTES = 64 << 20
"""Input files up to this size are hashed as a whole, too: that takes less than 0.1 s."""

_RUN_INFO_KEYS = frozenset(
    ("weights_sha256", "untrained", "backend", "precision", "device", "batch", "threads", "classes")
)
"""Keys of `Plugin.describe` that have a field in `RunInfo`."""


def run_info(
    log: Log | None,
    config: Config,
    plugin: Plugin,
    description: Mapping[str, str],
    options: ReplayOptions,
) -> RunInfo:
    """Return the record at the head of an output log.

    Args:
        log: The input; None: messages of a live host.
        plugin: An open plugin.
        description: Its `describe()`.
    """
    return RunInfo(
        input=None if log is None else log.path,
        input_path="" if log is None else file_name_text(recorded_place(log.path)),
        input_bytes=None if log is None else log.path.stat().st_size,
        simulated=log is not None and log.survey.simulated,
        start_ns=options.span.start_ns,
        end_ns=options.span.end_ns,
        plugin=plugin.manifest.name,
        weights_sha256=description.get("weights_sha256", ""),
        untrained=description.get("untrained") == "true",
        backend=description.get("backend", ""),
        precision=description.get("precision", ""),
        device=description.get("device", options.device),
        batch=config.engine.batch,
        threads=config.engine.threads,
        reference_rate_hz=config.reference_rate_hz,
        classes=tuple(description["classes"].split("\n")) if description.get("classes") else (),
        versions=recorded_versions(),
        config=to_yaml(_without_workers(config)),
        faults=parse_plan(config.faults, sensors=config.sensor_kinds()).texts(),
        extra={key: value for key, value in description.items() if key not in _RUN_INFO_KEYS},
    )


def run_record(
    config: Config, plugin: Plugin, description: Mapping[str, str], options: ReplayOptions
) -> dict[str, str]:
    """Return the flat record in the summary of a run."""
    return {
        "plugin": plugin.manifest.name,
        "device": options.device,
        "batch": str(config.engine.batch),
        **({"faults": " ".join(config.faults)} if config.faults else {}),
        **description,
        **{f"version.{name}": text for name, text in recorded_versions().items()},
        "loops": str(options.loops),
    }


def remote_record(path: Path) -> dict[str, str]:
    """Return what was fetched of a remote input, for the record in the summary of a run; empty for a local
    one."""
    if not isinstance(path, RemotePath):
        return {}
    return {f"input.{key}": text for key, text in path.file.account().items()}


def recorded_versions(names: Iterable[str] = RECORDED_VERSIONS) -> dict[str, str]:
    """Return the versions of those packages that are installed, by name. Imports none of them.

    Args:
        names: By default the packages that can change any output.
    """
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _without_workers(config: Config) -> Config:
    """Return the configuration without the number of workers, which changes no output."""
    return config.model_copy(update={"engine": config.engine.model_copy(update={"workers": None})})


def receipt_of(
    run: RunInfo,
    options: ReplayOptions,
    seed: int,
    ended: str,
    content: ContentDigest | None,
    outputs_sha256: str,
    frames: int,
    errors: int = 0,
    ledger: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, str]:
    """Return the receipt as a flat record; unknown values are left out.

    Keys: `ended` (`whole`, `interrupted`, `failed`), `frames`, `errors`, `outputs_sha256`, `messages` and
    `messages_sha256` (what was read of the configured topics), `ledger_sha256` (of their rows),
    `input_sha256` (of the local file, up to `HASHED_BYTES`), `input_tag` (of a remote one: its ETag or time),
    `config_sha256`, `weights_sha256`, `seed`,
    `faults`, `on_error`, `rate`, `live_drop`, `python`, `machine`. A sink may add its own.
    """
    rate = options.rate
    record = {
        "ended": ended,
        "frames": str(frames),
        "errors": str(errors),
        "outputs_sha256": outputs_sha256,
        "ledger_sha256": "" if ledger is None else ledger_sha256(ledger, run.config),
        "messages": "" if content is None else str(content.messages),
        "messages_sha256": "" if content is None else content.hexdigest(),
        "input_sha256": recorded_sha256(run.input),
        "input_tag": run.input.file.tag if isinstance(run.input, RemotePath) else "",
        "config_sha256": hashlib.sha256(run.config.encode()).hexdigest(),
        "weights_sha256": run.weights_sha256,
        "seed": str(seed),
        "faults": "\n".join(run.faults),
        "on_error": options.on_error,
        "rate": "" if rate is None else repr(rate),
        "live_drop": "true" if options.live_drop else "",
        "python": platform.python_version(),
        "machine": this_machine(),
    }
    return {key: text for key, text in record.items() if text}


def ledger_sha256(ledger: Mapping[str, Mapping[str, int]], config: str) -> str:
    """Return a hash over the ledger rows of the topics of a configuration (YAML), in hexadecimal."""
    topics = parse_config(parse_yaml(config)).roles()
    rows = {topic: {row: n for row, n in ledger[topic].items() if n} for topic in topics if topic in ledger}
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def this_machine() -> str:
    """Return the kind of this machine: `Linux x86_64`."""
    return f"{platform.system()} {platform.machine()}"


def recorded_sha256(path: Path | None, most: int = HASHED_BYTES) -> str:
    """Return the hash of a file or folder; empty where it has more than `most` bytes, or cannot be read."""
    try:
        if path is None or is_remote(path):
            return ""
        files = path.iterdir() if path.is_dir() else [path]
        return "" if sum(file.stat().st_size for file in files) > most else file_sha256(path)
    except OSError:
        return ""
