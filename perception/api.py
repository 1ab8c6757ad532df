"""The public door: replay, stream and evaluate logs, find moments in tables, in one call each.

The command line offers the same with more options. The objects behind these calls are in
`perception.pipeline`, `perception.evaluation` and `perception.plugin`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from perception.autoconfig import ConfigChoice, Overrides, complete_config
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.errors import ConfigError, LogError
from perception.logs import Log, open_log
from perception.path_guard import Write, check_paths
from perception.pipeline import ReplayOptions, Span, resolve_device
from perception.pipeline import replay as replay_log
from perception.pipeline.background import in_background
from perception.pipeline.files_read import files_read
from perception.pipeline.replay_summary import add_choice
from perception.plugin import load_plugin
from perception.remote import RemotePath, log_path
from perception.results import Answer, ReplayedPart, ReplayResult
from perception.sinks import OutputSink, Sink, make_sink, own_files
from perception.types import Output, Sample, TruthFrame

if TYPE_CHECKING:
    from perception.evaluation import EvaluateOptions, EvaluationReport
    from perception.evaluation.find import FoundMoments

LogPath = str | Path
WAITING = 8
"""Answers that `stream` computes ahead of its caller, at most."""


def replay(
    log: LogPath,
    config: Config | LogPath | None = None,
    *,
    plugin: str | None = None,
    checkpoint: LogPath | None = None,
    start: float | None = None,
    end: float | None = None,
    write: LogPath | Sequence[LogPath] = (),
    sinks: Sequence[Sink] = (),
    device: str = "auto",
    options: ReplayOptions | None = None,
    force: bool = False,
) -> ReplayResult:
    """Replay a log through a plugin and return its outputs with the account of the run.

    >>> result = perception.replay("drive.mcap", end=1.0)
    >>> result.summary.status
    'clean'
    >>> len(result.outputs) == result.summary.frames
    True

    Args:
        log: The log.
        config: A configuration or its file; None: sensors are found in the log.
        plugin, checkpoint: In place of the configuration's.
        start, end: The part of the log, in seconds from its first sensor message; end is exclusive.
        write: Files to write; the suffix chooses an output log (`.mcap`), JSON lines (`.jsonl`) or a video.
        sinks: More sinks for the outputs.
        device: `auto`, `cpu` or `cuda`.
        options: Pace, loops and observers; its device and span are replaced by the arguments here.
        force: Let `write` replace existing files that are no earlier outputs; never one that is read.

    Raises:
        LogError: The file cannot be read as a log.
        ConfigError: The configuration does not fit, or none can be chosen.
        PerceptionError: The plugin cannot be opened, or an output cannot be written.
    """
    outputs: list[Output] = []
    kept = _CallbackSink(lambda _, output: outputs.append(output))
    written = [(Path(path), make_sink(Path(path))) for path in _listed(write)]
    with _opened(log, config, plugin, checkpoint) as (source, choice):
        reads = files_read([source.path], choice.config, None if isinstance(config, Config) else config)
        writes = [Write("write", path, own_files(sink)) for path, sink in written]
        check_paths(reads, writes, force=force)
        how = _options(source, choice.config, start, end, device, options)
        named, all_sinks = load_plugin(choice.config.plugin.name), [kept, *(s for _, s in written), *sinks]
        summary = replay_log(source, choice.config, named, all_sinks, how)
    place = ReplayedPart(source.path, choice.config, how.span)
    return ReplayResult(add_choice(summary, choice), tuple(outputs), place)


def stream(
    log: LogPath,
    config: Config | LogPath | None = None,
    *,
    plugin: str | None = None,
    checkpoint: LogPath | None = None,
    start: float | None = None,
    end: float | None = None,
    device: str = "auto",
    options: ReplayOptions | None = None,
) -> Iterator[Answer]:
    """Replay a log lazily and yield each sample with its output; arguments and errors as for `replay`.

    The run goes on in the background, at most `WAITING` answers ahead, and ends when the iterator is closed.

    >>> for sample, output in perception.stream("drive.mcap", end=0.4):
    ...     print(sample.tick.index, output.control.valid)
    0 True
    1 True
    2 True
    """
    with _opened(log, config, plugin, checkpoint) as (source, choice):
        setup = choice.config
        how = _options(source, setup, start, end, device, options)

        def run(give: Callable[[Answer], None]) -> None:
            sink = _CallbackSink(lambda sample, output: give(Answer(sample, output)))
            replay_log(source, setup, load_plugin(setup.plugin.name), [sink], how)

        yield from in_background(run, WAITING, "perception.stream")


def evaluate(
    logs: LogPath | Sequence[LogPath],
    config: Config | LogPath | None = None,
    *,
    plugin: str | None = None,
    checkpoint: LogPath | None = None,
    start: float | None = None,
    end: float | None = None,
    draws: int | None = None,
    ablate: bool = False,
    device: str = "auto",
    options: EvaluateOptions | None = None,
) -> EvaluationReport:
    """Replay logs once and score every head against their truth.

    >>> scores = perception.evaluate("drive.mcap", draws=0)
    >>> 0.0 < scores["box.mAP50"].value < 1.0
    True

    Args:
        logs: Paths or patterns (`logs/*.mcap`), one or several.
        config, plugin, checkpoint, start, end, device: As for `replay`; the part is that of each log.
        draws: How often logs and blocks are drawn for intervals; 0: values without intervals; None: as in
            `options`, by default 1000.
        ablate: Score every subset of the sensors too.
        options: All that the command line offers. The other arguments, where given, replace its values.

    Raises:
        LogError: A pattern matches nothing, or a file cannot be read as a log.
        PerceptionError: As for `replay`.
    """
    from perception.evaluation import EvaluateOptions, Resampling, evaluate_logs
    from perception.evaluation.metrics import installed_metrics

    base = options or EvaluateOptions(guests=installed_metrics, resampling=Resampling(1000))
    overrides = replace(
        base.overrides,
        plugin=plugin or base.overrides.plugin,
        checkpoint=base.overrides.checkpoint if checkpoint is None else Path(checkpoint),
    )
    chosen = replace(
        base,
        overrides=overrides,
        resampling=base.resampling if draws is None else Resampling(draws) if draws else None,
        ablate="sensors" if ablate else base.ablate,
        replay=base.replay if device == "auto" else replace(base.replay, device=device),
        start=base.start if start is None else repr(start),
        end=base.end if end is None else repr(end),
    )
    return evaluate_logs(_paths(logs), config, chosen)


def find(tables: LogPath, condition: str, *, gap_s: float = 1.0) -> FoundMoments:
    """Return the moments of recordings for which a condition holds, from the tables that a replay wrote.

    ::

        for moment in perception.find("tables", "speed > 5 and missed >= 2").moments:
            print(moment.command)  # perception replay drive.mcap --start 1.200 --end 4.700

    Args:
        tables: The folder of tables, or its URL.
        condition: As `perception find` takes it.
        gap_s: Ticks of a recording at most this many seconds apart are one moment.

    Raises:
        ConfigError: The condition is none, or names what the tables do not have; names the nearest.
        LogError: The folder has no tables.
        MissingExtraError: The extra `tables` is not installed.
    """
    from perception.evaluation.find import find_moments

    return find_moments(tables, condition, gap_s=gap_s)


# --- parts ---------------------------------------------------------------------------------------


class _CallbackSink(OutputSink):
    """A sink that calls a function with each sample and its output."""

    ignores_truth = True

    def __init__(self, take: Callable[[Sample, Output], None]) -> None:
        self._take = take

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self._take(sample, output)


@contextmanager
def _opened(
    path: LogPath, config: Config | LogPath | None, plugin: str | None, checkpoint: LogPath | None
) -> Iterator[tuple[Log, ConfigChoice]]:
    """Open a log and complete the configuration for it."""
    overrides = Overrides(plugin, None if checkpoint is None else Path(checkpoint))
    with open_log(path) as log:
        yield log, complete_config(log, config, overrides)


def _options(
    log: Log,
    config: Config,
    start: float | None,
    end: float | None,
    device: str,
    options: ReplayOptions | None = None,
) -> ReplayOptions:
    """Combine replay options with what the arguments say.

    Raises:
        ConfigError: The start is not before the end, or the device is not there.
    """
    if start is not None and end is not None and start >= end:
        raise ConfigError([f"start: expected less than end, found {start:g} and {end:g}"], head="wrong part")
    begin_ns = sensor_start_ns(log, config)
    first_ns, end_ns = (None if s is None else begin_ns + round(s * 1e9) for s in (start, end))
    resolved = resolve_device(device, config.engine.backend)
    return replace(options or ReplayOptions(), device=resolved, span=Span(first_ns, end_ns))


def _paths(logs: LogPath | Sequence[LogPath]) -> list[Path]:
    """Resolve paths and patterns to files, in order."""
    paths: list[Path] = []
    for item in _listed(logs):
        if isinstance(log_path(item), RemotePath):
            paths.append(log_path(item))
            continue
        matches = sorted(glob(str(item), recursive=True))
        if not matches:
            raise LogError(f"expected a log or a pattern of logs, found no file: {item}")
        paths += map(Path, matches)
    return paths


def _listed(paths: LogPath | Sequence[LogPath]) -> list[LogPath]:
    return [paths] if isinstance(paths, str | Path) else list(paths)
