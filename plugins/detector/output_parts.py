"""Which output of a file holds which part of a layout, where the configuration does not name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.errors import PluginError
from perception_plugins.detector.file_inputs import shape_text
from perception_plugins.detector.layouts import OutputLayout
from perception_plugins.detector.output_shapes import boxes_of, scored_boxes_of

_WORDS = {
    "scores": ("score", "conf", "logit", "prob"),
    "labels": ("label", "class", "cls"),
    "count": ("num",),
}


def named_parts(layout: OutputLayout, outputs: Mapping[str, NDArray[Any]]) -> OutputLayout:
    """Return the layout with the name of the output of every part.

    Raises:
        PluginError: A name is not that of an output, or a part cannot be found by shape and name.
    """
    parts = dict(layout.outputs)
    if unknown := set(parts.values()) - set(outputs):
        raise PluginError(
            f"output.outputs: expected names of {', '.join(outputs)}; found {', '.join(unknown)}"
        )
    if layout.kind == "separate":
        parts = _separate(parts, layout, outputs)
    elif layout.kind != "distribution" and "rows" not in parts:
        if len(outputs) > 1:
            raise PluginError(
                f"output.outputs: expected which of {', '.join(outputs)} holds the rows; give rows: NAME"
            )
        parts["rows"] = next(iter(outputs))
    return layout.model_copy(update={"outputs": parts})


def _separate(
    parts: dict[Any, str], layout: OutputLayout, outputs: Mapping[str, NDArray[Any]]
) -> dict[Any, str]:
    rest = {name: array for name, array in outputs.items() if name not in parts.values()}
    if "boxes" not in parts:
        parts["boxes"] = _only("boxes", scored_boxes_of(rest) or boxes_of(rest), outputs)
        rest.pop(parts["boxes"])
    columns = outputs[parts["boxes"]].shape[-1]
    rows = outputs[parts["boxes"]].size // columns
    counts = [name for name, array in rest.items() if array.size == 1 and "num" in name.lower()]
    if "count" not in parts and counts:
        parts["count"] = counts[0]
    rest = {name: array for name, array in rest.items() if name != parts.get("count")}
    flat = [name for name, array in rest.items() if array.size == rows]
    if columns == 5:
        return {**parts, "labels": parts.get("labels") or _only("labels", flat, outputs)}
    if "labels" not in parts and "scores" not in parts and len(flat) >= 2:
        whole = [name for name in flat if rest[name].dtype.kind in "iu"]
        named = [name for name in flat if _named(name, "labels") and not _named(name, "scores")]
        parts["labels"] = _only("labels", whole if len(whole) == 1 else named, outputs)
        rest.pop(parts["labels"])
    if "scores" not in parts:
        floats = [name for name, array in rest.items() if array.dtype.kind == "f"]
        if "labels" in parts:
            floats = [name for name in floats if rest[name].size == rows]
        else:
            floats = [name for name in floats if rows and rest[name].size % rows == 0]
        named = [name for name in floats if _named(name, "scores")]
        parts["scores"] = _only("scores", floats if len(floats) == 1 else named, outputs)
    return parts


def _named(name: str, part: str) -> bool:
    return any(word in name.lower() for word in _WORDS[part])


def _only(part: str, names: list[str], outputs: Mapping[str, NDArray[Any]]) -> str:
    if len(names) == 1:
        return names[0]
    shapes = "; ".join(f"{name} {shape_text(np.shape(array))}" for name, array in outputs.items())
    found = "several" if names else "none"
    raise PluginError(f"output.outputs: expected which output holds the {part}, found {found} of {shapes}; "
                      f"give outputs: {{{part}: NAME}}")  # fmt: skip
