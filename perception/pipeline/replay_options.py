"""The options of a replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from perception.align.ledger import Listener
from perception.pipeline.log_source import WHOLE, Span
from perception.pipeline.runner import Observer, OnError
from perception.pipeline.stage_times import StageTimes
from perception.types import Message


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay a log.

    Attributes:
        device: `auto`, `cpu` or `cuda`.
        rate: Speed as a multiple of the recording's; None: as soon as possible.
        live_drop: Skip samples that are overtaken by newer ones; only with a rate.
        span: The part of the log.
        loops: Number of passes; the first feeds the sinks, later ones must give equal outputs.
        on_error: Whether an error of the plugin ends the run.
        ledger_listener: Gets every message of the log with its row.
        on_message: Gets every input message in the span, as `LogSource` says.
        observer: Called for each sample.
        times: Collects the durations of the first pass.

    Raises:
        ValueError: A value is none of these.
        TypeError: The observer is not one.
    """

    device: str = "cpu"
    rate: float | None = None
    live_drop: bool = False
    span: Span = WHOLE
    loops: int = 1
    on_error: OnError = "skip"
    ledger_listener: Listener | None = None
    on_message: Callable[[Message], None] | None = None
    observer: Observer | None = None
    times: StageTimes | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < inf:
            raise ValueError(f"rate: expected None (as soon as possible) or more than 0, found {self.rate}")
        if self.live_drop and self.rate is None:
            raise ValueError("live_drop: needs a rate, without one nothing is ever too late; add it")
        if not isinstance(self.loops, int) or self.loops < 1:
            raise ValueError(f"loops: expected 1 or more, found {self.loops!r}")
        if self.on_error not in ("stop", "skip"):
            raise ValueError(f"on_error: expected stop or skip, found {self.on_error!r}")
        if self.observer is not None and not hasattr(self.observer, "before"):
            found = type(self.observer).__name__
            raise TypeError(f"observer: expected an object with before and after (`Observer`), found {found}")
