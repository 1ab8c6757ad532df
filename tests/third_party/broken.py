"""Plugins that break the contract, one point each, so that the check is seen to find every one."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perception.plugin import Context, Manifest, Plugin, Prepared
from perception.types import Control, ControlChannel, Detection, Detections, Output, Reset, Sample


class Sound(Plugin):
    """Breaks nothing: speed in, control out; a box where there is an image with a JPEG's first bytes."""

    std = 0.1

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def prepare(self, sample: Sample) -> Prepared:
        absent = {}
        frame, scan, window = sample.camera.value, sample.range.value, sample.status.value
        if frame is not None and bytes(frame.data[:2]) != b"\xff\xd8":
            absent["camera"] = "not a JPEG"
        if scan is not None and not np.isfinite(scan.points_m).any():
            absent["range"] = "no return"
        if window is not None and not np.isfinite(window.values[-1, 0]):
            absent["status"] = "not a number"
        return Prepared(sample.with_absent(absent))

    def value(self, sample: Sample) -> float:
        window = sample.status.value
        return float(window.values[-1, 0]) if window is not None else 0.0

    def one(self, sample: Sample) -> Output:
        detections = Detections(False, error="no image")
        if sample.camera.present:
            detections = Detections(True, ("camera",), items=(self.item(),))
        control = Control(False, error="no status")
        if sample.status.present:
            channel = ControlChannel("acceleration", "m/s2", self.value(sample), self.std)
            control = Control(True, ("status",), channels=(channel,))
        return Output(sample.tick, detections, control)

    def item(self) -> Detection:
        return Detection("thing", 0.5, (1.0, 2.0, 3.0, 4.0), (1.0,) * 4, 5.0, 1.0)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return [self.one(item.sample) for item in prepared]


class RaisesInStep(Sound):
    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        raise RuntimeError("out of cheese")


class RaisesLater(Sound):
    def one(self, sample: Sample) -> Output:
        if sample.tick.index == 5:
            raise ZeroDivisionError("the fifth")
        return super().one(sample)


class GivesNone(Sound):
    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return None  # type: ignore[return-value]


class WrongNumber(Sound):
    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return super().step(prepared) * 2


class WrongTick(Sound):
    def one(self, sample: Sample) -> Output:
        output = super().one(sample)
        return replace(output, tick=replace(output.tick, stamp_ns=output.tick.stamp_ns + 1))


class NanBox(Sound):
    def item(self) -> Detection:
        return replace(super().item(), xyxy=(1.0, 2.0, float("nan"), 4.0))


class SwappedBox(Sound):
    def item(self) -> Detection:
        return replace(super().item(), xyxy=(3.0, 2.0, 1.0, 4.0))


class ScoreInPercent(Sound):
    def item(self) -> Detection:
        return replace(super().item(), score=50.0)


class NoSpread(Sound):
    std = 0.0


class NumpyNumbers(Sound):
    def value(self, sample: Sample) -> float:
        return np.float32(1.0)  # type: ignore[return-value]


class RestsOnTheAbsent(Sound):
    def one(self, sample: Sample) -> Output:
        output = super().one(sample)
        assert output.control is not None
        return replace(output, control=replace(output.control, based_on=("status", "range")))


class NoControl(Sound):
    def one(self, sample: Sample) -> Output:
        return replace(super().one(sample), control=None)


class NeverControl(Sound):
    def one(self, sample: Sample) -> Output:
        return replace(super().one(sample), control=Control(False, error="not today"))


class NeedsTheCamera(Sound):
    def one(self, sample: Sample) -> Output:
        assert sample.camera.value is not None
        return super().one(sample)


class TrustsTheImage(Sound):
    def prepare(self, sample: Sample) -> Prepared:
        frame = sample.camera.value
        if frame is not None and bytes(frame.data[:2]) != b"\xff\xd8":
            raise ValueError("cannot decode")
        return super().prepare(sample)


class BelievesGarbage(Sound):
    def prepare(self, sample: Sample) -> Prepared:
        return Prepared(sample)


class ReadsTheClock(Sound):
    def value(self, sample: Sample) -> float:
        return time.perf_counter() % 1


class FeelsTheDelay(Sound):
    """Right as long as nobody waits: what a smoothing filter on the wall clock does."""

    def open(self, context: Context) -> None:
        self._last = time.monotonic()

    def value(self, sample: Sample) -> float:
        return 1.0 if time.monotonic() - self._last > 0.015 else 0.0

    def prepare(self, sample: Sample) -> Prepared:
        self._last = time.monotonic()
        return super().prepare(sample)


class Counts(Sound):
    """Remembers for ever; `reset` does as it should."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self._count = 0

    def value(self, sample: Sample) -> float:
        self._count += 1
        return float(self._count)

    def reset(self, reason: Reset) -> None:
        self._count = 0


class RemembersTwoSeconds(Sound):
    """Gives the number of ticks in the last two seconds: its manifest must say so."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self._stamps: list[int] = []

    def value(self, sample: Sample) -> float:
        self._stamps.append(sample.tick.stamp_ns)
        self._stamps = [stamp for stamp in self._stamps if stamp > sample.tick.stamp_ns - 2_000_000_000]
        return float(len(self._stamps))

    def reset(self, reason: Reset) -> None:
        self._stamps.clear()


class Prints(Sound):
    def open(self, context: Context) -> None:
        print("Loading weights ...")


class NeverForgets(Counts):
    def reset(self, reason: Reset) -> None:
        pass


class SharesItsCount(Sound):
    """One counter for all: even a second run of the same goes on from where the first one was."""

    count = 0

    def value(self, sample: Sample) -> float:
        type(self).count += 1
        return float(self.count)


class CountsInPrepare(Sound):
    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self._count = 0

    def prepare(self, sample: Sample) -> Prepared:
        self._count += 1
        return Prepared(super().prepare(sample).sample, np.array([self._count]))


class ChangesTheSample(Sound):
    def prepare(self, sample: Sample) -> Prepared:
        if sample.status.value is not None:
            values = sample.status.value.values
            np.add(values, 1.0, out=values)
        return super().prepare(sample)


class LooksAhead(Sound):
    """Its first output of a batch depends on the last."""

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        outputs = super().step(prepared)
        control = outputs[0].control
        if len(outputs) > 1 and control is not None and control.valid:
            value = self.value(prepared[-1].sample)
            changed = replace(control, channels=(replace(control.channels[0], value=value),))
            outputs[0] = replace(outputs[0], control=changed)
        return outputs


class CannotClose(Sound):
    def close(self) -> None:
        raise RuntimeError("already gone")


class ClosesOnlyWhatItOpened(Sound):
    """`close` after a failed `open` fails too."""

    def open(self, context: Context) -> None:
        if context.checkpoint is not None:
            raise FileNotFoundError(context.checkpoint)


class SoundOnSubsets(Sound):
    """Offers `step_subsets` beside the contract, and keeps its word."""

    def step_subsets(
        self, prepared: Sequence[Prepared], subsets: Sequence[tuple[str, ...]]
    ) -> list[list[Output]]:
        return [[self.one(self.only(item.sample, kept)) for kept in subsets] for item in prepared]

    def only(self, sample: Sample, kept: tuple[str, ...]) -> Sample:
        return sample.with_absent({i.name: "left out" for i in sample.inputs if i.name not in kept})


class SubsetsInAnotherOrder(SoundOnSubsets):
    def step_subsets(
        self, prepared: Sequence[Prepared], subsets: Sequence[tuple[str, ...]]
    ) -> list[list[Output]]:
        return [outputs[::-1] for outputs in super().step_subsets(prepared, subsets)]


class TooFewSubsets(SoundOnSubsets):
    def step_subsets(
        self, prepared: Sequence[Prepared], subsets: Sequence[tuple[str, ...]]
    ) -> list[list[Output]]:
        return super().step_subsets(prepared, subsets[:-1])


class SoundAndInfers(Sound):
    """Offers `infer` beside the contract, and keeps its word."""

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        return [replace(item, payload=self.value(item.sample)) for item in prepared]

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        items = [item if item.payload is not None else self.infer([item])[0] for item in prepared]
        return [self.answered(item) for item in items]

    def answered(self, item: Prepared) -> Output:
        output = self.one(item.sample)
        if output.control is None or not output.control.valid:
            return output
        channel = replace(output.control.channels[0], value=item.payload)
        return replace(output, control=replace(output.control, channels=(channel,)))


class CountsInInfer(SoundAndInfers):
    count = 0.0

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        self.count += 1.0
        return [replace(item, payload=self.count) for item in prepared]


class InfersAnotherAnswer(SoundAndInfers):
    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        return [replace(item, payload=self.value(item.sample) + 1.0) for item in prepared]

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        here = [item if item.payload is not None else replace(item, payload=0.5) for item in prepared]
        return [self.answered(item) for item in here]


class InfersTooFew(SoundAndInfers):
    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        return super().infer(prepared)[1:]


class DiesOfSquares(Sound):
    """Takes its process with it."""

    def prepare(self, sample: Sample) -> Prepared:
        frame = sample.camera.value
        if frame is not None and frame.width == frame.height:
            os._exit(7)
        return super().prepare(sample)
