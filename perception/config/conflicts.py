"""Contradictions between values of a configuration, found in a mapping that may have other errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perception.types import SENSORS


def conflicts(data: Mapping[Any, Any]) -> list[str]:
    """Return the contradictions in a configuration, one line each."""
    sensors = _sensors(data)
    names = [*_name_errors(data, sensors), *_truth_errors(data, sensors)]
    return [*names, *_topic_errors(data), *_window_errors(sensors)]


def used_topics(data: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of every configured topic."""
    truth = _section(data, "truth")
    heads = _section(truth, "heads")
    uses: list[tuple[str, object]] = []
    for name, section in _sensors(data).items():
        uses += [(f"sensors.{name}.{key}", section.get(key)) for key in ("topic", "calibration")]
        transforms = section.get("transforms")
        uses += [
            (f"sensors.{name}.transforms", topic)
            for topic in (transforms if isinstance(transforms, list | tuple) else ())
        ]
    uses += [("truth.boxes", truth.get("boxes")), ("truth.control", truth.get("control"))]
    of_cameras = _section(truth, "camera_boxes")
    uses += [(f"truth.camera_boxes.{name}", topic) for name, topic in of_cameras.items()]
    uses += [(f"truth.heads.{name}", _section(heads, name).get("topic")) for name in heads]
    return ((path, topic) for path, topic in uses if isinstance(topic, str))


def _sensors(data: Mapping[Any, Any]) -> dict[str, Mapping[Any, Any]]:
    """Return the sections of the sensors by name: camera, range, status, then the others as written."""
    sensors = _section(data, "sensors")
    names = [*SENSORS, *(str(name) for name in sensors if name not in SENSORS)]
    sections = {name: sensors.get(name) for name in names}
    return {name: section for name, section in sections.items() if isinstance(section, Mapping)}


def _kind(name: str, section: Mapping[Any, Any]) -> object:
    return name if name in SENSORS else section.get("kind")


def _name_errors(data: Mapping[Any, Any], sensors: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    reference, control = data.get("reference", "camera"), data.get("control_camera")
    if sensors and isinstance(reference, str) and reference not in sensors:
        yield (
            f"reference: is {reference}, but sensors.{reference} is not configured; "
            f"expected one of those that are: {', '.join(sensors)}"
        )
    cameras = [name for name, section in sensors.items() if _kind(name, section) == "camera"]
    if sensors and isinstance(control, str) and control not in cameras:
        yield (
            f"control_camera: is {control}, which is no configured camera; expected one of "
            f"{', '.join(cameras) or 'them, but there is none'}"
        )


def _truth_errors(data: Mapping[Any, Any], sensors: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    cameras = [name for name, section in sensors.items() if _kind(name, section) == "camera"]
    for name in _section(_section(data, "truth"), "camera_boxes") if sensors else ():
        if name not in cameras:
            listed = ", ".join(cameras) or "them, but there is none"
            yield f"truth.camera_boxes.{name}: no camera is called so; expected one of {listed}"
    topics = [topic for path, topic in used_topics(data) if path.startswith("truth.")]
    stamps = _section(_section(data, "truth"), "stamps")
    for topic in stamps if sensors else ():  # without sensors, truth is found with them
        if topic not in topics:
            yield f"truth.stamps: {topic}: no topic of truth; they are: {', '.join(topics) or 'none'}"


def _topic_errors(data: Mapping[Any, Any]) -> Iterator[str]:
    kinds = {name: _kind(name, section) for name, section in _sensors(data).items()}
    statuses = {f"sensors.{name}.topic" for name, kind in kinds.items() if kind == "status"}
    seen: dict[str, list[str]] = {}
    for path, topic in used_topics(data):
        before = seen.setdefault(topic, [])
        first = next(iter(before), path)
        before.append(path)
        if first == path:
            continue
        if {_key(first), _key(path)} == {"calibration"}:
            cameras = [p for p in before if kinds[p.split(".")[1]] == "camera"]
            if len(cameras) > 1 and path in cameras:
                yield (
                    f"{path}: {topic} is already the camera info of {cameras[0].split('.')[1]}; each camera "
                    "has its own (one camera recorded under two topics is configured once)"
                )
            continue
        shared = first in statuses and path.startswith(("truth.control", "truth.heads."))
        shared |= {_key(first), _key(path)} == {"transforms"}
        if not shared:
            yield f"{path}: topic {topic} is already used by {first}"


def _key(path: str) -> str:
    return path.rpartition(".")[2] if path.startswith("sensors.") else path


def _window_errors(sensors: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    """Yield the errors of several statuses, whose channels form one window."""
    statuses = {name: section for name, section in sensors.items() if _kind(name, section) == "status"}
    channels: dict[object, str] = {}
    first = next(iter(statuses), "")
    for name, section in statuses.items():
        for channel in _section(section, "fields"):
            owner = channels.setdefault(channel, name)
            if owner != name:
                yield f"sensors.{name}.fields.{channel}: is already a channel of sensors.{owner}"
        for key, default in (("steps", 16), ("rate_hz", 20.0)):
            value, other = section.get(key, default), statuses[first].get(key, default)
            if value != other:
                yield (
                    f"sensors.{name}.{key}: is {value}, and sensors.{first}.{key} is {other}; the channels "
                    "of all statuses form one window, so expected the same"
                )


def _section(data: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    section = data.get(name)
    return section if isinstance(section, Mapping) else {}
