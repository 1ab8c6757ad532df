"""Words in the names of image topics: of what no camera takes, and of values that are no distances."""

from __future__ import annotations

from perception.autoconfig.naming_rules import words_of

_THERMAL = ("thermal", "lwir", "boson", "lepton", "optris")
_NOT_COLOUR = (  # also of pictures that are drawn on
    *(*_THERMAL, "depth", "disparity", "mask", "segment", "semantic", "infra", "debug", "dbg", "overlay"),
    *("visuali", "rviz", "heatmap", "preview", "thumbnail"),
)
_DRAWN = frozenset(
    ("annotated", "bbox", "bboxes", "boxes", "detections", "result", "results", "flow", "dvs", "bev")
)
_NO_DISTANCES = (
    *(*_THERMAL, "disparity", "confidence", "flir", "infra", "amplitude", "intensity", "reflect"),
    *("segment", "semantic", "instance", "label", "mask", "flow", "normal", "cost", "score", "variance"),
)
"""Words of images of one channel of floats or of 16 bits whose values are no distances."""


def says_not_colour(topic: str) -> bool:
    """Return whether an image topic's name says that it is no picture as a camera takes it."""
    drawn = any(words_of(part) & _DRAWN for part in topic.split("/"))
    return drawn or any(word in topic.lower() for word in _NOT_COLOUR)


def says_no_distances(topic: str) -> str:
    """Return the word in the name of an image by which its values are no distances; empty: there is none.

    Where the name says depth, too, it holds distances (`/infra/depth/image`).
    """
    name = topic.lower()
    if "depth" in name:
        return ""
    infrared = any("ir" in words_of(part) for part in topic.split("/"))
    return "ir" if infrared else next((word for word in _NO_DISTANCES if word in name), "")
