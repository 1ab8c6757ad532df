"""The truth of one tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from perception.types.placement import RigIssue
from perception.types.rig import Rig
from perception.types.truth import TruthBox


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
        rig: By which the boxes were placed, at this moment; None: not known.
    """

    stamp_ns: int
    boxes: tuple[TruthBox, ...] | None = None
    control: Mapping[str, float] | None = None
    measured: Mapping[str, float] | None = None
    extra: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: Mapping[str, RigIssue] = field(default_factory=dict)
    cameras: Mapping[str, TruthFrame] = field(default_factory=dict)
    rig: Rig | None = None


def missing_warnings(truth: TruthFrame | None) -> Iterator[tuple[str, str]]:
    """Yield code and text of a warning for each head whose truth is not known; those of cameras name them."""
    if truth is None:
        return
    for head, issue in truth.missing.items():
        if head != "boxes" or not truth.cameras:
            yield missing_warning(head, issue)
    for camera, own in truth.cameras.items():
        for head, issue in own.missing.items():
            code, text = missing_warning(head, issue.of_camera(camera))
            yield f"{code} ({camera})", f"{camera}: {text}"


def missing_warning(head: str, issue: RigIssue) -> tuple[str, str]:
    """Return code and text of the warning that truth of a head (`boxes`, `control`) is not known."""
    prefix = "truth" if head == "boxes" else f"{head}_truth"
    return f"{prefix}_{issue.code}", f"truth of {head} is not known: {issue.text}"
