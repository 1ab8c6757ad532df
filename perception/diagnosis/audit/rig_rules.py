"""The audit's rules for the rig and the truth: can ranges and cuboids be placed in the picture?

The rig itself answers (`perception.align.rig_track`), at each tick, as in replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from perception.config import Config
from perception.diagnosis.audit.audit_finding import RESTS_ON, Finding, Severity
from perception.diagnosis.audit.log_contents import TopicContents
from perception.diagnosis.audit.tick_contents import OFTEN, TickContents
from perception.text import plural
from perception.types import PLACED, RigIssueCode
from perception.types.placement import sensors_text

FEW = 0.02
"""The share of ticks up to which something missing is a note."""

_TIMING = frozenset({"too_far", "silent"})
"""Reasons of truth that is not there, other than that it cannot be placed."""


def rig_rules(ticks: TickContents, config: Config) -> Iterator[Finding]:
    """Yield each reason why returns cannot be placed in the image, or are placed with reserve."""
    topics = ", ".join(section.topic for section in config.sensors.ranges.values())
    of_code: dict[RigIssueCode, dict[str, int]] = {}
    for (about, code), count in ticks.issues.most_common():
        of_code.setdefault(code, {})[about] = count
    for code, counts in of_code.items():
        first, count = next(iter(counts.items()))
        share = count / ticks.scans
        often = "" if share > 1 - FEW else f" in {share:.0%} of the ticks"
        sensors = f" ({sensors_text(counts)}; the first)" if len(counts) > 1 else ""
        effect = "are placed in the image with reserve" if code in PLACED else "cannot be placed in the image"
        harmless = share <= FEW or (code in PLACED and not (code == "held_transform" and share > OFTEN))
        severity: Severity = "note" if harmless else "warning"
        text = f"ranges on {topics} {effect}{often}{sensors}: {ticks.texts[f'range {first}', code]}"
        yield Finding(code, severity, topics, text, () if severity == "note" else RESTS_ON["range"])


def truth_rules(ticks: TickContents, config: Config) -> Iterator[Finding]:
    """Yield the share of ticks that have truth, and truth that cannot be placed in the picture."""
    for head, topic in (("boxes", config.truth.boxes), ("control", config.truth.control)):
        if topic is None:
            continue
        unknown = ticks.unknown.get(head, Counter())
        for code, count in unknown.items():
            if code not in _TIMING:
                text = f"truth on {topic} cannot be used in {count / ticks.ticks:.0%} of the ticks: "
                yield Finding("truth_unplaced", "warning", topic, text + ticks.texts[head, code])
        share = 1 - sum(unknown.values()) / ticks.ticks if ticks.ticks else 0.0
        if not share:
            if not set(unknown) - _TIMING:
                yield Finding("truth_gaps", "note", topic, f"{topic} has no truth for any tick")
            continue
        text = f"{topic} has truth for {share:.0%} of the ticks (within {config.truth.tolerance_ms:g} ms)"
        yield Finding("truth" if share > 1 - FEW else "truth_gaps", "note", topic, text)
    boxes = config.truth.boxes or ", ".join(config.truth.camera_boxes.values())
    for topic, text in ticks.late.items():
        yield Finding("truth_late", "warning", topic, text)
    for _, text in ticks.fit.defects():
        yield Finding("truth_outside", "warning", boxes, f"{boxes or 'labels'}: {text}")


def ignored_rules(topic: TopicContents) -> Iterator[Finding]:
    """Yield transforms, cuboids and boxes that were ignored, each for itself."""
    if topic.ignored:
        text = f"{plural(topic.ignored, 'element')} of messages on {topic.name} cannot be used: "
        yield Finding("ignored_elements", "warning", topic.name, text + topic.ignored_reason)
