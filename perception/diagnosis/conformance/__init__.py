"""The contract check of a plugin: what every host relies on, tried out.

`check_plugin("mine")` opens the installed plugin several times, runs samples through it in all the
ways a host may, and says of every point of the contract whether it holds. It trusts nothing: a plugin
that raises, hangs on to the past or reads the clock fails a check, and the check goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO

from perception.diagnosis.conformance.samples import RATE_HZ, STATUS, drawn_samples
from perception.diagnosis.conformance.table import CHECKS
from perception.diagnosis.conformance.trial import NotTriedError, Trial
from perception.errors import PerceptionError
from perception.plugin import Context, Manifest, load_plugin
from perception.types import Sample

__all__ = ["CHECKS", "Check", "check_plugin"]

MOST_SAMPLES = 80
"""Samples that are drawn, at most; a plugin that remembers long gets them at a lower rate."""


@dataclass(frozen=True, slots=True)
class Check:
    """One point of the contract: `violation` is empty where it holds; `advice` says what to do where not."""

    name: str
    violation: str
    advice: str

    @property
    def passed(self) -> bool:
        return not self.violation


def check_plugin(
    name: str, samples: Sequence[Sample] | None = None, context: Context | None = None
) -> list[Check]:
    """Try the contract on an installed plugin.

    Args:
        name: The plugin's name.
        samples: Samples in order, as the aligner gives them; None: some are drawn.
        context: What the plugin is opened with; its status names must be those of the samples.
    """
    try:
        manifest = getattr(load_plugin(name), "manifest", None)
    except PerceptionError as error:
        return [Check("loads", str(error), "mend the manifest, the entry point or the import")]
    if not isinstance(manifest, Manifest) or manifest.name != name:
        return [
            Check("loads", "`manifest` is not the one it was made with", "keep what the factory is given")
        ]
    context = context or Context(status=STATUS)
    if samples is None:
        tick_hz = min(RATE_HZ, MOST_SAMPLES / (2 * (manifest.preroll_s or 0.0) + 1))
        count = 8 + int(2 * (manifest.preroll_s or 0.0) * tick_hz)
        samples = drawn_samples(count, context.status, context.status_steps, context.status_rate_hz, tick_hz)
    trial = Trial(name, samples, context, manifest)
    with redirect_stdout(StringIO()) as printed:
        checks = [Check("loads", "", ""), *(_try(trial, *check) for check in CHECKS)]
    said = printed.getvalue().strip()
    fault = f"printed {said.splitlines()[0][:60]!r}" if said else ""
    advice = "leave standard output to the host: what `--json` prints there is one object"
    return [*checks, Check("prints nothing", fault, advice if fault else "")]


def _try(trial: Trial, name: str, advice: str, check: Callable[[Trial], str]) -> Check:
    try:
        fault = check(trial)
    except NotTriedError:
        return Check(name, "not tried: it needs one output for each sample", "mend the checks above first")
    except Exception as error:  # whatever a plugin raises is its fault, and is told
        fault = f"raised {type(error).__name__}: {' '.join(str(error).split()) or 'without a text'}"
    for plugin in [*trial.opened]:
        trial.opened.remove(plugin)
        try:
            plugin.close()
        except Exception as error:
            fault = fault or f"close raised {type(error).__name__}: {error}"
    return Check(name, fault, advice if fault else "")
