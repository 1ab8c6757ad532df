"""The points of the contract. Each function tries one and returns what is wrong, or an empty text."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from perception.diagnosis.conformance.compare import arrays_of, difference, same
from perception.diagnosis.conformance.samples import garbage, subsets
from perception.diagnosis.conformance.trial import Trial, step, steps
from perception.errors import PerceptionError
from perception.plugin import Plugin, Prepared, load_plugin
from perception.plugin.output_rules import output_violations
from perception.types import Output, Reset, Sample

MAX_BATCH = 4
"""Larger batches than this are not tried, whatever the manifest allows: they say nothing new."""


def opens_and_closes(trial: Trial) -> str:
    for _ in range(2):
        trial.close(trial.open())
    description = load_plugin(trial.name).describe()
    if not isinstance(description, Mapping):
        return f"describe returned {type(description).__name__}, expected a mapping of texts"
    return ""


def survives_a_failed_open(trial: Trial) -> str:
    plugin = load_plugin(trial.name)
    trial.opened.append(plugin)
    try:
        plugin.open(replace(trial.context, checkpoint=Path("/nowhere/none.safetensors")))
    except PerceptionError:
        pass  # the right answer; a plugin without weights may also ignore it
    except Exception as error:
        return f"a checkpoint that does not exist raised {type(error).__name__}: {error}"
    return ""  # closing it is part of the check


def outputs_are_valid(trial: Trial) -> str:
    plugin, fault = trial.open(), ""
    for sample in trial.samples:
        prepared = plugin.prepare(sample)
        if not isinstance(prepared, Prepared) or prepared.sample.tick != sample.tick:
            return f"prepare returned {type(prepared).__name__}, expected Prepared of the same tick"
        (output,) = step(plugin, [prepared])
        faults = output_violations(output, prepared.sample, trial.manifest)
        if faults and not fault:
            fault = f"tick {sample.tick.index}: {'; '.join(faults[:3])}"
        if isinstance(output, Output):
            trial.outputs.append(output)
    return fault


def gives_its_heads(trial: Trial) -> str:
    heads = (("class", "detections"), ("box", "detections"), ("control", "control"))
    for head, attribute in heads:
        found = [getattr(output, attribute) for output in trial.full]
        if head in trial.manifest.heads and not any(item is not None and item.valid for item in found):
            errors = sorted({item.error for item in found if item is not None} - {""})
            return f"head {head} was never valid{': ' if errors else ''}{'; '.join(errors[:2])}"
    return ""


def prepares_in_threads(trial: Trial) -> str:
    plugin = trial.open()
    before = [arrays_of(sample) for sample in trial.samples]
    alone = [plugin.prepare(sample) for sample in reversed(trial.samples)][::-1]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(plugin.prepare, [*trial.samples] * 4))
    for i, prepared in enumerate(together):
        if not same(prepared, alone[i % len(alone)]):
            return f"prepare of tick {i % len(alone)} gave another payload from a thread"
    if before != [arrays_of(sample) for sample in trial.samples]:
        return "prepare changed the sample it was given"
    return ""


def is_deterministic(trial: Trial) -> str:
    return difference(trial.full, trial.run(trial.samples), "a second run")


def ignores_the_clock(trial: Trial) -> str:
    few = trial.samples[:6]
    return difference(trial.full[:6], trial.run(few, delay_s=0.02), "a slower run")


def shares_no_state(trial: Trial) -> str:
    one, other = trial.open(), trial.open()
    mine: list[Output] = []
    for sample, foreign in zip(trial.samples, reversed(trial.samples), strict=True):
        mine += steps(one, [sample])
        steps(other, [foreign])
    return difference(trial.full, mine, "a run beside another instance")


def reset_forgets(trial: Trial) -> str:
    half = len(trial.samples) // 2
    plugin = trial.open()
    steps(plugin, trial.samples[half:])
    plugin.reset(Reset("seek"))
    return difference(trial.full, steps(plugin, trial.samples), "a run after a reset")


def preroll_suffices(trial: Trial) -> str:
    if trial.manifest.preroll_s is None:
        return ""  # the host starts from the beginning
    start = len(trial.samples) // 3
    begin_ns = trial.samples[start].tick.stamp_ns + int(trial.manifest.preroll_s * 1e9)
    late = trial.run(trial.samples[start:])
    pairs = [(a, b) for a, b in zip(trial.full[start:], late, strict=True) if a.tick.stamp_ns >= begin_ns]
    what = f"a run started {trial.manifest.preroll_s:g} s (preroll_s) earlier"
    return difference([a for a, _ in pairs], [b for _, b in pairs], what)


def takes_any_sensors(trial: Trial) -> str:
    plugin = trial.open()
    for kept, sample in subsets(trial.samples[-1]):
        names = ", ".join(kept) or "no sensor"
        output, faults = alone(trial, plugin, sample)
        if output is not None and not kept and any(output.validity().values()):
            faults.append("a head was valid, though it has nothing to rest on")
        if faults:
            return f"with {names}: {'; '.join(faults[:3])}"
    return ""


def alone(trial: Trial, plugin: Plugin, sample: Sample) -> tuple[Output | None, list[str]]:
    """The output of one sample that knows nothing of others, and its faults."""
    plugin.reset(Reset("seek"))
    try:
        prepared = plugin.prepare(sample)
        (output,) = step(plugin, [prepared])
    except Exception as error:
        return None, [f"raised {type(error).__name__}: {error}"]
    return output, output_violations(output, prepared.sample, trial.manifest)


def takes_batches(trial: Trial) -> str:
    few = trial.samples[: MAX_BATCH + 1]  # an odd number: the last batch is padded
    for batch in sorted({2, min(trial.manifest.max_batch, MAX_BATCH)}):
        if batch > trial.manifest.max_batch:
            continue
        outputs = trial.run(few, batch)
        for sample, output in zip(few, outputs, strict=True):
            faults = output_violations(output, sample, trial.manifest)
            if faults:
                return f"batch {batch}, tick {sample.tick.index}: {'; '.join(faults[:3])}"
        first = trial.run(few[:1], batch)
        if repr(first[0]) != repr(outputs[0]):
            return f"batch {batch}: the first output depends on the samples after it"
    return ""


def takes_garbage(trial: Trial) -> str:
    plugin = trial.open()
    complete = next((s for s in trial.samples if all(i.present for i in s.inputs)), trial.samples[0])
    for what, sensor, hopeless, broken in garbage(complete):
        output, faults = alone(trial, plugin, broken)
        if output is not None and hopeless and any(output.validity().values()):
            faults.append(f"a head was valid, though {sensor} was all there was")
        if faults:
            return f"{what}: {'; '.join(faults[:3])}"
    return ""
