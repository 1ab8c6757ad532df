"""The checks of the plugin contract. Each returns how a plugin violates one point of it, or an empty text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from perception.diagnosis.conformance.plugin_trial import (
    PluginTrial,
    arrays_of,
    first_difference,
    same_bits,
    step,
    steps,
)
from perception.diagnosis.conformance.samples import garbage, subsets
from perception.errors import PerceptionError
from perception.evaluation.agreement.profiles import Rounding
from perception.plugin import Infers, Plugin, Prepared, StepsSubsets, load_plugin
from perception.plugin.failures import failure_text
from perception.plugin.output_rules import output_violations
from perception.types import Output, Reset, Sample

MAX_BATCH = 4
"""Larger batches are not tried, whatever the manifest allows: they would show nothing new."""


class ContractCheck(NamedTuple):
    """One point of the contract: its name, the advice if it is violated, and the function that tries it."""

    name: str
    advice: str
    try_on: Callable[[PluginTrial], str]


CHECKS: list[ContractCheck] = []
"""All checks, in the order in which they are made."""


def _check(name: str, advice: str) -> Callable[[Callable[[PluginTrial], str]], Callable[[PluginTrial], str]]:
    def register(function: Callable[[PluginTrial], str]) -> Callable[[PluginTrial], str]:
        CHECKS.append(ContractCheck(name, advice, function))
        return function

    return register


@_check("opens and closes", "open loads, close gives back; both work on a second instance too")
def opens_and_closes(trial: PluginTrial) -> str:
    for _ in range(2):
        trial.close(trial.open())
    description = load_plugin(trial.name).describe()
    if not isinstance(description, Mapping):
        return f"describe returned {type(description).__name__}, expected a mapping of texts"
    return ""


@_check(
    "fails to open politely",
    "raise CheckpointError or PluginError for weights that do not load; close must work after that",
)
def survives_a_failed_open(trial: PluginTrial) -> str:
    plugin = load_plugin(trial.name)
    trial.opened.append(plugin)
    try:
        plugin.open(replace(trial.context, checkpoint=Path("/nowhere/none.safetensors")))
    except PerceptionError:
        pass  # the right answer; a plugin without weights may also ignore it
    except BaseException as error:
        return f"a checkpoint that does not exist raised {failure_text(error)}"
    return ""  # closing it is part of the check


@_check(
    "gives one valid output for each sample",
    "return finite values, ordered boxes, positive stds and the sample's own tick",
)
def outputs_are_valid(trial: PluginTrial) -> str:
    plugin, violation = trial.open(), ""
    for sample in trial.samples:
        prepared = plugin.prepare(sample)
        if not isinstance(prepared, Prepared) or prepared.sample.tick != sample.tick:
            return f"prepare returned {type(prepared).__name__}, expected Prepared of the same tick"
        (output,) = step(plugin, [prepared])
        violations = output_violations(output, prepared.sample, trial.manifest)
        if violations and not violation:
            violation = f"tick {sample.tick.index}: {'; '.join(violations[:3])}"
        if isinstance(output, Output):
            trial.outputs.append(output)
    return violation


@_check("gives the heads it promises", "name in the manifest only the heads that it gives")
def gives_its_heads(trial: PluginTrial) -> str:
    heads = [output.heads() for output in trial.full]
    for head in trial.manifest.heads:
        answers = [by_name[head] for by_name in heads if head in by_name]
        if not any(answer.valid for answer in answers):
            errors = sorted({answer.error for answer in answers} - {""})
            return f"head {head} was never valid{': ' if errors else ''}{'; '.join(errors[:2])}"
    return ""


@_check("prepares in any thread", "keep no state in prepare and leave its sample alone")
def prepares_in_threads(trial: PluginTrial) -> str:
    plugin = trial.open()
    before = [arrays_of(sample) for sample in trial.samples]
    reversed_order = [plugin.prepare(sample) for sample in reversed(trial.samples)][::-1]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(plugin.prepare, [*trial.samples] * 4))
    for i, prepared in enumerate(together):
        if not same_bits(prepared, reversed_order[i % len(reversed_order)]):
            return f"prepare of tick {i % len(reversed_order)} gave another payload from a thread"
    if before != [arrays_of(sample) for sample in trial.samples]:
        return "prepare changed the sample it was given"
    return ""


@_check(
    "infers in any thread",
    "keep no state in infer, leave what it is given alone, and let step give the same with it as without",
)
def infers_in_threads(trial: PluginTrial) -> str:
    plugin = trial.open()
    if not isinstance(plugin, Infers):
        return ""  # the plugin need not offer it
    prepared = [plugin.prepare(sample) for sample in trial.samples]
    once = [plugin.infer([item]) for item in prepared]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(plugin.infer, [[item] for item in prepared] * 2))
    for index, answer in enumerate(threaded):
        tick = prepared[index % len(prepared)].sample.tick
        if len(answer) != 1 or not isinstance(answer[0], Prepared):
            return f"infer was given 1 sample and returned {len(answer)}; expected one Prepared for each"
        if answer[0].sample.tick != tick:
            return f"infer of tick {tick.index} returned another sample"
        if not same_bits(answer, once[index % len(once)]):
            return f"infer of tick {tick.index} gave another payload from a thread"
    outputs: list[Output] = []
    for answer in threaded[: len(prepared)]:
        outputs += step(plugin, answer)
    return first_difference(trial.full, outputs, "a run with infer")


@_check("is deterministic", "draw only from context.seed; fix thread counts and algorithms")
def is_deterministic(trial: PluginTrial) -> str:
    return first_difference(trial.full, trial.run(trial.samples), "a second run")


@_check("does not read the clock", "use the stamps of the sample, never the time of day")
def ignores_the_clock(trial: PluginTrial) -> str:
    few = trial.samples[:6]
    return first_difference(trial.full[:6], trial.run(few, delay_s=0.02), "a slower run")


@_check("shares no state", "keep state in the object, not in the module or the class")
def shares_no_state(trial: PluginTrial) -> str:
    plugin, other = trial.open(), trial.open()
    outputs: list[Output] = []
    for sample, foreign in zip(trial.samples, reversed(trial.samples), strict=True):
        outputs += steps(plugin, [sample])
        steps(other, [foreign])
    return first_difference(trial.full, outputs, "a run beside another instance")


@_check("forgets at a reset", "clear in reset whatever step remembers")
def reset_forgets(trial: PluginTrial) -> str:
    half = len(trial.samples) // 2
    plugin = trial.open()
    steps(plugin, trial.samples[half:])
    plugin.reset(Reset("seek"))
    return first_difference(trial.full, steps(plugin, trial.samples), "a run after a reset")


@_check(
    "remembers no longer than preroll_s",
    "give preroll_s the longest memory of step, or null to start from the beginning",
)
def preroll_suffices(trial: PluginTrial) -> str:
    if trial.manifest.preroll_s is None:
        return ""  # the host starts from the beginning
    start = len(trial.samples) // 3
    begin_ns = trial.samples[start].tick.stamp_ns + int(trial.manifest.preroll_s * 1e9)
    late = trial.run(trial.samples[start:])
    pairs = [(a, b) for a, b in zip(trial.full[start:], late, strict=True) if a.tick.stamp_ns >= begin_ns]
    run = f"a run started {trial.manifest.preroll_s:g} s (preroll_s) earlier"
    return first_difference([a for a, _ in pairs], [b for _, b in pairs], run)


@_check(
    "works with any subset of sensors",
    "look at input.present; with nothing to rest on, return the head with valid=False",
)
def takes_any_sensors(trial: PluginTrial) -> str:
    plugin = trial.open()
    for kept, sample in subsets(trial.samples[-1]):
        names = ", ".join(kept) or "no sensor"
        output, violations = output_alone(trial, plugin, sample)
        if output is not None and not kept and any(output.validity().values()):
            violations.append("a head was valid, though it has nothing to rest on")
        if violations:
            return f"with {names}: {'; '.join(violations[:3])}"
    return ""


@_check(
    "answers on several subsets as on one",
    "step_subsets gives for each subset what step gives when the other inputs are absent",
)
def answers_on_subsets(trial: PluginTrial) -> str:
    plugin = trial.open()
    if not isinstance(plugin, StepsSubsets):
        return ""  # the plugin need not offer it
    sample = trial.samples[-1]
    kept = [names for names, _ in subsets(sample)]
    plugin.reset(Reset("seek"))
    (together,) = plugin.step_subsets([plugin.prepare(sample)], kept)
    if len(together) != len(kept):
        return f"step_subsets was given {len(kept)} subsets and returned {len(together)} outputs"
    for (names, without), output in zip(subsets(sample), together, strict=True):
        expected, _ = output_alone(trial, plugin, without)
        violations = output_violations(output, without, trial.manifest)
        if expected is not None and not violations and any(Rounding().differences(expected, output).values()):
            violations = ["another answer than step gives"]
        if violations:
            return f"step_subsets with {', '.join(names) or 'no sensor'}: {'; '.join(violations[:3])}"
    return ""


@_check("works in batches", "return one output for each sample of the batch, padding included")
def takes_batches(trial: PluginTrial) -> str:
    few = trial.samples[: MAX_BATCH + 1]  # an odd number: the last batch is padded
    for batch in sorted({2, min(trial.manifest.max_batch, MAX_BATCH)}):
        if batch > trial.manifest.max_batch:
            continue
        outputs = trial.run(few, batch)
        for sample, output in zip(few, outputs, strict=True):
            violations = output_violations(output, sample, trial.manifest)
            if violations:
                return f"batch {batch}, tick {sample.tick.index}: {'; '.join(violations[:3])}"
        first = trial.run(few[:1], batch)
        if repr(first[0]) != repr(outputs[0]):
            return f"batch {batch}: the first output depends on the samples after it"
    return ""


@_check(
    "takes broken inputs for absent ones",
    "in prepare, return Prepared(sample.with_absent({name: reason})) for an input that cannot be used",
)
def takes_garbage(trial: PluginTrial) -> str:
    plugin = trial.open()
    complete = next((s for s in trial.samples if all(i.present for i in s.inputs)), trial.samples[0])
    for description, sensor, unusable, broken in garbage(complete):
        output, violations = output_alone(trial, plugin, broken)
        if output is not None and unusable and any(output.validity().values()):
            violations.append(f"a head was valid, though {sensor} was all there was")
        if violations:
            return f"{description}: {'; '.join(violations[:3])}"
    return ""


def output_alone(trial: PluginTrial, plugin: Plugin, sample: Sample) -> tuple[Output | None, list[str]]:
    """Return the output of one sample after a reset, and its violations."""
    plugin.reset(Reset("seek"))
    try:
        prepared = plugin.prepare(sample)
        (output,) = step(plugin, [prepared])
    except BaseException as error:
        return None, [f"raised {failure_text(error)}"]
    return output, output_violations(output, prepared.sample, trial.manifest)
