"""A study from configuration to report: the function behind `perception study`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception.errors import ConfigError, OutputError, TrainingError
from perception.evaluation.plotting import need_matplotlib
from perception.files import write_problem, write_whole
from perception.models.checkpoint import load_checkpoint
from perception.path_guard import marked
from perception.training.ablation.dense_scores import dense_scores
from perception.training.ablation.gradient_courses import read_course
from perception.training.ablation.gradient_probe import Probe
from perception.training.ablation.study_plan import SECTIONS, StudyOptions, StudyRun, budget, runs_of
from perception.training.ablation.study_plots import draw_study
from perception.training.ablation.study_report import SCHEMA, RunResult, report
from perception.training.ablation.study_text import markdown
from perception.training.data.fit_to_logs import fit_to_logs
from perception.training.data.sample_cache import find_logs
from perception.training.data.splits import cache_spec, open_splits, open_validation, validation_logs
from perception.training.loop.journal import read_journal
from perception.training.loop.loss_step import check_losses
from perception.training.loop.observer import Silent, StepReport, Watcher
from perception.training.loop.process_group import ProcessGroup
from perception.training.run_folder import LAST, STATE, check_same
from perception.training.train_config import TrainConfig
from perception.training.training_run import train

RESULT = "result.json"
FILES = ("study.json", "study.md", *(f"{section}.svg" for section in SECTIONS))
_is_report = marked(within=f'"schema": "{SCHEMA}"'.encode())


def is_study_file(path: Path) -> bool:
    """Return whether a file belongs to a study: its folder holds the report of one."""
    report_file = path.with_name("study.json")
    return report_file.is_file() and _is_report(report_file)


@dataclass(frozen=True, slots=True)
class Studied:
    """The end of a study.

    Attributes:
        reason: `done` or `interrupted`.
        folder: The study's folder, with `study.json`, `study.md`, plots, and the runs.
        report: What `study.json` holds.
    """

    reason: str
    folder: Path
    report: Mapping[str, Any]


def study(
    config: TrainConfig,
    options: StudyOptions,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Studied:
    """Train and score every run that is missing in the folder, and write the report.

    A run is a training run like any other, in the folder `runs/<name>-s<seed>`. Finished runs are kept and
    interrupted ones resumed, so the same call again completes a study; more seeds or sections add to it.

    Args:
        config: The training configuration that is studied.
        options: The size of the study.
        watcher: Hears about progress.
        stop: Asked after each step; once it returns True, the report is written from the results so far.

    Raises:
        ConfigError: The configuration has errors, has no logs to validate on, or differs from that of the
            results in the folder.
        MissingExtraError: matplotlib or a package of a balancing method is not installed.
        LogError, OutputError: As in training.
    """
    seen = watcher or Silent()
    need_matplotlib("drawing the plots of a study")
    if not validation_logs(config.data):
        raise ConfigError(
            [
                "data.validate: missing (or validate_last); a study compares scores on samples that are "
                "not learned from"
            ]
        )
    config = _fitted(config, seen)
    runs = runs_of(config, options)
    for run in runs:
        check_losses(run.config)
    results: list[RunResult] = []
    once = _Once(seen)
    sources = _sources(config, once)
    reason = "done"
    for number, run in enumerate(runs, 1):
        kept = _kept(run, sources)
        if kept is None and reason == "done":
            seen.message(f"run {number} of {len(runs)}: {run.name}, seed {run.seed}")
            kept = _make(run, options, sources, once, stop)
            reason = "done" if kept is not None else "interrupted"
        if kept is not None:
            results.append(kept)
    return Studied(reason, options.out, _write(config, options, runs, results))


def _fitted(config: TrainConfig, watcher: Watcher) -> TrainConfig:
    """Return the configuration with the model's input fitted to the logs, as each of its runs would do; the
    number of steps is that of the study."""
    schedule = config.schedule.model_copy(update={"passes": None})
    config = config.model_copy(update={"schedule": schedule})
    logs = find_logs(config.data.train, "train") if config.data.fit_input else []
    return fit_to_logs(config, logs, cache_spec(config), watcher.message)


def _sources(config: TrainConfig, watcher: Watcher) -> dict[str, Any]:
    """Return the logs that are learned from and scored on, each with its cache and number of samples."""
    training, validation = open_splits(config, watcher, ProcessGroup())
    assert validation is not None  # the study was refused without logs to score on
    return {"learned_from": training.trained_on(), "scored_on": validation.trained_on()}


def _kept(run: StudyRun, sources: Mapping[str, Any]) -> RunResult | None:
    """Return the result of a run that was finished before.

    Args:
        run: The run.
        sources: The logs that runs learn from and are scored on now.

    Raises:
        ConfigError: It had another configuration, or others of these logs: its scores compare with no others.
    """
    path = run.folder / RESULT
    if not path.is_file():
        return None
    check_same(run.folder, run.config)
    try:
        plain = json.loads(path.read_text())
        before = plain.pop("sources")
        result = RunResult(run.name, run.seed, run.heads, gradients=tuple(read_course(run.folder)), **plain)
    except (ValueError, TypeError, KeyError):
        return None  # cut short: the run is done by its state, and is scored again
    if before != sources:
        error = "the logs, or how they are read, are no longer those of its results; name another folder"
        raise ConfigError([error], head=f"the study in {run.folder.parents[1]} cannot go on")
    return result


def _make(
    run: StudyRun,
    options: StudyOptions,
    sources: Mapping[str, Any],
    watcher: Watcher,
    stop: Callable[[], bool],
) -> RunResult | None:
    """Train and score a run; None: it was interrupted. A run that fails has a result, too."""
    folder = run.folder
    if not (folder / STATE).exists() and (folder / LAST).exists():
        (folder / LAST).unlink()  # killed between writing the two: there is nothing to resume
    every = max(options.steps // options.measure, 1)
    probe = Probe(folder, every) if run.name == "joint" and "gradients" in options.only else None
    plain: dict[str, Any] = {"steps": 0, "samples": 0, "cpu_s": 0.0, "scoring_cpu_s": 0.0}
    try:
        finished = train(run.config, (folder / STATE).exists(), watcher, stop, probe)
        if finished.reason == "interrupted":
            return None
        samples = finished.steps * run.config.schedule.batch
        plain |= {"steps": finished.steps, "samples": samples, "cpu_s": finished.cpu_s}
        before = time.process_time()
        scores = _scores(run)
        lost = [name for name, value in scores.items() if not math.isfinite(value)]
        plain["error"] = f"not finite: {', '.join(lost)}" if lost else ""
        plain["scores"] = {name: value for name, value in scores.items() if name not in lost}
        plain["scoring_cpu_s"] = time.process_time() - before
    except TrainingError as error:
        plain |= {"scores": {}, "error": " ".join(str(error).split())}
        watcher.message(f"{run.name}, seed {run.seed}: {plain['error']}")
    _write_text(folder / RESULT, json.dumps({**plain, "sources": sources}, indent=2))
    return RunResult(run.name, run.seed, run.heads, gradients=tuple(read_course(folder)), **plain)


def _scores(run: StudyRun) -> dict[str, float]:
    """Return the scores of the last weights: those of validation, and the dense scores."""
    validations = [line for line in read_journal(run.folder) if line["kind"] == "validate"]
    validated = {name: float(value) for name, value in validations[-1].items() if _is_score(name, value)}
    model, _ = load_checkpoint(run.folder / LAST)
    return validated | dense_scores(model, open_validation(run.config), run.config)


def _is_score(name: str, value: object) -> bool:
    return name not in ("kind", "step", "best") and isinstance(value, int | float)


def _write(
    config: TrainConfig, options: StudyOptions, runs: list[StudyRun], results: list[RunResult]
) -> dict[str, Any]:
    results_report = report(config, options, budget(runs), results)
    _write_text(options.out / "study.json", json.dumps(results_report, indent=2, allow_nan=False))
    _write_text(options.out / "study.md", markdown(results_report))
    draw_study(results_report, options.out)
    return results_report


def _write_text(path: Path, text: str) -> None:
    """Write a file atomically: a study resumes from what is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {write_problem(path, error)}") from None


class _Once(Silent):
    """Drops repeated texts: every run of a study reports the same about the same logs."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._said: set[str] = set()

    def cached(self, what: str, done: int, total: int) -> None:
        self._watcher.cached(what, done, total)

    def message(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._watcher.message(text)

    def stepped(self, report: StepReport) -> None:
        self._watcher.stepped(report)
