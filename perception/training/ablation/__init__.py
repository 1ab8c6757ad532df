"""The ablation study: many short runs of one training configuration that show which heads harm each other.

`study(load_train_config("run.yaml"), StudyOptions(out))` runs it. Importing this package imports no
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.lazy_names import lazy_names

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
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
