"""Two checkpoints, plugins or stored outputs on the same logs: which is better, and where they differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perception.config import Config
from perception.evaluation.compare_report import (
    ApartReport,
    ComparedReport,
    CompareReport,
    SideReport,
)
from perception.evaluation.moments import Moment
from perception.evaluation.pair import PairPlugin, PairSink
from perception.evaluation.record import LogRecord
from perception.evaluation.report import DifferenceReport, ValueReport
from perception.evaluation.resampling import Resampler
from perception.evaluation.run import EvaluateOptions, Evaluation
from perception.evaluation.slices import verdict
from perception.logs import Log
from perception.messages import Float64
from perception.metrics.redraw import Redrawn
from perception.pipeline import EXIT_CODES, Observer, replay
from perception.pipeline.summary import Status
from perception.plugin import Plugin
from perception.sinks.base import Sink
from perception.statistics import holm

HEADLINES = (
    *("F1", "precision", "recall", "confused", "D-ECE"),
    *("mAP", "mAP50", "IoU", "box_NLL", "distance_rel", "distance_NLL"),
    *("MAE", "NLL"),
    "joint",
)
"""What is compared: each comparison more makes every other less sure."""

_ORDER: tuple[Status, ...] = ("clean", "loss", "failed", "interrupted")
_AROUND_NS = 500_000_000
_APART_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        name: As the user calls it.
        kind: A `checkpoint` for the configured plugin, a `plugin` with its own weights, or `stored` outputs.
        load: Makes the plugin, not opened; None for stored outputs.
        checkpoint: Its weights; None: as configured.
    """

    name: str
    kind: Literal["checkpoint", "plugin", "stored"]
    load: Callable[[], Plugin] | None = None
    checkpoint: Path | None = None


class Comparison:
    """Collects logs.

    Args:
        sides: A and B.
        options: How to evaluate; without ablation. Its `resampling` None: values without verdicts.
        command: Gives the command that replays a moment for A (0) or B (1).
    """

    def __init__(
        self,
        sides: tuple[Side, Side],
        options: EvaluateOptions,
        command: Callable[[Moment, int], str] = lambda moment, side: "",
    ) -> None:
        self.sides = sides
        self.options = replace(options, ablate=False, slices=())
        self._command = command
        self._began = time.monotonic()
        plain = replace(self.options, resampling=None)
        self.evaluations = (Evaluation(plain), Evaluation(plain))
        self._logs: list[str] = []
        self._errors = [0, 0]
        self._frames = [0, 0]
        self._shared = 0
        self._status: Status = "clean"
        self._warnings: list[dict[str, Any]] = []

    def add(
        self,
        log: Log,
        config: Config,
        stored: tuple[Log | None, Log | None] = (None, None),
        observer: Observer | None = None,
    ) -> bool:
        """Take in one log; False: interrupted.

        Args:
            log: Open; read once.
            config: Complete, as `autoconfig.choose` leaves it.
            stored: The stored outputs of a side of that kind.
            observer: Watches the replay.

        Raises:
            PerceptionError: A plugin cannot be opened, or a stored log holds no outputs.
        """
        live = [number for number, side in enumerate(self.sides) if side.load is not None]
        interrupted = False
        if len(live) == 2:
            interrupted = self._replay_both(log, config, observer)
        elif live:
            interrupted = self._replay_one(live[0], log, config, observer)
        for number, kept in enumerate(stored):
            if kept is not None:
                self.evaluations[number].score(kept, log, config)
        self._logs.append(str(log.path))
        return not interrupted

    def _replay_both(self, log: Log, config: Config, observer: Observer | None) -> bool:
        a, b = self.sides
        assert a.load is not None
        assert b.load is not None
        pair = PairPlugin(a.load(), b.load(), (a.checkpoint, b.checkpoint))
        listeners = [evaluation.listener(log) for evaluation in self.evaluations]
        sinks: list[Sink] = [listeners[0][0], PairSink(pair, listeners[1][0])]
        summary = replay(log, config, pair, sinks, replace(self.options.replay, observer=observer))
        for _, done in listeners:
            done(config, summary.frames)
        for number, side in enumerate(self.sides):
            errors = [text for text, failing in pair.errors if failing == number]
            self._errors[number] += len(errors)
            if errors:
                text = f"{side.name} failed in {len(errors)} frames, first: {errors[0]}"
                self.warn("plugin_error", text, log)
        self._shared += pair.shared
        self._see("loss" if pair.errors and summary.status == "clean" else summary.status)
        return summary.status == "interrupted"

    def _replay_one(self, number: int, log: Log, config: Config, observer: Observer | None) -> bool:
        side = self.sides[number]
        assert side.load is not None
        if side.checkpoint is not None:
            plugin = config.plugin.model_copy(update={"checkpoint": side.checkpoint})
            config = config.model_copy(update={"plugin": plugin})
        summary = self.evaluations[number].replay(log, config, side.load, observer=observer)
        self._see(summary.status)
        return summary.status == "interrupted"

    def _see(self, status: Status) -> None:
        self._status = max(self._status, status, key=_ORDER.index)

    def warn(self, code: str, text: str, log: Log | None = None) -> None:
        """Note something that a reader should know."""
        self._warnings.append(
            {"code": code, "text": text, "count": 1, "log": "" if log is None else str(log.path)}
        )

    def report(self, apart: int = 10) -> CompareReport:
        """What was found; `apart`: how many of the frames where they differ most."""
        reports = [evaluation.report() for evaluation in self.evaluations]
        scored = [evaluation.scored for evaluation in self.evaluations]
        resampler = None
        if self.options.resampling is not None and self._logs:
            resampler = Resampler(scored, self.options.resampling)
        sides = []
        for number, (side, report) in enumerate(zip(self.sides, reports, strict=True)):
            frames = sum(len(record.frames) for record in scored[number].records)
            heads = {head: m for head, m in report.heads.items() if head != "timing"}
            sides.append(
                SideReport(
                    name=side.name,
                    kind=side.kind,
                    frames=frames,
                    invalid=self._errors[number],
                    run=report.run,
                    heads=heads,
                )
            )
        if sides[0].frames != sides[1].frames:
            text = (
                f"A answered {sides[0].frames} frames, B {sides[1].frames}: they are not of the same moments"
            )
            self.warn("other_frames", text)
        drawn = [None, None] if resampler is None else [resampler.redrawn(one) for one in scored]
        told = [w for report in reports for w in report.warnings]
        warnings = [w for place, w in enumerate(told) if w not in told[:place]]
        return CompareReport(
            status=self._status,
            exit_code=EXIT_CODES[self._status],
            logs=self._logs,
            a=sides[0],
            b=sides[1],
            metrics=_compared(sides, drawn, resampler),
            apart=self._apart(scored[0].records, scored[1].records, apart),
            resampling=None if resampler is None else resampler.report(),
            prepared_once=self._shared,
            warnings=[*warnings, *self._warnings],
            seconds=round(time.monotonic() - self._began, 3),
        )

    def _apart(self, a: Sequence[LogRecord], b: Sequence[LogRecord], count: int) -> list[ApartReport]:
        found = [one for pair in zip(a, b, strict=True) for one in _apart_in(*pair, count)]
        found.sort(key=lambda one: -abs(one[1]))
        rows = []
        for moment, difference in found[:count]:
            rows.append(
                ApartReport(
                    log=moment.log,
                    at_s=moment.at_s,
                    log_time_ns=moment.log_time_ns,
                    stamp_ns=moment.stamp_ns,
                    difference=difference,
                    what=moment.what,
                    commands=[self._command(moment, side) for side in (0, 1)],
                )
            )
        return rows


Drawn = dict[str, tuple[Redrawn, Redrawn | None]]


def _compared(
    sides: Sequence[SideReport], drawn: Sequence[Drawn | None], resampler: Resampler | None
) -> list[ComparedReport]:
    """Every headline value of both, with corrected verdicts about B."""
    rows = [_difference(*pair, drawn, resampler) for pair in _pairs(sides)]
    corrected = holm([row.difference.p for row in rows])
    done = []
    for row, p in zip(rows, corrected, strict=True):
        told = verdict(row.difference.value, p, row.better)
        difference = row.difference.model_copy(update={"p_corrected": p, "verdict": told})
        done.append(row.model_copy(update={"difference": difference}))
    return done


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
        stages = [None if one is None else one.get(head) for one in drawn]
        if resampler is not None and stages[0] is not None and stages[1] is not None:
            by_block = _less(stages[1][0].get(key), stages[0][0].get(key))
            by_log = None
            if stages[0][1] is not None and stages[1][1] is not None:
                by_log = _less(stages[1][1].get(key), stages[0][1].get(key))
            spread = None if by_block is None else resampler.spread(head, off, by_block, by_log)
            interval = None if spread is None else spread.interval(resampler.options.level)
            if spread is not None and interval is not None:
                difference = DifferenceReport(
                    value=off, low=interval.low, high=interval.high, p=spread.p_value()
                )
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


def _apart_in(a: LogRecord, b: LogRecord, count: int) -> Iterator[tuple[Moment, float]]:
    """The moments of a log in which the errors differ most over the second around, at least 2 s apart."""
    stamps, mine, theirs = np.intersect1d(a.stamps_ns, b.stamps_ns, return_indices=True)
    if not len(stamps):
        return
    difference = _smooth(stamps, _errors(b, a)[theirs] - _errors(a, b)[mine])
    times = a.frames["log_time_ns"][mine]
    found: list[int] = []
    for place in np.argsort(-np.abs(difference), kind="stable"):
        if len(found) == count or not abs(difference[place]) > 0:
            return
        if any(abs(int(times[place]) - int(times[other])) < _APART_NS for other in found):
            continue
        found.append(int(place))
        at_ns = int(times[place])
        what = _words(a, b, int(mine[place]), int(theirs[place]), float(difference[place]))
        moment = Moment(a.log, (at_ns - a.start_ns) / 1e9, at_ns, int(stamps[place]), 0.0, what)
        yield moment, float(difference[place])


def _errors(one: LogRecord, other: LogRecord) -> Float64:
    """[F] the mean error of the heads of each frame, from 0 to 1.

    A control error e counts as e / (e + usual), usual being its mean over both sides.
    """
    columns = [one.frames["error"].astype(np.float64)]
    for name, rows in one.control.items():
        both = [np.abs(r.control[name]["error"]) for r in (one, other) if name in r.control]
        usual = float(np.concatenate(both).mean()) if both else 0.0
        column, off = np.full(len(one.frames), np.nan), np.abs(rows["error"])
        column[rows["frame"]] = off / (off + usual) if usual > 0 else 0.0
        columns.append(column)
    table = np.stack(columns)
    known = np.isfinite(table)
    found: Float64 = np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return found


def _smooth(stamps: NDArray[np.int64], values: Float64) -> Float64:
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.searchsorted(stamps, stamps - _AROUND_NS, side="left")
    last = np.searchsorted(stamps, stamps + _AROUND_NS, side="right")
    found: Float64 = (total[last] - total[first]) / (last - first)
    return found


def _words(a: LogRecord, b: LogRecord, mine: int, theirs: int, difference: float) -> str:
    """What each side got wrong at the frame."""
    parts = [f"{'A' if difference > 0 else 'B'} is better"]
    errors = [float(record.frames["error"][place]) for record, place in ((a, mine), (b, theirs))]
    if all(np.isfinite(errors)):
        parts.append(f"box error A {errors[0]:.2f}, B {errors[1]:.2f}")
    for name in a.control:
        found = []
        for record, place in ((a, mine), (b, theirs)):
            rows = record.control.get(name)
            if rows is not None:
                here = np.flatnonzero(rows["frame"] == place)[:1]
                found += [float(error) for error in rows["error"][here]]
        if len(found) == 2:
            parts.append(f"{name} off A {found[0]:+.3g}, B {found[1]:+.3g}")
    return "; ".join(parts)
