"""Truth: boxes in space or in the image, as a log says them."""

from __future__ import annotations

from dataclasses import dataclass, field

from perception.geometry import Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Cuboid:
    """A 3D truth box: `frame_from_box` [4, 4] puts its centre and axes into `frame_id`.

    `score` is that of who found it, NaN where the message has none: truth has none.
    """

    label: str
    track_id: str
    frame_id: str
    frame_from_box: Matrix
    size_m: tuple[float, float, float]  # along the axes
    entity_id: str = ""  # of the `SceneEntity` it is part of
    score: float = float("nan")


@dataclass(frozen=True, slots=True)
class SceneEntity:
    """An entity that a message adds to a scene, or replaces in it, with all its cuboids (there may be none).

    It stays until another message replaces or deletes it, or until `lifetime_ns` after its stamp (0: always).
    """

    id: str
    stamp_ns: int
    lifetime_ns: int = 0


@dataclass(frozen=True, slots=True)
class SceneDeletion:
    """The end of the entity `id`, or of all where it is None, if their stamp is before `stamp_ns`."""

    id: str | None
    stamp_ns: int


@dataclass(frozen=True, slots=True)
class SceneChange:
    """What a message changes in a scene that lasts: first what it deletes, then what it adds or replaces."""

    entities: tuple[SceneEntity, ...] = ()
    deletions: tuple[SceneDeletion, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Cuboids:
    """Truth as 3D boxes, in the words of its own log (labels are mapped by the configuration).

    Attributes:
        items: The cuboids of the message.
        change: None: `items` are all there is at this moment. Else the message changes a scene that lasts,
            and `items` are the cuboids of `change.entities`, by `entity_id`.
        ignored: Cuboids of the message that could not be used, with the reason of the first.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    items: tuple[Cuboid, ...]
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""
    change: SceneChange | None = None
    ignored: int = 0
    ignored_reason: str = ""


@dataclass(frozen=True, slots=True)
class TruthBox:
    """A 2D truth box: `xyxy` in source pixels, clipped to the image; `visible` is a fraction 0 to 1.

    Attributes:
        distance_m: From the camera centre to the centre of the object; NaN where truth does not say it.
        centre_m: The centre of the object as seen from the picture (x right, y down, z forward), in metres;
            None where truth does not say it.
        ignore: Whether it is an ignore region (a crowd, an area that nobody labelled): what is found in it is
            neither right nor wrong. Its label is empty where it stands for every class.
    """

    label: str
    xyxy: tuple[float, float, float, float]
    distance_m: float
    visible: float
    track_id: str
    centre_m: tuple[float, float, float] | None = None
    ignore: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TruthBoxes:
    """Truth as 2D boxes of one camera frame.

    Attributes:
        picture: The file that a message names instead of boxes: those are in a label file (`truth.labels`).
        size: Width and height of the picture that the boxes refer to; None: of the one that was recorded.
        frame_id: The frame of the camera whose picture it is; empty: not said.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    items: tuple[TruthBox, ...]
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""
    ignored: int = 0
    ignored_reason: str = ""
    picture: str = ""
    size: tuple[int, int] | None = None
    frame_id: str = ""
