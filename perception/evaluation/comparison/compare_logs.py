"""The comparison of two sides on the same logs, from paths to the report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Literal

from perception.autoconfig import ConfigChoice, GivenConfig, Overrides, complete_config
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.errors import ConfigError
from perception.evaluation.comparison.comparison_report import CompareReport
from perception.evaluation.comparison.paired_evaluation import PairedEvaluation, Side
from perception.evaluation.evaluate_logs import given_config, words_of_run
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.worst_frames import Moment, replay_command
from perception.logs import Log, open_log
from perception.logs.joined_path import named_log
from perception.models.checkpoint import weights_in
from perception.pipeline.replay_job import Observe
from perception.pipeline.replay_words import replay_words
from perception.plugin import load_plugin
from perception.sinks import read_run


def compare_logs(
    names: tuple[str, str],
    logs: Sequence[str | Path],
    config: GivenConfig | None = None,
    options: EvaluateOptions | None = None,
    largest: int = 10,
    *,
    watch: Observe = lambda log, span: nullcontext(),
) -> CompareReport:
    """Evaluate two sides on the same logs, each read once.

    Args:
        names: A and B, each a checkpoint, a plugin, PLUGIN:CHECKPOINT or stored outputs.
        logs: Files with truth, in order.
        config: A configuration or the file that holds it; None: sensors are found in each log.
        options: How to score; without ablation.
        largest: The number of moments of largest difference.
        watch: Returns the observer of the replay of a part of a log.

    Raises:
        ConfigError: A side or an option is wrong, or the configuration does not fit a log.
        PerceptionError: A log, a plugin or a file cannot be opened.
    """
    options = options or EvaluateOptions()
    if errors := options.errors(logs):
        raise ConfigError(errors)
    base, source, options = given_config(config, options)
    outputs = [_stored_outputs(name, [Path(log) for log in logs]) for name in names]
    comparison: PairedEvaluation | None = None
    commands = _SideCommands(base, source, options.overrides)
    for index, path in enumerate(logs):
        with ExitStack() as stack:
            log = stack.enter_context(open_log(path))
            choice = complete_config(log, base, options.overrides, source)
            if comparison is None:
                a, b = (_side(name, files, choice.config) for name, files in zip(names, outputs, strict=True))
                commands.sides = a, b
                comparison = PairedEvaluation((a, b), options, commands)
            config, configs = _configs(log, base, source, options, (a, b), choice)
            for text in choice.warnings:
                comparison.warn("config", text, log)
            span = options.span(partial(sensor_start_ns, log, config))
            observer = stack.enter_context(watch(log, span))
            first, second = (stack.enter_context(open_log(f[index])) if f else None for f in outputs)
            commands.note((first, second), log, choice.config)
            if not comparison.add(log, config, (first, second), observer, span, configs):
                break
    assert comparison is not None
    return comparison.report(largest)


def _stored_outputs(name: str, logs: Sequence[Path]) -> tuple[Path, ...]:
    """Return the output files that a side names, one per log; none if the side is not stored outputs.

    Raises:
        ConfigError: The number of output files is not the number of logs.
    """
    folder = Path(name)
    if folder.is_dir():
        files = tuple(folder / f"{log.stem}.outputs.mcap" for log in logs)
        missing = [str(file) for file in files if not file.is_file()]
        if missing:
            raise ConfigError([f"{name}: expected stored outputs there, found no {', '.join(missing)}"])
        return files
    if not name.endswith(".mcap"):
        return ()
    files = tuple(Path(part.strip()) for part in name.split(","))
    if len(files) != len(logs):
        expected = f"one for each log, {len(logs)}, with commas, or a folder of LOG.outputs.mcap"
        raise ConfigError([f"{name}: expected {expected}, found {len(files)}"])
    return files


def _side(name: str, outputs: tuple[Path, ...], config: Config) -> Side:
    """Return the side named by a checkpoint, a plugin, PLUGIN:CHECKPOINT or stored outputs.

    Raises:
        ConfigError: The checkpoint does not exist.
        PluginError: The plugin does not load.
    """
    if outputs:
        return Side(name, "stored")
    plugin, colon, weights = name.partition(":")
    if name.endswith(".safetensors") and not (colon and weights):
        plugin, weights = config.plugin.name, name
    if weights and not weights_in(Path(weights)).is_file():
        raise ConfigError([f"{name}: expected a checkpoint, found no file {weights}"])
    load = partial(load_plugin, plugin)
    load()  # an unknown name is an error before anything runs
    kind: Literal["checkpoint", "plugin"] = "checkpoint" if weights else "plugin"
    configured = plugin == config.plugin.name
    return Side(name, kind, load, Path(weights) if weights else None, configured, plugin=plugin)


class _SideCommands:
    """Gives the command that replays a moment as one of two sides made its outputs.

    Args:
        base, source: The user's configuration and its file; None: there is none.
        overrides: What the command line replaces in it, for both sides; options go to the configured plugin.
    """

    def __init__(self, base: Config | None, source: Path | None, overrides: Overrides) -> None:
        self._base, self._source, self._overrides = base, source, overrides
        self._stored: dict[tuple[int, str], list[str]] = {}
        self.sides: tuple[Side, ...] = ()

    def note(self, stored: Sequence[Log | None], log: Log, config: Config) -> None:
        """Take note of what made the stored outputs of each side for a log; None: the side has none.

        Args:
            stored: The outputs of each side.
            log: The log, open.
            config: Its complete configuration, with what the command line replaces in it.
        """
        for number, outputs in enumerate(stored):
            run = None if outputs is None else read_run(outputs)
            if run is None:
                continue
            if self._overrides != Overrides():  # these are of sides that run, and not in this command
                config = complete_config(log, self._base, source=self._source).config
            self._stored[number, named_log(log.path)] = words_of_run(run, config)

    def __call__(self, moment: Moment, number: int) -> str:
        """Return the command for a moment of side A (0) or B (1)."""
        side = self.sides[number]
        made = Overrides() if side.load is None else side.overrides(self._overrides)
        words = replay_words(self._source, made) + self._stored.get((number, moment.log), [])
        return replay_command(moment, words)


def _configs(
    log: Log,
    base: Config | None,
    source: Path | None,
    options: EvaluateOptions,
    sides: tuple[Side, Side],
    choice: ConfigChoice,
) -> tuple[Config, tuple[Config, Config]]:
    """Return the configuration by which the log is read, and those that the sides have alone: how far returns
    are used may depend on a side, and how many sensors.

    Args:
        log: The log, open.
        base, source: The user's configuration and its file.
        options: What replaces its values for both sides.
        sides: A and B.
        choice: The complete configuration without what is a side's own.
    """

    def own(side: Side) -> Config:
        overrides = side.overrides(options.overrides)
        if side.load is None or overrides == options.overrides:
            return choice.config
        return complete_config(log, base, overrides, source).config

    configs = own(sides[0]), own(sides[1])
    widest = max(configs, key=lambda config: len(config.sensors.named))
    return widest.model_copy(update={"plugin": choice.config.plugin}), configs
