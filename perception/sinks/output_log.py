"""Reading of outputs from an output log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from perception.errors import LogError
from perception.logs.perception_proto import InputState, decode_control, decode_detections, decode_inputs
from perception.sinks.mcap_sink import CONTROL, DETECTIONS, INPUTS, RECEIPT_RECORD, RUN_RECORD, topic_of
from perception.sinks.run_info import RunInfo
from perception.types import Control, Detections, Message, Output, Tick, extra_specs

if TYPE_CHECKING:
    from perception.logs import Log


class StoredOutput(NamedTuple):
    """One stored output, the state of its inputs, and the frame of its boxes."""

    output: Output
    inputs: tuple[InputState, ...]
    frame_id: str


def read_outputs(log: Log) -> Iterator[StoredOutput]:
    """Yield the outputs of an output log, in order; ticks are numbered from 0. Warnings are not stored.

    A tick that was torn when the writer was killed is left out.

    Raises:
        LogError: The log holds no outputs, or bytes that are not what their schema says.
    """
    if INPUTS not in log.channels:
        raise LogError(
            f"expected a log of outputs, found none on {INPUTS}; name a file that `replay` made: {log.path}"
        )
    from perception.logs import Query

    heads = {topic_of(spec.name): spec.name for spec in extra_specs()}
    heads = {topic: name for topic, name in heads.items() if topic in log.channels}
    detections: Detections | None = None
    control: Control | None = None
    extra: dict[str, Control] = {}
    frame_id, stamp_ns, index = "", -1, 0
    for message in log.messages(Query(topics=frozenset({DETECTIONS, CONTROL, INPUTS, *heads}))):
        try:
            if message.topic == DETECTIONS:
                stamp_ns, frame_id, detections = decode_detections(message.data)
                control, extra = None, {}
            elif message.topic == CONTROL:
                control_stamp_ns, control = decode_control(message.data)
                detections = detections if control_stamp_ns == stamp_ns else None
                stamp_ns, extra = control_stamp_ns, {}
            elif message.topic in heads:
                head_stamp_ns, values = decode_control(message.data)
                if head_stamp_ns != stamp_ns:
                    stamp_ns, detections, control, extra = head_stamp_ns, None, None, {}
                extra[heads[message.topic]] = values
            else:
                tick, inputs = _tick(message, index)
                complete = tick.stamp_ns == stamp_ns
                yield StoredOutput(
                    Output(
                        tick,
                        detections if complete else None,
                        control if complete else None,
                        extra=extra if complete else {},
                    ),
                    inputs,
                    frame_id if complete and detections is not None else "",
                )
                detections, control, extra, frame_id, stamp_ns, index = None, None, {}, "", -1, index + 1
        except ValueError as error:
            raise LogError(f"{message.topic} at {message.log_time_ns}: {error}: {log.path}") from error


def read_run(log: Log) -> RunInfo | None:
    """Return the run that made the outputs of a log; None where it is not recorded."""
    for name, record in log.survey.metadata:
        if name == RUN_RECORD:
            try:
                return RunInfo.from_metadata(record)
            except ValueError as error:
                raise LogError(f"the metadata record {RUN_RECORD} is wrong: {error}: {log.path}") from error
    return None


def read_receipt(log: Log) -> dict[str, str]:
    """Return the receipt of the run (`pipeline.run_record`); empty where the writer was killed."""
    receipts = [dict(record) for name, record in log.survey.metadata if name == RECEIPT_RECORD]
    return receipts[-1] if receipts else {}


def _tick(message: Message, index: int) -> tuple[Tick, tuple[InputState, ...]]:
    stamp_ns, kind, inputs = decode_inputs(message.data)
    if kind not in ("reference", "substitute"):
        raise ValueError(f"expected a tick that is reference or substitute, found {kind!r}")
    known = cast('Literal["reference", "substitute"]', kind)
    return Tick(index, known, stamp_ns, message.log_time_ns), inputs
