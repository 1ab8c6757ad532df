"""The rules of the plugin contract for an output. Hosts check every output by them."""

from __future__ import annotations

from collections.abc import Iterator
from sys import float_info

from perception.plugin import Manifest
from perception.plugin.output_types import type_violations
from perception.types import Control, Detection, Detections, Output, Sample, carrier_of

_ROUNDING = 1e-6
_LOW, _HIGH = -float_info.max, float_info.max


def output_violations(output: object, sample: Sample, manifest: Manifest) -> list[str]:
    """Return the violations of the contract in an output; empty for a valid one.

    Args:
        output: The output of `step` for the sample.
        sample: The sample as `prepare` returned it: unusable inputs are absent.
        manifest: The manifest of the plugin.
    """
    if not isinstance(output, Output):
        return [f"expected an Output, found {type(output).__name__}"]
    return list(type_violations(output)) or list(_violations(output, sample, manifest))


def _violations(output: Output, sample: Sample, manifest: Manifest) -> Iterator[str]:
    if output.tick != sample.tick:
        yield f"the tick is another one: expected {sample.tick}, found {output.tick}"
    promises = {carrier_of(name) for name in manifest.heads}
    carriers = {"detections": output.detections, "control": output.control, **output.extra}
    for name in dict.fromkeys([*carriers, *sorted(promises)]):
        head, promised = carriers.get(name), name in promises
        if promised and head is None:
            yield f"{name}: missing, though the manifest promises it; an invalid head is not None"
        elif head is not None and not promised:
            yield f"{name}: given, though the manifest does not name its heads"
        elif head is not None:
            yield from _head_violations(name, head, sample, manifest)


def _head_violations(
    name: str, head: Detections | Control, sample: Sample, manifest: Manifest
) -> Iterator[str]:
    present = {name for i in sample.sensors if i.present for name in (i.name, i.kind)}
    kinds = {i.name: i.kind for i in sample.sensors}
    for sensor in head.based_on:
        if kinds.get(sensor, sensor) not in manifest.inputs:
            yield f"{name}.based_on: {sensor} is not an input that the manifest names"
        elif sensor not in present:
            yield f"{name}.based_on: {sensor} is absent from this sample"
    if head.valid and not head.based_on:
        yield f"{name}: valid, but based on no input"
    values = head.items if isinstance(head, Detections) else head.channels
    if not head.valid and not head.error:
        yield f"{name}: invalid, but without an error; say why"
    if values and not head.valid:
        yield f"{name}: invalid, but carries {len(values)} values"
    if isinstance(head, Detections):
        yield from _detection_violations(head)
    else:
        yield from _value_violations(name, head)


def _detection_violations(head: Detections) -> Iterator[str]:
    for i, item in enumerate(head.items):
        if _is_right(item, head.position_frame):
            continue
        violations = (*_item_violations(item), *_position_violations(item, head.position_frame))
        yield from (f"detections.{i}: {violation}" for violation in violations)
    scores = [item.score for item in head.items if _finite(item.score)]
    if scores != sorted(scores, reverse=True):
        yield "detections: the highest score does not come first"


def _is_right(item: Detection, frame: str) -> bool:
    """Return whether a detection of plain floats keeps every rule; in a tenth of the time of listing what it
    breaks. False may also mean that its numbers are of other types."""
    if len(item.xyxy) != 4 or not _are_floats((*item.xyxy, item.score, item.visible)):
        return False
    x1, y1, x2, y2 = item.xyxy
    if not (_LOW <= x1 <= x2 <= _HIGH and _LOW <= y1 <= y2 <= _HIGH):
        return False
    if not (0 <= item.score <= 1 and 0 <= item.visible <= 1):
        return False
    std, distance_m, distance_std_m = item.box_std, item.distance_m, item.distance_std_m
    if std is not None and not (len(std) == 4 and _are_floats(std) and all(0 < x <= _HIGH for x in std)):
        return False
    if distance_m is None:
        return distance_std_m is None and not any(_position_violations(item, frame))
    if type(distance_m) is not float or not 0 <= distance_m <= _HIGH:
        return False
    if distance_std_m is not None and not (type(distance_std_m) is float and 0 < distance_std_m <= _HIGH):
        return False
    return not any(_position_violations(item, frame))


def _are_floats(values: tuple[float, ...]) -> bool:
    return all(type(value) is float for value in values)


def _item_violations(item: Detection) -> Iterator[str]:
    if len(item.xyxy) != 4 or not all(map(_finite, item.xyxy)):
        yield f"box {item.xyxy} is not four finite numbers"
    elif item.xyxy[0] > item.xyxy[2] or item.xyxy[1] > item.xyxy[3]:
        yield f"box {item.xyxy} is not ordered x1 <= x2, y1 <= y2"
    if not (_finite(item.score) and 0 <= item.score <= 1):
        yield f"score {_shown(item.score)} is not within 0 to 1"
    if not (_finite(item.visible) and 0 <= item.visible <= 1):
        yield f"visible {_shown(item.visible)} is not within 0 to 1"
    std, distance_m, distance_std_m = item.box_std, item.distance_m, item.distance_std_m  # None: unknown
    if std is not None and (len(std) != 4 or not all(_finite(edge) and edge > 0 for edge in std)):
        yield f"box_std {std} is not four positive numbers"
    if distance_m is not None and not (_finite(distance_m) and distance_m >= 0):
        yield f"distance_m {_shown(distance_m)} is not a distance"
    if distance_std_m is not None and not (_finite(distance_std_m) and distance_std_m > 0):
        yield f"distance_std_m {_shown(distance_std_m)} is not positive"
    elif distance_std_m is not None and distance_m is None:
        yield f"distance_std_m {distance_std_m} has no distance_m; give both, or None for both"


def _position_violations(item: Detection, frame: str) -> Iterator[str]:
    position, cov = item.position_m, item.position_cov_m2
    if position is None:
        if not item.position_unknown:
            yield "position_unknown is empty, though there is no position; give the reason"
        if cov is not None:
            yield "position_cov_m2 has no position_m; give both, or None for both"
        return
    if len(position) != 3 or not all(map(_finite, position)):
        yield f"position_m {position} is not three finite numbers"
    if not frame:
        yield "position_m has no frame; name it in Detections.position_frame"
    if item.position_unknown:
        yield f"position_unknown is {item.position_unknown!r}, though there is a position"
    if cov is not None and not _is_covariance(cov):
        yield f"position_cov_m2 {cov} is not a covariance: 3x3 finite numbers, symmetric"


def _is_covariance(cov: tuple[tuple[float, ...], ...]) -> bool:
    """Return whether a matrix is symmetric, with variances of 0 or more and no correlation above 1."""
    if len(cov) != 3 or any(len(row) != 3 or not all(map(_finite, row)) for row in cov):
        return False
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = cov
    if xx < 0 or yy < 0 or zz < 0:
        return False
    pairs = ((xy, yx, xx * yy), (xz, zx, xx * zz), (yz, zy, yy * zz))
    return all(
        abs(a - b) <= _ROUNDING * (scale := square**0.5) and abs(a) <= (1 + _ROUNDING) * scale
        for a, b, square in pairs
    )


def _value_violations(head_name: str, head: Control) -> Iterator[str]:
    names = [channel.name for channel in head.channels]
    if len(set(names)) != len(names):
        yield f"{head_name}: a channel is given twice: {', '.join(names)}"
    if head.valid and not names:
        yield f"{head_name}: valid, but without channels"
    for channel in head.channels:
        if not _finite(channel.value):
            yield f"{head_name}.{channel.name}: value {_shown(channel.value)} is not a finite number"
        if channel.std is not None and not (_finite(channel.std) and channel.std > 0):
            yield f"{head_name}.{channel.name}: std {_shown(channel.std)} is not positive"


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and _LOW <= value <= _HIGH


def _shown(value: object) -> str:
    """Return a value for a message; one that looks like a number and is none of Python's with its type."""
    if value is None or isinstance(value, (int, float, str)):
        return str(value)
    return f"{value} of type {type(value).__name__} (`float(...)` makes a number of it)"
