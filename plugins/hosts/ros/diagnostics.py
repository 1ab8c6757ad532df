"""The health of a host as `diagnostic_msgs/DiagnosticArray`: what `rqt_robot_monitor` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perception.pipeline.host_job import HostHealth, InputHealth
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.ros_outputs import header
from perception_plugins.hosts.ros.transport import Notes

TYPE = "diagnostic_msgs/msg/DiagnosticArray"
_OK, _WARN, _ERROR, _STALE = 0, 1, 2, 3
_LEVELS = {"ok": _OK, "warn": _WARN, "error": _ERROR}


def with_notes(health: HostHealth, notes: Notes, unsent: Mapping[str, str]) -> HostHealth:
    """Return a health with what the transport and the outputs say: unusable types, unsent heads."""
    problems = [f"{subject}: {text}" for subject, text in sorted(notes.texts.items())]
    problems += [f"{topic} is not published: {text}" for topic, text in sorted(unsent.items()) if text]
    if not problems:
        return health
    level = "warn" if health.level == "ok" else health.level
    return replace(health, problems=(*health.problems, *problems), level=level)


def diagnostics(types: MessageTypes, health: HostHealth, node: str, stamp_ns: int) -> Any:
    """Return the health as statuses: the node, its plugin, each input, the monitor of each head."""
    statuses = [_node(types, health, node), _plugin(types, health, node)]
    statuses += [_input(types, entry, node) for entry in health.inputs]
    statuses += [
        _status(types, node, f"monitor: {head}", _WARN, "; ".join(reasons) or "in doubt", {})
        for head, reasons in health.doubts.items()
    ]
    return types.make(TYPE, header=header(types, stamp_ns), status=statuses)


def _node(types: MessageTypes, health: HostHealth, node: str) -> Any:
    values: dict[str, object] = {
        "outputs": health.outputs,
        "output rate (Hz)": health.output_rate_hz,
        **{f"latency {name} (ms)": f"{value:.2f}" for name, value in health.latency_ms.items()},
        "deadline (ms)": health.deadline_ms,
        "missed deadlines": health.missed_deadlines,
        "waiting messages": health.waiting,
        "recording": health.recording or "none",
        **{f"problem {number}": text for number, text in enumerate(health.problems[1:], 2)},
    }
    text = health.problems[0] if health.problems else "running"
    return _status(types, node, "node", _LEVELS[health.level], text, values)


def _plugin(types: MessageTypes, health: HostHealth, node: str) -> Any:
    values: dict[str, object] = {
        "errors": health.plugin_errors,
        "last error": health.last_error or "none",
        "restarts": health.restarts,
        "busy (s)": health.busy_s,
    }
    bad = health.plugin not in ("running", "busy")
    return _status(types, node, "plugin", _ERROR if bad else _OK, health.plugin, values)


def _input(types: MessageTypes, entry: InputHealth, node: str) -> Any:
    age = "none received" if entry.age_s is None else f"{entry.age_s:.3f}"
    values: dict[str, object] = {
        "topic": entry.topic,
        "rate (Hz)": entry.rate_hz,
        "age (s)": age,
        "received": entry.received,
        "dropped": entry.dropped,
        "lost on the way": entry.lost,
        "undecodable": entry.undecodable,
        "present": "unknown" if entry.present is None else entry.present,
    }
    level = _OK if not entry.problem else _STALE if entry.age_s is None else _WARN
    return _status(types, node, f"input: {entry.name}", level, entry.problem or "present", values)


def _status(
    types: MessageTypes, node: str, name: str, level: int, text: str, values: Mapping[str, object]
) -> Any:
    pairs = [
        types.make("diagnostic_msgs/msg/KeyValue", key=key, value=str(value)) for key, value in values.items()
    ]
    return types.make(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=level,
        name=f"{node}: {name}",
        message=text,
        hardware_id="perception",
        values=pairs,
    )
