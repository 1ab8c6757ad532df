"""Truth messages to boxes in the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from perception.align.truth.cuboids import Solids, rectangles, view_of, visible_fractions
from perception.geometry import Matrix
from perception.types import Cuboids, Rig, RigIssue, TruthBox, TruthBoxes, TruthMessage

MIN_VISIBLE = 0.1
"""Objects less visible than this are left out of the truth."""

_WIDER_THAN_ANY = 1 << 20  # pixels


def boxes_of(
    message: TruthMessage, rig: Rig, classes: Mapping[str, str], picture_size: tuple[int, int] | None = None
) -> tuple[TruthBox, ...] | None:
    """Return the boxes of a truth message, nearest first, in the classes of the configuration.

    2D boxes are taken as they are. Cuboids are projected with the rig: the box is the rectangle around what
    lies in the image; `visible` is the part of it (inside the image) that no other cuboid of the message
    hides, whatever its class; `distance_m` goes from the camera centre to the centre of the cuboid.

    Args:
        message: Truth, in its own labels and frames.
        rig: Calibration and transforms of that moment.
        classes: Label of the log -> class of the configuration; classes stay, other labels are dropped.
            Empty: all stay.
        picture_size: Width and height of the recorded picture, which boxes of another size are scaled to.

    Returns:
        None where the rig cannot place the cuboids in the image (`placing_issue` says why): that is unknown
        truth, not an empty one.
    """
    if isinstance(message, TruthBoxes):
        boxes = [_scaled(box, message.size, picture_size) for box in message.items]
    elif placing_issue(message, rig) is not None:
        return None
    else:
        boxes = _project(message, rig, classes) if message.items else []
    kept = [_renamed(box, label) for box in boxes if (label := _class_of(box, classes)) is not None]
    return tuple(sorted((box for box in kept if box.visible >= MIN_VISIBLE), key=lambda box: box.distance_m))


def unlabelled_regions(
    classes: Iterable[str], picture_size: tuple[float, float] | None
) -> Iterator[TruthBox]:
    """Yield the whole picture as a region to ignore for each class of which not every object is labelled.

    Args:
        classes: The classes.
        picture_size: Width and height of the picture; None: a region larger than any.
    """
    width, height = picture_size or (_WIDER_THAN_ANY, _WIDER_THAN_ANY)
    for label in classes:
        yield TruthBox(label, (0.0, 0.0, float(width), float(height)), float("nan"), 1.0, "", ignore=True)


def placing_issue(message: TruthMessage, rig: Rig) -> RigIssue | None:
    """Return why a truth message has no boxes in the image; None where it has, if perhaps none in view."""
    if isinstance(message, TruthBoxes):
        return None
    if not message.items:
        return RigIssue("no_usable_box", message.ignored_reason) if message.ignored else None
    obstacles = map(rig.obstacle, sorted({cuboid.frame_id for cuboid in message.items}))
    return next((obstacle for obstacle in obstacles if obstacle is not None), None)


def is_rotated(size: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Return whether one of two sizes, of width and height, is upright and the other wide."""
    return (size[0] - size[1]) * (picture[0] - picture[1]) < 0


def rotated_issue(message: TruthMessage, picture: tuple[int, int] | None) -> RigIssue | None:
    """Return why boxes cannot be scaled to the recorded picture: their sizes are upright and wide."""
    size = message.size if isinstance(message, TruthBoxes) else None
    if size is None or picture is None or not is_rotated(size, picture):
        return None
    text = (
        f"the labels are for a picture of {size[0]}x{size[1]}, it was recorded as {picture[0]}x{picture[1]}: "
        "rotated, as by tools that follow the orientation in its file; label pictures as they were recorded"
    )
    return RigIssue("rotated_image", text)


def _project(message: Cuboids, rig: Rig, classes: Mapping[str, str]) -> list[TruthBox]:
    """Return the boxes of cuboids that the rig can place, of the configured classes; others may hide them."""
    calibration, camera_from_frame = rig.calibration, dict[str, Matrix]()
    assert calibration is not None
    for name in {cuboid.frame_id for cuboid in message.items}:
        pose = rig.camera_from(name)
        assert pose is not None
        camera_from_frame[name] = pose
    poses = np.stack([camera_from_frame[cuboid.frame_id] @ cuboid.frame_from_box for cuboid in message.items])
    sizes = np.array([cuboid.size_m for cuboid in message.items], dtype=np.float64)
    real = np.flatnonzero(
        np.isfinite(poses).all(axis=(1, 2)) & ((sizes > 0) & np.isfinite(sizes)).all(axis=1)
    )
    items = [message.items[index] for index in real]
    solids = Solids.of(poses[real], sizes[real])
    view = view_of(calibration)
    boxes = rectangles(solids, view)
    seen = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    solids, boxes = solids.take(seen), boxes[seen]
    wanted = [row for row, index in enumerate(seen) if _class_named(items[index].label, classes) is not None]
    visible = visible_fractions(solids, boxes, view, wanted)
    distance = np.linalg.norm(solids.centre, axis=1)
    return [
        TruthBox(
            items[index].label,
            _xyxy(boxes[row]),
            float(distance[row]),
            float(visible[row]),
            items[index].track_id,
            _xyz(solids.centre[row]),
        )
        for row, index in ((row, seen[row]) for row in wanted)
    ]


def _xyxy(box: Matrix) -> tuple[float, float, float, float]:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _scaled(box: TruthBox, size: tuple[int, int] | None, picture: tuple[int, int] | None) -> TruthBox:
    """Return a box of a picture of one size in pixels of the same picture in another size."""
    if size is None or picture is None or size == picture:
        return box
    u, v = picture[0] / size[0], picture[1] / size[1]
    x1, y1, x2, y2 = box.xyxy
    return replace(box, xyxy=(x1 * u, y1 * v, x2 * u, y2 * v))


def _xyz(point: Matrix) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def _class_of(box: TruthBox, classes: Mapping[str, str]) -> str | None:
    if box.ignore and not box.label:
        return ""  # a region for every class
    return _class_named(box.label, classes)


def _class_named(label: str, classes: Mapping[str, str]) -> str | None:
    if not classes or label in classes.values():
        return classes.get(label, label)
    return classes.get(label)


def _renamed(box: TruthBox, label: str) -> TruthBox:
    return box if box.label == label else replace(box, label=label)
