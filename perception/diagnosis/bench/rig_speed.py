"""The speed of a rig of cameras beside that of one camera: a log with its sensors recorded several times.

Both are replayed in turn, from disk to written outputs, with the same opened plugin.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from perception.config import Config
from perception.diagnosis.bench.kept_plugins import kept
from perception.errors import ConfigError
from perception.logs import Log, LogWriter, Query, open_log
from perception.pipeline import ReplayOptions, replay
from perception.plugin import load_plugin
from perception.sinks import McapSink


@dataclass(frozen=True, slots=True)
class RigSpeed:
    """Camera frames a second of a rig, all cameras together, and of one camera: medians of the rounds.

    Attributes:
        cameras, ranges, statuses: The sensors of the rig.
        frames: Ticks of one round.
        one_hz, rig_hz: Camera frames a second.
        ratio: The median of the ratio of the two in each round.
    """

    cameras: int
    ranges: int
    statuses: int
    frames: int
    one_hz: float
    rig_hz: float
    ratio: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `--json`."""
        return {"schema": "perception.bench.rig/1", "status": "clean", **asdict(self)}


def rig_config(config: Config, cameras: int) -> Config:
    """Return the configuration of a rig of so many equal cameras, two range sensors and two statuses.

    Raises:
        ConfigError: The log has no camera to record several times.
    """
    camera, reference = config.sensors.cameras, config.reference_camera
    if reference is None or config.reference != reference:
        raise ConfigError(["--cameras: needs a log whose reference is a camera"])
    sensors: dict[str, Any] = {}
    for number in range(cameras):
        section = camera[reference].model_dump(exclude={"stamp"})
        section["topic"] = _copy(section["topic"], number)
        section["calibration"] = section["calibration"] and _copy(section["calibration"], number)
        policy = {"policy": "nearest"} if number else {}
        sensors[f"camera{number}"] = {"kind": "camera", **section, **policy}
    for name, ranged in list(config.sensors.ranges.items())[:1]:
        section = ranged.model_dump(exclude={"stamp"})
        sensors[f"{name}0"] = {"kind": "range", **section}
        sensors[f"{name}1"] = {"kind": "range", **section, "topic": _copy(section["topic"], 1)}
    for name, status in list(config.sensors.statuses.items())[:1]:
        section, fields = status.model_dump(exclude={"stamp"}), list(status.fields.items())
        for number, part in enumerate((fields[:1], fields[1:])):
            if part:
                topic = _copy(section["topic"], number)
                own = {**section, "topic": topic, "fields": dict(part)}
                sensors[f"{name}{number}"] = {"kind": "status", **own}
    plain = config.model_dump(exclude={"sensors", "reference", "truth", "control_camera"})
    return Config.model_validate({**plain, "sensors": sensors, "reference": "camera0"})


def write_rig_log(log: Log, config: Config, rig: Config, path: Path) -> None:
    """Write the messages of a log as a rig would have recorded them: those of its sensors several times.

    Args:
        log: The log, open.
        config: Of the log.
        rig: As `rig_config` returns it.
        path: The file to write.
    """
    wanted = set(rig.roles())
    with LogWriter(path) as writer:
        for message in log.messages(Query(frozenset(config.roles()))):
            for number in range(len(rig.sensors.cameras)):
                topic = _copy(message.topic, number)
                if topic in wanted:
                    writer.write(
                        topic,
                        message.data,
                        schema=message.channel.schema,
                        encoding=message.channel.encoding,
                        log_time_ns=message.log_time_ns,
                        publish_time_ns=message.publish_time_ns,
                    )


def rig_speed(
    path: Path,
    config: Config,
    cameras: int,
    device: str = "cpu",
    repeat: int = 3,
    progress: Callable[[str], None] = lambda text: None,
) -> RigSpeed:
    """Measure a rig of cameras made from a log, beside one of its cameras.

    Args:
        path: The log.
        config: Its complete configuration.
        cameras: How many cameras the rig has.
        device: `auto`, `cpu` or `cuda`.
        repeat: Rounds; both are measured in turn in each.
        progress: Called with a text for each step.

    Raises:
        PerceptionError: The log has no camera, or the plugin does not run.
    """
    setups = {count: rig_config(config, count) for count in (1, cameras)}
    with tempfile.TemporaryDirectory() as folder:
        logs = {count: Path(folder) / f"{count}.mcap" for count in setups}
        with open_log(path) as log:
            for count, setup in setups.items():
                write_rig_log(log, config, setup, logs[count])
        frames, rates = _rates(setups, logs, device, repeat, progress)
    ratios = [many / single for single, many in zip(rates[1], rates[cameras], strict=True)]
    sensors = setups[cameras].sensors
    counts = len(sensors.cameras), len(sensors.ranges), len(sensors.statuses)
    return RigSpeed(*counts, frames, median(rates[1]), median(rates[cameras]), median(ratios))


def _rates(
    setups: Mapping[int, Config],
    logs: Mapping[int, Path],
    device: str,
    repeat: int,
    progress: Callable[[str], None],
) -> tuple[int, dict[int, list[float]]]:
    """Return the ticks of a replay, and the camera frames a second in each round by the number of cameras."""
    plugins = {count: kept(load_plugin(setup.plugin.name)) for count, setup in setups.items()}
    rates: dict[int, list[float]] = {count: [] for count in logs}
    frames = 0
    try:
        for number in range(repeat + 1):  # the first round warms up
            progress(f"round {number} of {repeat}")
            for count, setup in setups.items():
                sink = McapSink(logs[count].with_suffix(".outputs.mcap"), timing=False)
                with open_log(logs[count]) as log:
                    summary = replay(log, setup, plugins[count], [sink], ReplayOptions(device=device))
                frames = summary.frames
                if number:
                    rates[count].append(count * summary.frames / summary.seconds)
    finally:
        for plugin in plugins.values():
            plugin.release()
    return frames, rates


def _copy(topic: str, number: int) -> str:
    return topic if number == 0 else f"/copy{number}{topic}"
