"""The public door: replay, stream and evaluate logs, find moments in tables, in one call each.

The command line offers the same with more options. The objects behind these calls are in
`perception.pipeline`, `perception.evaluation` and `perception.plugin`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from perception.autoconfig import ConfigChoice, GivenConfig, Overrides, complete_config
from perception.config import Config
from perception.logs import Log, open_log
from perception.logs.log_patterns import find_logs
from perception.path_guard import Read, Write, check_paths
from perception.pipeline import ReplayOptions, resolve_device
from perception.pipeline import replay as replay_log
from perception.pipeline.background import in_background
from perception.pipeline.files_read import files_read
from perception.pipeline.replay_summary import add_choice
from perception.pipeline.span import Time, parse_span
from perception.pipeline.tables import check_tables
from perception.plugin import load_plugin
from perception.remote import log_path
from perception.results import Answer, ReplayedPart, ReplayResult
from perception.sinks import OutputSink, RunInfo, Sink, make_sink, own_files
from perception.types import Output, Sample, TruthFrame

if TYPE_CHECKING:
    from perception.evaluation import EvaluateOptions, EvaluationReport
    from perception.evaluation.find import FoundMoments

LogPath = str | Path
WAITING = 8
"""Answers that `stream` computes ahead of its caller, at most."""


def replay(
    log: LogPath,
    config: GivenConfig | None = None,
    *,
    plugin: str | None = None,
    checkpoint: LogPath | None = None,
    start: Time | None = None,
    end: Time | None = None,
    write: LogPath | Sequence[LogPath] | None = (),
    sinks: Sink | Sequence[Sink] = (),
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
        config: A configuration, its file or a choice (`complete_config`); None: sensors are found in the log.
        plugin, checkpoint: In place of the configuration's.
        start, end: The part of the log, in seconds from its first sensor message, or (whole numbers from
            10**12 on) log times in nanoseconds; end is exclusive.
        write: Files to write; the suffix chooses: `.mcap`, `.jsonl`, `.mp4`, `.webm`, that of another sink.
        sinks: More sinks for the outputs.
        device: `auto`, `cpu` or `cuda`.
        options: Pace, loops and observers; its device is that given here, and so is its span where one is.
        force: Let `write` replace existing files that are no earlier outputs; never one that is read.

    Raises:
        LogError: The file cannot be read as a log.
        ConfigError: The configuration does not fit, or none can be chosen; a time is none.
        PerceptionError: The plugin cannot be opened, or an output cannot be written.
        TypeError: An argument is of another kind than these.
    """
    outputs: list[Output] = []
    kept = _CallbackSink(lambda _, output: outputs.append(output))
    with _opened(log, config, plugin, checkpoint) as (source, choice):
        reads = files_read([source.path], choice.config, config if isinstance(config, str | Path) else None)
        written = _file_sinks(write, reads, force)
        how = _options(source, choice.config, start, end, device, options)
        named, all_sinks = load_plugin(choice.config.plugin.name), [kept, *written, *_sinks(sinks)]
        summary = replay_log(source, choice.config, named, all_sinks, how)
    place = ReplayedPart(source.path, choice.config, how.span, kept.run)
    return ReplayResult(add_choice(summary, choice), tuple(outputs), place)


def stream(
    log: LogPath,
    config: GivenConfig | None = None,
    *,
    plugin: str | None = None,
    checkpoint: LogPath | None = None,
    start: Time | None = None,
    end: Time | None = None,
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
            def take(sample: Sample, output: Output) -> None:
                answer = Answer(sample, output)
                answer.run = sink.run
                give(answer)

            sink = _CallbackSink(take)
            replay_log(source, setup, load_plugin(setup.plugin.name), [sink], how)

        yield from in_background(run, WAITING, "perception.stream")


def evaluate(
    logs: LogPath | Sequence[LogPath],
    config: GivenConfig | None = None,
    *,
    plugin: str | None = None,
    checkpoint: LogPath | None = None,
    start: Time | None = None,
    end: Time | None = None,
    draws: int | None = None,
    ablate: bool | Literal["sensors", "each", "faults"] = False,
    device: str | None = None,
    options: EvaluateOptions | None = None,
    force: bool = False,
) -> EvaluationReport:
    """Replay logs once and score every head against their truth.

    >>> scores = perception.evaluate("drive.mcap", draws=0)
    >>> 0.0 < scores["box.mAP50"].value < 1.0
    True

    Args:
        logs: Paths or patterns (`logs/*.mcap`), one or several.
        config, plugin, checkpoint, start, end: As for `replay`; the part is that of each log.
        draws: How often logs and blocks are drawn for intervals; 0: values without intervals; None: as in
            `options` (whose `resampling` is None by default: without intervals), 1000 without these.
        ablate: `sensors` (or True): score every subset of the kinds of sensors too. `each`: without each
            named sensor. `faults`: replay under each fault.
        device: `auto`, `cpu` or `cuda`; None: as in `options`, by default `auto`.
        options: All that the command line offers. The other arguments, where given, replace its values.
        force: Let the output of `options` replace a file that is no earlier output; never one that is read.

    Raises:
        LogError: A pattern matches nothing, or a file cannot be read as a log.
        ConfigError: Options do not fit each other, or a log is named twice.
        PerceptionError: As for `replay`.
    """
    from perception.evaluation import evaluate_logs
    from perception.evaluation.evaluate_arguments import with_arguments
    from perception.evaluation.evaluate_files import evaluation_files

    chosen = with_arguments(options, plugin, checkpoint, start, end, draws, ablate, device)
    paths = find_logs(map(log_path, _listed(logs)))
    reads, writes = evaluation_files(paths, config, chosen)
    check_paths(reads, writes, force=force)
    check_tables(chosen.tables, reads)
    return evaluate_logs(paths, config, chosen)


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
        self.run = RunInfo()

    def open(self, run: RunInfo) -> None:
        self.run = run

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
    path: LogPath, config: GivenConfig | None, plugin: str | None, checkpoint: LogPath | None
) -> Iterator[tuple[Log, ConfigChoice]]:
    """Open a log and complete the configuration for it."""
    overrides = Overrides(plugin, None if checkpoint is None else Path(checkpoint))
    with open_log(path) as log:
        yield log, complete_config(log, config, overrides)


def _options(
    log: Log,
    config: Config,
    start: Time | None,
    end: Time | None,
    device: str,
    options: ReplayOptions | None = None,
) -> ReplayOptions:
    """Combine replay options with what the arguments say.

    Raises:
        ConfigError: A time is none, the start is not before the end, or the device is not there.
    """
    options = replace(options or ReplayOptions(), device=resolve_device(device, config.engine.backend))
    if start is None and end is None:
        return options
    return replace(options, span=parse_span(log, config, start, end))


def _file_sinks(
    write: LogPath | Sequence[LogPath] | None, reads: Sequence[Read], force: bool
) -> Sequence[Sink]:
    """Return the sinks of the files to write, which harm none of those that are read."""
    written = [(Path(path), make_sink(Path(path))) for path in _listed(write)]
    writes = [Write("write", path, own_files(sink)) for path, sink in written]
    check_paths(reads, writes, force=force)
    return [sink for _, sink in written]


def _listed(paths: LogPath | Sequence[LogPath] | None) -> list[LogPath]:
    listed = [paths] if isinstance(paths, str | Path) or not isinstance(paths, Iterable) else list(paths)
    if wrong := [path for path in listed if path is not None and not isinstance(path, str | Path)]:
        raise TypeError(f"expected paths, found {type(wrong[0]).__name__}; of an open log: log.path")
    return [path for path in listed if path is not None]


def _sinks(sinks: Sink | Sequence[Sink]) -> list[Sink]:
    listed = list(sinks) if isinstance(sinks, Iterable) else [sinks]
    if wrong := [sink for sink in listed if not hasattr(sink, "write")]:
        raise TypeError(f"sinks: expected sinks, found {wrong[0]!r}; `write` takes the names of files")
    return listed
