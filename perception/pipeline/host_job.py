"""Hosts: what the command `perception host` asks of one, what it answers, and the installed ones.

A host is found by the entry-point group `perception.hosts`: the entry point names an object with the methods
of `Host`; a module will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from perception.autoconfig import Overrides
from perception.errors import NoPluginError, PluginError
from perception.extensions import extension_points, missing_methods
from perception.pipeline.replay_summary import RunStatus, Warned
from perception.text import did_you_mean

GROUP = "perception.hosts"
_BUILT_IN = {  # other packages add theirs by entry point
    name: f"perception_plugins.hosts.{name}_host" for name in ("dora", "ros1", "ros2")
}


@dataclass(frozen=True, slots=True)
class InputHealth:
    """The state of one topic that a host listens to.

    Attributes:
        name: The sensor, or what the topic is for (`calibration`).
        rate_hz: Over the last seconds.
        age_s: Since the last message; None before the first.
        dropped: Messages that came faster than they could be used, and those that were lost.
        lost: Messages that did not come, as far as the stack tells.
        undecodable: Messages that do not decode, of a wrong type for example.
        present: Whether the last sample has it; None: there is no sample, or it is of the rig.
        problem: What is wrong with it now; empty: nothing.
    """

    name: str
    topic: str
    rate_hz: float
    age_s: float | None
    received: int
    dropped: int
    lost: int
    undecodable: int
    present: bool | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class HostHealth:
    """The state of a host, to be published about once a second.

    Attributes:
        level: The worst of its problems.
        problems: What is wrong now, a line each.
        latency_ms: From the arrival of a reference message to the published output: `p50`, `p99`, `max`.
        missed_deadlines: Outputs that came more than a period of the reference (`deadline_ms`) after it.
        plugin: `running`, `busy`, `restarting`, ...
        busy_s: How long the plugin has been computing; 0 while it waits.
        restarts: Of a plugin in a process of its own.
        doubts: Head -> why the monitor does not believe it.
        recording: The file; empty: none, or it has ended.
        listens: By which transport the host hears its stack, where there are several (`dds, domain 0`).
    """

    level: Literal["ok", "warn", "error"]
    problems: tuple[str, ...]
    inputs: tuple[InputHealth, ...]
    outputs: int
    output_rate_hz: float
    latency_ms: Mapping[str, float]
    missed_deadlines: int
    deadline_ms: float
    plugin_errors: int
    last_error: str
    plugin: str
    busy_s: float
    restarts: int
    doubts: Mapping[str, tuple[str, ...]]
    waiting: int
    recording: str
    seconds: float
    listens: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain values under the schema `perception.health/1`."""
        return {"schema": "perception.health/1", **asdict(self)}


@dataclass(frozen=True, slots=True)
class HostSummary:
    """The account of a host that has ended.

    Attributes:
        dropped: Topic -> messages that came faster than they could be used, or were lost on the way.
        ledger: Topic -> row -> number of messages, `dropped_live` among them: each that was received.
        recording: The file; empty: none.
    """

    status: RunStatus
    host: str
    frames: int
    substitutes: int
    errors: int
    first_error: str
    outputs: Mapping[str, Mapping[str, int]]
    inputs: Mapping[str, Mapping[str, int]]
    absences: Mapping[str, Mapping[str, int]]
    dropped: Mapping[str, int]
    ledger: Mapping[str, Mapping[str, int]]
    latency_ms: Mapping[str, float]
    missed_deadlines: int
    restarts: int
    warnings: tuple[Warned, ...]
    recording: str
    run: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the summary under the schema `perception.host/1`."""
        return {"schema": "perception.host/1", **asdict(self)}


@dataclass(frozen=True, slots=True)
class HostJob:
    """A host as plain values.

    Attributes:
        config: The file of the configuration; a host has no log to find anything in.
        overrides: Values that replace those of the configuration.
        device: `auto`, `cpu` or `cuda`.
        record: Write inputs and outputs to this file; one that exists is kept, and another name is taken.
        queue: How many messages of the reference sensor and of a camera may wait for the plugin.
        isolate: Run the plugin in a process of its own.
        answer_s: With `isolate`: a plugin that takes longer for an answer is ended and started again.
        memory_mb: With `isolate`: so is one that holds more; None: half of the machine's.
        options: Of the host itself, by key.
    """

    config: Path
    overrides: Overrides = field(default_factory=Overrides)
    device: str = "auto"
    record: Path | None = None
    queue: int = 3
    isolate: bool = False
    answer_s: float = 2.0
    memory_mb: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class Host(Protocol):
    """An installed host."""

    def serve(self, job: HostJob, report: Callable[[HostHealth], None]) -> HostSummary:
        """Run until the stack, or an interrupt, ends the host.

        Args:
            job: What to run.
            report: Called about once a second, from one thread.

        Raises:
            PerceptionError: It cannot begin; also where its extra is not installed.
        """
        ...


def load_host(name: str) -> Host:
    """Load a host by name.

    Raises:
        NoPluginError: No host of that name is installed.
        PluginError: It does not load, or packages name different hosts alike.
    """
    places = {point.name: point.value for point in extension_points(GROUP, _BUILT_IN).values()}
    if name not in places:
        hint = did_you_mean(name, places, "; ")
        raise NoPluginError(f"no host '{name}' is installed{hint} (installed: {', '.join(sorted(places))})")
    module, _, attribute = places[name].partition(":")
    try:
        loaded = import_module(module)
        host: Host = getattr(loaded, attribute) if attribute else loaded
    except Exception as error:
        text = f"{places[name]}: {type(error).__name__}: {error}"
        raise PluginError(f"the host '{name}' does not load: {text}") from error
    if missing_methods(host, ("serve",)):
        raise PluginError(
            f"the host '{name}' ({places[name]}): expected a function serve(job, report), found none"
        )
    return host
