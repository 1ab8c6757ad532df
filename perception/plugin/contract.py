"""The plugin contract: what a host gives a plugin and asks of it, and what a plugin may offer beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from perception.plugin.manifest import Manifest
from perception.types import Output, Reset, Sample


@dataclass(frozen=True, slots=True)
class Context:
    """What a host gives a plugin when it opens it.

    Attributes:
        device: `cpu` or `cuda`, already resolved.
        seed: For whatever the plugin draws.
        checkpoint: A file of weights; None: the plugin's own.
        options: The `plugin.options` of the configuration.
        status: Names of the status channels, in the order of `StatusWindow.values`.
        status_steps: T, the steps of the status window.
        status_rate_hz: The rate of those steps.
        max_range_m: Returns beyond it are invalid.
        batch: The run's one batch shape.
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
    batch: int = 1
    threads: int | None = None
    backend: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A sample made ready for `step`. `sample` may have more absent inputs than what came in
    (`Sample.with_absent`): an image that does not decode is found out here."""

    sample: Sample
    payload: Any = None


class Plugin(Protocol):
    """What a host runs. Inherit from it to get the defaults.

    The host calls `open` once, then for samples in order `prepare` (from any thread) and `step`, `reset`
    between samples, and `close` once, also after an error. Beside it a plugin may offer `Infers` and
    `StepsSubsets`.
    """

    manifest: Manifest

    def open(self, context: Context) -> None:
        """Load weights, move to the device, warm up. `manifest.heads` may grow by heads of the weights."""

    def prepare(self, sample: Sample) -> Prepared:
        """Stateless and thread-safe: decode pixels, make arrays. Default: the sample as it is."""
        return Prepared(sample)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        """One output for each sample, in order. Uses no clock and no global state."""
        ...

    def reset(self, reason: Reset) -> None:
        """Forget what was remembered: seek, loop, clock jump."""

    def close(self) -> None:
        """Give everything back."""

    def describe(self) -> Mapping[str, str]:
        """What made the outputs: `weights_sha256`, `backend`, `precision`, `device`, ... for the record."""
        return {}


@runtime_checkable
class Infers(Protocol):
    """What a plugin may offer beside the contract: its heavy computation apart from what it remembers.

    `prepare` and `infer` of different samples then run side by side in several threads, while `step` makes
    the outputs in order in one. The result of `infer` travels in the payload. `step` also takes samples that
    were only prepared, and computes for them itself: a host that knows nothing of `infer` gets the same.
    """

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """The same samples in order, with what was computed in their payloads. At most one batch.

        Stateless and thread-safe, as `prepare`; nothing that it was given is changed.
        """
        ...


@runtime_checkable
class AdoptsPrepared(Protocol):
    """What a plugin may offer beside the contract: to take over what another of its kind has prepared.

    `perception compare` asks for it, because two checkpoints often see the same arrays of a sample.
    """

    def adopt(self, prepared: Prepared, other: Plugin) -> Prepared | None:
        """What `prepare` would have made of the same sample; None where the two see different arrays."""


@runtime_checkable
class StepsSubsets(Protocol):
    """What a plugin may offer beside the contract: answers on several subsets of the inputs at once.

    `perception evaluate --ablate sensors` asks for it, because much of the work (decoding, the features of
    the camera) is the same for all of them. Without it the plugin is prepared and stepped for each subset.
    """

    def step_subsets(
        self, prepared: Sequence[Prepared], subsets: Sequence[tuple[str, ...]]
    ) -> list[list[Output]]:
        """For each sample one output for each subset: what `step` gives with only those inputs present."""
        ...


@runtime_checkable
class TimesItsDevice(Protocol):
    """What a plugin may offer beside the contract: how long a GPU has worked for it.

    `perception bench` asks for it.
    """

    def device_s(self) -> float:
        """Seconds that it has computed since `open`; 0 where there is none, or nobody knows."""
        ...


@runtime_checkable
class KnowsItsOutputs(Protocol):
    """What a plugin may offer beside the contract: what its outputs usually look like, for a monitor."""

    def output_stats(self) -> Mapping[str, Any] | None:
        """The `output_stats` of the checkpoint, once the plugin is open; None where it has none."""
        ...
