"""A finding of an audit, and the heads that it makes unreliable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from perception.plugin import Manifest

Severity = Literal["error", "warning", "unjudged", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "unjudged", "note")

HEADS = ("class and box", "distance", "control")
"""The heads in an audit: distance is the part of the box head that needs ranges."""

_GIVEN_AS = {"class and box": {"class", "box"}, "distance": {"box"}, "control": {"control"}}


def heads_of(plugin: Manifest | None) -> tuple[str, ...]:
    """Return those of `HEADS` that a plugin gives; all where it is not known, or gives others alone."""
    given = set(plugin.heads) if plugin is not None else set()
    return tuple(head for head in HEADS if _GIVEN_AS[head] & given) or HEADS


RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "camera": ("class and box",),
    "range": ("distance",),
    "status": ("control",),
    "calibration": ("distance",),
    "transforms": ("distance",),
}
"""The heads that become unreliable first if a topic of this role is defective."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect of a log, or a note about it.

    Attributes:
        code: For programs: `clock_offset`, `dropouts`, ...
        severity: `error`: the input cannot be used, or messages are lost; `warning`: a head becomes
            unreliable, or truth cannot be used; `unjudged`: the audit could not tell; `note`: none of these.
        topic: The topic; empty for the whole log.
        text: The defect and its effect.
        heads: Those of `HEADS` that become unreliable, or of which something was not judged.
    """

    code: str
    severity: Severity
    topic: str
    text: str
    heads: tuple[str, ...] = ()


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return errors first, then warnings, what was not judged, and notes, each in their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
