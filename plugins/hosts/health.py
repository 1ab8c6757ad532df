"""The health and the account of a host: what its parts know, in one report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from perception.align.ledger import Ledger
from perception.config import Config
from perception.pipeline.host_job import HostHealth, HostSummary, InputHealth
from perception.pipeline.replay_summary import RunStatus, Warned
from perception.pipeline.stage_times import quantiles
from perception.pipeline.tally import Tally
from perception.plugin import Plugin
from perception.plugin.failures import failure_text
from perception_plugins.hosts.arrivals import Arrivals, TopicArrivals
from perception_plugins.hosts.outcomes import Outcomes
from perception_plugins.hosts.recording import HostRecording

RECENT_S = 5.0
"""A loss is a problem for so long; the counts stay."""
SILENT_S = 1.0
"""A sensor that says nothing for so long, or for twice its `max_age_ms`, is silent."""
BUSY_S = 1.0
"""A plugin that has not answered for so long, and for three periods of the reference, hangs."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The present state of the parts of a host. Made and used in any thread."""

    config: Config
    arrivals: Arrivals
    undecodable: Mapping[str, tuple[int, str]]
    outcomes: Outcomes
    plugin: Plugin
    record: HostRecording | None
    failure: BaseException | None
    began_s: float
    host: str
    notes: tuple[str, ...] = ()

    def health(self) -> HostHealth:
        """Return the state of the host."""
        now_s = time.monotonic()
        inputs = tuple(self._inputs(now_s))
        busy_s = now_s - (self.outcomes.busy_since_s or now_s)
        errors, warnings = list(self._errors(now_s, busy_s)), list(self._warnings(now_s))
        warnings += [f"{entry.name} ({entry.topic}): {entry.problem}" for entry in inputs if entry.problem]
        level: Literal["ok", "warn", "error"] = "error" if errors else "warn" if warnings else "ok"
        record = self.record
        return HostHealth(
            level=level,
            problems=(*errors, *warnings),
            inputs=inputs,
            outputs=self.outcomes.published,
            output_rate_hz=round(self.outcomes.rate_hz(now_s), 2),
            latency_ms=quantiles(self.outcomes.latency),
            missed_deadlines=self.outcomes.missed,
            deadline_ms=round(self.outcomes.deadline_ms, 3),
            plugin_errors=self.outcomes.tally.errors,
            last_error=self.outcomes.error,
            plugin=self._plugin_state(busy_s),
            busy_s=round(busy_s, 3),
            restarts=self._restarts,
            doubts=dict(self.outcomes.doubts),
            waiting=self.arrivals.waiting,
            recording=str(record.path) if record is not None and not record.problem else "",
            seconds=round(now_s - self.began_s, 3),
        )

    def summary(self, ledger: Ledger, run: Mapping[str, str], failure: str) -> HostSummary:
        """Return the account of a host that has ended.

        Args:
            ledger: Complete.
            run: The record of what made the outputs.
            failure: Why it ended by itself; empty: it did not.
        """
        tally, outcomes = self.outcomes.tally, self.outcomes
        dropped = {topic: a.dropped for topic, a in self.arrivals.topics.items() if a.dropped}
        warnings = [*tally.warnings.values(), *self._final_warnings(failure)]
        return HostSummary(
            status=self._status(tally, dropped, failure),
            host=self.host,
            frames=tally.frames,
            substitutes=tally.substitutes,
            errors=tally.errors,
            first_error=tally.first_error,
            outputs=tally.outputs,
            inputs=tally.inputs,
            absences=tally.absences,
            dropped=dropped,
            ledger=ledger.rows(),
            latency_ms=quantiles(outcomes.latency),
            missed_deadlines=outcomes.missed,
            restarts=self._restarts,
            warnings=tuple(warnings),
            recording=str(self.record.path) if self.record is not None else "",
            run=run,
            seconds=round(time.monotonic() - self.began_s, 3),
        )

    # --- the parts -------------------------------------------------------------------------------

    def _inputs(self, now_s: float) -> Iterator[InputHealth]:
        """Yield the state of each configured topic, sensors first."""
        names = self.config.sensor_names()
        roles = self.config.roles()
        for topic in sorted(roles, key=lambda topic: topic not in names):
            account = self.arrivals.topics[topic]
            name, age_s = names.get(topic, ""), account.age_s(now_s)
            reason = self.outcomes.present.get(name)
            count, why = self.undecodable.get(topic, (0, ""))
            yield InputHealth(
                name=name or roles[topic],
                topic=topic,
                rate_hz=round(account.rate_hz(now_s), 2),
                age_s=None if age_s is None else round(age_s, 3),
                received=account.received,
                dropped=account.dropped,
                lost=account.lost,
                undecodable=count,
                present=None if reason is None else not reason,
                problem=self._input_problem(name, account, now_s, reason or "", (count, why)),
            )

    def _input_problem(
        self, name: str, account: TopicArrivals, now_s: float, reason: str, undecodable: tuple[int, str]
    ) -> str:
        age_s = account.age_s(now_s)
        if age_s is None:
            return "nothing received yet" if now_s - self.began_s > SILENT_S else ""
        if name and age_s > max(SILENT_S, 2e-3 * self.config.sensors.named[name].max_age_ms):
            return f"silent: nothing for {age_s:.1f} s"
        if undecodable[0] and (reason or not name):
            return f"{undecodable[0]} of {account.received} messages do not decode: {undecodable[1]}"
        if account.dropped_s is not None and now_s - account.dropped_s < RECENT_S:
            fast = account.dropped - account.lost
            reasons = ((fast, "came too fast and were dropped"), (account.lost, "were lost on the way"))
            text = ", ".join(f"{count} {reason}" for count, reason in reasons if count)
            return f"of {account.received} messages {text}"
        return reason

    def _errors(self, now_s: float, busy_s: float) -> Iterator[str]:
        """Yield what keeps the host from its work."""
        if self.failure is not None:
            yield f"the host has ended: {failure_text(self.failure)}"
        if self._hangs(busy_s):
            yield f"the plugin has not answered for {busy_s:.1f} s"
        if self.outcomes.error and now_s - self.outcomes.error_s < RECENT_S:
            yield f"{self.outcomes.tally.errors} samples failed, the last: {self.outcomes.error}"
        if self.record is not None and self.record.problem:
            yield f"the recording has ended: {self.record.problem}"

    def _warnings(self, now_s: float) -> Iterator[str]:
        yield from self.notes
        missed_s = self.outcomes.missed_s
        if missed_s is not None and now_s - missed_s < RECENT_S:
            deadline = f"{self.outcomes.deadline_ms:.0f} ms"
            yield f"{self.outcomes.missed} outputs came later than {deadline} after their message"
        for head, reasons in self.outcomes.doubts.items():
            yield f"{head} is in doubt: {'; '.join(reasons)}"
        if self.arrivals.clock_jumps:
            yield f"the clock was set {self.arrivals.clock_jumps} times; arrivals go on without the steps"

    def _hangs(self, busy_s: float) -> bool:
        return busy_s > max(BUSY_S, 3e-3 * self.outcomes.deadline_ms)

    def _plugin_state(self, busy_s: float) -> str:
        if self._hangs(busy_s):
            return "hangs"
        return str(getattr(self.plugin, "state", "running"))

    @property
    def _restarts(self) -> int:
        return int(getattr(self.plugin, "restarts", 0))

    def _status(self, tally: Tally, dropped: Mapping[str, int], failure: str) -> RunStatus:
        if failure:
            return "failed"
        lost = dropped or tally.errors or self.undecodable or self.outcomes.unpublished
        return "loss" if lost or (self.record is not None and self.record.problem) else "clean"

    def _final_warnings(self, failure: str) -> Iterator[Warned]:
        if failure:
            yield Warned("failed", failure)
        yield from (Warned("config", note) for note in self.notes)
        for topic, (count, reason) in self.undecodable.items():
            yield Warned("undecodable", f"{topic}: {reason}", count)
        if self.outcomes.unpublished:
            yield Warned("unpublished", self.outcomes.error, self.outcomes.unpublished)
        if self.record is not None and self.record.problem:
            yield Warned("recording", self.record.problem)
        if self.arrivals.clock_jumps:
            text = "the clock was set; arrivals went on without the step"
            yield Warned("clock", text, self.arrivals.clock_jumps)
