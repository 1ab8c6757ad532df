"""The comparison of the headline values of two sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perception.evaluation.comparison.comparison_report import ComparedReport, SideReport
from perception.evaluation.intervals import difference_of, judged
from perception.evaluation.report.value_schema import DifferenceReport, ValueReport
from perception.evaluation.resampling import DrawnValues, Resampler
from perception.evaluation.statistics import holm
from perception.types import Float64

HEADLINES = (
    *("F1", "precision", "recall", "confused", "D-ECE"),
    *("mAP", "mAP50", "IoU", "box_NLL", "distance_rel", "distance_NLL"),
    *("MAE", "NLL"),
    "joint",
)
"""The compared values; each further comparison lowers the power of the others."""

Drawn = dict[str, tuple[DrawnValues, DrawnValues | None]]


def compared(
    sides: Sequence[SideReport], drawn: Sequence[Drawn | None], resampler: Resampler | None
) -> list[ComparedReport]:
    """Compare every headline value of both sides, with corrected verdicts about B.

    Joint scores of other parts, as where one side states no distance, stand beside each other without a
    difference.

    Args:
        sides: A and B.
        drawn: The result of `Resampler.redrawn` for each side; None: without draws.
        resampler: The resampler of both sides; None: values without verdicts.
    """
    rows = [_difference(*pair, drawn, resampler) for pair in _pairs(sides)]
    if joint_parts(sides[0]) != joint_parts(sides[1]):  # scores of something else
        unknown = {"difference": DifferenceReport(value=None)}
        rows = [row.model_copy(update=unknown) if row.head == "joint" else row for row in rows]
    corrected = holm([row.difference.p for row in rows])
    return [
        row.model_copy(update={"difference": judged(row.difference, p, row.better)})
        for row, p in zip(rows, corrected, strict=True)
    ]


def joint_parts(side: SideReport) -> tuple[str, ...]:
    """Return the parts that the joint score of a side is made of."""
    joint = side.heads.get("joint", {}).get("joint")
    return () if joint is None else tuple(joint.details.get("parts", ()))


def _pairs(sides: Sequence[SideReport]) -> Iterator[tuple[str, str, ValueReport, ValueReport]]:
    a, b = sides
    for head, metrics in a.heads.items():
        other = {k: v for metric in b.heads.get(head, {}).values() for k, v in metric.values.items()}
        for metric in metrics.values():
            for key, value in metric.values.items():
                name, _, part = key.partition("/")
                headline = name in HEADLINES and (not part or head == "control")
                if headline and key in other:
                    yield head, key, value, other[key]


def _difference(
    head: str,
    key: str,
    a: ValueReport,
    b: ValueReport,
    drawn: Sequence[Drawn | None],
    resampler: Resampler | None,
) -> ComparedReport:
    difference = DifferenceReport(value=None)
    if a.value is not None and b.value is not None:
        off = b.value - a.value
        difference = DifferenceReport(value=off)
        stages = [None if by_head is None else by_head.get(head) for by_head in drawn]
        if resampler is not None and stages[0] is not None and stages[1] is not None:
            by_block = _less(stages[1][0].get(key), stages[0][0].get(key))
            by_log = None
            if stages[0][1] is not None and stages[1][1] is not None:
                by_log = _less(stages[1][1].get(key), stages[0][1].get(key))
            if by_block is not None:
                difference = difference_of(resampler, head, off, by_block, by_log)
    return ComparedReport(
        head=head,
        metric=key,
        unit=a.unit or b.unit,
        better=a.better,
        a=a.value,
        b=b.value,
        support=min(a.support, b.support),
        difference=difference,
    )


def _less(b: Float64 | None, a: Float64 | None) -> Float64 | None:
    return None if a is None or b is None else b - a
