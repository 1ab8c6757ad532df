"""Outputs as `foxglove.ImageAnnotations`: boxes and texts that viewers draw over the camera image."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from foxglove_schemas_protobuf.Color_pb2 import Color
from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations
from foxglove_schemas_protobuf.PointsAnnotation_pb2 import PointsAnnotation
from mcap_protobuf.schema import build_file_descriptor_set

from perception.sinks.palette import RGB, VERMILION, class_colour, ink_on
from perception.sinks.run_info import RunInfo
from perception.types import Detection, Output, Sample, Schema

SCHEMA = Schema(
    "foxglove.ImageAnnotations",
    "protobuf",
    build_file_descriptor_set(ImageAnnotations).SerializeToString(deterministic=True),
)


def encode_annotations(sample: Sample, output: Output, run: RunInfo, min_score: float = 0.0) -> bytes:
    """Return the boxes and texts of an output over the camera image of its sample.

    Coordinates are source pixels. The stamp is that of the image where there is one, since viewers
    match annotations to images by equal stamps; else the tick's. No boxes clears what was drawn before.
    """
    message = ImageAnnotations()
    stamp_ns = output.tick.stamp_ns
    if sample.camera.value is not None:
        stamp_ns = sample.camera.value.stamp_ns
    _, height = image_size(sample) or (1280, 720)
    size = max(10.0, round(height / 45))
    stamp = message.timestamp
    stamp.seconds, stamp.nanos = divmod(int(stamp_ns), 1_000_000_000)
    for item in reversed(worth_drawing(output, min_score)):  # the surest last, on top
        _add_box(message, item, class_colour(item.label, run.classes), size)
    for line, text in enumerate(notices(output, run)):
        _add_text(message, (size * 0.5, size * (1.5 + 1.4 * line)), text, size, VERMILION)
    return bytes(message.SerializeToString(deterministic=True))


def worth_drawing(output: Output, min_score: float) -> list[Detection]:
    """Return the detections to draw: of a valid head, of `min_score` or more, with a finite box."""
    head = output.detections
    if head is None or not head.valid:
        return []
    return [d for d in head.items if d.score >= min_score and placed(d.xyxy)]


def placed(xyxy: tuple[float, float, float, float]) -> bool:
    """Return whether a box lies anywhere near an image: one with a NaN or an infinity does not."""
    return all(abs(value) < 1e6 for value in xyxy)


def notices(output: Output, run: RunInfo) -> list[str]:
    """Return the warnings to draw: untrained weights, and heads that are invalid."""
    lines = ["UNTRAINED WEIGHTS"] if run.untrained else []
    for name, head in (("DETECTIONS", output.detections), ("CONTROL", output.control)):
        if head is not None and not head.valid:
            lines.append(f"{name} INVALID{': ' if head.error else ''}{head.error}")
    return lines


def caption(item: Detection) -> str:
    """Return class, score, and distance with its standard deviation, in one short line."""
    distance = metres(item.distance_m, item.distance_std_m)
    return f"{item.label} {item.score:.2f}{' · ' if distance else ''}{distance}"


def short_caption(item: Detection) -> str:
    """Return the distance alone, or the class where it has none: short enough for a crowd."""
    metres_away = item.distance_m
    return item.label if metres_away is None or not abs(metres_away) < 1e6 else f"{metres_away:.0f} m"


def metres(value: float | None, std: float | None) -> str:
    """Return `23.4 ±1.2 m`, or nothing where the value is no number; without a std where it is not known."""
    if value is None or not abs(value) < 1e6:
        return ""
    digits = 1 if abs(value) < 99.95 else 0
    stated = std is not None and 0 < std < 1e6
    return f"{value:.{digits}f} ±{std:.{digits}f} m" if stated else f"{value:.{digits}f} m"


def image_size(sample: Sample) -> tuple[int, int] | None:
    """Return width and height of the source image, from the image or the calibration."""
    if sample.camera.value is not None:
        return sample.camera.value.width, sample.camera.value.height
    calibration = sample.rig.calibration
    if calibration is not None and calibration.width > 0 and calibration.height > 0:
        return calibration.width, calibration.height
    return None


def _add_box(message: Any, item: Detection, colour: RGB, size: float) -> None:
    x1, y1, x2, y2 = item.xyxy
    message.points.add(
        timestamp=message.timestamp,
        type=PointsAnnotation.LINE_LOOP,
        points=[{"x": x, "y": y} for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))],
        outline_color=_colour(colour),
        thickness=max(2.0, size / 8),
    )
    above = y1 - size * 0.25 if y1 > 1.5 * size else y1 + size
    _add_text(message, (x1, above), caption(item), size, colour)


def _add_text(message: Any, at: tuple[float, float], text: str, size: float, colour: RGB) -> None:
    message.texts.add(
        timestamp=message.timestamp,
        position={"x": at[0], "y": at[1]},
        text=text,
        font_size=size,
        text_color=_colour(ink_on(colour)),
        background_color=_colour(colour),
    )


@lru_cache(maxsize=64)
def _colour(colour: RGB) -> Color:
    red, green, blue = (c / 255 for c in colour)
    return Color(r=red, g=green, b=blue, a=1.0)
