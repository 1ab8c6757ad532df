"""OpenVINO graphs with convolutions in int8, quantised after training by NNCF (extra `quantize`).

NNCF's defaults break the fusion model: it also quantises additions, masks that hold minus infinity and the
pixel positions of returns, and it averages the ranges of samples, so that samples without a camera halve the
range of its pixels. Here nothing but wide convolutions is quantised, and a range holds all that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.engines.exporting import quiet
from perception.engines.openvino_graph import openvino_package
from perception.errors import MissingExtraError
from perception.models.tensors import Inputs

FLOAT_CHANNELS = 16
"""Convolutions with fewer outputs stay in float: the gates and the last layers of the heads, which cost
little and are felt in every output."""

SUBSETS = ((1, 1, 1), (1, 0, 0), (1, 1, 0), (0, 1, 1))
"""The sensors that samples are shown with in turn: learned nulls have ranges of their own."""

SCOPES = ("wide", "camera")
"""Which convolutions are quantised: all wide ones, or those of them that see nothing but the image."""

_CONVOLUTIONS = {"Convolution", "GroupConvolution"}
_SEEN_BY_CAMERA = {"image", "present", "age_s"}


def check_quantiser() -> None:
    """Raise MissingExtraError if NNCF is not installed."""
    if find_spec("nncf") is None:
        raise MissingExtraError("an int8 graph", "quantize")


def quantise(graph: Path, samples: Sequence[Inputs], out: Path, scope: str = SCOPES[0]) -> None:
    """Write a graph with wide convolutions in int8.

    Args:
        graph: An OpenVINO graph of the fusion model in float32 (`.xml`).
        samples: One row each, at least one; their statistics set the ranges.
        out: `.xml`; the weights are written beside it.
        scope: One of `SCOPES`.

    Raises:
        MissingExtraError: NNCF is not installed.
    """
    check_quantiser()
    openvino = openvino_package()
    with quiet():
        nncf: Any = import_module("nncf")
        model = openvino.Core().read_model(graph)
        rows = list(_calibration_rows(samples))
        quantised = nncf.quantize(
            model,
            nncf.Dataset(rows),
            subset_size=len(rows),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_parameters=_parameters(nncf),
            ignored_scope=_ignored(nncf, model, scope),
        )
        openvino.save_model(quantised, out, compress_to_fp16=False)


def _parameters(nncf: Any) -> Any:
    ranges: Any = import_module("nncf.quantization.range_estimator")
    extremes = {
        side: ranges.StatisticsCollectorParameters(
            statistics_type=getattr(ranges.StatisticsType, side.upper()),
            aggregator_type=getattr(ranges.AggregatorType, side.upper()),
        )
        for side in ("min", "max")
    }
    return nncf.AdvancedQuantizationParameters(
        # Without VNNI, sums of two products of 8 bits overflow 16: weights of 7 bits do not.
        overflow_fix=nncf.OverflowFix.ENABLE,
        # It corrects the means of layers, which samples with absent sensors shift.
        disable_bias_correction=True,
        activations_range_estimator_params=ranges.RangeEstimatorParameters(**extremes),
    )


def _ignored(nncf: Any, model: Any, scope: str) -> Any:
    """Return all that stays in float: everything but convolutions, and those outside the scope."""
    names, sources = [], _sources(model)
    for node in model.get_ops():
        if node.get_type_name() in _CONVOLUTIONS:
            narrow = node.get_output_partial_shape(0)[1].get_length() < FLOAT_CHANNELS
            fused = scope == "camera" and not sources[node.get_friendly_name()] <= _SEEN_BY_CAMERA
            if narrow or fused:
                names.append(str(node.get_friendly_name()))
    kinds = {node.get_type_name() for node in model.get_ops()} - _CONVOLUTIONS
    return nncf.IgnoredScope(types=sorted(kinds), names=names, validate=False)


def _sources(model: Any) -> dict[str, frozenset[str]]:
    """Return for each node the inputs of the graph that it depends on."""
    sources: dict[str, frozenset[str]] = {}
    for node in model.get_ordered_ops():
        name = str(node.get_friendly_name())
        if node.get_type_name() == "Parameter":
            sources[name] = frozenset({str(node.output(0).get_any_name())})
        else:
            before = (sources[i.get_source_output().get_node().get_friendly_name()] for i in node.inputs())
            sources[name] = frozenset().union(*before)
    return sources


def _calibration_rows(samples: Sequence[Inputs]) -> Iterator[list[NDArray[Any]]]:
    for index, sample in enumerate(samples):
        shown = np.array([SUBSETS[index % len(SUBSETS)]], np.float32)
        present = sample.present * shown if (sample.present * shown).any() else sample.present
        yield [np.ascontiguousarray(array) for array in sample._replace(present=present)]
