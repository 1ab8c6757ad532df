"""One plugin under test, and how it is run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from perception.plugin import Context, Manifest, Plugin, Prepared, load_plugin
from perception.types import Output, Sample, absent_sample


class NotTriedError(Exception):
    """A check compares with outputs that the plugin did not give."""


@dataclass(slots=True)
class Trial:
    """One plugin under test, and how to run it afresh."""

    name: str
    samples: Sequence[Sample]
    context: Context
    manifest: Manifest
    outputs: list[Output] = field(default_factory=list)  # of a plain run over all samples
    opened: list[Plugin] = field(default_factory=list)

    @property
    def full(self) -> list[Output]:
        if len(self.outputs) != len(self.samples):
            raise NotTriedError
        return self.outputs

    def open(self, batch: int = 1) -> Plugin:
        plugin = load_plugin(self.name)
        self.opened.append(plugin)
        plugin.open(replace(self.context, batch=batch))
        return plugin

    def run(self, samples: Sequence[Sample], batch: int = 1, delay_s: float = 0.0) -> list[Output]:
        """The outputs of a newly opened plugin."""
        plugin = self.open(batch)
        outputs = steps(plugin, samples, batch, delay_s)
        self.close(plugin)
        return outputs

    def close(self, plugin: Plugin) -> None:
        self.opened.remove(plugin)
        plugin.close()


def steps(plugin: Plugin, samples: Sequence[Sample], batch: int = 1, delay_s: float = 0.0) -> list[Output]:
    """What an opened plugin says of the samples, in batches of one shape, the last one padded."""
    outputs: list[Output] = []
    for start in range(0, len(samples), batch):
        group = list(samples[start : start + batch])
        padding = [absent_sample(group[-1].tick, "padding")] * (batch - len(group))
        prepared = [plugin.prepare(sample) for sample in [*group, *padding]]
        time.sleep(delay_s)
        outputs += step(plugin, prepared)[: len(group)]
    return outputs


def step(plugin: Plugin, prepared: Sequence[Prepared]) -> list[Output]:
    found = plugin.step(prepared)
    if not isinstance(found, list):
        raise TypeError(f"step returned {type(found).__name__}, expected a list of outputs")
    if len(found) != len(prepared):
        raise ValueError(f"step was given {len(prepared)} samples and returned {len(found)} outputs")
    return found
