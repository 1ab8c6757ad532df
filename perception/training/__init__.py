"""Training: from logs with truth to a checkpoint. `train(load_train_config("run.yaml"))` runs it.

Importing this package imports no torch; the names that need it are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from perception.training.config_file import load_train_config as load_train_config
    from perception.training.config_file import parse_train_config as parse_train_config
    from perception.training.config_file import to_yaml as to_yaml
    from perception.training.data.picture_log import LabelledPicture as LabelledPicture
    from perception.training.data.picture_log import write_picture_log as write_picture_log
    from perception.training.loop.journal import read_journal as read_journal
    from perception.training.loop.observer import Silent as Silent
    from perception.training.loop.observer import StepReport as StepReport
    from perception.training.loop.observer import Watcher as Watcher
    from perception.training.train_config import TrainConfig as TrainConfig
    from perception.training.training_run import Finished as Finished
    from perception.training.training_run import train as train

_HOMES = {
    "TrainConfig": "train_config",
    "load_train_config": "config_file",
    "parse_train_config": "config_file",
    "to_yaml": "config_file",
    "LabelledPicture": "data.picture_log",
    "write_picture_log": "data.picture_log",
    "read_journal": "loop.journal",
    "Silent": "loop.observer",
    "StepReport": "loop.observer",
    "Watcher": "loop.observer",
    "Finished": "training_run",
    "train": "training_run",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
