"""`perception bench LOG`: how fast this machine replays a log, what limits it, how far it is from ideal."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from perception_tools.exit_codes import with_exit_code
from perception_tools.replay.options import Device, engine_values

MAKE = "Something to measure on"


def bench(
    log: Annotated[Path, typer.Argument(help="The log, an MCAP file.", show_default=False)],
    backend: Annotated[str, typer.Option(help="What computes; several: torch,openvino.")] = "auto",
    batch: Annotated[str, typer.Option(help="Samples at once; several: 1,4.")] = "1",
    jobs: Annotated[str, typer.Option(help="Copies of the log at once; several: 1,2.")] = "1",
    precision: Annotated[str | None, typer.Option(help="In which numbers.", show_default="auto")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that carry frames.", show_default="cores, up to 8")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds; all is measured in turn in each.")] = 3,
    constant: Annotated[
        bool, typer.Option("--constant", help="Replace the model by a constant: what surrounds it.")
    ] = False,
    naive: Annotated[bool, typer.Option(help="Measure a naive loop beside it.")] = True,
    naive_frames: Annotated[int, typer.Option(min=2, help="At most so many frames of it a round.")] = 60,
    startup: Annotated[bool, typer.Option(help="Measure the start of a process.")] = True,
    plugin: Annotated[str | None, typer.Option(help="The plugin to run.", show_default="fusion")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights; default: the plugin's own.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML, as for `replay`.")] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    make_log: Annotated[
        Path | None,
        typer.Option(help="Write LOG with images of 720p here, and measure on that.", rich_help_panel=MAKE),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="Its length; LOG is repeated.", rich_help_panel=MAKE)
    ] = 20.0,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Untrained weights with this backbone (resnet18), full-scale decoding, at 512x256.",
            rich_help_panel=MAKE,
        ),
    ] = None,
) -> None:
    """Measure a replay from disk to written outputs, stage by stage, and beside it a naive loop."""
    from perception.autoconfig import Overrides, complete_config
    from perception.diagnosis.bench import BenchOptions
    from perception.diagnosis.bench import bench as measure
    from perception.diagnosis.bench import make_log as write_log
    from perception.logs import open_log
    from perception.plugin import own_weights

    if backbone is not None and checkpoint is not None:
        raise typer.BadParameter("--backbone makes weights of its own; leave out --checkpoint")
    backends = tuple(name.strip() for name in backend.split(","))
    for name in backends:
        engine = engine_values(backend=name, precision=precision, workers=workers)
    with _telling(as_json) as told, tempfile.TemporaryDirectory() as folder:
        weights = _untrained(backbone, Path(folder)) if backbone is not None else checkpoint
        with open_log(log) as opened:
            overrides = Overrides(plugin, weights, {k: v for k, v in engine.items() if k != "backend"})
            setup = complete_config(opened, config, overrides).config
            if make_log is not None:
                told(f"writing {make_log}")
                write_log(opened, setup, make_log, seconds=seconds)
        options = BenchOptions(
            backends=backends,
            batches=_several("--batch", batch),
            jobs=_several("--jobs", jobs),
            repeat=repeat,
            constant=constant,
            naive=(1, 2) if naive and setup.plugin.name == "fusion" else (),
            naive_frames=naive_frames,
            weights=setup.plugin.checkpoint or own_weights(setup.plugin.name),
            start=startup,
            told=told,
        )
        report = measure(make_log or log, setup, device.value, options)
    if as_json:
        document = with_exit_code(report.to_json(), "clean")
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        from perception_tools.bench.text import show_bench

        show_bench(report)


def _several(option: str, text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{option}: expected one or several numbers, as in 1,4; found '{text}'")
    return tuple(map(int, parts))


def _untrained(backbone: str, folder: Path) -> Path:
    """A checkpoint that is as fast or slow as a trained one."""
    from perception.models import FusionModel, ModelConfig
    from perception.models.checkpoint import Checkpoint, save_checkpoint

    shape = ModelConfig(backbone=backbone)
    meta = Checkpoint(shape)
    meta = Checkpoint(shape, preprocess={**meta.preprocess, "decode_scale": 1})
    path = folder / f"{backbone}.safetensors"
    save_checkpoint(path, FusionModel(shape, seed=0), meta)
    return path


@contextmanager
def _telling(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Says on stderr what is being done, in a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
