"""The text of `perception host`: problems while it runs, and the account at its end."""

from __future__ import annotations

from perception.pipeline.host_job import HostHealth, HostSummary
from perception.pipeline.sensor_warnings import grouped
from perception_tools.printing import say


class HealthLines:
    """Prints each problem of a host when it begins, and when it is over, to stderr."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}
        self._began = False

    def __call__(self, health: HostHealth) -> None:
        """Take the newest state."""
        if not self._began:
            self._began = True
            recording = f", recording to {health.recording}" if health.recording else ""
            say(f"ready{f' on {health.listens}' if health.listens else ''}{recording}", stderr=True)
        problems = {_kind(text): text for text in health.problems}
        for kind, text in problems.items():
            if kind not in self._problems:
                say(f"{health.seconds:.1f} s: {text}", stderr=True)
        for kind, text in self._problems.items():
            if kind not in problems:
                say(f"{health.seconds:.1f} s: over: {text}", stderr=True)
        self._problems = problems


def _kind(text: str) -> str:
    """Return a problem without its figures, which change while it lasts; of a doubt, its head alone."""
    text = text.partition(" is in doubt:")[0]
    return "".join(letter for letter in text if not letter.isdigit())


def show(summary: HostSummary) -> None:
    """Print the account of a host."""
    latency = summary.latency_ms
    say(f"{summary.status}: {summary.frames} outputs of {summary.host} in {summary.seconds:.1f} s")
    if latency:
        times = f"p50 {latency['p50']:.2f}, p99 {latency['p99']:.2f}, max {latency['max']:.2f} ms"
        say(f"  from message to output: {times}; {summary.missed_deadlines} came later than a period")
    for head, counts in summary.outputs.items():
        say(f"  {head}: {counts['valid']} valid, {counts['invalid']} invalid")
    for sensor, counts in summary.inputs.items():
        absences = ", ".join(f"{code} {n}" for code, n in summary.absences.get(sensor, {}).items())
        reasons = f" ({absences})" if absences else ""
        say(f"  {sensor}: {counts['present']} present, {counts['absent']} absent{reasons}")
    for topic, rows in summary.ledger.items():
        say(f"  {topic}: {', '.join(f'{row} {n}' for row, n in rows.items())}")
    if summary.errors:
        say(f"{summary.errors} samples failed; the first: {summary.first_error}")
    if summary.restarts:
        say(f"the plugin was started again {summary.restarts} times")
    for warning in grouped(summary.warnings):
        count = f" ({warning.count} times)" if warning.count > 1 else ""
        say(f"{warning.code}: {warning.text}{count}")
    if summary.recording:
        say(f"recorded: {summary.recording}")
