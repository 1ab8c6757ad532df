"""The types of what an output holds, which the rules, the sinks and the digest of outputs rely on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from perception.types import Control, ControlChannel, Detection, Detections, Output


def type_violations(output: Output) -> Iterator[str]:
    """Yield what in an output is of another type than its classes state: a generator in place of a tuple, an
    array in place of a box. Numbers are left to `perception.plugin.output_rules`."""
    if not isinstance(output.extra, Mapping):
        yield _expected("extra", "a dict", output.extra)
        return
    for name, head in {"detections": output.detections, "control": output.control, **output.extra}.items():
        if isinstance(head, Detections | Control):
            yield from _of_head(name, head)
        elif head is not None:
            yield _expected(str(name), "Detections or Control", head)


def _of_head(name: str, head: Detections | Control) -> Iterator[str]:
    yield from _text(f"{name}.error", head.error)
    yield from _sequence(f"{name}.based_on", head.based_on, str)
    if isinstance(head, Control):
        yield from _sequence(f"{name}.channels", head.channels, ControlChannel)
        return
    yield from _text(f"{name}.position_frame", head.position_frame)
    yield from _sequence(f"{name}.items", head.items, Detection)


def _sequence(where: str, values: object, kind: type) -> Iterator[str]:
    if not isinstance(values, tuple | list):
        yield _expected(where, f"a tuple of {kind.__name__}", values)
        return
    for i, value in enumerate(values):
        if not isinstance(value, kind):
            yield _expected(f"{where}.{i}", kind.__name__, value)
        elif isinstance(value, Detection):
            if _is_usual(value):
                continue
            yield from _of_detection(f"{where}.{i}", value)
        elif isinstance(value, ControlChannel):
            yield from _text(f"{where}.{i}.name", value.name)
            yield from _text(f"{where}.{i}.unit", value.unit)


def _is_usual(item: Detection) -> bool:
    """Return whether a detection is of the usual types; in a tenth of the time of listing which is not."""
    plain = type(item.label) is str and item.label.isascii() and item.track_id == ""
    boxed = type(item.xyxy) is tuple and (item.box_std is None or type(item.box_std) is tuple)
    return plain and boxed and item.position_m is None and item.position_cov_m2 is None


def _of_detection(where: str, item: Detection) -> Iterator[str]:
    yield from _text(f"{where}.label", item.label)
    yield from _text(f"{where}.track_id", item.track_id)
    yield from _text(f"{where}.position_unknown", item.position_unknown)
    for name in ("xyxy", "box_std", "position_m", "position_cov_m2"):
        given = getattr(item, name)
        if not isinstance(given, tuple) and (given is not None or name == "xyxy"):
            yield _expected(f"{where}.{name}", "a tuple of float", given)
    cov = item.position_cov_m2
    if isinstance(cov, tuple) and not all(isinstance(row, tuple) for row in cov):
        yield f"{where}.position_cov_m2: expected a tuple of three tuples of float, found {cov!r:.60}"


def _text(where: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield _expected(where, "str", value)
    elif not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            yield f"{where}: expected a text of Unicode, found {value!a:.60}"


def _expected(where: str, expected: str, found: object) -> str:
    return f"{where}: expected {expected}, found {type(found).__name__}"
