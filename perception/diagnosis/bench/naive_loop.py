"""The loop that a competent user writes, to measure against: one frame after the other, eager float32.

`mcap` reads, `cv2.imdecode` decodes, torchvision resizes, the model answers at batch 1, and the answers go
to a file as JSON lines. The newest scan and status window at each image are taken as they come. Scan and
status are decoded and made into arrays by this project's own functions, which are faster than what one would
write first: the comparison is in the naive loop's favour there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from perception.align import Aligner
from perception.diagnosis.bench.machine_load import OtherPrograms, memory_mib
from perception.diagnosis.bench.measured_setup import MeasuredRun, MeasuredSetup
from perception.errors import LogError
from perception.logs import decoder, open_log
from perception.models.checkpoint import Checkpoint, load_checkpoint
from perception.models.preprocess import BESIDE, prepare_inputs
from perception.models.tensors import Inputs
from perception.pipeline import context_of
from perception.plugin import HasPlainLoop, load_plugin
from perception.types import CameraFrame, Message, Sample

if TYPE_CHECKING:
    from perception.models.fusion_model import FusionModel


class NaiveLoop:
    """The naive loop: opened once, run several times."""

    def __init__(self, setup: MeasuredSetup) -> None:
        import torch
        from torchvision.transforms import v2  # type: ignore[import-untyped]

        torch.set_num_threads(setup.threads)
        self._setup, self._torch = setup, torch
        model, meta = _model(setup.weights)
        self._model: Any = model.eval().requires_grad_(False).to(setup.device)
        limits = [section.max_range_m for section in setup.config.sensors.ranges.values()]
        max_range = max(limits, default=None)
        self._spec = meta.input_spec(max_range, setup.weights)
        self._resize = v2.functional.resize
        self._base_mib = float("nan")

    def run(self, warm: bool = False) -> MeasuredRun:
        """Run once over the log, up to the configured limits; to warm up, over a few frames."""
        most = 3 if warm else self._setup.most
        frames, began, cpu, others = 0, 0.0, 0.0, OtherPrograms()
        with open(os.devnull, "w", encoding="utf-8") as out:
            for sample in self._samples():
                if sample.camera.value is None:
                    continue
                out.write(json.dumps(self._answer(sample)) + "\n")
                if began == 0.0:
                    began, cpu, others = time.perf_counter(), time.process_time(), OtherPrograms()
                    self._base_mib = memory_mib()[0]
                    continue
                frames += 1
                late = time.perf_counter() - began > self._setup.most_s
                if late or (most is not None and frames >= most):
                    break
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        peak = memory_mib()[1]
        return MeasuredRun(frames, seconds, cpu_s, others.cores(), base_mib=self._base_mib, peak_mib=peak)

    def _samples(self) -> Iterator[Sample]:
        """Yield the newest inputs at each image, without accounting, seeks or damage."""
        config = self._setup.config
        with open_log(self._setup.log) as log:
            channels = {topic: log.channels[topic] for topic in config.roles() if topic in log.channels}
        from mcap.reader import make_reader

        def messages(file: Any) -> Iterator[Message]:
            for _, channel, m in make_reader(file).iter_messages(topics=list(channels)):
                yield Message(channels[channel.topic], m.log_time, m.publish_time, m.sequence, m.data)

        roles, decode = config.roles(), decoder(config)
        with Path(self._setup.log).open("rb") as file:
            aligner = Aligner(config)
            for message in messages(file):
                if not roles[message.topic].startswith("truth"):
                    yield from aligner.push(decode(message))

    def _answer(self, sample: Sample) -> dict[str, Any]:
        torch, frame = self._torch, sample.camera.value
        assert frame is not None
        pixels = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise LogError(f"an image does not decode: {self._setup.log}")
        image = torch.from_numpy(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)
        area = self._spec.area(frame.width, frame.height)
        resized = self._resize(image, [area.height, area.width], antialias=True)
        beside = area.left, area.left, area.top, area.top
        whole = torch.nn.functional.pad(resized, beside, value=BESIDE)
        _, rest = prepare_inputs(sample.with_absent({"camera": "above"}), self._spec)
        present = rest.present.copy()
        present[0] = 1.0
        others = Inputs(*(torch.from_numpy(np.ascontiguousarray(array))[None] for array in rest))
        inputs = others._replace(image=whole[None], present=torch.from_numpy(present)[None])
        with torch.inference_mode():
            predictions = self._model(Inputs(*(tensor.to(self._setup.device) for tensor in inputs)))
            found = type(predictions)(*(tensor[0].cpu().numpy() for tensor in predictions))
        kept = found.scores >= 0.05
        return {
            "stamp_ns": sample.tick.stamp_ns,
            "labels": found.labels[kept].tolist(),
            "scores": found.scores[kept].tolist(),
            "boxes": found.boxes[kept].tolist(),
            "distance_m": found.distance_m[kept].tolist(),
            "control": found.control.tolist(),
        }


class PlainPluginLoop:
    """A naive loop over a plugin that offers plain code for its answers (`HasPlainLoop`): `mcap` reads,
    one picture after the other is answered, and the answers go to a file as JSON lines. No other sensor is
    read, no position is stated."""

    def __init__(self, setup: MeasuredSetup) -> None:
        engine = setup.config.engine.model_copy(update={"threads": setup.threads})
        plugin = load_plugin(setup.config.plugin.name)
        assert isinstance(plugin, HasPlainLoop)
        plugin.open(context_of(setup.config.model_copy(update={"engine": engine}), "cpu"))
        self._setup, self._answer = setup, plugin.plain_answer
        self._base_mib = float("nan")

    def run(self, warm: bool = False) -> MeasuredRun:
        """Run once over the log, up to the configured limits; to warm up, over a few frames."""
        from mcap.reader import make_reader

        most, frames, decode = 3 if warm else self._setup.most, 0, decoder(self._setup.config)
        began, cpu, others = time.perf_counter(), time.process_time(), OtherPrograms()
        topic = self._setup.config.sensors.named[self._setup.config.reference].topic
        with open_log(self._setup.log) as log:
            channel = log.channels[topic]
        with Path(self._setup.log).open("rb") as file, open(os.devnull, "w", encoding="utf-8") as out:
            for _, _, m in make_reader(file).iter_messages(topics=[topic]):
                frame = decode(Message(channel, m.log_time, m.publish_time, m.sequence, m.data))
                if not isinstance(frame, CameraFrame) or (answer := self._answer(frame)) is None:
                    raise LogError(f"an image does not decode: {self._setup.log}")
                out.write(json.dumps({"stamp_ns": frame.stamp_ns, **answer}) + "\n")
                frames += 1
                if time.perf_counter() - began > self._setup.most_s or frames == most:
                    break
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        self._base_mib = memory_mib()[0] if warm else self._base_mib
        peak = memory_mib()[1]
        return MeasuredRun(frames, seconds, cpu_s, others.cores(), base_mib=self._base_mib, peak_mib=peak)


def _model(weights: Path | None) -> tuple[FusionModel, Checkpoint]:
    if weights is not None:
        return load_checkpoint(weights)
    from perception.models.fusion_model import FusionModel

    meta = Checkpoint()
    return FusionModel(meta.config), meta
