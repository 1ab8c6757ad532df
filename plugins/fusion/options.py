"""The options of the plugin, under `plugin.options`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from perception.errors import PluginError
from perception.models.prediction_outputs import MIN_SCORE
from perception.text import did_you_mean


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the plugin.

    Attributes:
        min_score: Detections with lower scores are left out. The default keeps all that precision-recall
            curves need.
        distance: `model`: as the model says it. `returns`: where the returns inside a box say it surely, as
            they do, whatever the weights know of distances in this place.
    """

    min_score: float = MIN_SCORE
    distance: Literal["model", "returns"] = "model"

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Return the options of a configuration.

        Raises:
            PluginError: An option is unknown or out of its range; lists every error.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(given) - set(known), key=str)
        errors = [f"{key}: unknown option{did_you_mean(key, known)}" for key in unknown]
        score = given.get("min_score", MIN_SCORE)
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            errors.append(f"min_score: expected a number from 0 to 1, found {score!r}")
        distance = given.get("distance", "model")
        if distance not in ("model", "returns"):
            errors.append(f"distance: expected model or returns, found {distance!r}")
        if errors:
            raise PluginError("plugin.options: " + "; ".join(errors))
        return cls(float(score), distance)
