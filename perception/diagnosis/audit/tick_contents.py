"""The inputs of each tick of a log: the log is aligned as replay aligns it, and absent inputs are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from perception.align import Aligner
from perception.align.truth import Joined, TruthJoiner
from perception.align.truth.box_fit import BoxFit
from perception.config import Config
from perception.diagnosis.audit.audit_finding import RESTS_ON, Finding
from perception.diagnosis.trained_inputs import InputSamples
from perception.types import AbsenceCode, Decoded, RigIssueCode, Sample, TruthFrame

OFTEN = 0.25
"""The share of ticks without an input from which on its head is unreliable."""

OTHER_CLOCK_MS = 5000.0
"""Stamps further than this from those of the reference are of another clock, not late."""

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
    """The inputs and the truth at the ticks of the reference. A text is that of the first with its code."""

    ticks: int = 0
    absent: dict[str, Counter[AbsenceCode]] = field(default_factory=dict)  # by sensor
    reasons: dict[tuple[str, AbsenceCode], str] = field(default_factory=dict)
    scans: int = 0  # ticks with a scan
    issues: Counter[tuple[str, RigIssueCode]] = field(default_factory=Counter)  # of placing its returns
    unknown: dict[str, Counter[RigIssueCode]] = field(default_factory=dict)  # truth that a tick has not
    fit: BoxFit = field(default_factory=BoxFit)  # of the truth of the reference camera
    texts: dict[tuple[str, RigIssueCode], str] = field(default_factory=dict)
    late: dict[str, str] = field(default_factory=dict)  # topic -> how late its truth comes

    def add(self, sample: Sample, truth: TruthFrame) -> None:
        """Add the next sample with its truth."""
        if sample.tick.kind != "reference":
            return
        self.ticks += 1
        for given in sample.sensors:
            self.absent.setdefault(given.name, Counter())
            if given.absence is not None and given.absence.code in CURES:
                self.absent[given.name][given.absence.code] += 1
                self.reasons.setdefault((given.name, given.absence.code), given.absence.text)
        self.scans += sample.range.present
        for issue in sample.issues if sample.range.present else ():
            self.issues[issue.about, issue.code] += 1
            self.texts.setdefault((f"range {issue.about}", issue.code), issue.text)
        self.fit.add(truth, sample.camera.value)
        for head, missing in truth.missing.items():
            self.unknown.setdefault(head, Counter())[missing.code] += 1
            self.texts.setdefault((head, missing.code), missing.text)


class AlignedLog:
    """Aligns the messages of a log as replay does, and joins truth to its ticks.

    Args:
        config: A complete configuration; without `reference_rate_hz` nothing is aligned.
        samples: Describes some of the samples.
    """

    def __init__(self, config: Config, samples: InputSamples) -> None:
        self.contents = TickContents()
        self._samples = samples
        self._aligner = Aligner(config) if config.reference_rate_hz is not None else None
        self._joiner = TruthJoiner(config.truth, config.sensors)

    def add(self, message: Decoded) -> None:
        """Add the next message of a configured topic, in order of arrival."""
        if self._aligner is None:
            return
        self._joiner.push(message)
        for sample in self._aligner.push(message):
            self._add(self._joiner.add(sample))
        self._add(self._joiner.ready())

    def finish(self) -> None:
        """End the log."""
        if self._aligner is not None:
            for sample in self._aligner.flush():
                self._add(self._joiner.add(sample))
            self._add(self._joiner.flush())
            self.contents.late = {topic: text for topic, text, _ in self._joiner.late.texts()}

    def _add(self, joined: Iterable[Joined]) -> None:
        assert self._aligner is not None
        for sample, truth, _ in joined:
            self.contents.add(sample, truth)
            self._samples.add(sample)
            self._aligner.ledger.sample_done(sample, "used")


def tick_rules(
    ticks: TickContents, config: Config, apart_ms: Mapping[str, float], unsteady: Mapping[str, float]
) -> Iterator[Finding]:
    """Yield inputs that are absent in many ticks, with the commonest reason and its cure.

    Args:
        apart_ms: Topic -> how far its clock is behind that of the reference sensor.
        unsteady: Topics whose stamps do not keep pace with their arrivals -> by how much.
    """
    reference = config.sensors.named[config.reference].topic
    for name, codes in ticks.absent.items():
        share = codes.total() / ticks.ticks if ticks.ticks else 0.0
        if share <= OFTEN:
            continue
        section = config.sensors.named[name]
        topic = section.topic
        code, _ = codes.most_common(1)[0]
        cure = CURES[code]
        changing = next((at for at in (topic, reference) if at in unsteady), None)
        if changing is not None:
            cure = (
                f"stamps on {changing} jump or stand still (arrival less stamp differs by "
                f"{unsteady[changing]:.0f} ms): correct them"
            )
        elif abs(apart_ms.get(topic, 0.0)) > OTHER_CLOCK_MS:
            cure = (
                f"its clock is not that of {reference}: correct its stamps, or let arrival stand in for "
                f"those of both (sensors.{name}.stamp: {{source: arrival}})"
            )
        text = f"{topic} is absent in {share:.0%} of the ticks ({ticks.reasons[name, code]}): {cure}"
        yield Finding("absent", "warning", topic, text, RESTS_ON[section.kind])
