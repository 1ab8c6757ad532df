"""First answers of a plugin before its host joins the stack, so that no frame of the stack pays for them."""

from __future__ import annotations

from perception.diagnosis.conformance.samples import STATUS, drawn_samples
from perception.plugin import Context, Infers, Plugin
from perception.plugin.failures import failure_text
from perception.types import Reset

SAMPLES = 2


def warm_up(plugin: Plugin, context: Context) -> str:
    """Run an open plugin on a few drawn samples, and reset it.

    By the contract `prepare` and `infer` keep no state, and `reset` drops that of `step`: the outputs after
    it are those of a plugin that has just been opened.

    Returns:
        Why the plugin did not answer; empty: it did. What it cannot do here need not fail on real samples.
    """
    try:
        try:
            status = context.status or STATUS
            for sample in drawn_samples(SAMPLES, status, context.status_steps, context.status_rate_hz):
                prepared = [plugin.prepare(sample)]
                if isinstance(plugin, Infers):
                    prepared = plugin.infer(prepared)
                plugin.step(prepared)
        finally:
            plugin.reset(Reset("the plugin has been warmed up"))
    except BaseException as error:
        return failure_text(error)
    return ""
