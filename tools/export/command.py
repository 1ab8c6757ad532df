"""`perception export OUT.onnx|OUT.pt2|NAME.openvino.zip`: writes the model as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.remote import log_path
from perception_tools.printing import say, status_line
from perception_tools.shared_options import Force
from perception_tools.standard_output import answering

if TYPE_CHECKING:
    from collections.abc import Callable

    from perception.models.checkpoint import Checkpoint
    from perception.models.tensors import Inputs

SAMPLES = 20
CALIBRATION_SAMPLES = 200


def export(
    out: Annotated[Path, typer.Argument(help="OUT.onnx, OUT.pt2 or NAME.openvino.zip.", show_default=False)],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights.", show_default="the fusion plugin's own")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            parser=log_path, help="Check on samples of this log: a path or a URL.", show_default="on noise"
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=256, help="Samples in a batch.")] = 1,
    precision: Annotated[
        str, typer.Option(help="fp32; bf16 for a .pt2; int8 adds it to a .openvino.zip.")
    ] = "fp32",
    force: Force = False,
) -> None:
    """Write the model, decode and calibration inside, and check it against eager float32. 0: equal; 4: not.

    Names, shapes, units, classes and preprocessing are in the metadata of an .onnx or .pt2 (`perception`).
    NAME.openvino.zip beside NAME.safetensors: replays with OpenVINO then start without converting. With
    --precision int8 it also holds convolutions in int8, quantised on samples of the log, unless a score of
    some subset of the sensors gets surely worse; its scores are said beside those of fp32.
    """
    from perception.engines.portable import check_portable, is_portable
    from perception.errors import CheckpointError, ConfigError
    from perception.path_guard import Read, Write, check_paths
    from perception.plugin import own_weights

    weights = checkpoint or own_weights("fusion")
    if weights is None:
        raise CheckpointError("there are no default weights in this installation; give --checkpoint")
    check_portable(out, batch, precision)
    if precision == "int8" and log is None:
        raise ConfigError(["--precision int8: quantising needs samples of a real log; give --log"])
    reads = [Read("the checkpoint", weights)] + ([Read("the log", log)] if log is not None else [])
    check_paths(reads, [Write("OUT", out, is_portable)], force=force)
    with status_line() as show:
        passed, lines = _exported(weights, out, log, batch, precision, show)
    with answering("clean" if passed else "gate_failed"):
        say(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {precision}, batch {batch}")
        for line in lines:
            say(line)


def _exported(
    weights: Path, out: Path, log: Path | None, batch: int, precision: str, show: Callable[[str], None]
) -> tuple[bool, list[str]]:
    """Write and check the file; return whether it is as wanted, and what to say of it."""
    from perception.engines import FusionSource, open_fusion_backend
    from perception.engines.model_source import random_inputs
    from perception.engines.portable import run_portable, write_portable
    from perception.evaluation.agreement.backend_check import compare_backends
    from perception_tools.export.int8 import add_int8, lines_of

    show("loading the model")
    source = FusionSource(weights)
    noise = [random_inputs(source.meta.config, batch, seed) for seed in range(4)]
    quantised = precision == "int8"
    count = CALIBRATION_SAMPLES if quantised else SAMPLES
    samples = _batches(source.meta, log, batch, count, quantised) if log else noise
    show(f"writing {out}")
    lines, lossless = [], True
    if quantised and log is not None:
        result = add_int8(source, weights, out, log, samples, show)
        lines, lossless = lines_of(result), bool(result.scope)
    else:
        write_portable(source, out, batch, precision)
    show("checking it against eager float32")
    exact = open_fusion_backend("torch", weights, precision="fp32", batch=batch, threads=1)
    samples = samples[:SAMPLES]
    verdict = compare_backends([exact.run(each) for each in samples], run_portable(out, samples))
    checked = f"checked on {log.name if log else 'noise (give --log for real samples)'}: {verdict}"
    return verdict.passed and lossless, [checked, *lines]


def _batches(meta: Checkpoint, path: Path, batch: int, count: int, whole: bool) -> list[Inputs]:
    """Return samples of a log as full batches: spread over the whole of it, or every fifth from its start."""
    from itertools import islice

    import numpy as np

    from perception.align.ledger import Ledger
    from perception.autoconfig import complete_config
    from perception.logs import open_log
    from perception.models.preprocess import prepare_inputs
    from perception.models.tensors import Inputs
    from perception.pipeline.log_source import LogSource

    with open_log(path) as log:
        config = complete_config(log).config
        # Without a limit of its own: returns as far as a replay of these weights uses them.
        spec = meta.input_spec()
        survey = log.survey.topics.get(getattr(config.sensors, config.reference).topic)
        ticks = survey.count if survey is not None else None
        step = max(1, -(-ticks // count)) if whole and ticks else 5
        chosen = islice(LogSource(log, config, Ledger(None, None, None)).samples(), 0, None, step)
        ready = [prepare_inputs(sample, spec)[1] for sample in islice(chosen, max(count, batch))]
    starts = range(0, len(ready) - batch + 1, batch)
    return [Inputs(*map(np.stack, zip(*ready[i : i + batch], strict=True))) for i in starts]
