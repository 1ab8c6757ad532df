"""The comparison of each slice of the data with the rest.

Means are compared, so that a slice needs no ranking of its own: `recall`, `precision` (at the
cut-off of the best F1 over all), `distance_rel`, and `MAE` of each control channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.intervals import difference_of, judged
from perception.evaluation.log_record import LEAST_SCORE, LogRecord
from perception.evaluation.metrics import DrawnWeights
from perception.evaluation.report.value_schema import DifferenceReport, SliceReport
from perception.evaluation.resampling import Resampler
from perception.evaluation.slices.frame_conditions import FrameConditions
from perception.evaluation.slices.slice_definitions import Mask, Slice, slices_of
from perception.evaluation.statistics import holm
from perception.types import Float64


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
    around: Sequence[FrameConditions],
    kinds: Sequence[str],
    cut: float,
    units: Mapping[str, str] | None = None,
    min_support: int = 10,
) -> list[SliceReport]:
    """Compare every slice with its complement, p-values corrected after Holm; significantly worse first.

    Where the rest of one slice is another slice, as of two classes, the comparison is made once.

    Args:
        resampler: The resampler of these records.
        around: The conditions of each log, for light, speed and status.
        kinds: The result of `parse_slices`.
        cut: Detections of this score or more count; at least `LEAST_SCORE`, below which no record keeps false
            alarms.
        units: The units of the control channels.
        min_support: With fewer rows in the part or in the rest nothing is compared.
    """
    reports: list[SliceReport] = []
    cut = max(cut, LEAST_SCORE)
    seen: set[tuple[str, str, bytes]] = set()
    for part in slices_of(records, around, kinds):
        for mean in _means(resampler, records, part, cut, units or {}):
            inside, outside = int(mean.inside.sum()), int((~mean.inside).sum())
            if min(inside, outside) < min_support:
                continue
            if (part.by, mean.metric, np.packbits(~mean.inside).tobytes()) in seen:
                continue  # of two parts the second is the rest of the first: the same comparison
            seen.add((part.by, mean.metric, np.packbits(mean.inside).tobytes()))
            reports.append(_compare(resampler, part, mean, inside, outside))
    corrected = holm([report.difference.p for report in reports])
    done = [
        report.model_copy(update={"difference": judged(report.difference, p, report.better)})
        for report, p in zip(reports, corrected, strict=True)
    ]
    return sorted(done, key=_order)


def _compare(resampler: Resampler, part: Slice, mean: _Mean, inside: int, outside: int) -> SliceReport:
    value, rest = float(mean.value[mean.inside].mean()), float(mean.value[~mean.inside].mean())
    difference = DifferenceReport(value=value - rest)
    group = resampler.group(mean.head)
    if group is not None and group.draws is not None:

        def drawn(weights: NDArray[np.float32]) -> Float64:
            of_rows, rows = DrawnWeights(weights, mean.block), np.arange(len(mean.block))
            inside, outside = (of_rows.mean(rows[m], mean.value[m]) for m in (mean.inside, ~mean.inside))
            return inside - outside

        by_log = None if group.draws.logs is None else drawn(group.draws.logs)
        by_block = drawn(group.draws.blocks)
        difference = difference_of(resampler, mean.head, value - rest, by_block, by_log)
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


def _order(report: SliceReport) -> tuple[int, float]:
    """Sort significantly worse first and better last, each by its p-value."""
    rank = {"worse": 0, "cannot tell": 1, "better": 2}[report.difference.verdict]
    p = report.difference.p
    return rank, 1.0 if p is None else p


# --- the means of a part -------------------------------------------------------------------------


def _means(
    resampler: Resampler, records: Sequence[LogRecord], part: Slice, cut: float, units: Mapping[str, str]
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


def _objects_inside(records: Sequence[LogRecord], part: Slice) -> Mask:
    if part.objects is not None:
        return np.concatenate(list(part.objects))
    assert part.frames is not None
    return np.concatenate([mask[r.objects["frame"]] for mask, r in zip(part.frames, records, strict=True)])


def _precision(
    records: Sequence[LogRecord],
    blocks: Sequence[NDArray[np.intp]],
    part: Slice,
    cut: float,
    hit_block: NDArray[np.intp],
    hit_inside: Mask,
) -> _Mean:
    """Return the precision rows of the detections above the cut-off: 1 for a hit, 0 for a false alarm."""
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
