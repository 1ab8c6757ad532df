"""The plugin contract: the methods a host calls, the context it gives, and optional protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from perception.plugin.manifest import Manifest
from perception.types import CameraFrame, Output, Reset, Sample


@dataclass(frozen=True, slots=True)
class Context:
    """The settings that a host gives a plugin when it opens it.

    Attributes:
        device: `cpu` or `cuda`.
        seed: For random numbers of the plugin.
        checkpoint: A file of weights; None: the plugin's own.
        options: The `plugin.options` of the configuration.
        status: Names of the status channels, in the order of `StatusWindow.values`.
        status_steps: T, the steps of the status window.
        status_rate_hz: The rate of those steps.
        max_range_m: Returns beyond it are invalid.
        base_frame: The frame in which detections state positions (`perception.plugin.positioned`); None: they
            state none.
        batch: The batch size of the run.
        threads: Threads for computation; None: the library's default.
        backend, precision: As configured; `auto` lets the plugin choose.
    """

    device: str = "cpu"
    seed: int = 0
    checkpoint: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    status: tuple[str, ...] = ()
    status_steps: int = 16
    status_rate_hz: float = 20.0
    max_range_m: float = 30.0
    base_frame: str | None = None
    batch: int = 1
    threads: int | None = None
    backend: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A sample prepared for `step`. `sample` may have more absent inputs than the original
    (`Sample.with_absent`): an image that does not decode is noticed in `prepare`."""

    sample: Sample
    payload: Any = None


class Plugin(Protocol):
    """A model that a host runs. Inherit from it to get the defaults.

    The host calls `open` once, then for samples in order `prepare` (from any thread) and `step`, `reset`
    between samples, and `close` once, also after an error. A plugin may implement `Infers`, `StepsSubsets`
    and the other protocols below.
    """

    manifest: Manifest

    def open(self, context: Context) -> None:
        """Load weights, move to the device, warm up. `manifest.heads` may grow by heads of the weights."""

    def prepare(self, sample: Sample) -> Prepared:
        """Decode pixels and make arrays. Stateless and thread-safe. Default: the sample alone."""
        return Prepared(sample)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        """Return one output for each sample, in order. Uses no clock and no global state."""
        ...

    def reset(self, reason: Reset) -> None:
        """Drop all state of earlier samples: after a seek, a loop, a clock jump."""

    def close(self) -> None:
        """Release all resources."""

    def describe(self) -> Mapping[str, str]:
        """Return the record of the plugin: `weights_sha256`, `backend`, `precision`, `device`, ..."""
        return {}


@runtime_checkable
class Infers(Protocol):
    """Optional protocol: the heavy, stateless part of the computation as a method of its own.

    `prepare` and `infer` of different samples then run in several threads, while `step` makes the outputs in
    order in one. The result of `infer` is put into the payload. `step` also takes samples that were only
    prepared, and computes for them: a host that does not call `infer` gets the same outputs.
    """

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """Return the same samples in order, with the results in their payloads. At most one batch.

        Stateless and thread-safe, as `prepare`; the arguments are not changed.
        """
        ...


@runtime_checkable
class AdoptsPrepared(Protocol):
    """Optional protocol: use a sample that another instance has prepared.

    `perception compare` uses it, because two checkpoints often need the same arrays of a sample.
    """

    def adopt(self, prepared: Prepared, other: Plugin) -> Prepared | None:
        """Return the result of `prepare` for the same sample; None where the two need different arrays."""


@runtime_checkable
class StepsSubsets(Protocol):
    """Optional protocol: outputs for several subsets of the inputs at once.

    `perception evaluate --ablate sensors` uses it, because much of the work (decoding, the features of the
    camera) is the same for all subsets. Without it the plugin is prepared and stepped for each.
    """

    def step_subsets(
        self, prepared: Sequence[Prepared], subsets: Sequence[tuple[str, ...]]
    ) -> list[list[Output]]:
        """Return, for each sample and subset, the output of `step` with only those inputs present."""
        ...


@runtime_checkable
class HasPlainLoop(Protocol):
    """Optional protocol: what one would write in the plugin's place, for `perception bench`."""

    def plain_answer(self, frame: CameraFrame) -> Mapping[str, Any] | None:
        """Return the answer to an encoded picture, ready for JSON; None: it does not decode."""
        ...


@runtime_checkable
class TimesItsDevice(Protocol):
    """Optional protocol: the GPU time of the plugin, for `perception bench`."""

    def device_s(self) -> float:
        """Return the seconds of computation on the GPU since `open`; 0 without a GPU, or where unknown."""
        ...


@runtime_checkable
class KnowsItsOutputs(Protocol):
    """Optional protocol: statistics of usual outputs, for a monitor."""

    def output_stats(self) -> Mapping[str, Any] | None:
        """Return the `output_stats` of the checkpoint, once the plugin is open; None where it has none."""
        ...


@runtime_checkable
class KnowsItsInputs(Protocol):
    """Optional protocol: what the inputs looked like in training, for a monitor."""

    def input_profile(self) -> tuple[Any, Mapping[str, Any]] | None:
        """Return how inputs are prepared (`models.preprocess.InputSpec`) and the `input_profile` of the
        checkpoint, once the plugin is open; None where it has none."""
        ...
