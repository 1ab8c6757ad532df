"""The names of gates: which values an evaluation can have, known before it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from perception.errors import ConfigError
from perception.evaluation.metrics import Latency, Rules, Suite
from perception.evaluation.report.value_schema import MetricReport, by_head
from perception.sinks import OutputSink, RunInfo
from perception.types import (
    Control,
    ControlChannel,
    Detection,
    Detections,
    Output,
    Sample,
    Tick,
    TruthBox,
    TruthFrame,
)

_NAME = "x"  # of the class and the channel in the evaluation that shows which names there are
_OF_CLASSES = ("class", "box")  # heads whose values by name are of classes


def gate_key(name: str) -> str:
    """Return the key of a name: in lower case, with `joint` as `joint.joint`."""
    lower = name.lower()
    return f"{lower}.{lower}" if "." not in lower else lower


def name_errors(name: str, guest_heads: frozenset[str]) -> list[str]:
    """Return an error for a name that no run can have."""
    head, _, rest = gate_key(name).partition(".")
    known = _possible()
    if head in guest_heads:
        return []
    if head not in known:
        full_names = [f"{head}.{base}" for head, bases in known.items() for base in bases]
        by_key = {key: full for full in full_names for key in (full.lower(), full.lower().partition(".")[2])}
        near = [by_key[key] for key in get_close_matches(name.lower(), by_key, n=3, cutoff=0.5)]
        meant = f"did you mean {', '.join(dict.fromkeys(near))}? " if near else ""
        heads = ", ".join([*known, *sorted(guest_heads)])
        return [f"--require: no value is called '{name}'; {meant}The heads are {heads}"]
    written = {base.lower(): base for base in known[head]}
    base, _, part = rest.partition("/")
    if base in written and (part or "" in known[head][written[base]]):
        return []
    if base in written:
        full = f"{head}.{written[base]}"
        each = {"control": "/curvature", "timing": "/total"}.get(head, "/vehicle")
        return [f"--require: '{name}' is said for each part alone; name one, as {full}{each}"]
    near = [f"{head}.{written[key]}" for key in get_close_matches(rest, written, n=3, cutoff=0.3)]
    meant = f"; did you mean {', '.join(near)}?" if near else "."
    listed = ", ".join(f"{head}.{base}" for base in known[head])
    return [f"--require: no value is called '{name}'{meant} There are {listed}"]


class GateClasses(OutputSink):
    """A sink that checks the classes of gates against those of the plugin, when the run opens.

    Args:
        names: The names of the gates: `class.recall/vehicle`.
        true: Classes of the truth by the configuration; a gate may be of one that the plugin lacks.
    """

    def __init__(self, names: Sequence[str], true: Collection[str] = ()) -> None:
        self._names, self._true = names, true

    def open(self, run: RunInfo) -> None:
        """Raise ConfigError if a gate is of a class that neither the plugin nor the truth has."""
        check_classes(self._names, run.classes, self._true)

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        """Do nothing: the classes are known when the run opens."""
        return


def check_classes(names: Sequence[str], classes: Sequence[str], true: Collection[str] = ()) -> None:
    """Check the classes of gates.

    Args:
        names: The names of the gates: `class.recall/vehicle`.
        classes: Those of the plugin; empty: unknown, and nothing is checked.
        true: Those of the truth.

    Raises:
        ConfigError: A gate is of a class that is in neither; names the nearest.
    """
    known = {word.lower(): word for word in (*classes, *true)}
    errors = []
    for name in names if classes else ():
        word = _class_of(name)
        if not word or word in known:
            continue
        near = [known[key] for key in get_close_matches(word, known, n=3, cutoff=0.5)]
        meant = f"did you mean {', '.join(near)}? " if near else ""
        errors.append(
            f"--require: '{name}': no class is called '{word}'; {meant}The plugin knows {', '.join(classes)}"
        )
    if errors:
        raise ConfigError(errors, head="a gate is wrong" if len(errors) == 1 else "gates are wrong")


def _class_of(name: str) -> str:
    """Return the class of a gate's value in lower case; empty where it is of none."""
    head, _, rest = gate_key(name).partition(".")
    base, _, part = rest.partition("/")
    if head not in _OF_CLASSES:
        return ""
    parts = next((parts for key, parts in _possible()[head].items() if key.lower() == base), frozenset())
    return part if _NAME in parts and part not in parts - {_NAME} else ""


@cache
def _possible() -> dict[str, dict[str, frozenset[str]]]:
    """Return the value names of each head without class or channel, each with the parts it is given for.

    The part is empty where the bare name exists, and `_NAME` for a class or a channel.
    """
    stamp, box = 0, (0.0, 0.0, 50.0, 50.0)
    detections = Detections(True, items=(Detection(_NAME, 0.9, box, (1.0, 1.0, 1.0, 1.0), 10.0, 1.0),))
    control = Control(True, channels=(ControlChannel(_NAME, "", 0.0, 1.0),))
    truth = TruthFrame(stamp, (TruthBox(_NAME, box, 10.0, 1.0, ""),), {_NAME: 0.0}, {_NAME: 0.0})
    suite = Suite(Rules(min_support=1))
    suite.update(Output(Tick(0, "reference", stamp, stamp), detections, control), truth)
    latency = Latency()
    latency.record({"total": 1.0})
    heads = by_head([*suite.compute(), latency.compute()])
    return {head: _parts(metrics.values()) for head, metrics in heads.items()}


def _parts(metrics: Iterable[MetricReport]) -> dict[str, frozenset[str]]:
    parts: dict[str, set[str]] = {}
    for base, _, part in (key.partition("/") for metric in metrics for key in metric.values):
        parts.setdefault(base, set()).add(part)
    return {base: frozenset(known) for base, known in parts.items()}
