"""Which number of a file is which of the configured names, where some formats count what is no object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.errors import PluginError
from perception_plugins.detector.labels import is_background
from perception_plugins.detector.layouts import OutputLayout
from perception_plugins.detector.options import DetectorOptions
from perception_plugins.detector.output_shapes import core
from perception_plugins.detector.reading import choose_reading
from perception_plugins.detector.trial import Match, Trial

_NO_OBJECT = frozenset({"no-object", "no object", "no_object"})


def read_file(
    trial: Trial, options: DetectorOptions, labels: tuple[str, ...]
) -> tuple[Match, tuple[str, ...]]:
    """Return the reading of a file, and the names of its classes.

    A first name that means no object (`background`) may stand for a column of the scores or not; a last one
    (`no-object`) is the column that DETR has for it.

    Raises:
        PluginError: There is no reading, or several.
    """
    if len(labels) > 1 and labels[-1].lower() in _NO_OBJECT:
        labels = labels[:-1]
    if options.labels is None or not labels or not is_background(labels[0]):
        return choose_reading(trial, options, labels), labels
    try:
        match = choose_reading(trial, options, labels)
    except PluginError:
        return choose_reading(trial, options, labels[1:]), labels[1:]
    if match.family != "torchvision" or match.classes is None or "background" in match.output:
        return match, labels
    reason = f"{match.reason}; the first class is background, by its name"
    output = {**match.output, "background": "first"}
    return replace(match, reason=reason, output=output, classes=match.classes - 1), labels[1:]


def with_first_label(
    layout: OutputLayout, match: Match, trial: Trial, options: DetectorOptions, labels: tuple[str, ...]
) -> tuple[OutputLayout, dict[str, str]]:
    """Return the layout with the number that the first of the configured names has in the file, and a warning
    where nothing says it: torchvision counts the background, lists of names often do not."""
    numbered = layout.kind == "list" or "labels" in layout.outputs
    if options.labels is None or not labels or "first_label" in options.output or not numbered:
        return layout, {}
    if is_background(labels[0]):
        return layout.model_copy(update={"first_label": 0}), {}
    if not _may_begin_at_one(match, layout):
        return layout, {}
    scores, numbers = _scores_and_labels(layout, trial)
    numbers = np.rint(numbers[scores > 0])
    if (numbers == 0).any():
        return layout, {}
    if (numbers == len(labels)).any():
        return layout.model_copy(update={"first_label": 1}), {}
    text = (
        f"{labels[0]!r} is taken as class 0 of the file; those of torchvision and of SSD begin at 1, as 0 is "
        "the background: give output: {first_label: 1} if this one's do, or {first_label: 0} if not"
    )
    return layout, {"labels_begin": text}


def _may_begin_at_one(match: Match, layout: OutputLayout) -> bool:
    """Return whether some files of this layout count the background as 0."""
    if layout.kind == "list":
        return layout.columns[:2] in (("skip", "label"), ("skip", "y1"))
    return match.family == "torchvision" and not match.labels


def _scores_and_labels(layout: OutputLayout, trial: Trial) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the scores and the labels of the detections of the trial, [N] each."""
    if layout.kind == "list":
        table = core(trial.outputs[layout.outputs["rows"]])
        return table[:, layout.columns.index("score")], table[:, layout.columns.index("label")]
    scores, labels = (trial.outputs[layout.outputs[part]].reshape(-1) for part in ("scores", "labels"))
    return scores, labels
