"""The output log: detections, control, inputs, annotations and timing of every tick, in one MCAP file."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Literal, Protocol

from perception.errors import OutputError
from perception.logs.mcap.writer import LogWriter, marked_log
from perception.logs.perception_proto import (
    SCHEMAS,
    encode_control,
    encode_detections,
    encode_inputs,
    encode_status,
)
from perception.logs.survey import HOST_RECORD, RUN_RECORD
from perception.logs.topic_digests import TopicDigests
from perception.sinks.annotations import SCHEMA as ANNOTATIONS
from perception.sinks.annotations import encode_annotations
from perception.sinks.flusher import Flusher
from perception.sinks.protocol import refuse_input
from perception.sinks.run_info import RunInfo
from perception.sinks.scene import SCHEMA as SCENE_SCHEMA
from perception.sinks.scene import encode_scene
from perception.types import Message, Output, Sample, Schema, TruthFrame, camera_views, extra_specs

DETECTIONS = "/perception/detections"
CONTROL = "/perception/control"
INPUTS = "/perception/inputs"
ANNOTATIONS_TOPIC = "/perception/annotations"
SCENE = "/perception/scene"
"""Positions as entities of a scene, where the detections state any."""
TIMING = "/perception/timing"
HEALTH = "/perception/metrics/health"
"""The topic of the monitor of a run, as a status message: a line for each head and input."""
TOPICS = frozenset({DETECTIONS, CONTROL, INPUTS, ANNOTATIONS_TOPIC, SCENE, TIMING})
SCORED_RECORD = "perception.scored"
"""The metadata record that tells the output logs of `perception evaluate` from those of a replay."""
RECEIPT_RECORD = "perception.receipt"
"""The metadata record of values known only at the end: hashes, and how the run ended."""
WRITTEN = "written."
"""The prefix of the receipt's entries with the hash of each topic."""
FLUSH_S = 1.0
"""Seconds after which what was written reaches the file, also where nothing more is written."""


def topic_of(head: str) -> str:
    """Return the topic of a head that outputs carry in `extra`."""
    return f"/perception/{head}"


def camera_topic(topic: str, camera: str) -> str:
    """Return the topic of one of several cameras (`/perception/left/detections`); of one, as it is."""
    return topic.replace("/perception/", f"/perception/{camera}/", 1) if camera else topic


class MessageWriter(Protocol):
    """The methods of `LogWriter` that a sink uses."""

    def write(
        self,
        topic: str,
        payload: bytes,
        *,
        schema: Schema | None,
        encoding: str,
        log_time_ns: int,
        publish_time_ns: int | None = None,
    ) -> None: ...

    def copy(self, message: Message) -> None: ...

    def add_metadata(self, name: str, mapping: Mapping[str, str]) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class McapSink:
    """Writes outputs to an MCAP file that opens in Foxglove and Rerun.

    The log time of every message is its tick's arrival. `/perception/inputs` is written last: a tick that
    has it is whole. Without `timing` the bytes of the file depend on the outputs alone; with it, chunks
    are closed by the wall clock, also while nothing is written, and `/perception/timing`, nothing else, holds
    wall-clock milliseconds.

    Args:
        path: The file; an existing one is replaced.
        timing: Write the wall-clock times that come with the outputs.
        min_score: Detections below it get no annotation and no entity of the scene; all are in
            `/perception/detections`.
        compression: As `LogWriter` takes it.
        hold_bytes: How much of the copied input may wait for its outputs (see `copy`).

    Raises:
        OutputError: From every method, where the file cannot be written; names the path.
    """

    is_ours = staticmethod(marked_log(RUN_RECORD, without=(SCORED_RECORD, HOST_RECORD)))
    ignores_truth = True

    def __init__(
        self,
        path: str | Path,
        *,
        timing: bool = True,
        min_score: float = 0.3,
        compression: Literal["none", "zstd"] = "none",
        hold_bytes: int = 256 << 20,
    ) -> None:
        self.path = Path(path)
        self.not_copied: Counter[str] = Counter()
        self._head_topics = frozenset(topic_of(spec.name) for spec in extra_specs())
        self._timing = timing
        self._min_score = min_score
        self._compression: Literal["none", "zstd"] = compression
        self._hold_bytes = hold_bytes
        self._held: deque[Message] = deque()
        self._held_bytes = 0
        self._copies = False
        self._latest_ns: int | None = None
        self._run = RunInfo()
        self._log: MessageWriter | None = None
        self._digests = TopicDigests()
        self._lock = RLock()  # the flusher is a thread of its own
        self._flusher: Flusher | None = None

    def open(self, run: RunInfo) -> None:
        self._run = run
        self._log = self._open_log(run)
        if self._timing:
            self._flusher = Flusher(self._flush)

    def _open_log(self, run: RunInfo) -> MessageWriter:
        refuse_input(self.path, run)
        return LogWriter(
            self.path,
            flush_s=FLUSH_S,
            flush_by="wall" if self._timing else "log",
            compression=self._compression,
            metadata=self._metadata(run),
        )

    def _metadata(self, run: RunInfo) -> dict[str, Mapping[str, str]]:
        return {RUN_RECORD: run.to_metadata()}

    def _flush(self) -> None:
        with self._lock:
            if self._log is not None:
                self._log.flush()

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        with self._lock:
            self._write(sample, output, timing_ms)

    def _write(self, sample: Sample, output: Output, timing_ms: Mapping[str, float] | None) -> None:
        tick = output.tick
        self._release_until(tick.log_time_ns)
        views = list(camera_views(sample, output))
        names = [view.camera if output.cameras else "" for view in views]
        for name, view in zip(names, views, strict=True):
            if view.output.detections is not None:
                encoded = encode_detections(tick, view.output.detections, _camera_frame(view.sample))
                self._put(camera_topic(DETECTIONS, name), encoded, "Detections", output)
        if output.control is not None:
            self._put(CONTROL, encode_control(tick, output.control), "Control", output)
        for name, head in output.extra.items():
            self._put(topic_of(name), encode_control(tick, head), "Control", output)
        for name, view in zip(names, views, strict=True):
            drawn = encode_annotations(view.sample, view.output, self._run, self._min_score)
            self._add(camera_topic(ANNOTATIONS_TOPIC, name), drawn, ANNOTATIONS, output)
            if view.output.detections is not None and view.output.detections.position_frame:
                scene = encode_scene(view.output, self._run, self._min_score)
                self._add(camera_topic(SCENE, name), scene, SCENE_SCHEMA, output)
        if self._timing and timing_ms:
            rows = [(stage, "ms", value) for stage, value in timing_ms.items()]
            self._put(TIMING, encode_status(tick.stamp_ns, rows), "Status", output)
        self._put(INPUTS, encode_inputs(sample), "Inputs", output)

    def add_values(self, topic: str, output: Output, rows: Sequence[tuple[str, str, float]]) -> None:
        """Write named values (name, unit, value) beside an output that was written, as a status message.

        The topic begins with `/perception/`, so that readers of outputs recognise it.
        """
        with self._lock:
            self._put(topic, encode_status(output.tick.stamp_ns, rows), "Status", output)

    def copy(self, message: Message) -> None:
        """Copy an input message byte for byte, so that one file shows the boxes on the video.

        Messages come in arrival order. An output comes later than messages that arrived after its tick, so
        messages wait until the outputs before them are written, and the file stays in the order of log
        time. Where more than `hold_bytes` would wait, the oldest go ahead: the file is then still a
        correct log, whose index puts it in order. Messages on the topics of this sink, which an output
        log has when it is replayed itself, are left out and counted in `not_copied`.
        """
        if message.topic in TOPICS or message.topic in self._head_topics:
            self.not_copied[message.topic] += 1
            return
        with self._lock:
            self._copies = True
            self._held.append(message)
            self._held_bytes += len(message.data)
            while self._held_bytes > self._hold_bytes:
                self._release()

    def sign(self, receipt: Mapping[str, str]) -> None:
        """Write the receipt of the run, behind everything: a file that has it is whole.

        It gets an entry `written.TOPIC` with the hash of each topic, and how this sink was made.
        """
        with self._lock:
            while self._held:
                self._release()
            written = {f"{WRITTEN}{topic}": text for topic, text in self._digests.record().items()}
            made = {"min_score": repr(self._min_score), "with_inputs": "true" if self._copies else ""}
            self._opened().flush()
            record = {**receipt, **{key: text for key, text in made.items() if text}, **written}
            self._opened().add_metadata(RECEIPT_RECORD, record)

    def close(self) -> None:
        if self._flusher is not None:
            self._flusher.stop()
        with self._lock:
            if self._log is None:
                return
            log = self._log
            try:
                while self._held:
                    self._release()
            finally:
                self._log = None
                self._held.clear()
                log.close()

    def _release_until(self, log_time_ns: int) -> None:
        """Write the messages that arrived up to a tick; all of them when time went back."""
        went_back = self._latest_ns is not None and log_time_ns < self._latest_ns
        self._latest_ns = log_time_ns
        while self._held and (went_back or self._held[0].log_time_ns <= log_time_ns):
            self._release()

    def _release(self) -> None:
        message = self._held.popleft()
        self._held_bytes -= len(message.data)
        self._opened().copy(message)
        times, channel = (message.log_time_ns, message.publish_time_ns), message.channel
        self._digests.add(message.topic, channel.schema, channel.encoding, *times, message.data)

    def _put(self, topic: str, payload: bytes, name: str, output: Output) -> None:
        self._add(topic, payload, SCHEMAS[f"perception.{name}"], output)

    def _add(self, topic: str, payload: bytes, schema: Schema, output: Output) -> None:
        log_time_ns = output.tick.log_time_ns
        self._opened().write(topic, payload, schema=schema, encoding="protobuf", log_time_ns=log_time_ns)
        self._digests.add(topic, schema, "protobuf", log_time_ns, log_time_ns, payload)

    def _opened(self) -> MessageWriter:
        if self._log is None:
            raise OutputError(f"this sink is not open: {self.path}")
        return self._log


class ScoredMcapSink(McapSink):
    """The output log of an evaluation, with the errors of each frame beside the outputs."""

    is_ours = staticmethod(marked_log(SCORED_RECORD))

    def _metadata(self, run: RunInfo) -> dict[str, Mapping[str, str]]:
        return {**super()._metadata(run), SCORED_RECORD: {"by": "perception evaluate"}}


def _camera_frame(sample: Sample) -> str:
    """Return the frame of the boxes: the image's, else the calibration's."""
    if sample.camera.value is not None:
        return sample.camera.value.frame_id
    return sample.rig.calibration.frame_id if sample.rig.calibration is not None else ""
