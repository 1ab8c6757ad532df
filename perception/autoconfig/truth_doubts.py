"""Find topics of boxes that are no truth: their boxes have a detector's scores, or their scenes no cuboid."""

from __future__ import annotations

import math

from perception.autoconfig import naming_rules as names
from perception.autoconfig.first_messages import first_decoded
from perception.logs import Log
from perception.types import Cuboids, StatusReading

_MESSAGES = 64
"""Messages that are looked at: the first ones may be of a place without objects."""
_BOXES = 16  # of a message, whose scores are looked at
_SCORES = ("results.0.hypothesis.score", "results.0.score")  # of vision_msgs, in any of its versions


def why_no_truth(log: Log, topic: str) -> str:
    """Return why a topic of boxes is no truth; empty where nothing says so.

    A name that says truth goes before scores, which some tools of labelling write too.
    """
    scenes = [
        scene for scene in first_decoded(log, topic, "truth_boxes", _MESSAGES) if isinstance(scene, Cuboids)
    ]
    drawn = any(scene.change is not None and scene.change.entities for scene in scenes)
    if drawn and not any(scene.items or scene.ignored for scene in scenes):
        return f"its scenes hold no cuboids (in {len(scenes)} messages), as those of a map"
    found = (cuboid.score for scene in scenes for cuboid in scene.items if _is_of_a_detector(cuboid.score))
    score = None if names.says_truth(topic) else next(found, None) or _score(log, topic)
    if score is not None:
        return f"its boxes have scores ({score:.2g}), as those of a detector"
    return ""


def _score(log: Log, topic: str) -> float | None:
    """Return the first score that is that of a detector; None where there is none."""
    for reading in first_decoded(log, topic, "status", _MESSAGES):
        if not isinstance(reading, StatusReading):
            continue
        for path in (f"detections.{i}.{end}" for i in range(_BOXES) for end in _SCORES):
            if _is_of_a_detector(score := reading.values.get(path, 0.0)):
                return float(score)
    return None


def _is_of_a_detector(score: float) -> bool:
    """Return whether a score, also in percent, is neither unset nor the one that labels have."""
    return 0 < score < math.inf and score not in (1, 100)
