"""Non-maximum suppression by class: by the word that classes are reported as."""

from __future__ import annotations

import cv2
import numpy as np

from perception_plugins.detector.decode import Candidates

MOST_CANDIDATES = 3000
"""The best that are compared with each other; a sound picture has a few hundred above the least score."""


def suppress(found: Candidates, overlap: float | None, most: int) -> Candidates:
    """Return the candidates by falling score, without those that overlap a better one of their class.

    Args:
        found: The candidates.
        overlap: The greatest intersection over union that two objects of a class have; None: keep all.
        most: How many are kept at most.
    """
    order = np.argsort(-found.scores, kind="stable")[: MOST_CANDIDATES if overlap is not None else most]
    if overlap is None or len(order) < 2:
        return found.take(order[:most])
    boxes, scores, labels = found.take(order)
    boxes[:, 2:] -= boxes[:, :2]  # x, y, width, height
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), labels.tolist(), 0.0, overlap)
    places = np.sort(np.asarray(kept, dtype=np.intp).reshape(-1))[:most]
    return found.take(order[places])
