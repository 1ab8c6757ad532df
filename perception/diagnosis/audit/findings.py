"""What an audit found, and what it means for each head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

HEADS = ("class and box", "distance", "control")
"""The heads as a reader of an audit knows them: distance is the part of the box head that needs ranges."""

RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "camera": ("class and box",),
    "range": ("distance",),
    "status": ("control",),
    "calibration": ("distance",),
    "transforms": ("distance",),
}
"""Which heads suffer first when a topic of this role does."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        code: For programs: `clock_offset`, `dropouts`, ...
        severity: `error`: the input cannot be used, or messages are lost; `warning`: a head suffers;
            `note`: worth knowing.
        topic: Where; empty for the whole log.
        text: What was found and what follows, in plain words.
        heads: Which of `HEADS` become unreliable.
    """

    code: str
    severity: Severity
    topic: str
    text: str
    heads: tuple[str, ...] = ()


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes; in the order found."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def verdicts(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The findings that make each head unreliable; none where it can be relied on."""
    kept = [finding for finding in findings if finding.severity != "note"]
    return {head: [finding for finding in kept if head in finding.heads] for head in HEADS}


def plural(count: int, noun: str) -> str:
    """`1 scan`, `2 scans`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
