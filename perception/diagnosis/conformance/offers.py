"""What a plugin may offer beside the contract. An offer that is not made is nothing to find fault with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from perception.diagnosis.conformance.compare import difference, near, same
from perception.diagnosis.conformance.points import alone
from perception.diagnosis.conformance.samples import subsets
from perception.diagnosis.conformance.trial import Trial, step
from perception.plugin import Infers, Prepared, StepsSubsets
from perception.plugin.output_rules import output_violations
from perception.types import Output, Reset


def infers_in_threads(trial: Trial) -> str:
    plugin = trial.open()
    if not isinstance(plugin, Infers):
        return ""
    prepared = [plugin.prepare(sample) for sample in trial.samples]
    once = [plugin.infer([item]) for item in prepared]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(plugin.infer, [[item] for item in prepared] * 2))
    for index, found in enumerate(threaded):
        tick = prepared[index % len(prepared)].sample.tick
        if len(found) != 1 or not isinstance(found[0], Prepared):
            return f"infer was given 1 sample and returned {len(found)}; expected one Prepared for each"
        if found[0].sample.tick != tick:
            return f"infer of tick {tick.index} returned another sample"
        if not same(found, once[index % len(once)]):
            return f"infer of tick {tick.index} gave another payload from a thread"
    outputs: list[Output] = []
    for found in threaded[: len(prepared)]:
        outputs += step(plugin, found)
    return difference(trial.full, outputs, "a run with infer")


def answers_on_subsets(trial: Trial) -> str:
    plugin = trial.open()
    if not isinstance(plugin, StepsSubsets):
        return ""  # an offer beside the contract
    sample = trial.samples[-1]
    kept = [names for names, _ in subsets(sample)]
    plugin.reset(Reset("seek"))
    (together,) = plugin.step_subsets([plugin.prepare(sample)], kept)
    if len(together) != len(kept):
        return f"step_subsets was given {len(kept)} subsets and returned {len(together)} outputs"
    for (names, without), output in zip(subsets(sample), together, strict=True):
        expected, _ = alone(trial, plugin, without)
        faults = output_violations(output, without, trial.manifest)
        if expected is not None and not faults and not near(expected, output):
            faults = ["another answer than step gives"]
        if faults:
            return f"step_subsets with {', '.join(names) or 'no sensor'}: {'; '.join(faults[:3])}"
    return ""
