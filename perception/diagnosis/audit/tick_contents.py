"""What the ticks of a log hold: the log is aligned as replay aligns it, and absent inputs are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from perception.config import Config
from perception.diagnosis.audit.audit_finding import RESTS_ON, Finding
from perception.types import SENSORS, AbsenceCode, Sample

OFTEN = 0.1
"""The share of ticks without an input from which on its head is unreliable."""

# Messages that cannot be decoded or used are named by other rules.
CURES: dict[AbsenceCode, str] = {
    "late": "raise wait_ms",
    "silent": "it starts late, ends early, or is silent",
    "stale": "raise wait_ms if it arrives late, max_age_ms if it is slow",
    "out_of_tolerance": "raise wait_ms if it arrives late, tolerance_ms if it is slow",
    "invalid": "choose other fields",
}


@dataclass(slots=True)
class TickContents:
    """The inputs at the ticks of the reference."""

    ticks: int = 0
    absent: dict[str, Counter[AbsenceCode]] = field(
        default_factory=lambda: {name: Counter() for name in SENSORS}
    )
    reasons: dict[tuple[str, AbsenceCode], str] = field(default_factory=dict)  # the first text

    def add(self, sample: Sample) -> None:
        """Add the next sample."""
        if sample.tick.kind != "reference":
            return
        self.ticks += 1
        for given in sample.inputs:
            if given.absence is not None and given.absence.code in CURES:
                self.absent[given.name][given.absence.code] += 1
                self.reasons.setdefault((given.name, given.absence.code), given.absence.text)


def tick_rules(ticks: TickContents, config: Config) -> Iterator[Finding]:
    """Yield inputs that are absent in many ticks, with the commonest reason and its cure."""
    for name, codes in ticks.absent.items():
        share = codes.total() / ticks.ticks if ticks.ticks else 0.0
        if share <= OFTEN:
            continue
        topic = getattr(config.sensors, name).topic
        code, _ = codes.most_common(1)[0]
        text = f"{topic} is absent in {share:.0%} of the ticks ({ticks.reasons[name, code]}): {CURES[code]}"
        yield Finding("absent", "warning", topic, text, RESTS_ON[name])
