"""The audit of a log before it is used: its defects, and the heads they make unreliable.

One reading; configured topics are decoded (of most images only the header), others are counted. The log is
aligned as replay aligns it. The audit judges inputs, not the model; given the weights, it says how far the
inputs lie from those of training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from perception.config import Config
from perception.diagnosis.audit import rig_rules, sensor_rules, timing_rules
from perception.diagnosis.audit.audit_finding import HEADS, Finding, Severity, by_severity, heads_of
from perception.diagnosis.audit.log_contents import LogContents, TopicContents
from perception.diagnosis.audit.tick_contents import AlignedLog, TickContents, tick_rules
from perception.diagnosis.audit.topic_times import Delay, TopicTimes, survey_times
from perception.diagnosis.audit.training_rules import UNLIKE, sample_rules, training_rules
from perception.diagnosis.audit.video_rules import video_rules
from perception.diagnosis.trained_inputs import InputSamples, TrainedInputs, TrainingDistance
from perception.errors import PluginError
from perception.logs import Damage, Log, decoder
from perception.logs.video.stage import VideoStage
from perception.plugin import Manifest, installed_manifest
from perception.types import SENSORS, Message

__all__ = [
    "Audit",
    "Delay",
    "Finding",
    "TopicTimes",
    "TrainedInputs",
    "TrainingDistance",
    "audit",
    "survey_times",
]


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of an audit.

    Attributes:
        findings: The most severe first.
        times: Arrivals of the messages of each topic and, of configured topics, stamps.
        delays: Arrival less stamp of each sensor.
        damage: The parts of the file that could not be read.
        training: Input -> how far it lies from the training data of the weights, where that is known.
        heads: Those of `HEADS` that the plugin gives.
    """

    findings: tuple[Finding, ...]
    times: dict[str, TopicTimes]
    delays: dict[str, Delay]
    damage: tuple[Damage, ...]
    training: Mapping[str, TrainingDistance] = field(default_factory=dict)
    heads: tuple[str, ...] = HEADS

    @property
    def lossy(self) -> bool:
        """Whether messages are lost: the file is damaged, or something in it cannot be decoded."""
        return bool(self.damage) or any(finding.code == "undecodable" for finding in self.findings)

    def verdicts(self) -> dict[str, list[Finding]]:
        """Return the defects of the inputs that make each head unreliable."""
        defects = self._by_head(("error", "warning"))
        return {head: [f for f in found if f.code != UNLIKE] for head, found in defects.items()}

    def unlike_training(self) -> dict[str, list[Finding]]:
        """Return the findings that inputs of each head are unlike those of training; they may be sound."""
        warnings = self._by_head(("warning",))
        return {head: [f for f in found if f.code == UNLIKE] for head, found in warnings.items()}

    def unjudged(self) -> dict[str, list[Finding]]:
        """Return what could not be judged of the inputs of each head."""
        return self._by_head(("unjudged",))

    def _by_head(self, severities: tuple[Severity, ...]) -> dict[str, list[Finding]]:
        kept = [finding for finding in self.findings if finding.severity in severities]
        return {head: [finding for finding in kept if head in finding.heads] for head in self.heads}


def audit(log: Log, config: Config, trained: TrainedInputs | None = None) -> Audit:
    """Read a whole log and return its defects.

    Args:
        log: An open log.
        config: Which topics play which part (`perception.autoconfig.complete_config` finds one).
        trained: The weights to compare with (`TrainedInputs.of(config)`); None: nothing is compared.
    """
    roles, decode = config.roles(), decoder(config)
    contents = LogContents.of(config)
    name = config.sensors.named[config.reference].topic
    expected = log.survey.topics[name].count if name in log.survey.topics else 0
    samples = InputSamples(trained or TrainedInputs(), expected)
    aligned = AlignedLog(config, samples)
    others: dict[str, TopicTimes] = {}
    stream, video = log.messages(), VideoStage(roles, config.stamps())
    for item in video.pictures(stream):
        if item.topic not in roles:
            others.setdefault(item.topic, TopicTimes()).add(item.log_time_ns)
            continue
        decoded = decode(item) if isinstance(item, Message) else item
        contents.add(decoded)
        aligned.add(decoded)
    aligned.finish()
    damage = tuple(stream.damage)
    reference = contents.topics[name]
    times = {name: topic.times for name, topic in contents.topics.items()} | others
    distances, plugin = samples.distances(), _manifest(config.plugin.name)
    findings = (
        *(Finding("made_by_reader", "note", "", note) for note in log.survey.notes),
        *sensor_rules.damage_rules(damage, log.survey.start_ns),
        *video_rules(video),
        *_findings(contents, aligned.contents, config, reference, plugin),
        *timing_rules.arrival_rules(sorted(times.items()), reference),
        *sample_rules(samples, config),
        *(training_rules(distances, trained, config) if trained is not None else ()),
    )
    delays = {
        topic.name: delay for topic in _sensors(contents) if (delay := Delay.of(topic.stamps)) is not None
    }
    return Audit(tuple(by_severity(findings)), times, delays, damage, distances, heads_of(plugin))


def _manifest(plugin: str) -> Manifest | None:
    """Return the manifest of a plugin; None: opening it says what is wrong."""
    try:
        return installed_manifest(plugin)
    except PluginError:
        return None


def _sensors(contents: LogContents) -> list[TopicContents]:
    return [topic for topic in contents.topics.values() if topic.role in SENSORS]


def _findings(
    contents: LogContents,
    ticks: TickContents,
    config: Config,
    reference: TopicContents,
    plugin: Manifest | None,
) -> Iterator[Finding]:
    sensors = _sensors(contents)
    yield from sensor_rules.missing_rules(contents, config, plugin)
    for topic in contents.topics.values():
        yield from sensor_rules.message_rules(topic)
        yield from rig_rules.ignored_rules(topic)
    for topic in sensors:
        yield from timing_rules.stamp_rules(topic, reference)
        yield from timing_rules.clock_rules(topic, reference, config)
        yield from timing_rules.rate_rules(topic, reference)
    yield from timing_rules.unstamped_rules(sensors)
    yield from timing_rules.unit_rules(reference)
    yield from timing_rules.epoch_rules(sensors, reference)
    apart_ms = timing_rules.clocks_apart_ms(sensors, reference)
    yield from tick_rules(ticks, config, apart_ms, timing_rules.unsteady_clocks(sensors, reference))
    yield from sensor_rules.picture_rules(contents)
    yield from rig_rules.rig_rules(ticks, config)
    yield from sensor_rules.scan_rules(contents)
    yield from sensor_rules.status_rules(contents)
    yield from rig_rules.truth_rules(ticks, config)
