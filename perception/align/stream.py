"""Alignment of a sequence of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from perception.align.aligner import Aligner
from perception.align.ledger import Ledger
from perception.config import Config
from perception.types import Decoded, Message, Sample


class ClockReading(NamedTuple):
    """The arrival clock between messages: none that arrived before it follows."""

    log_time_ns: int


def with_clock(
    messages: Iterable[Message | Decoded],
) -> Iterator[Message | Decoded | ClockReading]:
    """Yield messages with the clock of the host between them, which ran on while it received none."""
    for message in messages:
        yield ClockReading(message.log_time_ns)
        yield message


def align(
    messages: Iterable[Message | Decoded],
    config: Config,
    ledger: Ledger | None = None,
    on_decoded: Callable[[Decoded], None] | None = None,
) -> Iterator[Sample]:
    """Yield the samples of a log, in order.

    Args:
        messages: In order of arrival; raw ones are decoded by the role of their topic.
        config: As for `Aligner`.
        ledger: As for `Aligner`.
        on_decoded: Called with every decoded message before it is aligned (to join truth).

    Raises:
        ConfigError: As `Aligner`.
    """
    from perception.logs.video.stage import VideoStage

    aligner = Aligner(config, ledger)
    video = VideoStage(config.roles(), config.stamps())
    yield from feed(aligner, video.pictures(messages), on_decoded)


def feed(
    aligner: Aligner,
    messages: Iterable[Message | Decoded | ClockReading],
    on_decoded: Callable[[Decoded], None] | None = None,
    flush: bool = True,
) -> Iterator[Sample]:
    """Push messages into an aligner until they end, then flush it; yield the samples as they close.

    A live program puts readings of its clock between them, so that samples close without a message.
    """
    from perception.logs import (
        decoder,  # a live program that pushes decoded messages never loads the decoders
    )

    roles, decode = aligner.config.roles(), decoder(aligner.config)
    for message in messages:
        if isinstance(message, ClockReading):
            yield from aligner.advance(message.log_time_ns)
            continue
        if isinstance(message, Message):
            if message.topic not in roles:
                aligner.ignore(message)
                continue
            message = decode(message)
        if on_decoded is not None:
            on_decoded(message)
        yield from aligner.push(message)
    if flush:
        yield from aligner.flush()
