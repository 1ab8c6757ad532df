"""The options of a replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perception.align.ledger import Listener
from perception.pipeline.log_source import WHOLE, Span
from perception.pipeline.runner import Observer, OnError
from perception.pipeline.stage_times import StageTimes
from perception.types import Message


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay a log.

    Attributes:
        device: `cpu` or `cuda`.
        rate: Speed as a multiple of the recording's; None: as soon as possible.
        live_drop: Skip samples that are overtaken by newer ones; only with a rate.
        span: The part of the log.
        loops: Number of passes; the first feeds the sinks, later ones must give equal outputs.
        on_error: Whether an error of the plugin ends the run.
        ledger_listener: Gets every message of the log with its row.
        on_message: Gets every input message in the span, as `LogSource` says.
        observer: Called for each sample.
        times: Collects the durations of the first pass.
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
