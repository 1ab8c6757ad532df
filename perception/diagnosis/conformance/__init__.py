"""The conformance check of a plugin: every point of the contract that hosts rely on is tried.

`check_plugin("mine")` opens the installed plugin several times, runs samples through it in all the
ways a host may, and reports for every point of the contract whether it holds. A plugin that raises, keeps
state or reads the clock fails a check, and the other checks go on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

from perception.diagnosis.conformance.checks import CHECKS, ContractCheck
from perception.diagnosis.conformance.plugin_trial import NotTriedError, PluginTrial
from perception.diagnosis.conformance.samples import RATE_HZ, STATUS, drawn_samples
from perception.errors import PerceptionError
from perception.plugin import Context, Manifest, load_plugin
from perception.plugin.failures import failure_text
from perception.types import Sample

__all__ = ["CHECKS", "Check", "check_plugin"]

MOST_SAMPLES = 80
"""The most samples that are drawn; a plugin with a long memory gets them at a lower rate."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check: `violation` is empty if the contract holds, else `advice` says what to do."""

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
    with _captured_stdout() as printed:
        checks = _checks(name, samples, context or Context(status=STATUS))
        text = printed().strip()
    if not checks[0].passed:
        return checks
    violation = f"printed {text.splitlines()[0][:60]!r}" if text else ""
    advice = "leave standard output to the host: what `--json` prints there is one object"
    return [*checks, Check("prints nothing", violation, advice if violation else "")]


def _checks(name: str, samples: Sequence[Sample] | None, context: Context) -> list[Check]:
    """Load the plugin, and try every check on it if it loads."""
    try:
        manifest = getattr(load_plugin(name), "manifest", None)
    except PerceptionError as error:
        return [Check("loads", str(error), "mend the manifest, the entry point or the import")]
    if not isinstance(manifest, Manifest) or manifest.name != name:
        return [
            Check("loads", "`manifest` is not the one it was made with", "keep what the factory is given")
        ]
    if samples is None:
        tick_hz = min(RATE_HZ, MOST_SAMPLES / (2 * (manifest.preroll_s or 0.0) + 1))
        count = 8 + int(2 * (manifest.preroll_s or 0.0) * tick_hz)
        samples = drawn_samples(count, context.status, context.status_steps, context.status_rate_hz, tick_hz)
    trial = PluginTrial(name, samples, context, manifest)
    return [Check("loads", "", ""), *(_try(trial, check) for check in CHECKS)]


@contextmanager
def _captured_stdout() -> Iterator[Callable[[], str]]:
    """Keep what is written to standard output, by Python or to its file descriptor; yield what returns it."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file, redirect_stdout(file):

        def text() -> str:
            file.seek(0)
            return file.read()

        try:
            kept = os.dup(1)
        except OSError:  # there is none
            yield text
            return
        os.dup2(file.fileno(), 1)
        try:
            yield text
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def _try(trial: PluginTrial, check: ContractCheck) -> Check:
    try:
        violation = check.try_on(trial)
    except NotTriedError:
        return Check(
            check.name, "not tried: it needs one output for each sample", "mend the checks above first"
        )
    except BaseException as error:  # whatever a plugin raises violates the contract
        violation = f"raised {failure_text(error)}"
    for plugin in [*trial.opened]:
        trial.opened.remove(plugin)
        try:
            plugin.close()
        except BaseException as error:
            violation = violation or f"close raised {failure_text(error)}"
    return Check(check.name, violation, check.advice if violation else "")
