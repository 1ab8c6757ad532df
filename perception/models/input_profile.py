"""What the inputs of a model looked like in training, and how far others lie from that. No torch.

A checkpoint carries it in its metadata, under `calibration.input_profile`: mean, spread and correlation of
the descriptors (`perception.models.preprocess.descriptors`) of its training pictures and scans. A distance is
that of Mahalanobis ("On the generalised distance in statistics", 1936), over the root of the number of
features: one sample of the training data has about 1. How far a whole training log lies from all the others
says which distance is usual.

Dimension letters: N samples, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from perception.models.preprocess.descriptors import PICTURE, RETURNS
from perception.types import Float64

KEY = "input_profile"
FEATURES: Mapping[str, tuple[str, ...]] = {"camera": PICTURE, "range": RETURNS}
"""The inputs that have descriptors, and the names of the numbers."""

LEAST_SAMPLES, LEAST_GROUPS = 40, 8
"""A profile is of no use with fewer samples, or groups of them."""

_SHRINKAGE = 0.05
"""The share of the unit matrix in the correlations (Ledoit and Wolf, 2004): samples of one log are alike."""
_FARTHEST = 10.0
"""The most that one feature may be away, in standard deviations."""
_MARGIN = 1.25
"""How much farther than the farthest training log another one may lie."""


@dataclass(frozen=True, slots=True, eq=False)
class InputProfile:
    """One input: `mean`, `std` [F] and `correlation` [F, F] of its descriptors in training.

    Attributes:
        usual: The distance of the middle one of the training logs from the others.
        limit: The distance from which on an input is unlike training.
        samples, groups: How many samples, of how many logs (or pieces of logs), it rests on.
    """

    name: str
    mean: Float64
    std: Float64
    correlation: Float64
    usual: float
    limit: float
    samples: int
    groups: int

    def distances(self, descriptors: Float64) -> Float64:
        """Return the distance of each descriptor [N, F] from the training data, [N]."""
        return _distances(self._places(descriptors), self.correlation)

    def differences(self, descriptors: Float64, most: int = 3) -> list[tuple[str, float]]:
        """Return the features of descriptors [N, F] that differ most, in standard deviations of training."""
        places = np.median(self._places(descriptors), axis=0)
        order = np.argsort(-np.abs(places))[:most]
        return [(FEATURES[self.name][index], float(places[index])) for index in order]

    def _places(self, descriptors: Float64) -> Float64:
        return np.clip((descriptors - self.mean) / self.std, -_FARTHEST, _FARTHEST)


def fit_profile(name: str, descriptors: Float64, groups: NDArray[np.integer[Any]]) -> InputProfile | None:
    """Return the profile of an input from descriptors [N, F]; None where there are too few of them.

    Args:
        groups: [N] The log (or piece of a log) that each comes from.
    """
    known = np.unique(groups)
    if len(descriptors) < LEAST_SAMPLES or len(known) < LEAST_GROUPS:
        return None
    apart = []  # how far each log lies from all the others
    for group in known:
        own = groups == group
        mean, std, correlation = _moments(descriptors[~own])
        places = np.clip((descriptors[own] - mean) / std, -_FARTHEST, _FARTHEST)
        apart.append(float(np.median(_distances(places, correlation))))
    limit = _MARGIN * float(np.quantile(apart, 0.95))
    moments = _moments(descriptors)
    return InputProfile(name, *moments, float(np.median(apart)), limit, len(descriptors), len(known))


def _moments(descriptors: Float64) -> tuple[Float64, Float64, Float64]:
    mean = descriptors.mean(axis=0)
    std = np.maximum(descriptors.std(axis=0), 1e-3 * np.maximum(np.abs(mean), 1.0))
    places = (descriptors - mean) / std
    count = places.shape[1]
    correlation = (1 - _SHRINKAGE) * (places.T @ places) / len(places) + _SHRINKAGE * np.eye(count)
    return mean, std, correlation


def _distances(places: Float64, correlation: Float64) -> Float64:
    solved = np.linalg.solve(correlation, places.T).T
    return np.asarray(np.sqrt(np.maximum((places * solved).sum(axis=1), 0.0) / places.shape[1]))


# --- in the metadata ---------------------------------------------------------------------------------


def to_plain(profiles: Sequence[InputProfile]) -> dict[str, Any]:
    """Return profiles as plain JSON, four digits each."""
    return {
        profile.name: {
            "features": list(FEATURES[profile.name]),
            "mean": _short(profile.mean),
            "std": _short(profile.std),
            "correlation": _short(profile.correlation[np.triu_indices(len(profile.mean))]),
            "usual": _short(profile.usual),
            "limit": _short(profile.limit),
            "samples": profile.samples,
            "groups": profile.groups,
        }
        for profile in profiles
    }


def _short(values: Float64 | float) -> Any:
    rounded = [float(f"{value:.4g}") for value in np.atleast_1d(values).tolist()]
    return rounded if np.ndim(values) else rounded[0]


class _PlainProfile(BaseModel):
    model_config = ConfigDict(strict=True)
    features: Annotated[list[str], Field(max_length=500)]
    mean: list[FiniteFloat]
    std: list[Annotated[FiniteFloat, Field(gt=0)]]
    correlation: list[FiniteFloat]
    usual: Annotated[FiniteFloat, Field(gt=0)]
    limit: Annotated[FiniteFloat, Field(gt=0)]
    samples: int
    groups: int


def from_plain(plain: object) -> dict[str, InputProfile]:
    """Return profiles by input, as `to_plain` wrote them; those of other features than today's are left out.

    Raises:
        ValueError: They are not profiles; it names the place.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"{KEY}: expected profiles by input, found {type(plain).__name__}")
    profiles = {}
    for name, features in FEATURES.items():
        if name not in plain:
            continue
        try:
            entry = _PlainProfile.model_validate(plain[name])
        except ValidationError as error:
            place = ".".join(f"{part!s:.40}" for part in error.errors()[0]["loc"])
            raise ValueError(f"{KEY}.{name}.{place}: {error.errors()[0]['msg']}") from None
        if tuple(entry.features) == features:
            profiles[name] = _profile(name, entry)
    return profiles


def _profile(name: str, entry: _PlainProfile) -> InputProfile:
    count = len(entry.features)
    upper = np.triu_indices(count)
    if len(entry.mean) != count or len(entry.std) != count or len(entry.correlation) != len(upper[0]):
        raise ValueError(f"{KEY}.{name}: expected {count} features throughout")
    correlation = np.zeros((count, count))
    correlation[upper] = entry.correlation
    correlation += np.triu(correlation, 1).T
    if np.linalg.eigvalsh(correlation).min() <= 0:
        raise ValueError(f"{KEY}.{name}.correlation: expected a positive definite matrix")
    return InputProfile(
        name,
        np.array(entry.mean),
        np.array(entry.std),
        correlation,
        entry.usual,
        entry.limit,
        entry.samples,
        entry.groups,
    )
