"""The sensor ablation: every head scored on every subset of the sensors, in one pass over the log.

A wrapper runs the plugin on all subsets of each sample. The host sees an ordinary plugin that answers
with all sensors; the other answers wait beside it until the sink asks for them. Every frame is read, aligned
and prepared once. A plugin that can compute the subsets together offers `step_subsets`
(`perception.plugin.StepsSubsets`); any other one is asked again with inputs made absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

from perception.evaluation.metrics import Suite
from perception.plugin import Context, Plugin, Prepared, StepsSubsets
from perception.sinks import OutputSink, RunInfo
from perception.types import SENSORS, Output, Reset, Sample, Tick, TruthFrame, invalid_output
from perception.types.views import joined_output, output_views

Subset = tuple[str, ...]

SUBSETS: tuple[Subset, ...] = tuple(
    subset for size in range(len(SENSORS), 0, -1) for subset in combinations(SENSORS, size)
)
"""All seven subsets, from all sensors down to single ones."""

LEFT_OUT = "left out of this subset"
WITHOUT = "without"


def leave_one_out(sensors: Iterable[str]) -> tuple[Subset, ...]:
    """Return all sensors, then for each the subset without it: `("without", name)`."""
    return (SENSORS, *((WITHOUT, name) for name in sensors))


def subset_name(subset: Subset) -> str:
    """Return the name of a subset in tables and JSON: `camera+range`, `without left`."""
    return " ".join(subset) if subset[:1] == (WITHOUT,) else "+".join(subset)


class SubsetsPlugin(Plugin):
    """A plugin wrapper that runs a plugin on every subset of the sensors.

    Args:
        load: Makes the plugin, not opened. A plugin that remembers samples is made once for each subset, so
            that the subsets' memories stay apart.
        subsets: The host receives the outputs of the first.
    """

    def __init__(self, load: Callable[[], Plugin], subsets: Sequence[Subset] = SUBSETS) -> None:
        self.subsets = tuple(subsets)
        self._plugin = load()
        self.manifest = self._plugin.manifest
        by_kind = all(set(subset) <= set(SENSORS) for subset in self.subsets)
        together = isinstance(self._plugin, StepsSubsets) and by_kind
        self._together = together
        alone = together or self.manifest.preroll_s == 0
        self._others = [self._plugin if alone else load() for _ in self.subsets[1:]]
        self._waiting: dict[tuple[Tick, str], list[Output]] = {}

    def open(self, context: Context) -> None:
        for plugin in self._all():
            plugin.open(context)
        self.manifest = self._plugin.manifest  # its weights may bring further heads

    def prepare(self, sample: Sample) -> Prepared:
        return self._plugin.prepare(sample)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        """Return the outputs of the first subset, and keep those of all subsets for `take`."""
        if self._together and isinstance(self._plugin, StepsSubsets):
            results = self._plugin.step_subsets(prepared, self.subsets)
        else:
            results = self._one_by_one(prepared)
        for item, outputs in zip(prepared, results, strict=True):
            self._waiting[item.sample.tick, item.sample.camera.name] = outputs
        return [outputs[0] for outputs in results]

    def take(self, tick: Tick, camera: str = "camera") -> Mapping[Subset, Output]:
        """Remove and return the outputs of a camera's row of a tick by subset; drop those of earlier rows.

        There are none where the plugin failed: every subset is then invalid.
        """
        outputs = self._waiting.get((tick, camera))
        if outputs is None:
            outputs = [invalid_output(tick, self.manifest.heads, "the plugin failed") for _ in self.subsets]
        else:
            for earlier in list(self._waiting):
                del self._waiting[earlier]
                if earlier == (tick, camera):
                    break
        return dict(zip(self.subsets, outputs, strict=True))

    def reset(self, reason: Reset) -> None:
        for plugin in self._all():
            plugin.reset(reason)

    def close(self) -> None:
        self._waiting.clear()
        for plugin in self._all():
            plugin.close()

    def describe(self) -> Mapping[str, str]:
        return self._plugin.describe()

    def _all(self) -> list[Plugin]:
        """Return the distinct plugins."""
        return list({id(plugin): plugin for plugin in (self._plugin, *self._others)}.values())

    def _one_by_one(self, prepared: Sequence[Prepared]) -> list[list[Output]]:
        columns = []
        for plugin, subset in zip((self._plugin, *self._others), self.subsets, strict=True):
            rests = [without(item.sample, subset) for item in prepared]
            items = [
                item if rest is item.sample else plugin.prepare(rest)
                for item, rest in zip(prepared, rests, strict=True)
            ]
            outputs = plugin.step(items)
            if len(outputs) != len(items):
                raise ValueError(f"step returned {len(outputs)} outputs for {len(items)} samples")
            columns.append(outputs)
        return [list(row) for row in zip(*columns, strict=True)]


def without(sample: Sample, subset: Subset) -> Sample:
    """Return the sample with every sensor outside the subset absent; itself where nothing changes."""
    if subset[:1] == (WITHOUT,):
        gone = [s.name for s in sample.sensors if s.present and s.name in subset[1:]]
        return sample.with_absent(dict.fromkeys(gone, LEFT_OUT))
    gone = [s.name for s in sample.sensors if s.present and not {s.name, s.kind} & set(subset)]
    return sample.with_absent(dict.fromkeys(gone, LEFT_OUT))


class SubsetSink(OutputSink):
    """A sink that scores the outputs of every subset.

    Args:
        plugin: The source of the outputs.
        suites: Makes one for each subset, or gives those of an earlier log; called when the run opens.
        control_camera: The camera that gives control, of several; None: the reference camera.
    """

    def __init__(
        self,
        plugin: SubsetsPlugin,
        suites: Callable[[RunInfo, Subset], Suite],
        control_camera: str | None = None,
    ) -> None:
        self._plugin = plugin
        self._make = suites
        self._control_camera = control_camera
        self._suites: dict[Subset, Suite] = {}

    def open(self, run: RunInfo) -> None:
        self._suites = {subset: self._make(run, subset) for subset in self._plugin.subsets}

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        rows = {camera: self._plugin.take(output.tick, camera) for camera in sample.cameras}
        for index, (subset, suite) in enumerate(self._suites.items()):
            of_subset = {camera: outputs[subset] for camera, outputs in rows.items()}
            joined = joined_output(sample, of_subset, self._control_camera) if index else output
            for _, own, known in output_views(sample, joined, truth):
                suite.update(own, known if known is not None else TruthFrame(output.tick.stamp_ns))
