"""The ablation study: many short runs of one training configuration that show which heads harm each other.

`study(load_train_config("run.yaml"), StudyOptions(out))` runs it. Importing this package imports no
torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perception.training.ablation.study_plan import SECTIONS as SECTIONS
    from perception.training.ablation.study_plan import StudyOptions as StudyOptions
    from perception.training.ablation.study_run import Studied as Studied
    from perception.training.ablation.study_run import study as study
    from perception.training.ablation.study_text import summary as summary

_HOMES = {
    "SECTIONS": "study_plan",
    "StudyOptions": "study_plan",
    "Studied": "study_run",
    "study": "study_run",
    "summary": "study_text",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'perception.training.ablation' has no attribute '{name}'")
    return getattr(import_module(f"perception.training.ablation.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
