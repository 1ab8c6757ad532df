"""A look at a log before it is used: what is wrong with it, and which heads suffer.

One reading; configured topics are decoded (images only as far as their header), others are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perception.config import Config
from perception.diagnosis.audit import content_rules, timing_rules
from perception.diagnosis.audit.findings import HEADS, Finding, Severity, by_severity, verdicts
from perception.diagnosis.audit.times import Delay, Times, survey_times
from perception.diagnosis.audit.watch import Topic, Watch
from perception.logs import Damage, Log, decode

__all__ = ["HEADS", "Audit", "Delay", "Finding", "Severity", "Times", "audit", "survey_times", "verdicts"]


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        findings: The most severe first.
        times: When the messages of each topic arrived and, of configured topics, were measured.
        delays: Arrival less stamp of each sensor.
        damage: The parts of the file that could not be read.
    """

    findings: tuple[Finding, ...]
    times: dict[str, Times]
    delays: dict[str, Delay]
    damage: tuple[Damage, ...]

    @property
    def lossy(self) -> bool:
        """Whether messages are lost: the file is damaged, or something in it cannot be decoded."""
        return bool(self.damage) or any(finding.code == "undecodable" for finding in self.findings)

    def verdicts(self) -> dict[str, list[Finding]]:
        """The findings that make each head unreliable."""
        return verdicts(self.findings)


def audit(log: Log, config: Config) -> Audit:
    """Look through a whole log.

    Args:
        log: An open log.
        config: Which topics play which part (`perception.autoconfig.complete_config` finds one).
    """
    roles = config.roles()
    scan, status = config.sensors.range, config.sensors.status
    watch = Watch(
        {topic: Topic(topic, role) for topic, role in roles.items()},
        scan.max_range_m if scan else float("inf"),
        dict(status.fields) if status else {},
    )
    others: dict[str, Times] = {}
    stream = log.messages()
    for message in stream:
        if message.topic in roles:
            watch.see(decode(message, roles[message.topic]))
        else:
            others.setdefault(message.topic, Times()).add(message.log_time_ns)
    reference = watch.topics[getattr(config.sensors, config.reference).topic]
    found = by_severity(_findings(watch, config, reference, stream.damage, log.survey.start_ns))
    sensors = [topic for topic in watch.topics.values() if topic.role in ("camera", "range", "status")]
    delays = {topic.name: delay for topic in sensors if (delay := Delay.of(topic.times)) is not None}
    times = {name: topic.times for name, topic in watch.topics.items()} | others
    return Audit(tuple(found), times, delays, tuple(stream.damage))


def _findings(
    watch: Watch, config: Config, reference: Topic, damage: list[Damage], start_ns: int | None
) -> Iterator[Finding]:
    yield from content_rules.damage_rules(damage, start_ns)
    yield from content_rules.missing_rules(watch, config)
    for topic in watch.topics.values():
        yield from content_rules.content_rules(topic)
        yield from timing_rules.stamp_rules(topic)
        yield from timing_rules.clock_rules(topic, reference, config)
        yield from timing_rules.rate_rules(topic, reference)
    yield from content_rules.rig_rules(watch, config)
    yield from content_rules.scan_rules(watch, config)
    yield from content_rules.status_rules(watch, config)
    yield from content_rules.truth_rules(watch, config, reference)
