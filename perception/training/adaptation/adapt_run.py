"""An adaptation from the log to the verdict: the function behind `perception adapt`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from perception.errors import ConfigError
from perception.files import write_problem, write_whole
from perception.logs import open_log
from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perception.models.input_profile import KEY as PROFILE
from perception.models.pretrained import weights_file
from perception.training.adaptation.adapt_config import round_config, round_steps
from perception.training.adaptation.calibration_renewal import renew_calibration, usual_sensors
from perception.training.adaptation.input_renewal import Renewal, renewed_stats
from perception.training.adaptation.labelling import Labelled, labelled
from perception.training.adaptation.options import ROUNDS, AdaptOptions
from perception.training.adaptation.report import AdaptReport, RoundReport, SelfCheck, notes_of
from perception.training.adaptation.self_check import got_worse, self_check
from perception.training.adaptation.truth_check import check_on_truth, surely_worse
from perception.training.adaptation.views import TwoViews, seen_twice, to_device
from perception.training.adaptation.weight_averaging import averaged
from perception.training.data.augmentation import sides_unsaid
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset, open_dataset
from perception.training.data.sample_cache import find_logs
from perception.training.data.splits import cache_folder, cache_spec
from perception.training.loop.observer import Silent, Watcher
from perception.training.run_folder import BEST
from perception.training.train_config import AugmentConfig
from perception.training.training_run import train
from perception.types import Float64

RESULT, REPORT = "adapted.safetensors", "adapt.json"
AVERAGED = "averaged.safetensors"
"""The weights of a round, in its folder: the mean of those it started from and those it trained."""

RECORDED, SIMULATED = "street", "fusion"
"""Plugins: the weights to start from where none are named, for recorded and for simulated logs."""

MOST_HELD_OUT = 200


class _TimeParts(NamedTuple):
    """The samples to learn from and those held out, and how their logs are read."""

    learn: Dataset
    held_out: Dataset
    spec: CacheSpec


@dataclass(slots=True)
class _Adaptation:
    """The state of an adaptation."""

    options: AdaptOptions
    watcher: Watcher
    stop: Callable[[], bool]
    source: Path
    about: Checkpoint
    parts: _TimeParts
    began: float = field(default_factory=time.process_time)
    rounds: list[RoundReport] = field(default_factory=list)
    result: Path = Path()  # the weights of the last round, before calibration

    def folder(self, number: int) -> Path:
        """Return the folder of a round."""
        return self.options.out / ROUNDS / str(number)


def adapt(
    options: AdaptOptions, watcher: Watcher | None = None, stop: Callable[[], bool] = lambda: False
) -> AdaptReport:
    """Adapt a checkpoint to logs without labels; truth in them is used for the verdict alone.

    Writes `adapted.safetensors` into the folder of the run, unless the new weights are refused: they are
    surely worse on the part with truth, or agree less with themselves on the held-out part. The weights that
    it starts from are never touched.

    Args:
        options: What to adapt to, and how.
        watcher: Hears about progress.
        stop: Asked after each step; once it returns True, the adaptation ends without a result.

    Raises:
        ConfigError: An option is wrong, the folder holds an adaptation already, or a log does not fit.
        LogError, OutputError: A log cannot be read, or a file cannot be written.
        CheckpointError: The checkpoint cannot be loaded.
        TrainingError: The losses are not finite.
    """
    seen = watcher or Silent()
    if errors := options.errors():
        raise ConfigError(errors)
    try:  # before minutes are spent on labelling
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            [f"--out: {options.out} cannot be written: {write_problem(options.out, error)}"]
        ) from None
    source = weights_file(options.checkpoint or _suitable_weights(options, seen))
    model, about = load_checkpoint(source)
    run = _Adaptation(options, seen, stop, source, about, _open(options, about, source, seen))
    model = to_device(model, options.device)
    learn, held_out, spec = run.parts
    seen.message(f"{len(learn)} samples to learn from, {len(held_out)} held out")
    if unsaid := sides_unsaid(about.config, AugmentConfig().odd):
        seen.message(f"learns from no mirrored samples: what they change in {', '.join(unsaid)} is not known")
    before = self_check(model, held_out, spec)
    first_views = seen_twice(model, learn)
    renewal = renewed_stats(model, learn, first_views)
    model.normaliser.set(renewal.stats)
    control = [view.control for view in first_views]
    interrupted = not _train_rounds(run, model, renewal.views, control)
    report = _unjudged(run, renewal, before.summary)
    if not interrupted:
        report = _judged(run, report, before.views)
    report = replace(report, seconds=round(time.process_time() - run.began, 1))
    write_whole(options.out / REPORT, f"{json.dumps(report.to_json(), indent=2)}\n".encode())
    return report


def _suitable_weights(options: AdaptOptions, watcher: Watcher) -> str:
    """Return the plugin whose weights know logs like these: recorded ones, or simulated ones."""
    for path in find_logs(options.logs, "train"):
        with open_log(path) as log:
            if not log.survey.simulated:
                watcher.message(f"{path.name} is recorded: starting from the weights {RECORDED}")
                return RECORDED
    watcher.message(f"the logs are simulated: starting from the weights of {SIMULATED}")
    return SIMULATED


def _unjudged(run: _Adaptation, renewal: Renewal, before: SelfCheck) -> AdaptReport:
    """Return the report of what was done, before the result is judged."""
    learn, held_out, _ = run.parts
    return AdaptReport(
        status="interrupted",
        refused=(),
        checkpoint=str(run.source),
        started_from=str(run.source),
        logs=tuple(log.log.name for log in learn.logs),
        samples=len(learn),
        held_out=len(held_out),
        stats=tuple(renewal.changes),
        stats_kept=renewal.kept,
        rounds=tuple(run.rounds),
        before=before,
        notes=notes_of(run.rounds),
    )


def _open(options: AdaptOptions, about: Checkpoint, source: Path, watcher: Watcher) -> _TimeParts:
    """Decode the logs, as the weights want them, and part them by time."""
    config = round_config(options, about, source, options.out, 1, 1.0)
    plain = cache_spec(config)
    ranges = plain.config.sensors.ranges.values() if plain.config is not None else ()
    limit = max((sensor.max_range_m for sensor in ranges), default=None)
    spec = replace(plain, spec=about.input_spec(limit, source))
    logs, root = find_logs(config.data.train, "train"), cache_folder(config)

    def progress(log: Path, done: int, total: int) -> None:
        watcher.cached(f"decoding {log.name}", done, total)

    learn = open_dataset(logs, config.data, spec, root, progress, "first")
    held_out = open_dataset(logs, config.data, spec, root, progress, "last")
    return _TimeParts(learn.pieces(options.most), held_out.pieces(MOST_HELD_OUT), spec)


def _train_rounds(
    run: _Adaptation, model: FusionModel, views: list[TwoViews], control: list[Float64]
) -> bool:
    """Label and train, round by round; return False where it was interrupted.

    Args:
        run: Gets a report of each round.
        model: The weights to start from, with the statistics to use.
        views: What it sees in the samples.
        control: The control value that each sample teaches.
    """
    options, calibration = run.options, model.decoder.calibration.state_dict()
    for number in range(1, options.rounds + 1):
        run.watcher.message(f"round {number} of {options.rounds}: labelling")
        views = views if number == 1 else seen_twice(model, run.parts.learn)
        labels = labelled(model, views, run.parts.learn, run.parts.spec, control)
        start = run.folder(number) / "start.safetensors"
        start.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(start, model, run.about)
        run.result = start
        if not any(row.labels for row in labels.classes):
            run.rounds.append(RoundReport(labels.classes, 0, "no_labels", 0.0))
            return not run.stop()
        finished = _train(run, number, start, labels)
        run.rounds.append(finished)
        if finished.reason == "interrupted":
            return False
        trained, metadata = load_checkpoint(run.folder(number) / BEST)
        trained.decoder.calibration.load_state_dict(calibration)
        model = to_device(averaged(model.cpu(), trained), options.device)
        run.result = run.folder(number) / AVERAGED
        save_checkpoint(run.result, model, metadata)
    return True


def _train(run: _Adaptation, number: int, start: Path, labels: Labelled) -> RoundReport:
    """Train one round on its labels."""
    options = run.options
    left_s = 60 * options.minutes - (time.process_time() - run.began)
    config = round_config(
        options,
        run.about,
        start,
        run.folder(number),
        round_steps(options, len(run.parts.learn)),
        left_s / (options.rounds - number + 1),
    )
    done = train(config, watcher=run.watcher, stop=run.stop, splits=lambda *_: (labels.dataset, None))
    return RoundReport(labels.classes, done.steps, done.reason, round(done.cpu_s, 1))


def _judged(run: _Adaptation, report: AdaptReport, first_views: list[TwoViews]) -> AdaptReport:
    """Calibrate the result of the last round, judge it, and write it where it is not refused."""
    options, held_out, spec = run.options, run.parts.held_out, run.parts.spec
    model, trained = load_checkpoint(run.result)
    first, _ = load_checkpoint(run.source)
    model.decoder.calibration.load_state_dict(first.decoder.calibration.state_dict())
    after = self_check(to_device(model, options.device), held_out, spec, report.before)
    model = model.cpu()
    sensors, usual = usual_sensors(held_out)
    now, before = ([views[place] for place in usual] for views in (after.views, first_views))
    distances = np.concatenate([after.distances[place] for place in usual])
    changes = renew_calibration(model, now, distances, before, sensors)
    candidate = options.out / ROUNDS / "calibrated.safetensors"
    save_checkpoint(candidate, model, _metadata(run, trained, report))
    config = round_config(options, run.about, run.source, options.out, 1, 1.0)
    truth = check_on_truth(
        (run.source, candidate),
        find_logs(options.validate, "validate"),
        held_out.logs,
        config.data,
        spec,
        options.threads,
    )
    assert report.before is not None
    refused = (*got_worse(report.before, after.summary), *surely_worse(truth))
    checkpoint = report.started_from
    if not refused:
        checkpoint = str(options.out / RESULT)
        save_checkpoint(options.out / RESULT, model, _metadata(run, trained, report))
    return replace(
        report,
        status="gate_failed" if refused else "clean",
        refused=refused,
        checkpoint=checkpoint,
        after=after.summary,
        truth=truth,
        calibration=tuple(changes),
        calibrated_with=sensors,
    )


def _metadata(run: _Adaptation, trained: Checkpoint, report: AdaptReport) -> Checkpoint:
    """Return the metadata of the adapted weights: those they started from, and what they learned from."""
    counts = np.bincount([sample.log for sample in run.parts.learn.ids], minlength=len(report.logs))
    adapted: list[dict[str, Any]] = [
        {"log": name, "samples": int(count), "labels": "its own, by perception adapt"}
        for name, count in zip(report.logs, counts, strict=True)
    ]
    calibration = {**run.about.calibration, "renewed_on": list(report.logs)}
    if PROFILE in trained.calibration:
        calibration[PROFILE] = trained.calibration[PROFILE]
    return replace(
        run.about,
        calibration=calibration,
        trained_on=(*run.about.trained_on, *adapted),
        versions={},
        sha256="",
    )
