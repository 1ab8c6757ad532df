"""A plugin that is told the truth, and says it the worse the fewer sensors it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from perception.logs import Query, open_log
from perception.logs.perception_proto import decode_control, decode_truth
from perception.plugin import API_VERSION, Context, Manifest, Plugin, Prepared
from perception.types import (
    SENSORS,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Output,
    Reset,
    Sample,
    TruthBox,
)

SHIFT_PX = {"camera": 0.0, "range": 1.5, "status": 3.0}
"""How far boxes are off when that sensor is absent. The camera is what validity rests on."""


class Truth:
    """The truth of a scripted log by stamp."""

    def __init__(self, path: Path) -> None:
        self.boxes: dict[int, tuple[TruthBox, ...]] = {}
        self.control: dict[int, dict[str, float]] = {}
        with open_log(path) as log:
            for message in log.messages(Query(frozenset({"/truth/detections", "/truth/control"}))):
                if message.topic == "/truth/detections":
                    stamp_ns, _, boxes = decode_truth(message.data)
                    self.boxes[stamp_ns] = boxes
                else:
                    stamp_ns, control = decode_control(message.data)
                    self.control[stamp_ns] = {c.name: c.value for c in control.channels}


class Oracle(Plugin):
    """Says the truth of the nearest stamp, as far as it counts; counts how often it was asked.

    Args:
        wrong: First and last stamp between which it sees nothing and steers 1/m too far left.
        memory: It remembers how many samples it has seen, and adds as many pixels.
    """

    def __init__(
        self, truth: Truth, wrong: tuple[int, int] = (0, 0), memory: bool = False, fails_at: int = -1
    ) -> None:
        self.manifest = Manifest(
            API_VERSION, "oracle", "-:-", SENSORS, ("class", "box", "control"), None if memory else 0.0, 4
        )
        self.truth, self.wrong, self.memory, self.fails_at = truth, wrong, memory, fails_at
        self.calls: Counter[str] = Counter()
        self.seen = 0

    def open(self, context: Context) -> None:
        self.calls["open"] += 1

    def prepare(self, sample: Sample) -> Prepared:
        self.calls["prepare"] += 1
        return Prepared(sample)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        self.calls["step"] += 1
        return [self._say(item.sample) for item in prepared]

    def reset(self, reason: Reset) -> None:
        self.seen = 0

    def describe(self) -> dict[str, str]:
        return {"classes": "vehicle\nperson\ncone", "loss_family": "gaussian"}

    def _say(self, sample: Sample) -> Output:
        self.seen += 1
        if sample.tick.index == self.fails_at:
            raise RuntimeError("told to fail")
        present = tuple(given.name for given in sample.inputs if given.present)
        shift = sum(SHIFT_PX[name] for name in SENSORS if name not in present)
        shift += self.seen * 0.01 if self.memory else 0.0
        near = min(self.truth.boxes, key=lambda stamp: abs(stamp - sample.tick.stamp_ns))
        blind = self.wrong[0] <= near < self.wrong[1]
        boxes = () if blind else [b for b in self.truth.boxes[near] if b.visible >= 0.3 and _height(b) >= 12]
        items = tuple(
            Detection(
                box.label,
                1.0 - index / 100,
                (box.xyxy[0] + shift, box.xyxy[1], box.xyxy[2] + shift, box.xyxy[3]),
                (2.0, 2.0, 2.0, 2.0),
                box.distance_m * (1 + shift / 100),
                1.0,
            )
            for index, box in enumerate(boxes)
        )
        control = self.truth.control[near]
        channels = tuple(
            ControlChannel(name, "1/m" if name == "curvature" else "m/s2", value + shift + blind, 0.1)
            for name, value in control.items()
        )
        seen = (
            Detections(True, present, items=items)
            if "camera" in present
            else Detections(False, present, "blind")
        )
        return Output(sample.tick, seen, Control(True, present, channels=channels))


def _height(box: TruthBox) -> float:
    return box.xyxy[3] - box.xyxy[1]


class TogetherOracle(Oracle):
    """One that answers on several subsets at once."""

    def step_subsets(
        self, prepared: Sequence[Prepared], subsets: Sequence[tuple[str, ...]]
    ) -> list[list[Output]]:
        self.calls["step_subsets"] += 1
        rows = []
        for item in prepared:
            gone = [[name for name in SENSORS if name not in subset] for subset in subsets]
            samples = [item.sample.with_absent(dict.fromkeys(names, "left out")) for names in gone]
            rows.append([self._say(sample) for sample in samples])
        return rows
