"""On which parts of the data the answers are surely worse: each part against all the rest.

Parts of objects (distance, size, visibility, class) and parts of the frames (light, speed, time, status
fields). What is compared are means, so that a part needs no ranking of its own: `recall`, `precision` (at the
cut-off of the best F1 over all), `distance_rel`, and `MAE` of each control channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.evaluation.record import LogRecord
from perception.evaluation.report import DifferenceReport, SliceReport, Verdict
from perception.evaluation.resampling import Resampler
from perception.evaluation.surroundings import Surroundings
from perception.messages import Float64
from perception.metrics.redraw import means
from perception.statistics import holm

KINDS = ("distance", "size", "visibility", "class", "light", "speed", "time", "status")
ALL = KINDS[:-1]
"""What `all` means; every status field beside would leave nothing to be found after correction."""

STATUS = "status:"
ALPHA = 0.05
_SIZES = (
    ("small, < 32 px", 0.0, 32.0**2),
    ("medium", 32.0**2, 96.0**2),
    ("large, > 96 px", 96.0**2, np.inf),
)
_DISTANCES_M = (0.0, 10.0, 20.0, 40.0, np.inf)
_SPEEDS_M_S = (0.0, 0.5, 3.0, 8.0, 15.0, np.inf)
_VISIBLE = (0.0, 0.5, 0.8, np.inf)
_BRIGHTNESS = (("dark", 0.0, 50.0), ("dim", 50.0, 100.0), ("bright", 100.0, np.inf))

Mask = NDArray[np.bool_]


def chosen_slices(text: str) -> tuple[str, ...]:
    """The kinds of slices in a list with commas; `all` for all but status, `status:FIELD` for one field.

    Raises:
        ConfigError: A word is none.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [
        w for w in words if w != "all" and w not in KINDS and not (w.startswith(STATUS) and w[len(STATUS) :])
    ]
    if wrong or not words:
        expected = f"all, {', '.join(KINDS)} or status:FIELD"
        raise ConfigError([f"--slices: expected {expected}, with commas, found '{', '.join(wrong) or text}'"])
    return tuple(dict.fromkeys(kind for word in words for kind in (ALL if word == "all" else (word,))))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part: which frames (of each log) or which objects and alarms are in it."""

    by: str
    name: str
    frames: Sequence[Mask] | None = None
    objects: Sequence[Mask] | None = None
    alarms: Sequence[Mask] | None = None


class _Mean(NamedTuple):
    """A mean over rows: each with its block, its value, and whether it lies in the part."""

    head: str
    metric: str
    unit: str
    better: str
    block: NDArray[np.intp]
    value: Float64
    inside: Mask


def slices(
    resampler: Resampler,
    records: Sequence[LogRecord],
    around: Sequence[Surroundings],
    kinds: Sequence[str],
    cut: float,
    units: Mapping[str, str] | None = None,
    min_support: int = 10,
) -> list[SliceReport]:
    """Every part against its complement, p-values corrected after Holm over all; surely worse ones first.

    Args:
        resampler: Of these records.
        around: Of each log, for light, speed and status.
        kinds: As `chosen_slices` gives them.
        cut: Detections of this score or more count.
        units: Of the control channels.
        min_support: With fewer rows in the part or in the rest nothing is compared.
    """
    found: list[tuple[_Mean, SliceReport]] = []
    for part in _parts(records, around, kinds):
        for mean in _means(resampler, records, part, cut, units or {}):
            inside, outside = int(mean.inside.sum()), int((~mean.inside).sum())
            if min(inside, outside) < min_support:
                continue
            found.append((mean, _compare(resampler, part, mean, inside, outside)))
    corrected = holm([report.difference.p for _, report in found])
    done = [_with_verdict(report, p) for (_, report), p in zip(found, corrected, strict=True)]
    return sorted(done, key=_order)


def _compare(resampler: Resampler, part: Part, mean: _Mean, inside: int, outside: int) -> SliceReport:
    value, rest = float(mean.value[mean.inside].mean()), float(mean.value[~mean.inside].mean())
    difference = DifferenceReport(value=value - rest)
    group = resampler.group(mean.head)
    if group is not None and group.draws is not None:

        def drawn(weights: NDArray[np.float32]) -> Float64:
            return means(mean.block[mean.inside], mean.value[mean.inside], weights) - means(
                mean.block[~mean.inside], mean.value[~mean.inside], weights
            )

        by_log = None if group.draws.logs is None else drawn(group.draws.logs)
        spread = resampler.spread(mean.head, value - rest, drawn(group.draws.blocks), by_log)
        interval = None if spread is None else spread.interval(resampler.options.level)
        if spread is not None and interval is not None:
            difference = DifferenceReport(
                value=value - rest, low=interval.low, high=interval.high, p=spread.p_value()
            )
    return SliceReport(
        by=part.by,
        part=part.name,
        head=mean.head,
        metric=mean.metric,
        unit=mean.unit,
        better="higher" if mean.better == "higher" else "lower",
        value=value,
        support=inside,
        rest=rest,
        rest_support=outside,
        difference=difference,
    )


def _with_verdict(report: SliceReport, p: float | None) -> SliceReport:
    told = verdict(report.difference.value, p, report.better)
    difference = report.difference.model_copy(update={"p_corrected": p, "verdict": told})
    return report.model_copy(update={"difference": difference})


def verdict(difference: float | None, p_corrected: float | None, better: str) -> Verdict:
    """What a difference means at the 5 % level; where neither direction is better, nothing."""
    if difference is None or p_corrected is None or p_corrected >= ALPHA or not better or difference == 0:
        return "cannot tell"
    return "better" if (difference > 0) == (better == "higher") else "worse"


def _order(report: SliceReport) -> tuple[int, float]:
    """Surely worse first, surely better last, each by how unlikely it is chance."""
    rank = {"worse": 0, "cannot tell": 1, "better": 2}[report.difference.verdict]
    p = report.difference.p
    return rank, 1.0 if p is None else p


# --- the means of a part -------------------------------------------------------------------------


def _means(
    resampler: Resampler, records: Sequence[LogRecord], part: Part, cut: float, units: Mapping[str, str]
) -> Iterator[_Mean]:
    boxes, control = resampler.group("box"), resampler.group("control")
    assert boxes is not None
    assert control is not None
    blocks = [boxes.blocks.of(log, record.stamps_ns) for log, record in enumerate(records)]

    def rows(of: Callable[[LogRecord], NDArray[np.generic]]) -> NDArray[np.generic]:
        return np.concatenate([of(record) for record in records])

    block = np.concatenate([b[r.objects["frame"]] for b, r in zip(blocks, records, strict=True)])
    inside = _objects_inside(records, part)
    hit = np.asarray(rows(lambda r: r.objects["score"])) >= cut
    yield _Mean("class", "recall", "", "higher", block, hit.astype(np.float64), inside)
    off, far = (np.asarray(rows(lambda r, n=n: r.objects[n]), dtype=np.float64) for n in ("off", "distance"))  # type: ignore[misc]
    good = hit & np.isfinite(off) & (far > 0)
    yield _Mean("box", "distance_rel", "", "lower", block[good], np.abs(off[good]) / far[good], inside[good])
    if part.alarms is not None or part.frames is not None:
        yield _precision(records, blocks, part, cut, block[hit], inside[hit])
    if part.frames is None:
        return
    for name in dict.fromkeys(name for record in records for name in record.control):
        where = [(log, record) for log, record in enumerate(records) if name in record.control]
        error = np.concatenate([np.abs(record.control[name]["error"]) for _, record in where])
        of_control = [control.blocks.of(log, r.stamps_ns[r.control[name]["frame"]]) for log, r in where]
        masks = [part.frames[log][record.control[name]["frame"]] for log, record in where]
        yield _Mean(
            "control",
            f"MAE/{name}",
            units.get(name, ""),
            "lower",
            np.concatenate(of_control),
            error,
            np.concatenate(masks),
        )


def _objects_inside(records: Sequence[LogRecord], part: Part) -> Mask:
    if part.objects is not None:
        return np.concatenate(list(part.objects))
    assert part.frames is not None
    return np.concatenate([mask[r.objects["frame"]] for mask, r in zip(part.frames, records, strict=True)])


def _precision(
    records: Sequence[LogRecord],
    blocks: Sequence[NDArray[np.intp]],
    part: Part,
    cut: float,
    hit_block: NDArray[np.intp],
    hit_inside: Mask,
) -> _Mean:
    """Over what was said at the cut-off: 1 for a hit, 0 for a false alarm."""
    shown = [record.alarms["score"] >= cut for record in records]
    block = [b[r.alarms["frame"]][s] for b, r, s in zip(blocks, records, shown, strict=True)]
    if part.alarms is not None:
        masks = [mask[s] for mask, s in zip(part.alarms, shown, strict=True)]
    else:
        assert part.frames is not None
        masks = [mask[r.alarms["frame"]][s] for mask, r, s in zip(part.frames, records, shown, strict=True)]
    false = np.concatenate(block)
    return _Mean(
        "class",
        "precision",
        "",
        "higher",
        np.concatenate([hit_block, false]),
        np.concatenate([np.ones(len(hit_block)), np.zeros(len(false))]),
        np.concatenate([hit_inside, *masks]),
    )


# --- the parts -----------------------------------------------------------------------------------


def _parts(
    records: Sequence[LogRecord], around: Sequence[Surroundings], kinds: Sequence[str]
) -> Iterator[Part]:
    for kind in kinds:
        if kind == "distance":
            yield from _of_objects(kind, "distance", _between(_DISTANCES_M, "m"), records)
        elif kind == "size":
            yield from _of_objects(kind, "area", _SIZES, records)
        elif kind == "visibility":
            yield from _of_objects(kind, "visible", _between(_VISIBLE, ""), records)
        elif kind == "class":
            yield from _of_classes(records)
        elif kind == "light":
            yield from _of_light(around)
        elif kind == "time":
            yield from _of_time(records)
        elif kind == "speed":
            values = [_field(one, one.speed, record) for one, record in zip(around, records, strict=True)]
            if any(np.isfinite(v).any() for v in values):
                yield from _of_values(kind, [np.abs(v) for v in values], _between(_SPEEDS_M_S, "m/s"))
        else:
            yield from _of_status(kind, records, around)


def _between(edges: Sequence[float], unit: str) -> list[tuple[str, float, float]]:
    return [
        ((f"{low:g} to {high:g} {unit}" if np.isfinite(high) else f"from {low:g} {unit}").strip(), low, high)
        for low, high in pairwise(edges)
    ]


def _of_objects(
    by: str, column: str, bins: Sequence[tuple[str, float, float]], records: Sequence[LogRecord]
) -> Iterator[Part]:
    for name, low, high in bins:
        masks = [(r.objects[column] >= low) & (r.objects[column] < high) for r in records]
        yield Part(by, name, objects=masks)


def _of_classes(records: Sequence[LogRecord]) -> Iterator[Part]:
    for name in dict.fromkeys(name for record in records for name in record.labels):
        numbers = [record.labels.get(name, -1) for record in records]
        yield Part(
            "class",
            name,
            objects=[r.objects["label"] == n for r, n in zip(records, numbers, strict=True)],
            alarms=[r.alarms["label"] == n for r, n in zip(records, numbers, strict=True)],
        )


def _of_values(
    by: str, values: Sequence[Float64], bins: Sequence[tuple[str, float, float]]
) -> Iterator[Part]:
    for name, low, high in bins:
        yield Part(by, name, frames=[(v >= low) & (v < high) for v in values])


def _of_light(around: Sequence[Surroundings]) -> Iterator[Part]:
    """By the word of the log's metadata; of other logs by how bright each image is."""
    for word in sorted({one.light for one in around if one.light}):
        yield Part("light", word, frames=[np.full(len(one.brightness), one.light == word) for one in around])
    if any(np.isfinite(one.brightness).any() for one in around):
        for name, low, high in _BRIGHTNESS:
            masks = [(one.brightness >= low) & (one.brightness < high) for one in around]
            yield Part("light", f"{name} images", frames=masks)


def _of_time(records: Sequence[LogRecord]) -> Iterator[Part]:
    """Thirds of each log: what drifts, and what needs time to settle."""
    for third, name in enumerate(("first third", "second third", "last third")):
        masks = []
        for record in records:
            stamps = record.stamps_ns
            share = (stamps - stamps.min()) / max(int(np.ptp(stamps)), 1) if len(stamps) else stamps * 0.0
            masks.append(np.minimum((share * 3).astype(np.intp), 2) == third)
        yield Part("time", name, frames=masks)


def _of_status(kind: str, records: Sequence[LogRecord], around: Sequence[Surroundings]) -> Iterator[Part]:
    """Thirds of the values of a field, or of every field.

    Raises:
        ConfigError: No log has that field.
    """
    fields = list(dict.fromkeys(name for one in around for name in one.status))
    wanted = fields if kind == "status" else [kind[len(STATUS) :]]
    for name in wanted:
        if name not in fields:
            told = ", ".join(fields) or "none"
            raise ConfigError([f"--slices: no status field is called '{name}'; the logs have {told}"])
        if kind == "status" and name in {one.speed for one in around}:
            continue
        values = [_field(one, name, record) for one, record in zip(around, records, strict=True)]
        every = np.concatenate(values)
        every = every[np.isfinite(every)]
        if not len(every) or every.min() == every.max():
            continue
        low, high = (float(edge) for edge in np.quantile(every, [1 / 3, 2 / 3]))
        bins = [
            (f"below {low:.3g}", -np.inf, low),
            (f"{low:.3g} to {high:.3g}", low, high),
            (f"from {high:.3g}", high, np.inf),
        ]
        yield from _of_values(f"{STATUS}{name}", values, [b for b in bins if b[1] < b[2]])


def _field(one: Surroundings, name: str, record: LogRecord) -> Float64:
    return one.status.get(name, np.full(len(record.frames), np.nan))
