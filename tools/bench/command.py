"""`perception bench LOG`: measures the replay speed of this machine and its limits."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception_tools.command_arguments import OneLog
from perception_tools.exit_codes import with_exit_code
from perception_tools.printing import status_line
from perception_tools.shared_options import BACKENDS, PRECISIONS, Device, Force, engine_values
from perception_tools.standard_output import print_json

if TYPE_CHECKING:
    from perception.autoconfig import Overrides
    from perception.diagnosis.bench import BenchOptions, BenchReport

MAKE = "Something to measure on"


Backend = Annotated[
    str, typer.Option(metavar="NAME,...", help=f"The backend: {BACKENDS}; several: torch,openvino.")
]
Precision = Annotated[
    str | None, typer.Option(metavar="NAME", help=f"The number format: {PRECISIONS}.", show_default="auto")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Threads that prepare samples and run the model.", show_default="cores, up to 8"
    ),
]
Constant = Annotated[
    bool, typer.Option("--constant", help="Replace the model by a constant, to measure what surrounds it.")
]
MakeLog = Annotated[
    Path | None,
    typer.Option(help="Write LOG with images of 720p here, and measure on that.", rich_help_panel=MAKE),
]
Seconds = Annotated[
    float, typer.Option(min=1, help="With --make-log: its length; LOG is repeated.", rich_help_panel=MAKE)
]
Video = Annotated[
    bool,
    typer.Option(
        "--video", help="With --make-log: its images as H.264, a key frame a second.", rich_help_panel=MAKE
    ),
]
Cameras = Annotated[
    int,
    typer.Option(
        min=1,
        max=32,
        help="Measure a rig of so many cameras, made of LOG, beside one of them: all their frames a second.",
        rich_help_panel=MAKE,
    ),
]
Viewers = Annotated[
    bool, typer.Option("--viewers", help="Measure what --rerun, and --serve without a client, cost a replay.")
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="Untrained weights with this backbone (resnet18), full-scale decoding, at 512x256.",
        rich_help_panel=MAKE,
    ),
]


def bench(
    log: OneLog,
    backend: Backend = "auto",
    batch: Annotated[str, typer.Option(help="Samples in a batch; several: 1,4.")] = "1",
    jobs: Annotated[str, typer.Option(help="Copies of the log at once; several: 1,2.")] = "1",
    precision: Precision = None,
    workers: Workers = None,
    repeat: Annotated[int, typer.Option(min=1, help="How many rounds; each measures everything once.")] = 3,
    constant: Constant = False,
    naive: Annotated[bool, typer.Option(help="Measure a naive loop beside it.")] = True,
    naive_frames: Annotated[int, typer.Option(min=2, help="Frames of that loop in a round, at most.")] = 60,
    startup: Annotated[bool, typer.Option(help="Measure the start of a process.")] = True,
    plugin: Annotated[str | None, typer.Option(help="The plugin to run.", show_default="fusion")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights; default: the plugin's own.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML, as for `replay`.")] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    make_log: MakeLog = None,
    seconds: Seconds = 20.0,
    video: Video = False,
    backbone: Backbone = None,
    cameras: Cameras = 1,
    viewers: Viewers = False,
    force: Force = False,
) -> None:
    """Measure a replay from disk to written outputs, stage by stage, and beside it a naive loop."""
    from perception.autoconfig import Overrides
    from perception.diagnosis.bench import BenchOptions

    copy = None if make_log is None else (make_log, seconds, force, video)
    if backbone is not None and checkpoint is not None:
        raise typer.BadParameter("--backbone makes weights of its own; leave out --checkpoint")
    backends, loops = tuple(name.strip() for name in backend.split(",")), (1, 2) if naive else ()
    counts = _several("--batch", batch), _several("--jobs", jobs)
    options = BenchOptions(backends, *counts, repeat, constant, loops, naive_frames, start=startup)
    for name in backends:
        engine = engine_values(backend=name, precision=precision, workers=workers) | {"backend": "auto"}
    if viewers or cameras > 1:
        given = Overrides(plugin, checkpoint, engine | {"backend": backend})
        measure = _measure_viewers if viewers else partial(_measure_rig, cameras)
        return measure(_local(log), config, given, device.value, repeat, as_json)
    with status_line(as_json) as notify, tempfile.TemporaryDirectory() as folder:
        weights = _untrained(backbone, Path(folder)) if backbone is not None else checkpoint
        options, given = (
            replace(options, weights=weights, progress=notify),
            Overrides(plugin, weights, engine),
        )
        return _show(_measured(_local(log), config, given, device.value, options, copy), as_json)


def _local(log: Path) -> Path:
    """Return the log, or a local copy of a remote one: a network is not what is measured."""
    from perception.remote.fetched import local_path

    return local_path(log)


def _show(report: BenchReport, as_json: bool) -> None:
    """Print the report of a benchmark."""
    from perception_tools.bench.text import show_bench

    if as_json:
        print_json(with_exit_code(report.to_json(), "clean"))
    else:
        show_bench(report)


def _measure_rig(
    cameras: int,
    log: Path,
    config: Path | None,
    overrides: Overrides,
    device: str,
    repeat: int,
    as_json: bool,
) -> None:
    """Measure a rig of cameras beside one of them, and print it."""
    from perception.autoconfig import complete_config
    from perception.diagnosis.bench import rig_speed
    from perception.logs import open_log
    from perception_tools.bench.text import show_rig_speed

    with open_log(log) as opened:
        setup = complete_config(opened, config, overrides).config
    with status_line(as_json) as notify:
        speed = rig_speed(log, setup, cameras, device, repeat, notify)
    if as_json:
        print_json(with_exit_code(speed.to_json(), "clean"))
    else:
        show_rig_speed(speed)


def _measure_viewers(
    log: Path, config: Path | None, overrides: Overrides, device: str, repeat: int, as_json: bool
) -> None:
    """Measure what viewers cost a replay, and print it."""
    from perception.diagnosis.bench import viewer_cost
    from perception_tools.bench.text import show_viewer_cost

    with status_line(as_json) as notify:
        cost = viewer_cost(log, config, overrides, device, repeat, notify)
    if as_json:
        print_json(with_exit_code(cost.to_json(), "clean"))
    else:
        show_viewer_cost(cost)


def _measured(
    log: Path,
    config: Path | None,
    overrides: Overrides,
    device: str,
    options: BenchOptions,
    copy: tuple[Path, float, bool, bool] | None,
) -> BenchReport:
    """Return the measurement of the log, or of a copy with large images: its path, its length in seconds,
    whether it may replace a file that is no earlier copy, and whether its images are video."""
    from perception.autoconfig import complete_config
    from perception.diagnosis.bench import bench as measure
    from perception.diagnosis.bench import make_log
    from perception.diagnosis.bench.make_log import is_made_log
    from perception.logs import open_log
    from perception.logs.video.facts import video_facts
    from perception.path_guard import Write, check_paths
    from perception.pipeline.files_read import files_read
    from perception.plugin import HasPlainLoop, load_plugin, own_weights

    with open_log(log) as opened:
        setup = complete_config(opened, config, overrides).config
        if copy is not None:
            target = Write("--make-log", copy[0], is_made_log)
            check_paths(files_read([log], setup, config), [target], force=copy[2])
            options.progress(f"writing {copy[0]}")
            make_log(opened, setup, copy[0], seconds=copy[1], video=copy[3])
    with open_log(copy[0] if copy else log) as measured:
        cameras = [section.topic for section in setup.sensors.cameras.values()]
        is_video = any(video_facts(measured, topic) is not None for topic in cameras)
    if is_video and options.naive:
        options.progress("the naive loop decodes no video and is left out")
    weights = setup.plugin.checkpoint or own_weights(setup.plugin.name)
    has_loop = setup.plugin.name == "fusion" or isinstance(load_plugin(setup.plugin.name), HasPlainLoop)
    naive = options.naive if has_loop and not is_video else ()
    return measure(copy[0] if copy else log, setup, device, replace(options, weights=weights, naive=naive))


def _several(option: str, text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{option}: expected one or several numbers, as in 1,4; found '{text}'")
    return tuple(map(int, parts))


def _untrained(backbone: str, folder: Path) -> Path:
    """Return an untrained checkpoint, which runs at the speed of a trained one."""
    from perception.models import FusionModel, ModelConfig
    from perception.models.checkpoint import Checkpoint, save_checkpoint

    shape = ModelConfig(backbone=backbone)
    meta = Checkpoint(shape)
    meta = Checkpoint(shape, preprocess={**meta.preprocess, "decode_scale": 1})
    path = folder / f"{backbone}.safetensors"
    save_checkpoint(path, FusionModel(shape, seed=0), meta)
    return path
