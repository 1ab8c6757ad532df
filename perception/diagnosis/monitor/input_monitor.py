"""The monitor of one input: its presence, its age, and whether its content changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.align.repeats import Repeats
from perception.diagnosis.monitor.drift import Drift
from perception.diagnosis.monitor.hysteresis import SECOND_NS, FadingAverage
from perception.diagnosis.monitor.limits import Limits
from perception.pipeline.stage_times import DurationHistogram
from perception.types import CameraFrame, Input, StatusWindow

LEAST_BITS: Mapping[str, float] = {"jpeg": 0.15, "png": 0.05, "webp": 0.02}
"""Bits a pixel that a picture has at least, by format. A black JPEG has 0.125, in which each block says that
nothing has changed; a black PNG 0.03 to 0.046, and a WebP 0.015, while one of a street may have 0.05."""


class InputMonitor:
    """Follows one input from tick to tick, in constant memory."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self._limits = limits
        self.ticks = self.absent = self.fresh = 0
        self.ages = DurationHistogram()
        self.longest_still_s = self.longest_absent_s = 0.0
        self._interval_s = FadingAverage(limits.window_s * 3)
        self._often = FadingAverage(limits.slow_s)
        self._gone = ""
        self._drifts: dict[str, Drift] = {}
        self._usual_bytes, self._pictures = 0.0, 0
        self._seen_s = 0.0
        self._stamp_ns: int | None = None
        self._repeats = Repeats()
        self._still_from_ns: int | None = None
        self._absent_from_ns: int | None = None

    @property
    def rate_hz(self) -> float | None:
        """Return the new messages per second at the ticks: at most the rate of ticks."""
        interval_s = self._interval_s.value
        return None if not interval_s else 1.0 / interval_s

    def update(
        self,
        given: Input[Any],
        now_ns: int,
        elapsed_s: float,
        usual: Mapping[str, Sequence[float]] | None = None,
        ahead_ns: int = 0,
    ) -> dict[str, str]:
        """Add the input of one tick; return its problems, code -> words.

        `usual` holds the checkpoint's quantiles of its statistics; None: they are not known, or this tick
        is not to be compared. `ahead_ns`: by how much the reference's clock is ahead of the recorder's.
        """
        if not given.configured:
            return {}
        self.ticks += 1
        absent = given.value is None
        self._repeats.update(given)
        problems = dict(
            self._missing(given, now_ns) if absent else self._there(given, now_ns + ahead_ns, elapsed_s)
        )
        problems |= self._gaps(given, now_ns, elapsed_s)
        statistics = input_statistics(given)
        for name, quantiles in (usual or {}).items():
            if name in statistics:
                drift = self._drifts.setdefault(name, Drift(name, self._limits))
                text = drift.update(statistics[name], quantiles, True, elapsed_s)
                problems |= {name: f"{self.name} {text}"} if text else {}
        return problems

    def _gaps(self, given: Input[Any], now_ns: int, elapsed_s: float) -> dict[str, str]:
        """Return the problem of an input that is absent repeatedly; a long absence is another one."""
        begun_ns = self._absent_from_ns
        brief = begun_ns is not None and now_ns - begun_ns < SECOND_NS
        self._gone = given.reason if brief else self._gone
        self._often.add(float(brief), elapsed_s)
        share = self._often.value or 0.0
        lasting = begun_ns is not None and not brief
        if lasting or share <= self._limits.absent or not self._often.settled:
            return {}
        return {"gaps": f"{self.name} comes and goes, absent in {100 * share:.0f} % of ticks ({self._gone})"}

    def _missing(self, given: Input[Any], now_ns: int) -> Iterator[tuple[str, str]]:
        self.absent += 1
        self._still_from_ns = None
        self._absent_from_ns = now_ns if self._absent_from_ns is None else self._absent_from_ns
        self.longest_absent_s = max(self.longest_absent_s, (now_ns - self._absent_from_ns) / SECOND_NS)
        yield "absent", f"{self.name} is absent ({given.reason})"

    def _there(self, given: Input[Any], now_ns: int, elapsed_s: float) -> Iterator[tuple[str, str]]:
        self._absent_from_ns = None
        if given.age_ms is not None:
            self.ages.add(max(given.age_ms, 0.0))
        if given.stamp_ns is None or given.stamp_ns == self._stamp_ns:
            return  # the same message again: its age shows that
        if self._stamp_ns is not None and given.stamp_ns > self._stamp_ns:
            self._interval_s.add((given.stamp_ns - self._stamp_ns) / SECOND_NS, elapsed_s)
        self.fresh += 1
        self._stamp_ns = given.stamp_ns
        if (ahead_ms := (given.stamp_ns - now_ns) / 1e6) > self._limits.behind_ms:
            yield "ahead", f"{self.name} is stamped {ahead_ms:.0f} ms after it arrived: clocks differ"
        yield from self._still(now_ns)
        if isinstance(given.value, CameraFrame):
            yield from self._detail(given.value, elapsed_s)

    def _still(self, now_ns: int) -> Iterator[tuple[str, str]]:
        """Yield a problem if content repeats under new stamps: in cameras and scanners there is noise."""
        if not self._repeats.count:
            self._still_from_ns = now_ns
            return
        self._still_from_ns = now_ns if self._still_from_ns is None else self._still_from_ns
        still_s = (now_ns - self._still_from_ns) / SECOND_NS
        self.longest_still_s = max(self.longest_still_s, still_s)
        if still_s >= self._limits.still_s:
            yield "still", f"{self.name} shows the same under new stamps"

    def _detail(self, frame: CameraFrame, elapsed_s: float) -> Iterator[tuple[str, str]]:
        """Yield a problem if the bytes of pictures change: black, blurred and covered ones have few.

        Pictures with hardly any detail are not learned from. More bytes than before put no head in doubt:
        there may be noise, but the pictures before may as well have lost their detail.
        """
        size = len(frame.data)
        bits = 8 * size / max(frame.width * frame.height, 1)
        if bits < LEAST_BITS.get(frame.format, 0.0):
            yield "detail", f"{self.name} pictures hold hardly any detail: {bits:.2f} bits a pixel"
            return
        settled = self._seen_s >= self._limits.baseline_s / 5
        share = size / self._usual_bytes if settled and self._usual_bytes else 1.0
        if settled:  # pictures that lost their detail change the usual size only slowly
            weight = 1 - exp(-elapsed_s / self._limits.baseline_s)
            self._usual_bytes += (
                (0.1 if share < self._limits.detail else 1.0) * weight * (size - self._usual_bytes)
            )
        else:  # the plain mean of the beginning
            self._pictures += 1
            self._seen_s += elapsed_s
            self._usual_bytes += (size - self._usual_bytes) / self._pictures
        if share < self._limits.detail:
            yield "detail", f"{self.name} pictures have {100 * share:.0f} % of their usual bytes"
        elif share > 1 / self._limits.detail:
            text = f"{self.name} pictures have {100 * share:.0f} % of the bytes of those before"
            yield "more_detail", f"{text}: there is noise, or those before had lost their detail"


def input_statistics(given: Input[Any]) -> dict[str, float]:
    """Return the statistics of an input: `age_ms`, and of a status `still`, see `still_share`."""
    if given.value is None or given.age_ms is None:
        return {}
    statistics = {"age_ms": given.age_ms}
    if isinstance(given.value, StatusWindow):
        statistics["still"] = still_share(given.value.values)
    return statistics


def still_share(values: NDArray[Any]) -> float:
    """Return the share of the steps of a status [T, S] that equal the one before in every field."""
    if len(values) < 2:
        return float("nan")
    now, then = values[1:], values[:-1]
    same = (now == then) | (np.isnan(now) & np.isnan(then))
    return float((same.all(axis=1) & np.isfinite(now).any(axis=1)).mean())
