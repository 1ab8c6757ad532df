"""The speed of a status beside that of the positions of a satellite receiver: is it in m/s?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

import numpy as np

from perception.autoconfig.first_messages import first_decoded
from perception.config import Config
from perception.logs import Log, Query, decode, sensor_kind
from perception.logs.sparing import is_sparing, look
from perception.types import Decoded, Float64, StatusReading

_PATHS = (("latitude", "longitude"), ("lat", "lon"), ("lat", "lng"))
_PARTS, _FIXES, _READINGS = 3, 40, 4000
_STEP_NS, _MOST_STEP_NS = 500_000_000, 5_000_000_000
"""Between positions that are compared: nearer ones differ by noise."""
_MOVES_M_S = 2.0
_FEWEST = 5  # steps that tell anything
_STEADY = 0.1
"""Four fifths of the factors are nearer to their median than this share of it: else the two tell nothing."""
_UNITS = {3.6: "km/h", 2.237: "mph", 1.944: "knots", 3.281: "feet/s", 100.0: "cm/s", 1000.0: "mm/s"}
_NEAR = 0.06
_METRES_PER_DEGREE = 111_195.0


def speed_doubts(log: Log, config: Config) -> Iterator[str]:
    """Yield a warning for each status whose speed is what positions move in another unit than m/s.

    A receiver that is bad gives other factors, which tell nothing.

    Looks at three parts of the log; where it has no index, or is remote, at its beginning.
    """
    speeds = {
        section.topic: section.fields["speed"]
        for section in config.sensors.statuses.values()
        if "speed" in section.fields
    }
    receiver = next(_receivers(log), None) if speeds else None
    if receiver is None:
        return
    topic, paths = receiver
    parts = [part for part in _fixes(log, topic, paths) if len(part) > 1]
    for status, path in speeds.items():
        factors = np.concatenate([_factors(log, status, path, part) for part in parts] or [np.zeros(0)])
        if len(factors) < _FEWEST:
            continue
        factor = float(np.median(factors))
        unit = next((unit for at, unit in _UNITS.items() if abs(factor / at - 1) < _NEAR), "")
        if unit and np.quantile(np.abs(factors / factor - 1), 0.8) <= _STEADY:
            yield (
                f"status: speed ({path}) on {status} is {factor:.3g} times as fast as {topic} moves: perhaps "
                f"it is in {unit}, where m/s is expected"
            )


def _receivers(log: Log) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the topics with a latitude and a longitude, and the paths of these."""
    for topic in sorted(log.survey.topics):
        channel = log.channels.get(topic)
        if channel is None or sensor_kind(channel.schema, channel.encoding) != "status":
            continue
        for reading in first_decoded(log, topic, "status", 1):
            values = reading.values if isinstance(reading, StatusReading) else {}
            yield from ((topic, paths) for paths in _PATHS if all(path in values for path in paths))


def _fixes(log: Log, topic: str, paths: tuple[str, str]) -> Iterator[Float64]:
    """Yield of each part of the log stamps, northings and eastings [N, 3] of positions, in ns and metres."""
    survey = log.survey.topics[topic]
    count = _PARTS if log.survey.indexed and not is_sparing(log) and survey.count > _PARTS * _FIXES else 1
    for part in range(count):
        begin_ns = survey.first_ns + (survey.last_ns - survey.first_ns) * part // count
        readings = _readings(log, Query(frozenset({topic}), begin_ns), _FIXES)
        rows = [(r.log_time_ns, *(r.values.get(path, np.nan) for path in paths)) for r in readings]
        table = np.array(rows, np.float64).reshape(-1, 3)
        table = table[np.isfinite(table).all(1) & table[:, 1:].any(1)]
        table[:, 2] *= np.cos(np.radians(table[:, 1]))
        table[:, 1:] *= _METRES_PER_DEGREE
        yield table


def _factors(log: Log, topic: str, path: str, fixes: Float64) -> Float64:
    """Return for each step between positions how many times faster than it the status says to be."""
    query = Query(frozenset({topic}), int(fixes[0, 0]), int(fixes[-1, 0]) + 1)
    held = [(r.log_time_ns, abs(r.values.get(path, np.nan))) for r in _readings(log, query, _READINGS)]
    times, values = (
        np.array(column, np.float64) for column in (zip(*held, strict=True) if held else ((), ()))
    )
    kept = [fixes[0]]
    for fix in fixes[1:]:
        if fix[0] - kept[-1][0] >= _STEP_NS:
            kept.append(fix)
    factors = []
    for before, after in pairwise(kept):
        step_ns = after[0] - before[0]
        moved = float(np.hypot(*(after[1:] - before[1:]))) / (step_ns / 1e9)
        inside = values[(times >= before[0]) & (times <= after[0])]
        if step_ns <= _MOST_STEP_NS and moved > _MOVES_M_S and len(inside) and np.isfinite(inside).all():
            factors.append(float(inside.mean()) / moved)
    return np.array(factors)


def _readings(log: Log, query: Query, most: int) -> Iterator[StatusReading]:
    decoded: Iterator[Decoded] = (decode(message, "status") for message in islice(look(log, query), most))
    return (message for message in decoded if isinstance(message, StatusReading))
