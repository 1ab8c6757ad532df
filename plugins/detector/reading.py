"""Decides which reading of a file counts: by its outputs, its labels and the configured family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perception.errors import PluginError
from perception_plugins.detector.families import FAMILIES, NAMES
from perception_plugins.detector.file_inputs import shape_text
from perception_plugins.detector.options import DetectorOptions
from perception_plugins.detector.output_shapes import core
from perception_plugins.detector.raw_heads import raw_head
from perception_plugins.detector.recognise import matches
from perception_plugins.detector.trial import Match, Trial

_ALIKE = ({"yolox", "yolov6"}, {"nanodet", "picodet"})
"""Families of the same outputs but for details that the trial shows."""

_OF_KIND = {
    "rows": "yolov8",
    "list": "yolov10",
    "separate": "torchvision",
    "grid": "fastestdet",
    "distribution": "nanodet",
}
"""The family whose picture a layout without one is taken to want."""


def choose_reading(trial: Trial, options: DetectorOptions, labels: tuple[str, ...]) -> Match:
    """Return the one reading of the file.

    Raises:
        PluginError: There is none, or several.
    """
    wanted = NAMES[options.family] if options.family else None
    known = len(labels)
    classes = options.output.get("classes")
    fits = fits_labels(labels) if not classes else lambda count: count == classes
    found = matches(trial, fits, more_columns=bool(classes))
    found = _of_family(found, wanted)
    kind = options.output.get("kind")
    if not found and kind is None and (head := raw_head(trial)) is not None:
        raise PluginError(f"model: {head}")
    if kind is not None or (wanted is not None and not found):
        if kind is None and (other := _of_family(matches(trial, lambda count: count > 0), wanted)):
            raise PluginError(other_count(other[0], known, trial))
        return Match(wanted or _OF_KIND.get(str(kind), "yolov8"), "as configured")
    if len(found) > 1:
        found = _as_configured(found, options.output, named=wanted is not None)
    if len(found) == 1:
        return found[0]
    if not found and (other := matches(trial, lambda count: count > 0)):
        raise PluginError(other_count(other[0], known, trial))
    shapes = "; ".join(f"{name} {shape_text(array.shape)}" for name, array in trial.outputs.items())
    if found:
        choices = "; or ".join(f"{m.family} ({m.reason}): {_yaml(m)}" for m in found)
        raise PluginError(f"model: its outputs have several readings, found {shapes}; give {choices}")
    raise PluginError(
        f"model: no known layout has the outputs {shapes}; give family, or output: "
        "{kind: rows|list|separate|grid|distribution, boxes: xyxy|cxcywh|xywh|yxyx, unit: pixels|fraction, "
        "transposed: false, objectness: false, columns: [...], outputs: {boxes: NAME, scores: NAME, ...}}"
    )


def fits_labels(labels: tuple[str, ...]) -> Callable[[int], bool]:
    """Return the test whether a file may have so many classes: as there are names, else as COCO has."""
    return lambda count: count == len(labels) if labels else count in (80, 90, 91)


def _of_family(found: list[Match], wanted: str | None) -> list[Match]:
    if wanted is None:
        return found
    same = {wanted, f"{wanted}_final"}.union(*(alike for alike in _ALIKE if wanted in alike))
    return [match for match in found if match.family in same]


def _as_configured(found: list[Match], output: Mapping[str, Any], named: bool) -> list[Match]:
    """Return the readings that do not contradict the configured output; of a family that is named, the one
    that leaves nothing of it out."""
    usual = [{**FAMILIES[match.family].output, **match.output} for match in found]
    agree = [
        all(_plain(reading.get(key, value)) == _plain(value) for key, value in output.items())
        for reading in usual
    ]
    kept = [match for match, fits in zip(found, agree, strict=True) if fits] or found
    plain = [match for match in kept if not match.output]
    return plain if named and len(kept) > 1 and len(plain) == 1 else kept


def _plain(value: Any) -> Any:
    """Return tuples as lists, so that both compare."""
    return list(value) if isinstance(value, tuple) else value


def other_count(match: Match, known: int, trial: Trial) -> str:
    """Return the error for another number of classes than there are names, with what to do."""
    if not known:
        return (
            f"labels: the file has no names, and {match.classes} classes if it is {match.family} "
            f"({match.reason}); give labels, a list or a file of {match.classes} names"
        )
    other = ""
    if match.classes == known + 1:
        other = "; or the last number is an angle: rotated boxes are not read"
    elif _no_scores_after(known, match, trial):
        other = f"; or key points or masks follow the classes: give output: {{classes: {known}}}"
    return (
        f"labels: expected {match.classes} names, since the file is {match.family} ({match.reason}), "
        f"found {known}; give one name for each class, in order"
        f"{other}"
    )


def _no_scores_after(known: int, match: Match, trial: Trial) -> bool:
    """Return whether the columns after so many classes hold numbers in the trial that are no scores."""
    values = {**FAMILIES[match.family].output, **match.output}
    if values["kind"] != "rows" or len(trial.outputs) > 1:
        return False
    table = core(next(iter(trial.outputs.values())))
    rest = (table.T if values.get("transposed") else table)[:, 4 + bool(values.get("objectness")) + known :]
    return bool(rest.min(initial=0) < -0.01 or rest.max(initial=0) > 1.01)


def _yaml(match: Match) -> str:
    parts = [f"family: {match.family}"]
    if match.output:
        values = ", ".join(f"{key}: {value}" for key, value in match.output.items())
        parts.append(f"output: {{{values}}}".replace("'", ""))
    return ", ".join(parts)
