"""Which number of a file is which of the configured names, where some formats count what is no object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception.errors import PluginError
from perception_plugins.detector.labels import is_background
from perception_plugins.detector.layouts import OutputLayout
from perception_plugins.detector.options import DetectorOptions
from perception_plugins.detector.reading import choose_reading
from perception_plugins.detector.trial import Match, Trial


def read_file(
    trial: Trial, options: DetectorOptions, labels: tuple[str, ...]
) -> tuple[Match, tuple[str, ...]]:
    """Return the reading of a file, and the names of its classes.

    A first name that means no object (`background`) may stand for a column of the scores or not.

    Raises:
        PluginError: There is no reading, or several.
    """
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
    if match.family != "torchvision" or match.labels or layout.kind == "list":
        return layout, {}
    scores = trial.outputs[layout.outputs["scores"]].reshape(-1)
    numbers = np.rint(trial.outputs[layout.outputs["labels"]].reshape(-1)[scores > 0])
    if (numbers == 0).any():
        return layout, {}
    if (numbers == len(labels)).any():
        return layout.model_copy(update={"first_label": 1}), {}
    text = (
        f"{labels[0]!r} is taken as class 0 of the file; torchvision's begin at 1, as 0 is the background: "
        "give output: {first_label: 1} if this one's do, or {first_label: 0} if not"
    )
    return layout, {"labels_begin": text}
