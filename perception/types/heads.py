"""Heads as data: one specification for each of class, box and control, and a registry for more.

A package adds a head by an entry point in the group `perception.heads` that names a `HeadSpec`; a program
calls `register_head`. Everything that is known of a head stands in its specification, and every room looks it
up there: the contract of plugins, sinks, metrics, losses, balancing, targets, the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

from perception.errors import PluginError
from perception.installation import entry_points
from perception.types.sensors import SENSORS

GROUP = "perception.heads"

_TAKEN = frozenset(
    ("tick", "detections", "inputs", "warnings", "annotations", "metrics", "timing", "timing_ms", "truth")
) | frozenset(("runs", "ticks", "heads", "status", "matches", "ledger"))
"""Names that outputs use for something else."""


class Quantity(NamedTuple):
    """A channel: its name and its unit."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class LossPart:
    """A loss of a head, under the name it has in `losses` and in `balancing.weights`.

    Attributes:
        name: The name.
        methods: Import name of the table of `perception.training.losses.LossMethod` that can be chosen from.
        default: The method that is taken without a choice; empty: the likelihood of the model's family.
    """

    name: str
    methods: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """The specification of one head.

    Import names are `module:attribute`, so that nothing is imported before it is used.

    Attributes:
        name: The head's name, in manifests, outputs, reports and tables.
        carrier: The field of an `Output` that holds its values: `detections`, `control`, or `extra` (by the
            head's name).
        rests_on: Kinds of sensors. A head of `extra` is valid where at least one of them is present.
        channels: Names and units of the values of a head of `extra`. Those of class and control are the
            model's own (`ModelConfig.classes`, `ModelConfig.control`).
        losses: What it is trained by, part by part.
        metrics: Import names of its metrics, each called with `evaluation.metrics.Rules`.
        score: The value of those metrics that summarises the head.
        truth: Names of the values that its truth has, for a head of `extra`. The configuration says in which
            topic and fields a log has them (`truth.heads`).
        module: Import name of the network of a head of `extra`: see `perception.models.heads.ExtraHead`.
    """

    name: str
    carrier: Literal["detections", "control", "extra"] = "extra"
    rests_on: tuple[str, ...] = SENSORS
    channels: tuple[Quantity, ...] = ()
    losses: tuple[LossPart, ...] = ()
    metrics: tuple[str, ...] = ()
    score: str = ""
    truth: tuple[str, ...] = ()
    module: str = ""


_METHODS = "perception.training.losses.methods"
_METRICS = "perception.evaluation.metrics"

_OWN = (
    HeadSpec(
        "class",
        "detections",
        rests_on=("camera", "range"),
        losses=(LossPart("class", f"{_METHODS}:CLASS", "gaussian_focal"),),
        metrics=tuple(
            f"{_METRICS}:{name}"
            for name in ("PrecisionRecall", "Confusion", "DetectionCalibration", "MeanAveragePrecision")
        ),
        score="mAP",
    ),
    HeadSpec(
        "box",
        "detections",
        rests_on=("camera", "range"),
        losses=(
            LossPart("box", f"{_METHODS}:BOX", "giou"),
            LossPart("distance", f"{_METHODS}:VALUE"),
        ),
        metrics=(f"{_METRICS}:BoxErrors", f"{_METRICS}:DistanceErrors", f"{_METRICS}:PositionErrors"),
        score="distance_rel",
    ),
    HeadSpec(
        "control",
        "control",
        # The squared error learns the mean. The likelihood of a Laplace distribution learns the median, which
        # on a drive that is mostly straight is "straight", whatever the picture shows.
        losses=(LossPart("control", f"{_METHODS}:VALUE", "mse"),),
        metrics=(f"{_METRICS}:ControlErrors",),
        score="MAE",
    ),
)

HEADS = tuple(spec.name for spec in _OWN)
"""Names of the heads that every edition of the project has, in their order."""

LOSSES = tuple(part.name for spec in _OWN for part in spec.losses)
"""Names of the losses of `HEADS`, in their order."""

_registered: dict[str, HeadSpec] = {}


def register_head(spec: HeadSpec) -> HeadSpec:
    """Add a head; returns its specification. Registering an equal one again changes nothing.

    Raises:
        ValueError: The name is taken or is not usable, or the specification is not that of a head of `extra`.
    """
    errors = _spec_errors(spec)
    known = {own.name: own for own in _OWN} | _registered
    if known.get(spec.name, spec) != spec:
        errors.append(f"another head is called {spec.name!r}; give it a name of its own")
    if errors:
        raise ValueError(f"head {spec.name!r}: {'; '.join(errors)}")
    return _registered.setdefault(spec.name, spec)


def head_specs() -> Mapping[str, HeadSpec]:
    """Return all heads by name: the project's own, those of installed packages, those of this program.

    Raises:
        PluginError: A head of an installed package does not load.
    """
    _load_installed()
    return {spec.name: spec for spec in _OWN} | _registered


def head_spec(name: str) -> HeadSpec:
    """Return the specification of a head.

    Raises:
        KeyError: No head is called so; names those there are.
    """
    specs = head_specs()
    if name not in specs:
        raise KeyError(f"no head is called {name!r}; there are {', '.join(specs)}")
    return specs[name]


def carrier_of(name: str) -> str:
    """Return the name under which outputs carry a head: `detections`, `control`, or its own."""
    spec = head_spec(name)
    return spec.name if spec.carrier == "extra" else spec.carrier


def extra_specs() -> tuple[HeadSpec, ...]:
    """Return the heads that outputs carry in `extra`."""
    return tuple(spec for spec in head_specs().values() if spec.carrier == "extra")


def loss_parts(extra_heads: tuple[str, ...] | None = None) -> dict[str, LossPart]:
    """Return the losses of a model by name, in the order of its heads.

    Args:
        extra_heads: The heads that the model has beside the project's own; None: every registered head.
    """
    specs = head_specs()
    names = (*HEADS, *extra_heads) if extra_heads is not None else tuple(specs)
    return {part.name: part for name in names for part in specs[name].losses}


def truth_columns(extra_heads: Iterable[str]) -> dict[str, slice]:
    """Return the columns of each further head's truth where the truth of all of them lies side by side."""
    columns, end = {}, 0
    for name in extra_heads:
        start, end = end, end + len(head_spec(name).truth)
        columns[name] = slice(start, end)
    return columns


def load_named(import_name: str) -> Any:
    """Import `module:attribute` and return the attribute."""
    module, _, attribute = import_name.partition(":")
    return getattr(import_module(module), attribute)


@cache
def _load_installed() -> None:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        origin = f"head '{point.name}' of {point.dist.name if point.dist is not None else point.value}"
        try:
            spec = point.load()
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise PluginError(f"{origin} does not load: {cause}; uninstall or mend it") from error
        if not isinstance(spec, HeadSpec):
            raise PluginError(f"{origin}: expected a perception.types.HeadSpec, found {type(spec).__name__}")
        try:
            register_head(spec)
        except ValueError as error:
            raise PluginError(f"{origin}: {error}") from None


def _spec_errors(spec: HeadSpec) -> list[str]:
    errors = []
    if not spec.name.isidentifier() or spec.name != spec.name.lower() or spec.name in _TAKEN:
        errors.append("expected a name of lower-case letters, digits and _ that outputs do not use otherwise")
    if spec.carrier != "extra":
        errors.append(f"expected the carrier extra, found {spec.carrier}")
    if not spec.rests_on or set(spec.rests_on) - set(SENSORS):
        errors.append(f"rests_on: expected some of {', '.join(SENSORS)}, found {spec.rests_on}")
    if not spec.channels or len({q.name for q in spec.channels}) != len(spec.channels):
        errors.append("channels: expected at least one, with different names")
    parts = [part.name for part in spec.losses]
    if (spec.losses and parts[0] != spec.name) or any(not p.startswith(spec.name) for p in parts):
        errors.append(f"losses: expected names that begin with the head's, found {', '.join(parts)}")
    return errors
