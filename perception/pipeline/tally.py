"""The counts of a run: samples, outputs by head, inputs by sensor, and warnings."""

from __future__ import annotations

from dataclasses import dataclass, field

from perception.pipeline.replay_summary import Warned
from perception.pipeline.sensor_warnings import placing_warning
from perception.types import Output, Sample, TruthFrame
from perception.types.truth_frame import missing_warnings


@dataclass(slots=True)
class Tally:
    """The counts of a run so far."""

    frames: int = 0
    substitutes: int = 0
    errors: int = 0
    first_error: str = ""
    outputs: dict[str, dict[str, int]] = field(default_factory=dict)
    first_invalid: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, dict[str, int]] = field(default_factory=dict)
    absences: dict[str, dict[str, int]] = field(default_factory=dict)
    absence_texts: dict[tuple[str, str], str] = field(default_factory=dict)
    warnings: dict[str, Warned] = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None

    def add(self, sample: Sample, output: Output, truth: TruthFrame | None = None) -> None:
        """Count a sample that went to the sinks, and what of it could not be placed."""
        self.frames += 1
        self.substitutes += sample.tick.kind == "substitute"
        for head, valid in output.validity().items():
            counts = self.outputs.setdefault(head, {"valid": 0, "invalid": 0})
            counts["valid" if valid else "invalid"] += 1
            if not valid and head not in self.first_invalid:
                camera, _, name = head.rpartition("/")
                said = output.cameras[camera] if camera else output[name]
                self.first_invalid[head] = said.error
        for given in sample.sensors:
            name = given.name
            counts = self.inputs.setdefault(name, {"present": 0, "absent": 0})
            counts["present" if given.present else "absent"] += 1
            if given.absence is not None and given.configured:
                codes = self.absences.setdefault(name, {})
                codes[given.absence.code] = codes.get(given.absence.code, 0) + 1
                self.absence_texts.setdefault((name, given.absence.code), given.absence.text)
        told = [*output.warnings.items(), *map(placing_warning, sample.issues), *missing_warnings(truth)]
        for code, text in told:
            self.warn(code, text, of_samples=True)
        self.first_ns = sample.tick.log_time_ns if self.first_ns is None else self.first_ns
        self.last_ns = sample.tick.log_time_ns

    def warn(self, code: str, text: str, count: int = 1, of_samples: bool = False) -> None:
        """Count a warning; its text is that of the first with its code."""
        before = self.warnings.get(code, Warned(code, text, 0))
        self.warnings[code] = Warned(code, before.text, before.count + count, of_samples)
