"""Which faults there are, what their severity means, and how they are written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from math import isfinite
from types import MappingProxyType

from perception.errors import ConfigError
from perception.types import SENSORS

EPISODE_NS = 4_000_000_000
"""Faults that come and go do so once in each stretch of this length, for their share of it, so that a
severity of 0.3 is 30 % of the time in pieces of 1.2 s, at a moment drawn for each stretch."""

LATENCY_NS = 500_000_000
JITTER_NS = 400_000_000
REORDERING_NS = 300_000_000
CLOCK_OFFSET_NS = 200_000_000

_ALL = {
    "latency": "every message arrives 500 ms x severity later",
    "jitter": "every message arrives up to 400 ms x severity later, drawn; none overtakes another",
    "clock_offset": "every stamp is 200 ms x severity ahead of the truth",
    "reordering": "this share of the messages is held back by up to 300 ms, drawn; later ones overtake them",
    "loss": "this share of the messages never arrives",
    "corruption": "this share of the messages is damaged: half are cut short, half have wrong bytes",
}

KINDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "camera": {
            "blackout": "this share of the time pictures are black, in episodes",
            "freeze": "this share of the time the picture stands still, in episodes, under new stamps",
            "blur": "a Gaussian blur of 1/64 of the width x severity",
            "noise": "noise of 64 grey levels x severity on every pixel (standard deviation)",
            "dirt": "this share of the picture is covered by blotches that stay where they are",
            "exposure": "4 stops x severity too bright or too dark, drawn every 4 s",
            **_ALL,
        },
        "range": {
            "dropout": "this share of the returns is missing, drawn for each",
            "sector_loss": "this share of the circle gives no return, its middle within 60 degrees of ahead",
            "bias": "every range is 2 m x severity too long",
            "noise": "noise of 1 m x severity along each ray (standard deviation)",
            **_ALL,
        },
        "status": {
            "silence": "this share of the time nothing is sent, in episodes",
            "freeze": "this share of the time values stand still, in episodes, under new stamps",
            "offset": "each field is off by severity in its own unit (1 m/s, 1 rad/s, ...), its sign drawn",
            **_ALL,
        },
    }
)
"""Sensor -> kind of fault -> what a severity from 0 (nothing) to 1 means."""

ORDER = ("blackout", "freeze", "blur", "dirt", "exposure", "noise")
"""In which order the faults of a picture act: dirt is on the lens, noise is made behind it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one sensor.

    Attributes:
        sensor, kind: As in `KINDS`.
        severity: 0 to 1; what it means depends on the kind.
        seed: Other seeds draw other moments, messages and directions.
    """

    sensor: str
    kind: str
    severity: float
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.sensor}.{self.kind}"

    def __str__(self) -> str:
        return f"{self.name}={self.severity:g},seed={self.seed}"


class FaultPlan:
    """The faults of one run, by sensor and kind. Those of severity 0 do nothing and are left out."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self.faults = tuple(fault for fault in faults if fault.severity > 0)
        self._by_place = {(fault.sensor, fault.kind): fault for fault in self.faults}

    def __bool__(self) -> bool:
        return bool(self.faults)

    def get(self, sensor: str, kind: str) -> Fault | None:
        return self._by_place.get((sensor, kind))

    def of(self, sensor: str) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.sensor == sensor)

    def delay_ns(self, sensor: str) -> int:
        """How much later than recorded a message of a sensor arrives at most."""
        limits = (("latency", LATENCY_NS), ("jitter", JITTER_NS), ("reordering", REORDERING_NS))
        found = ((self.get(sensor, kind), limit) for kind, limit in limits)
        total = sum(
            limit * (fault.severity if fault.kind != "reordering" else 1.0) for fault, limit in found if fault
        )
        return round(total)

    @property
    def memory_ns(self) -> int:
        """How far back on the arrival clock a message may still matter to what the faults do now."""
        if not self.faults:
            return 0
        return EPISODE_NS + max(self.delay_ns(sensor) for sensor in SENSORS)

    def thins(self, sensor: str) -> bool:
        """Whether messages of a sensor may not arrive, or not as themselves."""
        return any(self.get(sensor, kind) for kind in ("loss", "silence", "corruption"))

    def texts(self) -> tuple[str, ...]:
        """The faults as `parse_plan` reads them."""
        return tuple(str(fault) for fault in self.faults)


def fault_names() -> list[str]:
    """All faults as `sensor.kind`."""
    return [f"{sensor}.{kind}" for sensor in SENSORS for kind in KINDS[sensor]]


def parse_plan(texts: Iterable[str], path: str = "faults") -> FaultPlan:
    """Faults as a user writes them: `camera.blackout=0.3`, `range.loss=0.1,status.loss=0.1,seed=7`.

    `all.latency=0.2` means every sensor. A text's seed holds for all faults in it; without one it is 0.

    Args:
        path: What an error names: an option (`--fault`), or the list in the configuration, with its place.

    Raises:
        ConfigError: They have faults themselves: all of them, each with the nearest valid name.
    """
    found, wrong = _read(texts, path)
    if wrong:
        raise ConfigError(wrong)
    return FaultPlan(found)


def plan_faults(texts: Iterable[str], sensors: Collection[str], path: str = "faults") -> list[str]:
    """What is wrong with faults that a user wrote for a run with these sensors; empty: nothing.

    A fault of a sensor that the run does not have would do nothing, and whoever asked for it would not
    know; `all.` means those that there are.
    """
    texts = tuple(texts)
    found, wrong = _read(texts, path)
    for place, text in enumerate(texts):
        for name in (part.partition("=")[0].strip() for part in text.split(",")):
            sensor = name.partition(".")[0]
            if sensor in SENSORS and sensor not in sensors and any(fault.name == name for fault in found):
                there = ", ".join(s for s in SENSORS if s in sensors)
                wrong.append(f"{_at(path, place)}: {name}: no {sensor} is configured, only {there}")
    return wrong


def _read(texts: Iterable[str], path: str) -> tuple[list[Fault], list[str]]:
    found: list[Fault] = []
    wrong: list[str] = []
    for place, text in enumerate(texts):
        fresh, problems = _parse(text)
        wrong += [f"{_at(path, place)}: {problem}, in '{text}'" for problem in problems]
        for fault in fresh:
            if any(fault.name == other.name for other in found):
                wrong.append(f"{_at(path, place)}: {fault.name} is given twice")
            found.append(fault)
    return found, wrong


def _at(path: str, place: int) -> str:
    return path if path.startswith("-") else f"{path}.{place}"


def _parse(text: str) -> tuple[list[Fault], list[str]]:
    seed, given, wrong = 0, [], []
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name == "seed":
            if value.isdecimal() and int(value) < 1 << 63:
                seed = int(value)
            else:
                wrong.append(f"seed: expected a whole number from 0, found '{value}'")
        elif name not in _names():
            near = get_close_matches(name, _names(), n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(fault_names())}"
            wrong.append(f"no fault is called '{name}'; {hint}")
        elif (severity := _severity(value)) is None:
            wrong.append(f"{name}: expected a severity from 0 to 1, found '{value}'")
        else:
            given.append((name, severity))
    if not given and not wrong:
        wrong.append("expected a fault such as camera.blackout=0.3")
    faults = []
    for name, severity in given:
        sensor, _, kind = name.partition(".")
        sensors = SENSORS if sensor == "all" else (sensor,)
        faults += [Fault(one, kind, severity, seed) for one in sensors]
    return faults, wrong


def _names() -> list[str]:
    return [*fault_names(), *(".".join(pair) for pair in product(["all"], _ALL))]


def _severity(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and 0 <= value <= 1 else None
