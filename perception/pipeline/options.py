"""What a user sets to replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perception.align.ledger import Listener
from perception.pipeline.run import Observer, OnError
from perception.pipeline.source import WHOLE, Span
from perception.pipeline.times import StageTimes
from perception.types import Message


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay.

    Attributes:
        device: `cpu` or `cuda`.
        rate: Speed relative to the recording; None: as soon as possible.
        live_drop: Skip samples that are overtaken by newer ones; only with a rate.
        span: The part of the log.
        loops: How often; outputs of the first pass go to the sinks, later ones must equal them.
        on_error: Whether a failing plugin ends the run.
        ledger_listener: Gets every message of the log with its row.
        on_message: Gets every input message in the span, as `LogSource` says.
        observer: Watches the run.
        times: Where the stages of the first pass are timed.
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
