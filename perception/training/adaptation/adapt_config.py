"""The configurations of an adaptation's rounds: short runs of `train` at a low learning rate."""

from __future__ import annotations

import math
import os
from pathlib import Path

from perception.models.checkpoint import Checkpoint
from perception.training.adaptation.options import AdaptOptions
from perception.training.config_file import parse_train_config
from perception.training.data.augmentation import sides_unsaid
from perception.training.train_config import AugmentConfig, TrainConfig

BATCH = 8
PASSES = 4.0
FEWEST_STEPS, MOST_STEPS = 60, 400


def round_steps(options: AdaptOptions, samples: int) -> int:
    """Return the number of steps of a round: as configured, else `PASSES` over the samples, within limits."""
    if options.steps is not None:
        return options.steps
    return min(MOST_STEPS, max(FEWEST_STEPS, math.ceil(PASSES * samples / BATCH)))


def round_config(
    options: AdaptOptions, about: Checkpoint, start: Path, out: Path, steps: int, cpu_s: float
) -> TrainConfig:
    """Return the configuration of one round.

    Args:
        options: Of the adaptation.
        about: Metadata of the weights: the shape of the model.
        start: The weights to start from; their statistics of inputs are kept.
        out: The folder of the round.
        steps: Number of steps.
        cpu_s: After this CPU time the round ends.

    Raises:
        ConfigError: An option is wrong.
    """
    data = {
        "train": [os.fspath(log) for log in options.logs],
        "validate_last": options.hold_out,
        "config": options.config,
        "cache": options.cache,
    }
    schedule = {
        "steps": steps,
        "batch": BATCH,
        "warmup_steps": min(20, steps - 1),
        "ema": 0.99,
        "validate_every": steps,
        "save_every": steps,
        "max_cpu_s": max(cpu_s, 1.0),
    }
    run = {"out": out, "seed": options.seed, "threads": options.threads, "device": options.device}
    # Control that changes its sign in a mirror image would be unlearned where nobody says that it does.
    augment = {"mirror": 0.0} if sides_unsaid(about.config, AugmentConfig().odd) else {}
    off = {"tensorboard": False, "plots": False, "evaluate": False}
    return parse_train_config(
        {
            "model": about.config.to_dict(),
            "data": {key: str(v) if isinstance(v, Path) else v for key, v in data.items() if v is not None},
            "optimiser": {"lr": options.lr, "weight_decay": 0.05},
            "schedule": schedule,
            "augment": augment,
            "transfer": {"checkpoint": os.fspath(start), "keep_stats": True},
            "run": {key: str(v) if isinstance(v, Path) else v for key, v in run.items()} | off,
        },
        "the adaptation",
    )
