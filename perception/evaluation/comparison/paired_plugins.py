"""Two plugins on one replay: the log is read, decoded and aligned once, and both process every sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from perception.plugin import AdoptsPrepared, Context, Plugin, Prepared
from perception.plugin.failures import failure_text
from perception.plugin.output_rules import output_violations
from perception.sinks import RunInfo, Sink
from perception.types import Output, Reset, Sample, Tick, TruthFrame, invalid_output
from perception.types.views import joined_output


class Both(NamedTuple):
    """The prepared sample of each plugin, or why it failed."""

    first: Prepared | str
    second: Prepared | str


class PairPlugin(Plugin):
    """A plugin that runs two plugins: it returns the first's outputs, and keeps the second's for `take`.

    Where one fails, its output is invalid, and the other goes on.

    Args:
        first, second: The plugins, not opened.
        checkpoints: The weights of each; None: as configured.
        configured: Whether each is the plugin that the configuration names: another one gets neither its
            options nor its checkpoint.
        precisions: The numbers each computes in; None: as configured.
        limits_m: How far each uses returns; None: as configured.
    """

    def __init__(
        self,
        first: Plugin,
        second: Plugin,
        checkpoints: tuple[Path | None, Path | None] = (None, None),
        configured: tuple[bool, bool] = (True, True),
        precisions: tuple[str | None, str | None] = (None, None),
        limits_m: tuple[float | None, float | None] = (None, None),
    ) -> None:
        self.first, self.second = first, second
        self._settings = list(zip(checkpoints, configured, precisions, limits_m, strict=True))
        first_manifest, second_manifest = first.manifest, second.manifest
        prerolls = (first_manifest.preroll_s, second_manifest.preroll_s)
        self.manifest = replace(
            first_manifest,
            inputs=tuple(dict.fromkeys((*first_manifest.inputs, *second_manifest.inputs))),
            most={
                kind: max(most, second_manifest.most[kind])
                for kind, most in first_manifest.most.items()
                if kind in second_manifest.most
            },
            preroll_s=None if None in prerolls else max(p for p in prerolls if p is not None),
            max_batch=min(first_manifest.max_batch, second_manifest.max_batch),
        )
        self._waiting: dict[tuple[Tick, str], Output] = {}
        self.errors: list[tuple[str, int]] = []
        self.shared = self.prepared = 0

    def open(self, context: Context) -> None:
        for plugin, settings in zip((self.first, self.second), self._settings, strict=True):
            checkpoint, configured, precision, limit_m = settings
            own = context if configured else replace(context, checkpoint=None, options={})
            own = own if checkpoint is None else replace(own, checkpoint=checkpoint)
            own = own if limit_m is None else replace(own, max_range_m=limit_m)
            plugin.open(own if precision is None else replace(own, precision=precision))

    def prepare(self, sample: Sample) -> Prepared:
        """Prepare the sample for both plugins; the second reuses the arrays of the first where it can."""
        first = _prepare(self.first, sample)
        second: Prepared | str | None = None
        if isinstance(first, Prepared) and isinstance(self.second, AdoptsPrepared):
            second = self.second.adopt(first, self.first)
        self.shared += second is not None
        self.prepared += 1
        if second is None:
            second = _prepare(self.second, sample)
        seen = first.sample if isinstance(first, Prepared) else sample
        return Prepared(seen, Both(first, second))

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        both: list[Both] = [item.payload for item in prepared]
        ticks = [item.sample.tick for item in prepared]
        outputs = self._step(0, self.first, [item.first for item in both], ticks)
        others = self._step(1, self.second, [item.second for item in both], ticks)
        for item, output in zip(prepared, others, strict=True):
            self._waiting[item.sample.tick, item.sample.camera.name] = output
        return outputs

    def take(self, sample: Sample, control: str | None = None) -> Output:
        """Remove and return the second plugin's output of a sample; drop those of earlier ones.

        Args:
            sample: Of the tick.
            control: The camera that gives control, of several; None: the reference camera.
        """
        tick = sample.tick
        not_asked = invalid_output(tick, self.second.manifest.heads, "it was not asked")
        outputs = {name: self._waiting.get((tick, name), not_asked) for name in sample.cameras}
        keys = list(self._waiting)
        last = max((place for place, key in enumerate(keys) if key[0] == tick), default=-1)
        for key in keys[: last + 1]:
            del self._waiting[key]
        return joined_output(sample, outputs, control)

    def reset(self, reason: Reset) -> None:
        self.first.reset(reason)
        self.second.reset(reason)

    def close(self) -> None:
        self._waiting.clear()
        try:
            self.first.close()
        finally:
            self.second.close()

    def describe(self) -> Mapping[str, str]:
        return self.first.describe()

    def _step(
        self, side: int, plugin: Plugin, items: Sequence[Prepared | str], ticks: Sequence[Tick]
    ) -> list[Output]:
        """Return one output per sample; invalid where the plugin failed or violated the contract."""
        heads = plugin.manifest.heads
        ready = [item for item in items if isinstance(item, Prepared)]
        failure, outputs = "", list[Output]()
        try:
            outputs = list(plugin.step(ready)) if ready else []
            if len(outputs) != len(ready):
                failure = f"step returned {len(outputs)} outputs for {len(ready)} samples"
        except BaseException as error:
            failure = failure_text(error)
        answers, results = iter(outputs), []
        for item, tick in zip(items, ticks, strict=True):
            problem = item if isinstance(item, str) else failure
            output = None if problem else next(answers)
            if output is not None and isinstance(item, Prepared):
                problem = "; ".join(output_violations(output, item.sample, plugin.manifest)[:3])
            if problem or output is None:
                self.errors.append((problem, side))
                output = invalid_output(tick, heads, problem)
            results.append(output)
        return results


class PairSink:
    """A sink that passes the outputs of the second plugin to another sink.

    Args:
        plugin: The source of the outputs.
        sink: The sink that receives them.
        control_camera: The camera that gives control, of several; None: the reference camera.
    """

    def __init__(self, plugin: PairPlugin, sink: Sink, control_camera: str | None = None) -> None:
        self._plugin = plugin
        self._sink = sink
        self._control_camera = control_camera

    def open(self, run: RunInfo) -> None:
        second = self._plugin.second
        description = dict(second.describe())
        classes = tuple(description.pop("classes").split("\n")) if description.get("classes") else ()
        self._sink.open(
            replace(
                run,
                plugin=second.manifest.name,
                classes=classes,
                weights_sha256=description.pop("weights_sha256", ""),
                untrained=description.pop("untrained", "") == "true",
                backend=description.pop("backend", ""),
                precision=description.pop("precision", ""),
                extra=description,
            )
        )

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self._sink.write(sample, self._plugin.take(sample, self._control_camera), truth)

    def close(self) -> None:
        self._sink.close()


def _prepare(plugin: Plugin, sample: Sample) -> Prepared | str:
    try:
        prepared = plugin.prepare(sample)
    except BaseException as error:
        return failure_text(error)
    return prepared if isinstance(prepared, Prepared) else f"prepare returned {type(prepared).__name__}"
