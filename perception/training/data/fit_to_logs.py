"""Fits a training configuration to the logs: an input no larger than the pictures, and as many steps as the
number of samples deserves. Both save time and lose nothing; both are settings that a recipe turns on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from perception.autoconfig.first_messages import first_decoded
from perception.config import Config
from perception.logs import Log, open_log
from perception.models.config import HEIGHT_STEP, WIDTH_STEP
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.cache_writer import expected_samples
from perception.training.data.dataset import first_fitting
from perception.training.train_config import FEWEST_STEPS, TrainConfig
from perception.types import CameraFrame


def fit_to_logs(
    config: TrainConfig, logs: list[Path], spec: CacheSpec, report: Callable[[str], None]
) -> TrainConfig:
    """Return the configuration with the model's input and the number of steps fitted to the logs.

    Args:
        config: With `data.fit_input`, the input is made no larger than the largest picture of the logs. With
            `schedule.passes`, the number of steps is lowered to so many passes over the samples.
        logs: Those to train on.
        spec: How they are read.
        report: Is told what was changed.

    Raises:
        ConfigError, LogError: A log cannot be read, or does not fit the configuration.
    """
    passes = config.schedule.passes
    if not config.data.fit_input and passes is None:
        return config
    samples, sizes = 0, []
    for path in logs:
        with open_log(path) as log:
            log_config = spec.config_for(log)
            samples += round(expected_samples(log, log_config) * _used(log, config))
            sizes += _picture_sizes(log, log_config)
    if config.data.fit_input and sizes:
        config = _with_input(config, max(h for h, _ in sizes), max(w for _, w in sizes), report)
    if passes is not None and samples:
        config = _with_steps(config, samples, passes, report)
    return config


def _used(log: Log, config: TrainConfig) -> float:
    """Return how often each of a log's samples is seen in one pass, on average."""
    data, duration_s = config.data, log.survey.duration_s
    end_s = min(duration_s, data.end_s or duration_s)
    within = max(0.0, end_s - (data.start_s or 0.0)) / duration_s if duration_s else 1.0
    often = first_fitting(data.repeat, log.path.name, 1)
    return often * within * (1 - (data.validate_last or 0.0)) / data.stride


def _picture_sizes(log: Log, config: Config) -> list[tuple[int, int]]:
    """Return height and width of the first pictures of each camera."""
    frames = [
        frame
        for camera in config.sensors.cameras.values()
        for frame in first_decoded(log, camera.topic, "camera")
    ]
    return [(frame.height, frame.width) for frame in frames if isinstance(frame, CameraFrame)]


def _with_input(config: TrainConfig, height: int, width: int, report: Callable[[str], None]) -> TrainConfig:
    shape = config.model_shape()
    fitted = {
        "input_height": min(shape.input_height, max(HEIGHT_STEP, height // HEIGHT_STEP * HEIGHT_STEP)),
        "input_width": min(shape.input_width, max(WIDTH_STEP, width // WIDTH_STEP * WIDTH_STEP)),
    }
    if (shape.input_height, shape.input_width) == tuple(fitted.values()):
        return config
    report(
        f"the model's input is {fitted['input_width']}x{fitted['input_height']} pixels instead of "
        f"{shape.input_width}x{shape.input_height}, as the pictures are {width}x{height} (data.fit_input)"
    )
    return config.model_copy(update={"model": {**config.model, **fitted}})


def _with_steps(
    config: TrainConfig, samples: int, passes: float, report: Callable[[str], None]
) -> TrainConfig:
    schedule = config.schedule
    enough = max(FEWEST_STEPS, math.ceil(passes * samples / schedule.batch))
    if enough >= schedule.steps:
        return config
    report(
        f"{enough} steps instead of {schedule.steps}: {samples} samples make "
        f"{enough * schedule.batch / samples:.0f} passes (schedule.passes)"
    )
    shorter = {"steps": enough, "warmup_steps": min(schedule.warmup_steps, enough - 1)}
    return config.model_copy(update={"schedule": schedule.model_copy(update=shorter)})
