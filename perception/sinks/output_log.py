"""Reading of outputs from an output log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from perception.config import parse_config
from perception.config.safe_yaml import parse_yaml
from perception.errors import ConfigError, LogError
from perception.logs.perception_proto import InputState, decode_control, decode_detections, decode_inputs
from perception.logs.survey import RUN_RECORD
from perception.sinks.mcap_sink import CONTROL, DETECTIONS, INPUTS, RECEIPT_RECORD, topic_of
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
    parts, index = _TickParts(heads, _camera_topics(log)), 0
    for message in log.messages(Query(topics=parts.topics | {INPUTS})):
        try:
            if message.topic != INPUTS:
                parts.add(message)
                continue
            tick, inputs = _tick(message, index)
            yield parts.taken(tick, inputs)
            index += 1
        except ValueError as error:
            raise LogError(f"{message.topic} at {message.log_time_ns}: {error}: {log.path}") from error


class _TickParts:
    """The messages of one tick so far: those of another stamp begin anew.

    Args:
        heads: Topic -> further head.
        cameras: Topic -> camera, where there are several, the reference camera first.
    """

    def __init__(self, heads: Mapping[str, str], cameras: Mapping[str, str]) -> None:
        self._heads, self._cameras = heads, cameras
        self._reference = next(iter(cameras), DETECTIONS)
        self.topics = frozenset({DETECTIONS, CONTROL, *heads, *cameras})
        self._begin(-1)

    def _begin(self, stamp_ns: int) -> None:
        self._stamp_ns = stamp_ns
        self._frame_id = ""
        self._detections: Detections | None = None
        self._control: Control | None = None
        self._extra: dict[str, Control] = {}
        self._of_cameras: dict[str, Detections] = {}

    def add(self, message: Message) -> None:
        """Add the next message of one of the topics."""
        if message.topic == DETECTIONS or message.topic in self._cameras:
            stamp_ns, frame_id, detections = decode_detections(message.data)
            if stamp_ns != self._stamp_ns or message.topic == DETECTIONS:
                self._begin(stamp_ns)
            if message.topic == self._reference:
                self._frame_id, self._detections = frame_id, detections
            if message.topic in self._cameras:
                self._of_cameras[self._cameras[message.topic]] = detections
            return
        stamp_ns, values = decode_control(message.data)
        if stamp_ns != self._stamp_ns:
            self._begin(stamp_ns)
        if message.topic == CONTROL:
            self._control = values
        else:
            self._extra[self._heads[message.topic]] = values

    def taken(self, tick: Tick, inputs: tuple[InputState, ...]) -> StoredOutput:
        """Return the output of a tick, and begin anew; parts of another tick are left out."""
        if tick.stamp_ns != self._stamp_ns:
            self._begin(-1)
        output = Output(tick, self._detections, self._control, extra=self._extra, cameras=self._of_cameras)
        stored = StoredOutput(output, inputs, self._frame_id)
        self._begin(-1)
        return stored


def _camera_topics(log: Log) -> dict[str, str]:
    """Return the topics of the detections of several cameras with their names, the reference camera first."""
    pattern = re.compile(r"/perception/([^/]+)/detections")
    found = {topic: match[1] for topic in sorted(log.channels) if (match := pattern.fullmatch(topic))}
    if not found:
        return {}
    run = read_run(log)
    try:
        config = parse_config(parse_yaml(run.config)) if run is not None and run.config else None
    except (ValueError, ConfigError):
        config = None  # of another version: the order of names stands in
    names = [] if config is None else [config.reference_camera or "", *config.sensors.cameras]
    order = {name: place for place, name in reversed(list(enumerate(names)))}
    return dict(sorted(found.items(), key=lambda item: order.get(item[1], len(order))))


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
