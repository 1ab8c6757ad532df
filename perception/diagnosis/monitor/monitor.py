"""The monitor: follows inputs and outputs tick by tick, and reports which heads to distrust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perception.diagnosis.monitor.baseline import subset_of
from perception.diagnosis.monitor.baseline_stats import SubsetStats
from perception.diagnosis.monitor.doubt_record import DoubtRecord, HeadHealth
from perception.diagnosis.monitor.head_monitor import HeadMonitor
from perception.diagnosis.monitor.hysteresis import SECOND_NS
from perception.diagnosis.monitor.input_monitor import InputMonitor
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.training_watch import TrainingWatch
from perception.diagnosis.monitor.usual_outputs import UsualOutputs
from perception.diagnosis.trained_inputs import TrainedInputs
from perception.types import SENSORS, Output, Sample
from perception.types.views import view_of

_GAP_NS = 10 * SECOND_NS
BLINDING = ("still", "detail", "ahead", "unlike")
"""Problems of an input that is present: every head that rests on it is in doubt."""


class Monitor:
    """Follows the outputs of any plugin, live or in replay, in constant memory, without a clock of its own.

    A head is in doubt when it does not answer; when it rests on a set of inputs of which nothing is known,
    or on which it usually gives much less than on all (the class head without a camera, control without the
    status); when an input that it rests on stands still under new stamps, is stamped later than it arrived,
    is a picture that lost its detail, or is unlike those of training; when the plugin itself warns of
    unusual inputs; when one of its statistics drifts away from what is usual; and, class and box, when scores
    and deviations are altogether less sure than usual. What is wrong with an input does not concern a head
    that usually gives the same without it. What is usual comes from the checkpoint (`output_stats` in its
    metadata); without it, from the run's own first outputs on sound inputs, once as many after them confirm
    it, with wider limits, and then only what changes in the run is noticed.

    What no output shows is not noticed: a range sensor that is biased, noisy or blind in a sector while the
    camera sees; values of the status that are wrong within what the model was trained on; a clock that is
    off by less than the latency. Wrong outputs with high confidence look like right ones: under a
    blur that was there from the start, a model may stay confident.

    Args:
        stats: The baseline by subset of the sensors; None: the run's own first outputs.
        limits: When to raise an alarm.
        trained: The training inputs of the weights; None: inputs are not compared with them.
    """

    def __init__(
        self,
        stats: Mapping[str, SubsetStats] | None = None,
        limits: Limits | None = None,
        trained: TrainedInputs | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._training = TrainingWatch(trained or TrainedInputs(), self.limits)
        self._stats = stats
        self._usual = UsualOutputs(stats, self.limits)
        self._of_cameras: dict[str, UsualOutputs] = {}
        self.inputs = {name: InputMonitor(name, self.limits) for name in SENSORS}
        self.heads: dict[str, HeadMonitor] = {}
        self.record = DoubtRecord(self.limits)
        self._now_ns: int | None = None

    def update(self, sample: Sample, output: Output) -> dict[str, HeadHealth]:
        """Add one tick, in order; return the health of each head that the plugin has."""
        now_ns = output.tick.log_time_ns
        elapsed_s = self._elapsed_s(now_ns)
        wrong = self._inputs(sample, now_ns, elapsed_s)
        for name, problems in wrong.items():
            self.record.add(name, problems, now_ns, elapsed_s)
        self._heads("", self._usual, sample, output, wrong, now_ns, elapsed_s)
        for camera, part in output.cameras.items():
            if camera == sample.camera.name:
                continue
            usual = self._of_cameras.setdefault(camera, UsualOutputs(self._stats, self.limits))
            # Warnings are of the whole tick: those of the plugin's views cannot be told apart.
            own = Output(output.tick, part, None)
            self._heads(f"{camera}/", usual, view_of(sample, camera), own, wrong, now_ns, elapsed_s)
        return dict(self.record.health)

    def _heads(
        self,
        prefix: str,
        usual: UsualOutputs,
        sample: Sample,
        output: Output,
        wrong: Mapping[str, Mapping[str, str]],
        now_ns: int,
        elapsed_s: float,
    ) -> None:
        """Judge each head of an output, or of one camera's part of it.

        Args:
            prefix: Before the name of each head: of cameras beside the reference camera, theirs.
            usual: What is usual for these outputs.
            sample, output: Of the tick, as the camera sees it.
            wrong: The problems of each input.
            now_ns, elapsed_s: The time of the tick, and since the last.
        """
        statistics = usual.reader.read(output)
        baseline = usual.baseline
        stats = baseline.observe(output, statistics, _sound(output, wrong))
        unsure = usual.confidence(output, statistics, elapsed_s)
        kinds = {source.name: source.kind for source in sample.sensors}
        for head, part in output.heads().items():
            watch = self.heads.setdefault(prefix + head, HeadMonitor(head, self.limits))
            subset = subset_of(kinds.get(name, name) for name in part.based_on)
            values = statistics.get(head, {})
            degraded = baseline.degraded(subset, sample).get(head, "")
            known, valid = baseline.known, part.valid
            problems = watch.update(valid, part.error, values, subset, stats, known, degraded, elapsed_s)
            problems |= self._warned(output, head, sample)
            problems |= self._blinded(part.based_on, head, sample, wrong)
            if part is output.detections:
                problems |= unsure
            self.record.judge(prefix + head, problems, now_ns, elapsed_s)

    def _inputs(self, sample: Sample, now_ns: int, elapsed_s: float) -> dict[str, dict[str, str]]:
        """Return the problems of each input: code -> words."""
        usual = self._usual.baseline.of_inputs(sample)
        # Where the reference's clock is ahead of the recorder's, so are those of sensors that share it.
        ahead_ns = max(sample.tick.stamp_ns - now_ns, 0)
        unlike = self._training.update(sample, now_ns)
        of_kind = sample.inputs  # the checkpoint knows one sensor of each kind
        return {
            given.name: self._input(given.name).update(
                given, now_ns, elapsed_s, usual.get(given.kind) if given in of_kind else None, ahead_ns
            )
            | ({"unlike": unlike[given.kind]} if given.kind in unlike else {})
            for given in sample.sensors
        }

    def _input(self, name: str) -> InputMonitor:
        if name not in self.inputs:
            self.inputs[name] = InputMonitor(name, self.limits)
        return self.inputs[name]

    @property
    def health(self) -> Mapping[str, HeadHealth]:
        """The last health of each head."""
        return dict(self.record.health)

    @property
    def known(self) -> bool:
        """Whether the baseline is the checkpoint's."""
        return self._usual.baseline.known

    @property
    def reference(self) -> str:
        """The origin of the baseline, in words."""
        return self._usual.baseline.origin

    def _blinded(
        self, based_on: Sequence[str], head: str, sample: Sample, wrong: Mapping[str, Mapping[str, str]]
    ) -> dict[str, str]:
        """Return the problems of the inputs that a head rests on, and gaps of those that it needs."""
        blinded: dict[str, str] = {}
        kinds = {source.name: source.kind for source in sample.sensors}
        for name, problems in wrong.items():
            kind = kinds.get(name, name)
            if name in based_on and head not in self._usual.baseline.unaffected(kind, sample):
                blinded |= {f"{code}/{name}": problems[code] for code in BLINDING if code in problems}
            if "gaps" in problems and head in self._usual.baseline.degraded_without(kind, sample):
                blinded[f"gaps/{name}"] = problems["gaps"]
        return blinded

    def _warned(self, output: Output, head: str, sample: Sample) -> dict[str, str]:
        """Return the plugin's warnings of inputs that a head depends on."""
        warnings: dict[str, str] = {}
        for code, text in output.warnings.items():
            kind, _, about = code.partition("_")
            name = "camera" if about == "image" else about
            concerned = kind == "input" and head not in self._usual.baseline.unaffected(name, sample)
            if code == "untrained" or concerned:
                warnings[f"warned/{code}"] = text
        return warnings

    def _elapsed_s(self, now_ns: int) -> float:
        """Return the time since the last tick; 0 after a break in time, where everything begins anew."""
        before_ns, self._now_ns = self._now_ns, now_ns
        if before_ns is None or not 0 <= now_ns - before_ns <= _GAP_NS:
            return 0.0
        return (now_ns - before_ns) / SECOND_NS

    def to_json(self) -> dict[str, Any]:
        """Return the whole state, for a summary."""
        return {
            "compared_with": self.reference,
            "baseline": {
                "known": self.known,
                "confirmed": self._usual.baseline.confirmed,
                "contradicted": self._usual.baseline.contradicted,
                "left_out": self._usual.baseline.left_out,
            },
            **self._cameras_json(),
            "training": self._training.to_json(),
            "heads": {head: self._head_json(head, watch) for head, watch in self.heads.items()},
            "inputs": {name: self._input_json(watch) for name, watch in self.inputs.items() if watch.ticks},
            **self.record.to_json(),
        }

    def _cameras_json(self) -> dict[str, Any]:
        """Return what the outputs of the cameras beside the reference camera are compared with."""
        cameras = {camera: usual.baseline.origin for camera, usual in self._of_cameras.items()}
        return {"cameras_compared_with": cameras} if cameras else {}

    def _head_json(self, head: str, watch: HeadMonitor) -> dict[str, Any]:
        health = self.record.health[head]
        return {
            "believed": health.believed,
            "reasons": list(health.reasons),
            "in_doubt_s": round(self.record.in_doubt_s(head), 3),
            "valid_share": round(watch.valid / watch.outputs, 6) if watch.outputs else None,
            "figures": {
                name: {"now": drift.now, "place": drift.place, "usual": list(watch.usual.get(name, ()))}
                for name, drift in watch.drifts.items()
            },
        }

    def _input_json(self, watch: InputMonitor) -> dict[str, Any]:
        ages = watch.ages
        return {
            "rate_hz": None if watch.rate_hz is None else round(watch.rate_hz, 3),
            "age_ms": {"p50": round(ages.quantile_ms(0.5), 3), "p99": round(ages.quantile_ms(0.99), 3)}
            if ages.count
            else {},
            "absent_share": round(watch.absent / watch.ticks, 6),
            "longest_absent_s": round(watch.longest_absent_s, 3),
            "longest_still_s": round(watch.longest_still_s, 3),
            "in_doubt_s": round(self.record.in_doubt_s(watch.name), 3),
        }


def _sound(output: Output, wrong: Mapping[str, Mapping[str, str]]) -> bool:
    """Return whether nothing is known to be wrong with an output: then it counts for the baseline."""
    blinded = any(code in BLINDING for problems in wrong.values() for code in problems)
    warned = any(code.startswith("input_") for code in output.warnings)
    return not blinded and not warned and all(part.valid for part in output.heads().values())
