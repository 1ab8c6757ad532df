"""A setup to measure, as it is sent to the measuring process, and the result of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from perception.config import Config

Kind = Literal["full", "stages", "naive"]


@dataclass(frozen=True, slots=True)
class MeasuredSetup:
    """A setup to measure in its own process.

    Attributes:
        kind: `full`: as `replay` runs it. `stages`: one thing at a time, in one thread, so that the processor
            time of each stage is known. `naive`: the loop that a competent user writes.
        constant: The model is replaced by a constant.
        threads: Of the naive loop.
        weights: Of the naive loop; None: those of an untrained model.
        most, most_s: Of the naive loop: at most so many frames in a run, and so many seconds, which two
            threads on busy cores come to at once.
    """

    kind: Kind
    log: Path
    config: Config
    device: str = "cpu"
    constant: bool = False
    threads: int = 1
    weights: Path | None = None
    most: int | None = None
    most_s: float = 10.0


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """The cost of one run, from the start of its first frame until its last was written.

    Attributes:
        frames: Number of frames.
        seconds: By the wall clock.
        cpu_s: CPU time of all threads of the process.
        device_s: Seconds that a GPU computed.
        others: How many cores other programs took meanwhile; NaN where that cannot be read.
        stage_ms: Stage -> processor time of a frame in ms. Only of `stages`.
        latency_ms: From a sample to its output (prepare, infer, step), of each frame. Only of `stages`.
        answer_ms: Likewise without `prepare`: from the arrays to the output.
        base_mib, peak_mib: Memory after the first inference, and its peak.
        description: The plugin's description of itself.
    """

    frames: int
    seconds: float
    cpu_s: float
    others: float = float("nan")
    device_s: float = 0.0
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    latency_ms: tuple[float, ...] = ()
    answer_ms: tuple[float, ...] = ()
    base_mib: float = float("nan")
    peak_mib: float = float("nan")
    description: Mapping[str, str] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Return the frames per second."""
        return self.frames / self.seconds if self.seconds > 0 else float("nan")

    @property
    def cpu_ms(self) -> float:
        """Return the CPU time of a frame. It does not depend on what else the machine does."""
        return self.cpu_s / self.frames * 1e3 if self.frames else float("nan")

    @property
    def device_ms(self) -> float:
        """Return the GPU time of a frame."""
        return self.device_s / self.frames * 1e3 if self.frames else float("nan")
