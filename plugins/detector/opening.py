"""Opens a model file as a detector: its input, one trial, the layout of its outputs, and its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.engines.model_file import ModelFile, open_model_file
from perception.errors import PluginError
from perception.plugin import Context
from perception_plugins.detector.decode import WrongOutput, candidates_of
from perception_plugins.detector.families import FAMILIES, NAMES, Family
from perception_plugins.detector.file_inputs import PicturePort, other_inputs, picture_port, picture_size
from perception_plugins.detector.labelling import read_file, with_first_label
from perception_plugins.detector.labels import (
    LabelError,
    known_labels,
    labels_in_metadata,
    metadata_beside,
    read_labels,
)
from perception_plugins.detector.layouts import InputLayout, OutputLayout
from perception_plugins.detector.options import DetectorOptions, parsed
from perception_plugins.detector.output_parts import named_parts
from perception_plugins.detector.picture import PictureInput
from perception_plugins.detector.reading import fits_labels, other_count
from perception_plugins.detector.recognise import matches
from perception_plugins.detector.trial import Match, Trial

Array = NDArray[Any]
_DEFAULT_SIZE = (640, 640)


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector that is open.

    Attributes:
        file: The model.
        picture: Makes its input.
        port: The input that takes it.
        others: What further inputs are given.
        layout: The layout of its outputs.
        words: The word that each class is reported as; empty: it is not reported.
        reported: Whether each class is, as an array.
        first_of_word: The first class of the same word, of each.
        overlap: For suppression; None: the file has done it.
        notes: The decisions, with their reasons.
        warnings: Code -> text, for every output.
    """

    file: ModelFile
    picture: PictureInput
    port: PicturePort
    others: Mapping[str, Array]
    layout: OutputLayout
    words: tuple[str, ...]
    reported: NDArray[np.bool_]
    first_of_word: NDArray[np.intp]
    overlap: float | None
    notes: tuple[str, ...]
    warnings: Mapping[str, str]

    def run(self, array: Array) -> dict[str, Array]:
        """Return the outputs for one picture, each as of a batch of one."""
        return call(self.file, self.port, self.others, array)


def open_detector(path: Path, options: DetectorOptions, context: Context) -> Detector:
    """Open a model file. The options say what of its layout is not as its family, or the file, has it.

    Raises:
        ConfigError: It is no model file, or the backend cannot run it.
        PluginError: Its inputs, outputs or labels do not fit; says what was expected and found.
    """
    file = open_model_file(context.backend, path, precision=context.precision, threads=context.threads)
    try:
        if path.suffix == ".xml":
            file = replace(file, metadata={**file.metadata, **metadata_beside(path)})
        return _opened(file, path, options)
    except BaseException:
        file.close()
        raise


def _opened(file: ModelFile, path: Path, options: DetectorOptions) -> Detector:
    named = FAMILIES[NAMES[options.family]] if options.family else None
    given = parsed(InputLayout, options.input, "plugin.options.input")
    port = picture_port(file.inputs, given.name)
    size = picture_size(port, given.size, named.size if named else _DEFAULT_SIZE, file.metadata)
    others = other_inputs(file.inputs, port.name, size)
    trial = _trial(file, port, others, size)
    if (task := file.metadata.get("task", "detect")) not in ("detect", "segment", "pose"):
        raise PluginError(
            f"model: expected a detector, found one for the task {task!r} in {path.name}; export a model for "
            "detect, segment or pose (rotated boxes and whole-picture classes are not read)"
        )
    match, labels = read_file(trial, options, _given_labels(options, file))
    family = FAMILIES[match.family]
    layout, doubts = _layout(trial, match, family, options, labels)
    names, warnings = _names(labels, match, family, trial)
    warnings |= doubts
    if options.labels is not None:
        warnings |= _differing(labels, labels_in_metadata(file.metadata))
    picture = _picture_layout(named or family, options, port, size)
    overlap = options.least_overlap
    if overlap == "family":
        overlap = _usual_overlap(family, layout)
    assert not isinstance(overlap, str)
    maker = PictureInput(picture, port.dtype, port.form)
    notes = (f"detector: read as {match.family}: {match.reason}", _input_note(picture, port))
    words = _words(names, options)
    reported = np.array([bool(word) for word in words])
    places = {word: place for place, word in reversed([*enumerate(words)])}
    first = np.array([places[word] for word in words], np.intp)
    return Detector(file, maker, port, others, layout, words, reported, first, overlap, notes, warnings)


def _usual_overlap(family: Family, layout: OutputLayout) -> float | None:
    """Return the overlap for suppression: none for a file that chose its boxes or matched them to objects."""
    if layout.kind == "separate":
        every_candidate = "labels" not in layout.outputs and layout.activation == "none"
        return 0.5 if every_candidate else None
    return None if layout.kind == "list" else family.nms


def call(file: ModelFile, port: PicturePort, others: Mapping[str, Array], array: Array) -> dict[str, Array]:
    """Return the outputs for one picture. A file of a fixed batch computes copies; the first counts.

    Raises:
        WrongOutput: Outputs of a fixed batch are not by picture.
    """
    if port.rows == 1:
        return file.call({port.name: array, **others})
    outputs = file.call({port.name: np.repeat(array, port.rows, 0), **others})
    for name, output in outputs.items():
        if output.shape[:1] != (port.rows,):
            raise WrongOutput(
                f"expected outputs of {port.rows} rows, one for each picture of the file's batch, found "
                f"{name} {list(output.shape)}; export the model with a batch of 1"
            )
    return {name: output[:1] for name, output in outputs.items()}


def _trial(file: ModelFile, port: PicturePort, others: Mapping[str, Array], size: tuple[int, int]) -> Trial:
    """Run the file on noise.

    Raises:
        PluginError: It does not compute.
    """
    sides = {"N": 1, "C": 3, "H": size[1], "W": size[0]}
    noise = np.random.default_rng(0).uniform(0, 1, [sides[letter] for letter in port.form])
    array = (noise * 255 if port.dtype == np.uint8 else noise).astype(port.dtype)
    try:
        outputs = call(file, port, others, array)
    except WrongOutput as error:
        raise PluginError(f"model: {error}") from None
    except Exception as error:  # of several classes without a common base, and of the runtime's own
        text = " ".join(str(error).split())[:300]
        raise PluginError(
            f"model: does not compute on a picture of {size[0]} x {size[1]}: {text}; give input.size as the "
            "model was trained on (most need multiples of 32)"
        ) from None
    return Trial(tuple(p.name for p in file.inputs), outputs, *size, file.metadata)


def _given_labels(options: DetectorOptions, file: ModelFile) -> tuple[str, ...]:
    if options.labels is None:
        return labels_in_metadata(file.metadata)
    try:
        return read_labels(options.labels)
    except LabelError as error:
        raise PluginError(f"labels: {error}") from None


def _layout(
    trial: Trial, match: Match, family: Family, options: DetectorOptions, labels: tuple[str, ...]
) -> tuple[OutputLayout, dict[str, str]]:
    """Return the layout, tried on the trial, and a warning where its labels are in doubt.

    Raises:
        PluginError: The outputs are not as it says.
    """
    configured = "kind" in options.output and options.family is None
    base = {} if configured else {**family.output, **match.output}
    classes = match.classes or len(labels)
    layout = parsed(OutputLayout, {"classes": classes, **base, **options.output}, "plugin.options.output")
    layout = named_parts(layout, trial.outputs)
    layout, doubts = with_first_label(layout, match, trial, options, labels)
    try:
        found = candidates_of(trial.outputs, layout, (trial.width, trial.height), -1e9)
    except WrongOutput as error:
        others = [m for m in matches(trial, fits_labels(labels)) if m.family != match.family]
        like = f"; they look like {others[0].family} ({others[0].reason})" if len(others) == 1 else ""
        raise PluginError(f"output: {error}{like}; give family or output as the file has it") from None
    least = int(found.labels.max(initial=-1)) + 1
    if match.classes is None and labels and least > len(labels):
        raise PluginError(f"labels: expected at least {least} names, found {len(labels)}; give all, in order")
    return layout, doubts


def _names(
    labels: tuple[str, ...], match: Match, family: Family, trial: Trial
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names of the classes, and a warning where they are assumed."""
    if labels:
        return labels, {}
    names = known_labels(match.labels or family.labels)
    for standard in ("coco80", "coco91", "coco90"):
        if match.classes == len(known_labels(standard)) and len(names) != match.classes:
            names = known_labels(standard)
    if match.classes is not None and len(names) != match.classes:
        raise PluginError(other_count(match, 0, trial))
    text = f"the model file names no classes: taken as COCO's {len([n for n in names if n])}; give labels"
    if names == known_labels("coco91") and match.classes is None:
        text += f" ({names[1]} is taken as number 1; where it is 0, labels: coco80)"
    return names, {"labels_assumed": text}


def _differing(labels: tuple[str, ...], own: tuple[str, ...]) -> dict[str, str]:
    """Return a warning where the configured names are not those that the file carries."""
    if not own or [name.lower() for name in labels] == [name.lower() for name in own]:
        return {}
    other = next((k for k, pair in enumerate(zip(labels, own, strict=False)) if pair[0] != pair[1]), len(own))
    text = (
        f"the model file names its classes otherwise: class {other} is {[*own, ''][other]!r} there and "
        f"{[*labels, ''][other]!r} in labels, which count; leave labels out to take the file's"
    )
    return {"labels_differ": text}


def _picture_layout(
    family: Family, options: DetectorOptions, port: PicturePort, size: tuple[int, int]
) -> InputLayout:
    """Return the layout of the input. Whole numbers are pixels as they are, whatever the family scales by.

    Raises:
        PluginError: The configured values leave nothing of the pixels.
    """
    as_they_are = {"scale": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]} if port.dtype == np.uint8 else {}
    values = {**family.input, **as_they_are, **options.input, "size": size}
    layout = parsed(InputLayout, values, "plugin.options.input")
    if as_they_are and min(255 * layout.scale / std for std in layout.std) < 32:
        raise PluginError(
            f"input: {port.name} takes whole numbers (uint8), of which scale {layout.scale:.6g} and std "
            f"{list(layout.std)} leave almost none; leave out scale, mean and std"
        )
    return layout


def _words(names: tuple[str, ...], options: DetectorOptions) -> tuple[str, ...]:
    """Return what each class is reported as.

    Raises:
        PluginError: `classes` names a class that the detector does not have.
    """
    if options.classes is None:
        return names
    unknown = sorted(set(options.classes) - set(names))
    if unknown:
        have = ", ".join(name for name in names[:100] if name)
        meant = sorted({name for name in names for word in unknown if name and name.lower() == word.lower()})
        hint = f", did you mean {', '.join(meant)}?" if meant else ""
        raise PluginError(f"classes: expected names of the detector's classes, found {', '.join(unknown)}"
                          f"{hint}; it has {have}")  # fmt: skip
    return tuple(options.classes.get(name, "") for name in names)


def _input_note(layout: InputLayout, port: PicturePort) -> str:
    assert layout.size is not None
    width, height = layout.size
    values = f"scale {layout.scale:.6g}"
    if layout.mean != (0, 0, 0) or layout.std != (1, 1, 1):
        values += f", mean {list(layout.mean)}, std {list(layout.std)}"
    return (
        f"input: {port.name} {port.dtype} {port.form}, {width} x {height} {layout.fit}, "
        f"{layout.channels}, {values}"
    )
