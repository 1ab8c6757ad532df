"""The monitor as a sink of a run: it takes every output, and publishes its state beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perception.diagnosis.monitor.baseline_stats import from_plain
from perception.diagnosis.monitor.doubt_record import kind_of_reason
from perception.diagnosis.monitor.monitor import Monitor
from perception.diagnosis.trained_inputs import TrainedInputs
from perception.models.input_profile import from_plain as from_profile
from perception.plugin import KnowsItsInputs, KnowsItsOutputs, Plugin
from perception.sinks import Level, RunInfo
from perception.sinks.mcap_sink import HEALTH
from perception.types import Output, Sample, TruthFrame

Rows = list[tuple[str, str, float]]
Publish = Callable[[str, Output, Rows], None]
Remark = Callable[[Level, str, str, int, int], None]


class MonitorSink:
    """Keeps a monitor over a run.

    Args:
        plugin: The plugin of the run; asked for its statistics once it is open.
        publish: Called for each output with a topic and rows to write beside it (`McapSink.add_values`).
            This sink must then come after that one.
        remark: Called where a head comes into doubt, other reasons come, or the doubt ends
            (`TakesRemarks.add_remark`).
    """

    ignores_truth = True

    def __init__(
        self,
        plugin: Plugin,
        publish: Publish | None = None,
        remark: Remark | None = None,
    ) -> None:
        self._plugin = plugin
        self._publish = publish
        self._remark = remark
        self._reasons: dict[str, tuple[str, ...]] = {}  # of each head, the kinds that were told last
        self.monitor = Monitor()
        self.problem = ""
        """The error in the plugin's statistics; empty: there is none, or there are no statistics."""

    def open(self, run: RunInfo) -> None:
        stats = None
        if isinstance(self._plugin, KnowsItsOutputs):
            plain = self._plugin.output_stats()
            try:
                stats = None if plain is None else from_plain(plain)
            except ValueError as error:
                self.problem = str(error)
        self.monitor = Monitor(stats, trained=self._trained())

    def _trained(self) -> TrainedInputs | None:
        """Return the training inputs that the plugin knows."""
        known = self._plugin.input_profile() if isinstance(self._plugin, KnowsItsInputs) else None
        if known is None:
            return None
        spec, plain = known
        try:
            return TrainedInputs(spec, from_profile(plain), "the weights")
        except ValueError as error:
            self.problem = str(error)
            return None

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self.monitor.update(sample, output)
        if self._publish is not None:
            self._publish(HEALTH, output, health_rows(self.monitor))
        if self._remark is not None:
            self._tell(self._remark, output)

    def _tell(self, remark: Remark, output: Output) -> None:
        """Tell the doubts that are new."""
        for head, health in self.monitor.health.items():
            reasons = () if health.believed else health.reasons or ("in doubt",)
            kinds = tuple(map(kind_of_reason, reasons))
            if self._reasons.get(head, ()) != kinds:
                self._reasons[head] = kinds
                level: Level = "warning" if reasons else "info"
                text = f"in doubt: {'; '.join(reasons)}" if reasons else "no longer in doubt"
                remark(level, f"monitor {head}", text, output.tick.log_time_ns, output.tick.stamp_ns)

    def close(self) -> None:
        """Do nothing."""

    def to_json(self) -> Mapping[str, Any]:
        """Return what the monitor found over the run."""
        return self.monitor.to_json()


def health_rows(monitor: Monitor) -> Rows:
    """Return the state of a monitor as (name, unit, value) rows, for a host to publish.

    `<head>.believed` is 1 or 0; `<head>.<statistic>` is its place: 0 at the usual median, 1 at the 95th
    percentile; `<input>.rate` in Hz.
    """
    rows: Rows = []
    for head, health in monitor.health.items():
        rows.append((f"{head}.believed", "", float(health.believed)))
        drifts = monitor.heads[head].drifts
        rows += [
            (f"{head}.{name}", "", drift.place) for name, drift in drifts.items() if drift.place is not None
        ]
    for name, sensor in monitor.inputs.items():
        if sensor.rate_hz is not None:
            rows.append((f"{name}.rate", "Hz", sensor.rate_hz))
    return rows
