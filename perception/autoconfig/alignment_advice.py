"""The choice of `wait_ms` by a simulated alignment, and the cure for sensors absent in most ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from perception.autoconfig.alignment import AlignmentReport, AlignmentSimulation
from perception.config import Config
from perception.text import without_names

LONGEST_WAIT_MS = 500.0
"""The longest wait that is chosen: beyond it an answer would be of another scene."""

LONGEST_ADVICE_MS = 5000.0
"""The longest wait that is tried to name a cure, and the largest tolerance."""

WORTH_WAITING = 0.05
"""A wait is chosen where it brings a sensor into more than this share of the ticks."""

SETTLING_TICKS = 2
"""So many ticks at the start of a log may lack a sensor that has yet to send its first message."""

MISSED = 0.02
"""A shorter wait is preferred if it loses no more than this share of the ticks."""

RIGHT_BEHIND_MS = 5.0
"""A message that arrives within this time after its tick is waited for where the one before is older."""

UNSTEADY_MS = 1000.0
"""The largest spread of arrival less stamp of a sensor whose clock keeps pace with arrivals."""

QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.98, 1.0)


@dataclass(frozen=True, slots=True)
class AlignmentProblem:
    """A sensor that is absent in most ticks; `text` names the cure."""

    sensor: str
    text: str

    @property
    def code(self) -> str:
        """The code of the warning, as replay gives it: `range_mostly_absent`."""
        return f"{self.sensor}_mostly_absent"


def problem_texts(problems: Iterable[AlignmentProblem]) -> list[str]:
    """Return the texts of problems, those that differ in names alone as one that names all sensors."""
    alike: dict[str, list[AlignmentProblem]] = {}
    for problem in problems:
        reason = without_names(problem.text.removeprefix(problem.sensor))
        alike.setdefault(reason, []).append(problem)
    return [
        ", ".join(problem.sensor for problem in same) + same[0].text.removeprefix(same[0].sensor)
        for same in alike.values()
    ]


def choose_wait(simulation: AlignmentSimulation, config: Config) -> tuple[float, list[str]]:
    """Return `wait_ms` for a configuration, and what it brings and costs, in words.

    It is the shortest wait with which no sensor misses many of the ticks that it could be part of, and at
    least so long that none recorded right behind its tick is represented by its message before; 0 where
    waiting brings next to nothing.
    """
    without = simulation.run(_with(config, wait_ms=0.0))
    longest = simulation.run(_with(config, wait_ms=LONGEST_WAIT_MS))
    ticks = longest.ticks
    enough = max(WORTH_WAITING * ticks, SETTLING_TICKS)
    wanted = {
        name: longest.sensors[name].present
        for name in longest.sensors
        if longest.sensors[name].present - without.sensors[name].present > enough
    }
    behind_ms, behind = _right_behind(without, longest, config)
    if not wanted:
        return behind_ms, behind
    waits = {_rounded(late_ms) for name in wanted for late_ms in _lateness(longest, name)}
    chosen = max(waits)
    for wait_ms in sorted(waits):
        tried = simulation.run(_with(config, wait_ms=wait_ms))
        if all(tried.sensors[name].present >= most - MISSED * ticks for name, most in wanted.items()):
            chosen = wait_ms
            break
    if behind_ms > chosen:
        chosen = behind_ms
    late = ", ".join(f"{name} {_lateness(longest, name)[-1]:.0f} ms" for name in wanted)
    absent = ", ".join(f"{name} in {ticks - without.sensors[name].present} of {ticks}" for name in wanted)
    reason = (
        f"wait_ms: {chosen:g}, since sensors arrive after their tick ({late}) and would be absent ({absent} "
        f"ticks); live, every answer comes {chosen:g} ms later for it"
    )
    return chosen, [reason]


def _right_behind(
    without: AlignmentReport, longest: AlignmentReport, config: Config
) -> tuple[float, list[str]]:
    """Return the wait for sensors that are recorded right behind their ticks, and what it brings; 0: none.

    Recorders and converters write messages of one moment one after the other. Without a wait a tick would
    have the picture or scan before, a period older, where that is still within reach.
    """
    placed = {*config.sensors.cameras, *config.sensors.ranges} - {config.reference}
    older_ms = {
        name: float(np.median(without.sensors[name].distances_ms) - np.median(sensor.distances_ms))
        for name, sensor in longest.sensors.items()
        if name in placed and sensor.distances_ms and without.sensors[name].distances_ms
    }
    names = [n for n, ms in older_ms.items() if ms > RIGHT_BEHIND_MS >= _lateness(longest, n)[-2]]
    if not names:
        return 0.0, []
    wait_ms = max(_rounded(_lateness(longest, name)[-2]) for name in names)
    said = ", ".join(f"{name} by {older_ms[name]:.0f} ms" for name in names)
    return wait_ms, [
        f"wait_ms: {wait_ms:g}, since sensors are recorded right behind their tick, which would have the "
        f"message before ({said} older)"
    ]


def absence_problems(simulation: AlignmentSimulation, config: Config) -> list[AlignmentProblem]:
    """Return the sensors that are absent in most ticks, with the setting that brings them back."""
    report = simulation.run(config)
    absent = [name for name, sensor in report.sensors.items() if sensor.present < report.ticks / 2]
    return [
        AlignmentProblem(
            name,
            f"{name} absent in {report.ticks - report.sensors[name].present} of {report.ticks} ticks: "
            + absence_cure(simulation, config, report, name),
        )
        for name in absent
    ]


def absence_cure(simulation: AlignmentSimulation, config: Config, report: AlignmentReport, name: str) -> str:
    """Return why a sensor is absent and which setting brings it back; the reason alone where none does."""
    enough = report.sensors[name].present + report.ticks / 4
    reason = report.sensors[name].reason
    if name == config.reference or not reason:
        return reason
    waiting = simulation.run(_with(config, wait_ms=LONGEST_ADVICE_MS))
    if waiting.sensors[name].present > enough:
        late_ms = _lateness(waiting, name)[-1]
        late = f"too late by {late_ms:.0f} ms" if late_ms >= 1 else "recorded right behind its tick"
        late += ", or its clock is behind" if late_ms > LONGEST_WAIT_MS else ""
        return f"{late}; set wait_ms: {_rounded(late_ms):g}"
    own, reference = (config.sensors.named[each].topic for each in (name, config.reference))
    for topic, other in ((own, reference), (reference, own)):
        if simulation.delay_spread_ms(topic, other) > UNSTEADY_MS:
            return f"{reason}; stamps on {topic} jump or stand still: correct them"
    wide = simulation.run(_with(config, name, tolerance_ms=LONGEST_ADVICE_MS, max_age_ms=LONGEST_ADVICE_MS))
    if wide.sensors[name].present > enough:
        distance_ms = float(np.quantile(wide.sensors[name].distances_ms, 0.95))
        keys = "max_age_ms" if name in config.sensors.statuses else "tolerance_ms and max_age_ms"
        return (
            f"{reason}; its stamps are up to {distance_ms:.0f} ms from the tick's: "
            f"set sensors.{name}.{keys} to {_rounded(distance_ms):g}, or mend its clock"
        )
    return reason


def _lateness(report: AlignmentReport, name: str) -> list[float]:
    """Return quantiles of how long after the tick the sensor arrives, ms, from 0 on."""
    late_ms = [max(value, 0.0) for value in report.sensors[name].late_ms] or [0.0]
    return [float(value) for value in np.quantile(late_ms, QUANTILES)]


def _rounded(late_ms: float) -> float:
    """Return a wait that is surely longer: by a tenth and to a round number; a millisecond for none."""
    longer = late_ms * 1.1 + 0.5
    return float(math.ceil(longer) if longer < 10 else 5 * math.ceil(longer / 5))


def _with(config: Config, sensor: str = "", **values: float) -> Config:
    """Return the configuration with other values, of one sensor or of the run."""
    if not sensor:
        return config.model_copy(update=values)
    section = config.sensors.named[sensor]
    known = {key: value for key, value in values.items() if key in type(section).model_fields}
    sensors = config.sensors.replaced({sensor: section.model_copy(update=known)})
    return config.model_copy(update={"sensors": sensors})
