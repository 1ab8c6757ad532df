"""Graphs in int8: near the float ones, only convolutions quantised, nothing of an absent sensor in them."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.engines import FusionSource, open_fusion_backend, quantised_graph
from perception.engines.openvino_graph import convert
from perception.engines.quantised_graph import FLOAT_CHANNELS, SCOPES, quantise
from perception.engines.shipped_graph import read_shipped_graph, shipped_path, write_shipped_graphs
from perception.errors import ConfigError, MissingExtraError
from perception.evaluation import SUBSETS, subset_name
from perception.evaluation.comparison.precision_loss import PrecisionScore, precision_scores
from perception.models.checkpoint import save_checkpoint
from perception.models.tensors import Inputs
from perception.plugin import own_weights
from perception_tools.cli import run
from perception_tools.export.int8 import Int8Result, add_int8, lines_of
from tests.extras import needs
from tests.fusion_scenes import SMALL, lively_model, numpy_scene
from tests.short_logs import write_beginning

needs("quantize", "nncf", "openvino")  # imported by the tests: it takes seconds


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with its graphs, quantised on four scenes."""
    path = tmp_path_factory.mktemp("quantised") / "weights.safetensors"
    save_checkpoint(path, lively_model(SMALL, steps=2, fusion="second"))
    source = FusionSource(path)
    samples = [numpy_scene(source.meta.config, seed=seed) for seed in range(4)]
    write_shipped_graphs(source, shipped_path(path), samples)
    return path


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def read_graph(path: Path) -> Any:
    import openvino

    return openvino.Core().read_model(path)


def graph_of(weights: Path, folder: Path) -> Any:
    graph = read_shipped_graph(FusionSource(weights), "int8")
    assert graph is not None
    for suffix, data in graph.items():
        (folder / "int8").with_suffix(suffix).write_bytes(data)
    return read_graph(folder / "int8.xml")


def quantisers(model: Any) -> list[Any]:
    """Return the nodes that quantise activations."""
    nodes = (node for node in model.get_ops() if node.get_type_name() == "FakeQuantize")
    return [node for node in nodes if node.input_value(0).get_node().get_type_name() != "Constant"]


@pytest.mark.slow
def test_nothing_but_wide_convolutions_is_quantised(weights: Path, tmp_path: Path) -> None:
    model = graph_of(weights, tmp_path)
    readers = {
        port.get_node().get_type_name()
        for node in quantisers(model)
        for port in node.output(0).get_target_inputs()
    }
    assert readers == {"Convolution"}
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    for node in model.get_ops():
        if node.get_type_name() == "Convolution":
            is_wide = node.get_output_partial_shape(0)[1].get_length() >= FLOAT_CHANNELS
            kinds[is_wide].add(node.input_value(0).get_node().get_type_name())
    assert kinds[True] == {"FakeQuantize"}
    assert kinds[False]
    assert "FakeQuantize" not in kinds[False]


@pytest.mark.slow
def test_a_range_holds_all_values_even_if_the_camera_is_absent_from_most_samples(tmp_path: Path) -> None:
    model = lively_model(replace(SMALL, widths=(32, 32, 32)), steps=2, fusion="second")
    convert(FusionSource(model), "fp32", tmp_path / "fp32.xml")
    bright = numpy_scene(model.config, seed=1)
    bright.image[:] = 0
    bright.image[..., :8] = 255
    dark = bright._replace(image=np.zeros_like(bright.image), present=np.array([[0, 1, 1]], np.float32))
    quantise(tmp_path / "fp32.xml", [bright, *[dark] * 7], tmp_path / "int8.xml", "camera")
    of_camera = quantisers(read_graph(tmp_path / "int8.xml"))
    (of_pixels,) = (node for node in of_camera if node.get_output_partial_shape(0)[1].get_length() == 3)
    pixels = model.normaliser
    assert float(of_pixels.input_value(2).get_node().data) == pytest.approx(
        float(((255 - pixels.image_mean) / pixels.image_std).max()), rel=0.05
    )
    everything = quantisers(quantised_everywhere(tmp_path, [bright, dark]))
    assert 1 < len(of_camera) < len(everything)


def quantised_everywhere(folder: Path, samples: list[Inputs]) -> Any:
    quantise(folder / "fp32.xml", samples, folder / "wide.xml", "wide")
    return read_graph(folder / "wide.xml")


@pytest.mark.slow
def test_the_answers_are_near_those_of_float_and_an_absent_sensor_changes_none(weights: Path) -> None:
    exact, quantised = (
        open_fusion_backend("openvino", weights, precision=precision, threads=1)
        for precision in ("fp32", "int8")
    )
    assert quantised.describe()["precision"] == "int8"
    inputs = numpy_scene(FusionSource(weights).meta.config, seed=9)
    found, expected = quantised.run(inputs), exact.run(inputs)
    assert not np.array_equal(found.scores, expected.scores)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.15)
    np.testing.assert_allclose(found.control, expected.control, atol=0.3)
    blind = inputs._replace(present=np.array([[0, 1, 1]], np.float32))
    one, other = quantised.run(blind), quantised.run(blind._replace(image=255 - blind.image))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_graphs_on_other_samples_are_not_served_from_the_cache(weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes(weights.read_bytes())
    zipped = shipped_path(weights).read_bytes()
    for data in (zipped, zipped + b" "):  # the second: another file of the same graphs
        shipped_path(copy).write_bytes(data)
        open_fusion_backend("openvino", copy, precision="int8", threads=1).close()
    assert len(set((tmp_path / "cache").rglob("openvino-*"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("worse", "kept"), [((), "wide"), (("wide",), "camera"), (("wide", "camera"), "")])
def test_a_graph_that_is_surely_worse_is_narrowed_and_then_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worse: tuple[str, ...], kept: str
) -> None:
    from perception.evaluation.comparison import precision_loss

    weights, out = tmp_path / "weights.safetensors", tmp_path / "other.openvino.zip"
    save_checkpoint(weights, lively_model(SMALL, steps=2, fusion="second"))
    tried = []

    def scores(checkpoint: Path, logs: list[Path]) -> list[PrecisionScore]:
        assert read_shipped_graph(FusionSource(checkpoint), "int8") is not None
        scope = SCOPES[len(tried)]
        tried.append(scope)
        return [PrecisionScore("camera", "mAP50", 0.8, 0.2, "worse" if scope in worse else "cannot tell")]

    monkeypatch.setattr(precision_loss, "precision_scores", scores)
    source = FusionSource(weights)
    samples = [numpy_scene(source.meta.config, seed=seed) for seed in range(2)]
    result = add_int8(source, weights, out, tmp_path / "log.mcap", samples, lambda text: None)
    assert result.scope == kept
    assert len(tried) == min(len(worse) + 1, 2)
    names = zipfile.ZipFile(out).namelist()
    assert ("int8.xml" in names) == bool(kept)
    assert {"fp32.xml", "bf16.xml"} <= set(names)
    text = "\n".join(lines_of(result))
    assert ("surely worse" in text) == (not kept)
    assert ("refused" in text) == (not kept)


@pytest.mark.slow
def test_precisions_are_scored_on_every_subset_of_the_sensors(tmp_path: Path) -> None:
    log = write_beginning(tmp_path / "yard.mcap", 1.5)
    scores = precision_scores(own_weights("fusion"), [log], ("fp32", "bf16"))
    assert {score.subset for score in scores} == {subset_name(subset) for subset in SUBSETS}
    assert all("blocks of 2 s; 10 are needed" in score.no_verdict for score in scores)
    curvature = [score for score in scores if score.metric == "MAE/curvature"]
    assert len(curvature) == len(SUBSETS)
    assert all(score.before != score.after for score in curvature)  # computed in other numbers
    assert all(score.after == pytest.approx(score.before, abs=0.01) for score in curvature)


def test_a_log_that_is_too_short_for_a_verdict_is_told() -> None:
    lost = PrecisionScore("camera", "mAP50", 0.8, 0.2, "cannot tell")
    assert "too short" not in "\n".join(lines_of(Int8Result("wide", [lost])))
    short = lost._replace(no_verdict="5 blocks of 2 s; 10 are needed")
    assert lines_of(Int8Result("wide", [short, short]))[-1].startswith(
        "the log is too short to judge any loss by (5 blocks of 2 s; 10 are needed)"
    )


def test_samples_without_pictures_are_refused_and_few_are_told(tmp_path: Path) -> None:
    """Ranges of pictures that were never seen cut off all of them."""
    save_checkpoint(tmp_path / "weights.safetensors", lively_model(SMALL, fusion="second"))
    source = FusionSource(tmp_path / "weights.safetensors")
    blind = numpy_scene(source.meta.config)._replace(present=np.array([[0, 1, 1]], np.float32))
    out = tmp_path / "other.openvino.zip"
    for samples in ([blind] * 3, []):
        with pytest.raises(ConfigError, match=r"no sample of log\.mcap has one"):
            add_int8(source, source.path, out, Path("log.mcap"), samples, lambda text: None)
    assert not out.exists()
    few, enough = (lines_of(Int8Result("wide", [], count)) for count in (3, 20))
    assert any("rest on 3 pictures" in line for line in few)
    assert not any("pictures" in line for line in enough)


def test_without_a_graph_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    lone = tmp_path / "lone.safetensors"
    save_checkpoint(lone, lively_model(SMALL))
    with pytest.raises(
        ConfigError, match=r"perception export .*lone\.openvino\.zip --checkpoint .* --log LOG"
    ):
        open_fusion_backend("openvino", lone, precision="int8")
    with pytest.raises(ConfigError, match="int8 needs a checkpoint in a file"):
        open_fusion_backend("openvino", lively_model(), precision="int8")
    with pytest.raises(ConfigError, match="backend torch computes in fp32 or bf16, found int8"):
        open_fusion_backend("torch", lone, precision="int8")


def test_quantising_needs_a_log_and_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["export", str(tmp_path / "x.openvino.zip"), "--precision", "int8"]) == 2
    assert "quantising needs samples of a real log" in capsys.readouterr().err
    monkeypatch.setattr(quantised_graph, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="quantize"):
        quantised_graph.check_quantiser()
