"""The int8 graph of `perception export --precision int8`: made, measured, and kept where nothing is lost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perception.errors import ConfigError
from perception.types import SENSORS

if TYPE_CHECKING:
    from perception.engines import FusionSource
    from perception.evaluation.comparison.precision_loss import PrecisionScore
    from perception.models.tensors import Inputs


CAMERA = SENSORS.index("camera")

FEW = 20
"""Samples with a picture below which the ranges of an int8 graph may cut off what other pictures hold."""


class Int8Result(NamedTuple):
    """The outcome of the int8 graph.

    Attributes:
        scope: Which convolutions it quantises; empty: it was refused and is not in the file.
        scores: Of the last attempt, beside those of fp32; empty: the log has no truth.
        pictures: How many of the samples that it was quantised on had one.
    """

    scope: str
    scores: Sequence[PrecisionScore]
    pictures: int = FEW


def add_int8(
    source: FusionSource,
    weights: Path,
    out: Path,
    log: Path,
    samples: Sequence[Inputs],
    show: Callable[[str], None],
) -> Int8Result:
    """Write the graphs of a checkpoint with one in int8; leave it out where a score is surely worse.

    Where quantising all wide convolutions costs a head something on some subset of the sensors, those of
    the camera alone are tried.

    Raises:
        ConfigError: No sample has a picture: the ranges would cut off every one.
    """
    from perception.engines.quantised_graph import SCOPES
    from perception.engines.shipped_graph import write_shipped_graphs

    pictures = sum(bool((sample.present[:, CAMERA] > 0).any()) for sample in samples)
    if not pictures:
        raise ConfigError(
            [f"--log: int8 is quantised on pictures, and no sample of {log} has one; name another"]
        )
    scores: Sequence[PrecisionScore] = ()
    for scope in SCOPES:
        show(f"quantising {scope} convolutions on {len(samples)} samples")
        write_shipped_graphs(source, out, samples, scope)
        show("scoring int8 beside fp32")
        scores = _scores(weights, out, log)
        if not any(score.verdict == "worse" for score in scores):
            return Int8Result(scope, scores, pictures)
    write_shipped_graphs(source, out)
    return Int8Result("", scores, pictures)


def lines_of(result: Int8Result) -> list[str]:
    """Return what to say of an int8 graph."""
    kept = (
        f"int8: {result.scope} convolutions" if result.scope else "int8: refused, the file does not hold it"
    )
    few = [f"the ranges of int8 rest on {result.pictures} pictures alone: name a longer log"]
    few = few if result.scope and result.pictures < FEW else []
    if not result.scores:
        return [f"{kept}; what it loses is not known, as the log has no truth", *few]
    lines = [f"{kept}; fp32 -> int8 on each subset of the sensors:"]
    for score in result.scores:
        before, after = (f"{v:.4g}" if v is not None else "-" for v in (score.before, score.after))
        verdict = "surely worse" if score.verdict == "worse" else score.verdict
        lines.append(f"  {score.subset:20} {score.metric:22} {before:>8} -> {after:>8}  {verdict}")
    if short := {score.no_verdict for score in result.scores} - {""}:
        lines.append(
            f"the log is too short to judge any loss by ({'; '.join(sorted(short))}): look at the scores, or "
            "name a longer one"
        )
    return [*lines, *few]


def _scores(weights: Path, out: Path, log: Path) -> list[PrecisionScore]:
    """Return the scores of a checkpoint whose graphs are in a file that need not lie beside it."""
    from perception.engines.shipped_graph import shipped_path
    from perception.evaluation.comparison.precision_loss import precision_scores

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.safetensors"
        shutil.copyfile(weights, copy)
        shutil.copyfile(out, shipped_path(copy))
        return precision_scores(copy, [log])
