"""Fine-tuning on the first 60 frames of a street, scored on its last 20: run by hand, minutes of CPU.

    python -m tests.training.street_transfer WEIGHTS RECORDING OUT [KEY=VALUE ...]

Scored are cars at least 25 px high in the recording and 0.3 visible; all other cars and vehicles are
ignore regions. The same parked cars recur within seconds, so a second score leaves out every car (by its
uuid) that occurs in the first 60 frames: those become ignore regions too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from perception.autoconfig import complete_config
from perception.evaluation.metrics import Rules, Suite
from perception.evaluation.metrics.mean_average_precision import MeanAveragePrecision
from perception.logs import open_log
from perception.pipeline import ReplayOptions, Span, replay
from perception.plugin import load_plugin
from perception.sinks import RunInfo
from perception.training import train
from perception.training.config_file import load_train_config
from perception.training.data.cache_writer import samples_with_truth
from perception.types import Output, Sample, TruthBox, TruthFrame

LEARNT_S = 5.95
"""The first 60 frames of 10 Hz."""

CLASSES = {
    "Car": "vehicle",
    "Pickup Truck": "vehicle",
    "Medium-sized Truck": "vehicle",
    "Pedestrian": "person",
    "Pedestrian with Object": "person",
    "Motorcycle": "cyclist",
}
RULES = Rules(min_height_px=25, min_visible=0.3)

Ignored = Callable[[TruthBox], bool]


class Score:
    """A sink that scores vehicles under several rules of what to ignore."""

    def __init__(self, ignored: Mapping[str, Ignored]) -> None:
        self.ignored = ignored
        self.suites = {name: Suite(RULES, [MeanAveragePrecision(RULES)]) for name in ignored}
        self.counts = dict.fromkeys(ignored, 0)
        self.tracks: dict[str, set[str]] = {name: set() for name in ignored}

    def open(self, run: RunInfo) -> None:
        """Nothing to make."""

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        """Score the vehicles of a frame."""
        if truth is None or truth.boxes is None or output.detections is None:
            return
        items = tuple(d for d in output.detections.items if d.label == "vehicle")
        found = replace(output, detections=replace(output.detections, items=items))
        for name, ignored in self.ignored.items():
            boxes = tuple(
                replace(b, label="vehicle", visible=0.0 if ignored(b) else b.visible)
                for b in truth.boxes
                if CLASSES.get(b.label, b.label) == "vehicle"
            )
            kept = [b for b in boxes if b.visible >= 0.3 and b.xyxy[3] - b.xyxy[1] >= 25]
            self.counts[name] += len(kept)
            self.tracks[name] |= {b.track_id for b in kept}
            self.suites[name].update(found, replace(truth, boxes=boxes))

    def close(self) -> None:
        """Nothing to close."""

    def report(self) -> dict[str, object]:
        """AP@50 and counts, by rule."""
        told: dict[str, object] = {}
        for name, suite in self.suites.items():
            values = {k: v.value for r in suite.compute() for k, v in r.values.items()}
            told[name] = {
                "AP50": values.get("mAP50", values.get("AP50")),
                "AP": values.get("mAP"),
                "boxes": self.counts[name],
                "cars": len(self.tracks[name]),
            }
        return told


def score(weights: Path, recording: Path) -> dict[str, object]:
    """AP of cars on the last 20 frames: all of them, and those never seen in the first 60."""
    with open_log(recording) as log:
        config = complete_config(log, None).config
        begin = None
        seen: set[str] = set()
        kind: dict[str, str] = {}
        for sample, truth in samples_with_truth(log, config):
            begin = sample.tick.stamp_ns if begin is None else begin
            learnt = sample.tick.stamp_ns < begin + LEARNT_S * 1e9
            for box in truth.boxes or ():
                kind[box.track_id] = box.label
                if learnt:
                    seen.add(box.track_id)
        assert begin is not None
        start_ns = log.survey.start_ns
        assert start_ns is not None

        def other(box: TruthBox) -> bool:
            return kind[box.track_id] != "Car"

        sink = Score({"cars": other, "cars never seen": lambda b: other(b) or b.track_id in seen})
        plugin = config.plugin.model_copy(update={"checkpoint": weights})
        arrival = max(start_ns, round(begin + LEARNT_S * 1e9))
        summary = replay(
            log,
            config.model_copy(update={"plugin": plugin}),
            load_plugin("fusion"),
            [sink],
            ReplayOptions(span=Span(start_ns=arrival)),
        )
        return {"frames": summary.frames, **sink.report()}


def main(weights: Path, recording: Path, out: Path, changes: Mapping[str, object]) -> None:
    """Score, fine-tune, score again."""
    untouched = score(weights, recording)
    print(json.dumps({"before": untouched}), flush=True)
    config = load_train_config(
        "finetune",
        {
            "data.train": [str(recording)],
            "data.end_s": LEARNT_S,
            "data.classes": CLASSES,
            "transfer.checkpoint": str(weights),
            "run.out": str(out),
            "run.evaluate": False,
            **changes,
        },
    )
    done = train(config)
    print(json.dumps({"after": score(out / "best.safetensors", recording), "cpu_s": round(done.cpu_s)}))


if __name__ == "__main__":
    pairs = (text.split("=", 1) for text in sys.argv[4:])
    changes = {key: yaml.safe_load(value) for key, value in pairs}
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), changes)
