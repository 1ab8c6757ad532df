"""The run that made an output log, by its record: its input, configuration, and what has changed since."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from perception.config import Config, parse_config
from perception.config.safe_yaml import parse_yaml
from perception.errors import CheckpointError, ConfigError, LogError, PluginError
from perception.logs import Log
from perception.logs.joined_path import recorded_path
from perception.models.checkpoint import weights_in
from perception.pipeline.run_record import recorded_sha256, recorded_versions, this_machine
from perception.sinks import RunInfo, read_receipt, read_run
from perception.sinks.host_recording import read_host_record

_NO_RECORD = "expected a record of the run that made it, found none; is it an output log?: {}"


def find_input(stored: Log, given: Path | None = None) -> Path:
    """Return the path of the log that outputs were made from: the given one; else the one of the recorded
    name beside the outputs, where it was at the time, or in the working directory. Of several files the first
    of the recorded size. The recording of a host holds its own input.

    Raises:
        LogError: The outputs do not name their input, or it does not exist.
    """
    if given is not None:
        return given
    if read_host_record(stored) is not None:
        return stored.path
    run = read_run(stored)
    if run is None:
        raise LogError(_NO_RECORD.format(stored.path))
    if run.input is None:
        raise LogError(
            f"the outputs do not say which log they were made from; name it with --input: {stored.path}"
        )
    folders = [stored.path.parent, Path.cwd()]
    places = [folder / run.input.name for folder in folders]
    if run.input_path:
        places[1:1] = [recorded_path(run.input_path)]
    files = [place for place in places if place.is_file()]
    if files:
        return next((file for file in files if file.stat().st_size == run.input_bytes), files[0])
    searched = ", ".join(dict.fromkeys(str(place.parent.absolute()) for place in places))
    raise LogError(
        f"the outputs were made from {run.input.name}, which is in none of {searched}; "
        f"name it with --input: {stored.path}"
    )


def recorded_run(stored: Log) -> tuple[RunInfo, Mapping[str, str]]:
    """Return the record and the receipt of the run that made outputs."""
    run, receipt = read_run(stored), read_receipt(stored)
    if run is None:
        raise LogError(_NO_RECORD.format(stored.path))
    if receipt.get("live_drop"):
        raise PluginError(
            "these outputs were made with --live-drop: which samples were skipped was up to the machine, so "
            "they cannot be made again"
        )
    return run, receipt


def config_of(run: RunInfo, checkpoint: Path | None = None) -> Config:
    """Return the recorded configuration of a run, with the backend and precision that the run resolved.

    Raises:
        ConfigError: The configuration is not valid in this version.
    """
    try:
        data = parse_yaml(run.config)
    except ValueError as error:
        raise ConfigError([f"the configuration in the record of the run {error}"]) from None
    config = parse_config(data, "in the record of the run")
    if checkpoint is not None:
        config = config.model_copy(
            update={"plugin": config.plugin.model_copy(update={"checkpoint": checkpoint})}
        )
    for key, value in (("backend", run.backend), ("precision", run.precision)):
        plain = config.model_dump(mode="json")
        plain["engine"][key] = value
        with suppress(ConfigError):  # a name that only the plugin knows stays as it was configured
            config = parse_config(plain) if value else config
    return config


def check_size(run: RunInfo, receipt: Mapping[str, str], log: Log) -> None:
    """Raise if the input has another size than recorded and no message hash can detect that after the run."""
    if receipt.get("messages_sha256") and receipt.get("ended") == "whole":
        return
    size, known = log.path.stat().st_size, receipt.get("input_sha256", "")
    sha256 = recorded_sha256(log.path) if known else ""
    if (run.input_bytes is not None and size != run.input_bytes) or known != sha256:
        raise LogError(other_input(run, log))


def other_input(run: RunInfo, log: Log) -> str:
    """Return the error that a log is not the one that outputs were made from."""
    name = run.input.name if run.input is not None else "another log"
    size = "" if run.input_bytes is None else f" of {run.input_bytes} bytes"
    return (
        f"the outputs were made from {name}{size}, and this log does not hold the same messages; "
        f"name the right one with --input: {log.path}"
    )


def check_weights(config: Config, run: RunInfo) -> None:
    """Raise if the file of the weights is not where it was."""
    path = config.plugin.checkpoint
    if path is not None and not weights_in(path).is_file():
        raise CheckpointError(
            f"the weights {run.weights_sha256[:16]} were at {path}, where there is no file now; "
            "name them with --checkpoint"
        )


def changes_since(run: RunInfo, receipt: Mapping[str, str]) -> list[str]:
    """Return what has changed since the outputs were made, and what of them is missing."""
    notes = []
    was, now = dict(run.versions), dict(recorded_versions())
    if receipt:
        was |= {"python": receipt.get("python", "none"), "the machine": receipt.get("machine", "none")}
        now |= {"python": platform.python_version(), "the machine": this_machine()}
    for name in sorted({*was, *now}):
        before, after = was.get(name, "none"), now.get(name, "none")
        if before != after:
            notes.append(f"{name} was {before}, is {after}")
    if not receipt:
        notes.append("there is no receipt: the writer was stopped; the outputs that are there are compared")
    elif receipt.get("ended") != "whole":
        notes.append(f"the run was {receipt.get('ended')}; the outputs that are there are compared")
    return notes
