"""A plugin under test: runs of it, and their comparison to the bit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from perception.evaluation.agreement.profiles import unequal_fields
from perception.plugin import Context, Manifest, Plugin, Prepared, load_plugin
from perception.types import Output, Sample, absent_sample


class NotTriedError(Exception):
    """A check compares with outputs that the plugin did not give."""


@dataclass(slots=True)
class PluginTrial:
    """A plugin under test, the samples it is run on, and the instances that are open."""

    name: str
    samples: Sequence[Sample]
    context: Context
    manifest: Manifest
    outputs: list[Output] = field(default_factory=list)
    opened: list[Plugin] = field(default_factory=list)

    @property
    def full(self) -> list[Output]:
        """The outputs of a plain run over all samples.

        Raises:
            NotTriedError: There is not one for each sample.
        """
        if len(self.outputs) != len(self.samples):
            raise NotTriedError
        return self.outputs

    def open(self, batch: int = 1) -> Plugin:
        plugin = load_plugin(self.name)
        self.opened.append(plugin)
        plugin.open(replace(self.context, batch=batch))
        return plugin

    def run(self, samples: Sequence[Sample], batch: int = 1, delay_s: float = 0.0) -> list[Output]:
        """Return the outputs of a newly opened instance."""
        plugin = self.open(batch)
        outputs = steps(plugin, samples, batch, delay_s)
        self.close(plugin)
        return outputs

    def close(self, plugin: Plugin) -> None:
        self.opened.remove(plugin)
        plugin.close()


def steps(plugin: Plugin, samples: Sequence[Sample], batch: int = 1, delay_s: float = 0.0) -> list[Output]:
    """Return the outputs of an open plugin, in batches of one size, the last one padded."""
    outputs: list[Output] = []
    for start in range(0, len(samples), batch):
        group = list(samples[start : start + batch])
        padding = [absent_sample(group[-1].tick, "padding")] * (batch - len(group))
        prepared = [plugin.prepare(sample) for sample in [*group, *padding]]
        time.sleep(delay_s)
        outputs += step(plugin, prepared)[: len(group)]
    return outputs


def step(plugin: Plugin, prepared: Sequence[Prepared]) -> list[Output]:
    """Return the outputs of one step.

    Raises:
        TypeError: They are not a list.
        ValueError: There is not one for each sample.
    """
    outputs = plugin.step(prepared)
    if not isinstance(outputs, list):
        raise TypeError(f"step returned {type(outputs).__name__}, expected a list of outputs")
    if len(outputs) != len(prepared):
        raise ValueError(f"step was given {len(prepared)} samples and returned {len(outputs)} outputs")
    return outputs


def first_difference(expected: Sequence[Output], outputs: Sequence[Output], run: str) -> str:
    """Return where the outputs of a run are not equal to the expected ones to the bit; empty if they are."""
    for a, b in zip(expected, outputs, strict=True):
        if unequal := unequal_fields(a, b):
            return f"{run} differs at tick {a.tick.index} in {', '.join(unequal)}"
    return ""


def arrays_of(sample: Sample) -> list[bytes]:
    """Return the bytes of the arrays in a sample, which a plugin must not change."""
    scan, window = sample.range.value, sample.status.value
    points = [] if scan is None else [scan.points_m.tobytes()]
    return points + ([] if window is None else [window.values.tobytes()])


def same_bits(a: Any, b: Any) -> bool:
    """Return whether two payloads hold the same bits. Objects without a comparison count as the same."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same_bits(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_bits, a, b))
    if is_dataclass(a):
        return all(same_bits(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if hasattr(a, "__array__"):
        x, y = np.asarray(a), np.asarray(b)
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    if isinstance(a, float):
        return repr(a) == repr(b)
    comparable = getattr(type(a), "__eq__", None) != object.__eq__
    return bool(a == b) if comparable else True
