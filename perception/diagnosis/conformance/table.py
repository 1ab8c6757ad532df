"""All checks in the order in which they are made: a name, the advice where it fails, and what tries it."""

from __future__ import annotations

from collections.abc import Callable

from perception.diagnosis.conformance.offers import answers_on_subsets, infers_in_threads
from perception.diagnosis.conformance.points import (
    gives_its_heads,
    ignores_the_clock,
    is_deterministic,
    opens_and_closes,
    outputs_are_valid,
    prepares_in_threads,
    preroll_suffices,
    reset_forgets,
    shares_no_state,
    survives_a_failed_open,
    takes_any_sensors,
    takes_batches,
    takes_garbage,
)
from perception.diagnosis.conformance.trial import Trial

CHECKS: tuple[tuple[str, str, Callable[[Trial], str]], ...] = (
    (
        "opens and closes",
        "open loads, close gives back; both work on a second instance too",
        opens_and_closes,
    ),
    (
        "fails to open politely",
        "raise CheckpointError or PluginError for weights that do not load; close must work after that",
        survives_a_failed_open,
    ),
    (
        "gives one valid output for each sample",
        "return finite values, ordered boxes, positive stds and the sample's own tick",
        outputs_are_valid,
    ),
    ("gives the heads it promises", "name in the manifest only the heads that it gives", gives_its_heads),
    (
        "prepares in any thread",
        "keep no state in prepare and leave its sample alone",
        prepares_in_threads,
    ),
    (
        "infers in any thread",
        "keep no state in infer, leave what it is given alone, and let step give the same with it as without",
        infers_in_threads,
    ),
    ("is deterministic", "draw only from context.seed; fix thread counts and algorithms", is_deterministic),
    ("does not read the clock", "use the stamps of the sample, never the time of day", ignores_the_clock),
    ("shares no state", "keep state in the object, not in the module or the class", shares_no_state),
    ("forgets at a reset", "clear in reset whatever step remembers", reset_forgets),
    (
        "remembers no longer than preroll_s",
        "give preroll_s the longest memory of step, or null to start from the beginning",
        preroll_suffices,
    ),
    (
        "works with any subset of sensors",
        "look at input.present; with nothing to rest on, return the head with valid=False",
        takes_any_sensors,
    ),
    (
        "answers on several subsets as on one",
        "step_subsets gives for each subset what step gives when the other inputs are absent",
        answers_on_subsets,
    ),
    (
        "works in batches",
        "return one output for each sample of the batch, padding included",
        takes_batches,
    ),
    (
        "takes broken inputs for absent ones",
        "in prepare, return Prepared(sample.with_absent({name: reason})) for an input that cannot be used",
        takes_garbage,
    ),
)
