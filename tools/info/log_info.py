"""The facts about a log that `perception info` shows, and their JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from perception.remote import RemotePath

if TYPE_CHECKING:
    from perception.autoconfig import ConfigChoice
    from perception.autoconfig.alignment import AlignmentReport
    from perception.autoconfig.alignment_advice import AlignmentProblem
    from perception.autoconfig.class_words import ClassWords
    from perception.autoconfig.unused_topics import UnusedTopic
    from perception.diagnosis.audit import Audit, Finding, TopicTimes
    from perception.errors import ConfigError, LogError
    from perception.logs import Damage, Log
from perception.types import Status

NOT_READ = "the log is large: gaps and damage are looked for with --audit only"


class TopicRow(NamedTuple):
    """One topic of a log. `rate_hz` and `largest_gap_s` are None where arrivals were not read."""

    topic: str
    schema: str
    encoding: str
    messages: int
    first_ns: int | None
    last_ns: int | None
    rate_hz: float | None
    largest_gap_s: float | None
    role: str | None


@dataclass(frozen=True, slots=True)
class LogInfo:
    """The facts about an open log.

    Attributes:
        choice: The configuration that replay would use; None where `problem` gives the reason.
        audit: None if not requested, or without a configuration.
        times: Arrivals by topic; empty where the log was not read.
        damage: The known damage.
        audited: Whether an audit was requested.
        alignment: The simulated ticks of the configuration; None without one.
        absences: The sensors that are absent in most of them, with the cure.
        words: The class words of the truth; None without a configuration.
        with_metadata: Whether the recorder's metadata are shown.
    """

    log: Log
    choice: ConfigChoice | None
    problem: ConfigError | LogError | None
    audit: Audit | None
    times: dict[str, TopicTimes]
    damage: list[Damage]
    audited: bool
    alignment: AlignmentReport | None = None
    absences: Sequence[AlignmentProblem] = ()
    words: ClassWords | None = None
    with_metadata: bool = False

    @property
    def status(self) -> Status:
        """Return `loss` where a part of the log is lost, else `clean`."""
        return "loss" if self.damage or (self.audit is not None and self.audit.lossy) else "clean"

    @property
    def unread(self) -> bool:
        """Return whether the log has messages but was too large to be read for gaps and damage."""
        return not self.times and self.log.survey.message_count > 0

    @property
    def unused(self) -> tuple[UnusedTopic, ...]:
        """Return the topics that are not used, also where there is no choice to use any."""
        from perception.autoconfig.choose_config import unused_without_choice

        return self.choice.unused if self.choice is not None else unused_without_choice(self.log)

    @property
    def sensor_start_ns(self) -> int | None:
        """Return from where seconds count: the first sensor message, or the first of the log."""
        from perception.autoconfig.log_times import sensor_start_ns

        return (
            self.log.survey.start_ns if self.choice is None else sensor_start_ns(self.log, self.choice.config)
        )

    def topics(self) -> Iterator[TopicRow]:
        """Yield the topics by name. A damaged log may have messages on topics that nothing declares."""
        roles = self.choice.config.roles() if self.choice else {}
        survey = self.log.survey
        for topic in sorted({*self.log.channels, *survey.topics}):
            channel, held, arrivals = (
                self.log.channels.get(topic),
                survey.topics.get(topic),
                self.times.get(topic),
            )
            gap = arrivals.largest_gap() if arrivals else None
            yield TopicRow(
                topic,
                channel.schema.name if channel and channel.schema else "",
                channel.encoding if channel else "",
                held.count if held else 0,
                held.first_ns if held else None,
                held.last_ns if held else None,
                arrivals.rate_hz() if arrivals else None,
                gap[0] if gap else None,
                roles.get(topic),
            )

    def to_json(self) -> dict[str, Any]:
        """Return the report of `--json`."""
        choice = self.choice
        report: dict[str, Any] = {
            "schema": "perception.info/1",
            "status": self.status,
            "log": self._log_report(),
            "topics": {row.topic: dict(list(row._asdict().items())[1:]) for row in self.topics()},
            "configuration": choice.config.model_dump(mode="json", exclude_none=True) if choice else None,
            "reasons": list(choice.reasons) if choice else [],
            "unused": [asdict(item) for item in self.unused],
            "alignment": _alignment_report(self.alignment) if self.alignment else None,
            "truth_classes": self.words.to_json() if self.words else None,
            "damage": [asdict(item) for item in self.damage],
            "warnings": self._warnings(),
        }
        if self.audit is not None:
            report["audit"] = _audit_report(self.audit)
        return report

    def _log_report(self) -> dict[str, Any]:
        survey = self.log.survey
        return {
            "path": str(self.log.path),
            "size_bytes": survey.size_bytes,
            "start_ns": survey.start_ns,
            "end_ns": survey.end_ns,
            "duration_s": survey.duration_s,
            "sensor_start_ns": self.sensor_start_ns,
            "messages": survey.message_count,
            "indexed": survey.indexed,
            "compression": list(survey.compression),
            "profile": survey.profile,
            "library": survey.library,
            "attachments": list(survey.attachments),
            **({"remote": path.file.account()} if isinstance(path := self.log.path, RemotePath) else {}),
            "proof": self.log.accounting._asdict(),  # empty texts: none
            "notes": list(survey.notes),
            **({"metadata": self._metadata()} if self.with_metadata else {}),
        }

    def _metadata(self) -> list[dict[str, Any]]:
        return [{"name": name, "values": dict(values)} for name, values in self.log.survey.metadata]

    def _warnings(self) -> list[dict[str, str]]:
        texts = [("configuration", text) for text in self.choice.warnings] if self.choice else []
        texts += [(problem.code, problem.text) for problem in self.absences]
        if self.problem is not None:
            texts.append(("no_configuration", str(self.problem)))
        if self.unread:
            texts.append(("not_read", NOT_READ))
        return [{"code": code, "text": text} for code, text in texts]


def _alignment_report(report: AlignmentReport) -> dict[str, Any]:
    sensors = {
        name: {"present": sensor.present, "absences": dict(sensor.absences)}
        for name, sensor in report.sensors.items()
    }
    return {"ticks": report.ticks, "sensors": sensors}


def finding_codes(findings: list[Finding]) -> list[str]:
    """Return the codes of findings, each once, in order."""
    return list(dict.fromkeys(finding.code for finding in findings))


def _audit_report(audit: Audit) -> dict[str, Any]:
    unjudged, unlike = audit.unjudged(), audit.unlike_training()
    return {
        "judges": "inputs",
        "findings": [asdict(finding) for finding in audit.findings],
        "delays": {topic: asdict(delay) for topic, delay in audit.delays.items()},
        "training": {
            name: {**asdict(distance), "unlike": distance.unlike} for name, distance in audit.training.items()
        },
        "heads": {
            head: {
                "reliable": False if because else None if unjudged[head] else True,
                "because": finding_codes(because),
                "not_judged": finding_codes(unjudged[head]),
                "unlike_training": bool(unlike[head]),
            }
            for head, because in audit.verdicts().items()
        },
    }
