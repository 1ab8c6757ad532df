"""Truth: boxes in space or in the image as a log says them, and what is true at one tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from perception.geometry import Matrix
from perception.types.placement import RigIssue


@dataclass(frozen=True, slots=True, eq=False)
class Cuboid:
    """A 3D truth box: `frame_from_box` [4, 4] puts its centre and axes into `frame_id`."""

    label: str
    track_id: str
    frame_id: str
    frame_from_box: Matrix
    size_m: tuple[float, float, float]  # along the axes
    entity_id: str = ""  # of the `SceneEntity` it is part of


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
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""
    change: SceneChange | None = None
    ignored: int = 0
    ignored_reason: str = ""


@dataclass(frozen=True, slots=True)
class TruthBox:
    """A 2D truth box: `xyxy` in source pixels, clipped to the image; `visible` is a fraction 0 to 1.

    `distance_m` is NaN where truth does not say it.
    """

    label: str
    xyxy: tuple[float, float, float, float]
    distance_m: float
    visible: float
    track_id: str


@dataclass(frozen=True, slots=True, eq=False)
class TruthBoxes:
    """Truth as 2D boxes of one camera frame."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    items: tuple[TruthBox, ...]
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""
    ignored: int = 0
    ignored_reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class TruthFrame:
    """The truth at one tick. Never part of a sample: metrics and training join it by stamp.

    Attributes:
        boxes: None: nothing is known about objects at this moment, it is not scored. Empty: there are none.
        control: Channel -> what the driver commands `truth.control_ahead_ms` (0.5 s) ahead; None: not known.
        measured: Channel -> the last value of the same quantity that was measured by this moment (the command
            in force, not the one to come): what the persistence baseline predicts; None: not known.
        extra: Further head -> name -> value, of heads whose truth is known.
        missing: `boxes` and `control`, where they are configured and not known -> why.
        cameras: With several cameras: the boxes of each by its name, or why they are missing; `boxes` are
            those of the reference camera. Empty: there is one camera.
    """

    stamp_ns: int
    boxes: tuple[TruthBox, ...] | None = None
    control: Mapping[str, float] | None = None
    measured: Mapping[str, float] | None = None
    extra: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: Mapping[str, RigIssue] = field(default_factory=dict)
    cameras: Mapping[str, TruthFrame] = field(default_factory=dict)


def missing_warnings(truth: TruthFrame | None) -> Iterator[tuple[str, str]]:
    """Yield code and text of a warning for each head whose truth is not known; those of cameras name them."""
    if truth is None:
        return
    for head, issue in truth.missing.items():
        if head != "boxes" or not truth.cameras:
            yield missing_warning(head, issue)
    for camera, own in truth.cameras.items():
        for head, issue in own.missing.items():
            code, text = missing_warning(head, issue)
            yield f"{code} ({camera})", f"{camera}: {text}"


def missing_warning(head: str, issue: RigIssue) -> tuple[str, str]:
    """Return code and text of the warning that truth of a head (`boxes`, `control`) is not known."""
    prefix = "truth" if head == "boxes" else f"{head}_truth"
    return f"{prefix}_{issue.code}", f"truth of {head} is not known: {issue.text}"
