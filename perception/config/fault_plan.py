"""The kinds of injected faults, the meaning of their severity, and the parser of their texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import isfinite
from types import MappingProxyType

from perception.errors import ConfigError
from perception.text import did_you_mean
from perception.types import SENSORS

EPISODE_NS = 4_000_000_000
"""The period of faults that come and go: at a severity of 0.3 they are active for 1.2 s of each period,
from a drawn moment on."""

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
"""Sensor -> kind of fault -> meaning of a severity from 0 (none) to 1."""

ORDER = ("blackout", "freeze", "blur", "dirt", "exposure", "noise")
"""The order in which faults of a picture apply: dirt is on the lens, noise behind it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An injected fault of one sensor.

    Attributes:
        sensor: The name of a sensor, or a kind: all sensors of it.
        kind: As in `KINDS`.
        severity: 0 to 1; its meaning depends on the kind.
        seed: Determines the drawn moments, messages and directions.
    """

    sensor: str
    kind: str
    severity: float
    seed: int = 0

    @property
    def name(self) -> str:
        """Return `sensor.kind`."""
        return f"{self.sensor}.{self.kind}"

    def __str__(self) -> str:
        return f"{self.name}={self.severity:g},seed={self.seed}"


class FaultPlan:
    """The faults of one run. Faults of severity 0 have no effect and are left out."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self.faults = tuple(fault for fault in faults if fault.severity > 0)
        self._by_name = {(fault.sensor, fault.kind): fault for fault in self.faults}

    def __bool__(self) -> bool:
        return bool(self.faults)

    def get(self, sensor: str, kind: str) -> Fault | None:
        """Return the fault of a sensor and kind, if there is one."""
        return self._by_name.get((sensor, kind))

    def of(self, sensor: str) -> tuple[Fault, ...]:
        """Return the faults of a sensor."""
        return tuple(fault for fault in self.faults if fault.sensor == sensor)

    def delay_ns(self, sensor: str) -> int:
        """Return the largest delay of a sensor's messages."""
        limits = (("latency", LATENCY_NS), ("jitter", JITTER_NS), ("reordering", REORDERING_NS))
        delays = ((self.get(sensor, kind), limit) for kind, limit in limits)
        scaled = ((1.0 if f.kind == "reordering" else f.severity) * limit for f, limit in delays if f)
        return round(sum(scaled))

    @property
    def memory_ns(self) -> int:
        """Return how far back on the arrival clock a message can influence the faults."""
        if not self.faults:
            return 0
        return EPISODE_NS + max(self.delay_ns(fault.sensor) for fault in self.faults)

    def resolved(self, sensors: Mapping[str, str]) -> FaultPlan:
        """Return the plan with the faults of a kind as faults of each of its sensors; one's own goes first.

        Args:
            sensors: Name -> kind.
        """
        faults = []
        for name, sensor_kind in sensors.items():
            own = {fault.kind: fault for fault in self.of(name)}
            shared = {f.kind: replace(f, sensor=name) for f in self.of(sensor_kind) if f.kind not in own}
            faults += [*own.values(), *shared.values()]
        return FaultPlan(faults)

    def thins(self, sensor: str) -> bool:
        """Return whether messages of a sensor may be lost or corrupted."""
        return any(self.get(sensor, kind) for kind in ("loss", "silence", "corruption"))

    def texts(self) -> tuple[str, ...]:
        """Return the faults as texts that `parse_plan` reads."""
        return tuple(str(fault) for fault in self.faults)


def fault_names() -> list[str]:
    """Return the names of all faults, `sensor.kind`."""
    return [f"{sensor}.{kind}" for sensor in SENSORS for kind in KINDS[sensor]]


def parse_plan(
    texts: Iterable[str], path: str = "faults", sensors: Mapping[str, str] | None = None
) -> FaultPlan:
    """Parse texts such as `camera.blackout=0.3` or `range.loss=0.1,status.loss=0.1,seed=7`.

    `left.blackout=0.3` selects the sensor of that name, `camera.` every camera, and `all.latency=0.2` every
    sensor. A seed applies to all faults of its text; the default is 0.

    Args:
        path: The name in errors: an option (`--fault`), or the list in the configuration.
        sensors: Name -> kind, of the sensors that a text may name beside the kinds.

    Raises:
        ConfigError: Texts are invalid; names all errors, each with the nearest valid name.
    """
    faults, errors = _read(texts, path, sensors or {})
    if errors:
        raise ConfigError(errors)
    return FaultPlan(faults)


def plan_errors(
    texts: Iterable[str], sensors: Mapping[str, str] | Collection[str], path: str = "faults"
) -> list[str]:
    """Return the errors in the faults of a run with these sensors (name -> kind, or names that are kinds).

    A fault of a sensor that the run does not have is an error, because it would have no effect;
    `all.` selects the sensors of the run.
    """
    texts = tuple(texts)
    kinds = dict(sensors) if isinstance(sensors, Mapping) else {name: name for name in sensors}
    faults, errors = _read(texts, path, kinds)
    for place, text in enumerate(texts):
        for name in (part.partition("=")[0].strip() for part in text.split(",")):
            sensor = name.partition(".")[0]
            known = sensor in kinds or sensor in kinds.values()
            if sensor in SENSORS and not known and any(fault.name == name for fault in faults):
                configured = ", ".join(sorted(kinds, key=lambda name: (name not in SENSORS, name)))
                errors.append(f"{_at(path, place)}: {name}: no {sensor} is configured, only {configured}")
    return errors


def _read(texts: Iterable[str], path: str, sensors: Mapping[str, str]) -> tuple[list[Fault], list[str]]:
    """Return the faults of all texts, and the errors with their positions."""
    faults: list[Fault] = []
    errors: list[str] = []
    for place, text in enumerate(texts):
        parsed, problems = _parse(text, sensors)
        errors += [f"{_at(path, place)}: {problem} (in '{text}')" for problem in problems]
        for fault in parsed:
            if any(fault.name == other.name for other in faults):
                errors.append(f"{_at(path, place)}: {fault.name} is given twice")
            faults.append(fault)
    return faults, errors


def _at(path: str, place: int) -> str:
    return path if path.startswith("-") else f"{path}.{place}"


def _parse(text: str, sensors: Mapping[str, str]) -> tuple[list[Fault], list[str]]:
    """Return the faults of one text, and the errors in it."""
    seed, severities, errors = 0, [], []
    names = _names(sensors)
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name == "seed":
            if value.isdecimal() and int(value) < 1 << 63:
                seed = int(value)
            else:
                errors.append(f"seed: expected a whole number from 0, found '{value}'")
        elif name not in names:
            hint = did_you_mean(name, names, "; ") or f"; known are {', '.join(fault_names())}"
            errors.append(f"no fault is called '{name}'{hint}")
        elif (severity := _severity(value)) is None:
            errors.append(f"{name}: expected a severity from 0 to 1, found '{value}'")
        else:
            severities.append((name, severity))
    if not severities and not errors:
        errors.append("expected a fault such as camera.blackout=0.3")
    faults = []
    for name, severity in severities:
        sensor, _, kind = name.partition(".")
        selected = SENSORS if sensor == "all" else (sensor,)
        faults += [Fault(sensor, kind, severity, seed) for sensor in selected]
    return faults, errors


def _names(sensors: Mapping[str, str]) -> list[str]:
    """Return the names of all faults: of kinds, of all sensors, and of the named ones."""
    of_named = [f"{name}.{fault}" for name, kind in sensors.items() if name != kind for fault in KINDS[kind]]
    return [*fault_names(), *(".".join(pair) for pair in product(["all"], _ALL)), *of_named]


def _severity(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and 0 <= value <= 1 else None
