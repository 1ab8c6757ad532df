"""Arrival stands in for stamps of a clock of its own, where those of other sensors are the recorder's."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import ConfigChoice
from perception.autoconfig.choose_config import choose_config
from perception.config import Config, SensorsConfig
from perception.logs import open_log
from perception.pipeline import replay
from tests.autoconfig.test_shared_stamps import Restamped, S, by_arrival
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.small_logs import START_NS, SmallLog

BOOT = 100 * S - START_NS


def shifted(offset_ns: int) -> Restamped:
    return Restamped(lambda i, ns: ns + offset_ns)


def joined(*logs: SmallLog) -> SmallLog:
    log = SmallLog()
    log.rows = [row for part in logs for row in part.rows]
    return log


def choice_of(log: SmallLog, path: Path, base: Config | None = None) -> ConfigChoice:
    log.write(path)
    with open_log(path) as opened:
        return choose_config(opened, base)


@pytest.mark.parametrize(
    ("offset_ns", "where"),
    [
        (BOOT, "behind their arrival"),  # since it was switched on: Ouster, Livox
        (18 * S, "18 s ahead of their arrival"),  # GPS time, without leap seconds
        (-8 * 3600 * S, "28,800 s behind their arrival"),  # local time
        (-2 * S, ""),  # slow, or a clock that is off by little
        (S // 20, ""),
    ],
)
def test_a_scanner_with_a_clock_of_its_own(tmp_path: Path, offset_ns: int, where: str) -> None:
    log = joined(SmallLog().image().status(hz=50.0), shifted(offset_ns).scan(delay_s=0.01))
    path = tmp_path / "a.mcap"
    choice = choice_of(log, path)
    assert by_arrival(choice) == ({"range"} if where else set())
    if where:
        (warning,) = [text for text in choice.warnings if "another clock" in text]
        assert f"{where}, unlike those on /camera/image" in warning
        assert warning.endswith("set sensors.range.stamp: {source: message}")
        with open_log(path) as opened:
            summary = replay(opened, choice.config, MemoryPlugin())
        assert summary.inputs["range"]["present"] >= 19


@pytest.mark.parametrize(
    ("log", "names"),
    [
        pytest.param(shifted(BOOT).image().scan().status(hz=50.0), set(), id="a simulation"),
        pytest.param(
            joined(shifted(BOOT).image().scan(), SmallLog().status(hz=50.0)),
            set(),
            id="and a node beside",
        ),
        pytest.param(
            joined(shifted(BOOT).image(), SmallLog().scan().status(hz=50.0)), {"camera"}, id="a camera alone"
        ),
        pytest.param(
            joined(shifted(BOOT).image().truth(), SmallLog().scan().status(hz=50.0)),
            set(),
            id="a camera and its labels",
        ),
        pytest.param(
            joined(SmallLog().image(), shifted(BOOT).scan().status(hz=50.0)),
            {"range", "status"},
            id="a scanner and what is in it",
        ),
        pytest.param(
            joined(shifted(BOOT).image(), shifted(18 * S).scan(), SmallLog().status(hz=50.0)),
            {"camera", "range"},
            id="each of its own",
        ),
        pytest.param(
            joined(shifted(BOOT).image(), shifted(BOOT - 10 * S).scan(), SmallLog().status(hz=50.0)),
            set(),
            id="a slow simulation, whose scanner starts later",
        ),
        pytest.param(
            joined(shifted(BOOT).image(), shifted(18 * S).truth(), SmallLog().scan().status(hz=50.0)),
            {"camera"},
            id="labels of a third",
        ),
        pytest.param(
            joined(
                SmallLog().image(seconds=12.0),
                Restamped(lambda i, ns: ns + (BOOT if ns < START_NS + 3 * S else 0)).scan(seconds=12.0),
            ),
            set(),
            id="a clock that is set late",
        ),
        pytest.param(
            joined(shifted(BOOT).image().scan(), Restamped(lambda i, ns: 0).status(hz=50.0)),
            set(),
            id="a status without stamps",
        ),
    ],
)
def test_whose_clock_counts(tmp_path: Path, log: SmallLog, names: set[str]) -> None:
    assert by_arrival(choice_of(log, tmp_path / "a.mcap")) == names


def test_stamps_that_are_configured_stay(tmp_path: Path) -> None:
    log = joined(SmallLog().image(), shifted(BOOT).scan())
    sensors = {
        "camera": {"topic": "/camera/image"},
        "range": {"topic": "/scan", "stamp": {"source": "message"}},
    }
    base = Config(version=1, reference="camera", sensors=SensorsConfig(**sensors))  # type: ignore[arg-type]
    assert not by_arrival(choice_of(log, tmp_path / "a.mcap", base))
