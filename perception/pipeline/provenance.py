"""What made the outputs, as it is put on record: at the head of an output log, and in a run's summary."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from perception.config import Config, to_yaml
from perception.logs import Log
from perception.pipeline.faults import parse_plan
from perception.pipeline.options import ReplayOptions
from perception.plugin import Plugin
from perception.sinks import RunInfo

RECORDED_VERSIONS = ("perception-fusion", "torch", "numpy", "opencv-python-headless")

_OF_THEIR_OWN = frozenset(
    ("weights_sha256", "untrained", "backend", "precision", "device", "batch", "threads", "classes")
)
"""What a plugin says of itself that has a field of its own in `RunInfo`."""


def run_info(
    log: Log, config: Config, plugin: Plugin, told: Mapping[str, str], options: ReplayOptions
) -> RunInfo:
    """What stands at the head of an output log.

    Args:
        log: What is replayed.
        plugin: Open.
        told: What it says of itself (`Plugin.describe`).
    """
    return RunInfo(
        input=log.path,
        input_bytes=log.path.stat().st_size,
        start_ns=options.span.start_ns,
        end_ns=options.span.end_ns,
        plugin=plugin.manifest.name,
        weights_sha256=told.get("weights_sha256", ""),
        untrained=told.get("untrained") == "true",
        backend=told.get("backend", ""),
        precision=told.get("precision", ""),
        device=told.get("device", options.device),
        batch=config.engine.batch,
        threads=config.engine.threads,
        reference_rate_hz=config.reference_rate_hz,
        classes=tuple(told["classes"].split("\n")) if told.get("classes") else (),
        versions=recorded_versions(),
        config=to_yaml(_without_workers(config)),
        faults=parse_plan(config.faults).texts(),
        extra={key: value for key, value in told.items() if key not in _OF_THEIR_OWN},
    )


def run_record(
    config: Config, plugin: Plugin, told: Mapping[str, str], options: ReplayOptions
) -> dict[str, str]:
    """The same for the summary of a run, flat."""
    return {
        "plugin": plugin.manifest.name,
        "device": options.device,
        "batch": str(config.engine.batch),
        **({"faults": " ".join(config.faults)} if config.faults else {}),
        **told,
        **{f"version.{name}": text for name, text in recorded_versions().items()},
        "loops": str(options.loops),
    }


def recorded_versions() -> Mapping[str, str]:
    """Versions of what can change an output, by package, without importing any of them."""
    found = {}
    for name in RECORDED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _without_workers(config: Config) -> Config:
    """What is on record says what made the outputs; how many threads carried them changes nothing."""
    return config.model_copy(update={"engine": config.engine.model_copy(update={"workers": None})})
