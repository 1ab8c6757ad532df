"""The benchmark measures what it says: its arithmetic, its logs, its plugins, and one real run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from perception.autoconfig import complete_config
from perception.config import Config
from perception.diagnosis.bench import BenchReport, Rate, Variant, make_log
from perception.diagnosis.bench.bench_report import latencies, stages
from perception.diagnosis.bench.kept_plugins import Constant, KeptOpen, KeptOpenInfers, kept
from perception.diagnosis.bench.measured_setup import MeasuredRun, MeasuredSetup
from perception.diagnosis.bench.measuring_process import Replays
from perception.diagnosis.bench.naive_loop import NaiveLoop
from perception.errors import PluginError
from perception.logs import Log, Query, decode, open_log
from perception.logs.video.facts import video_facts
from perception.models import FusionModel
from perception.models.checkpoint import DEFAULT_PREPROCESS, Checkpoint, save_checkpoint
from perception.pipeline import ReplayOptions, Span, replay
from perception.plugin import Context, Plugin
from perception.sinks import Sink
from perception.types import CameraFrame
from perception_tools.cli import run
from tests.fusion_scenes import SMALL
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.pipeline.test_replay import Collected
from tests.pipeline.test_workers import Inferring
from tests.scripted_scene import START_NS, write_scene
from tests.small_logs import SmallLog

STAGES = {"read": 1.0, "align": 0.5, "prepare": 4.0, "infer": 10.0, "step": 0.5, "sink": 0.0}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "scene.mcap"
    return write_scene(path, duration_s=2.0, image_size=(64, 32))


def variant(stage_ms: dict[str, float], rate: float, **changes: Any) -> Variant:
    found = Variant(
        name="torch, batch 1",
        description={},
        full=Rate(rate, rate, rate, sum(stage_ms.values()), 0.0, 3),
        stage_ms=stage_ms,
        latency_ms={"p50": 10.0, "p95": 12.0, "p99": 15.0, "max": 20.0},
        answer_ms={"p50": 7.0, "p95": 8.0, "p99": 9.0, "max": 10.0},
        cores=2,
        workers=2,
        start=None,
        base_mib=100.0,
        peak_mib=110.0,
    )
    return replace(found, **changes)


def test_the_ideal_is_all_work_over_all_cores_or_the_busiest_stage_alone() -> None:
    spread = variant(STAGES, 100.0)
    assert spread.ideal_per_s == pytest.approx(2 / 16e-3)
    assert spread.of_ideal == pytest.approx(0.8)
    assert spread.bottleneck == "infer"
    assert spread.share("infer") == pytest.approx(0.5)
    assert sum(map(spread.share, STAGES)) == pytest.approx(100 * 16e-3 / 2)
    writing = variant({**STAGES, "sink": 30.0}, 30.0)  # one thread writes, whatever the cores
    assert writing.ideal_per_s == pytest.approx(1 / 30e-3)
    assert writing.bottleneck == "sink"


def test_a_gpu_may_be_what_limits() -> None:
    def on_a_gpu(device_ms: float) -> Variant:
        full = Rate(180.0, 180.0, 180.0, 16.0, 0.0, 3, device_ms)
        return variant(STAGES, 180.0, full=full, cores=16, workers=8)

    slow = on_a_gpu(5.0)  # the other 16 ms of a frame are spread over as many cores
    assert slow.bottleneck == "gpu"
    assert slow.ideal_per_s == pytest.approx(1 / 5e-3)
    assert slow.of_ideal == pytest.approx(0.9)
    assert slow.to_json()["gpu"] == {"ms": 5.0, "busy_share": pytest.approx(0.9)}
    quick = on_a_gpu(0.5)
    assert quick.bottleneck == "infer"
    assert quick.ideal_per_s == pytest.approx(1 / 1.25e-3)


def test_the_naive_loop_counts_at_its_best() -> None:
    naive = {1: Rate(10.0, 9.0, 11.0, 100.0, 0.0, 3), 2: Rate(16.0, 15.0, 17.0, 110.0, 0.0, 3)}
    report = BenchReport("log", 100, [variant(STAGES, 80.0)], naive, {})
    assert report.over_naive(report.variants[0]) == pytest.approx(5.0)
    assert report.to_json()["variants"][0]["over_naive"] == pytest.approx(5.0)
    assert BenchReport("log", 100, [variant(STAGES, 80.0)], {}, {}).over_naive(report.variants[0]) is None


def test_medians_are_of_runs_and_the_first_frame_is_no_latency() -> None:
    runs = [
        MeasuredRun(
            10, 1.0, 0.5, 0.1, ms / 100, {"infer": ms}, (99.0, ms, ms, ms), description={"backend": "x"}
        )
        for ms in (1.0, 2.0, 9.0)
    ]
    found = latencies(run.latency_ms for run in runs)
    assert found == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0}
    assert stages(runs) == {"infer": 2.0}
    rate = Rate.of([replace(run, seconds=seconds) for run, seconds in zip(runs, (1, 2, 5), strict=True)])
    assert (rate.frames_per_s, rate.least, rate.most, rate.cpu_ms) == (5.0, 2.0, 10.0, 50.0)
    assert rate.device_ms == pytest.approx(2.0)
    assert rate.device_busy == pytest.approx(0.01)


def test_a_log_is_made_of_video_with_a_key_frame_a_second(scene: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / "video.mcap"
    with open_log(scene) as log:
        config = complete_config(log).config
        make_log(log, config, path, seconds=2.5, size=(128, 64), video=True)
        jpegs = log.survey.topics[config.sensors.cameras["camera"].topic].count
    with open_log(path) as log:
        config = complete_config(log).config
        summary = replay(log, config, MemoryPlugin())
        facts = video_facts(log, config.sensors.cameras["camera"].topic)
    assert summary.status == "clean"
    assert summary.inputs["camera"]["absent"] == 0
    assert facts is not None
    assert facts.codec == "h264"
    assert facts.size == (128, 64)
    assert facts.keys >= 2
    assert jpegs is not None


def test_a_log_is_made_at_720p_and_repeated_with_all_its_stamps(scene: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.mcap"
    with open_log(scene) as log:
        config = complete_config(log).config
        make_log(log, config, path, seconds=3.0)
    with open_log(path) as log:
        roles = complete_config(log).config.roles()
        found = [(m, decode(m, roles[m.topic])) for m in log.messages(Query(frozenset(roles)))]
        calibration = next(d for m, d in found if roles[m.topic] == "calibration")
    frames = [d for _, d in found if isinstance(d, CameraFrame)]
    assert {(f.width, f.height) for f in frames} == {(1280, 720)}
    assert cv2.imdecode(np.frombuffer(frames[-1].data, np.uint8), cv2.IMREAD_COLOR).shape == (720, 1280, 3)
    arrivals = [f.log_time_ns for f in frames]
    assert arrivals == sorted(arrivals)
    assert 2.5e9 < arrivals[-1] - arrivals[0] <= 3.0e9
    assert len(frames) in range(27, 31)
    assert {abs(f.log_time_ns - f.stamp_ns) < 1e9 for f in frames} == {True}
    assert calibration.width == 1280  # type: ignore[union-attr]


def test_a_constant_stands_for_the_model_and_everything_else_happens(scene: Path) -> None:
    inner = Inferring()
    plugin = kept(inner, constant=True)
    assert isinstance(plugin, Constant)
    with open_log(scene) as log:
        config = complete_config(log).config
        for _ in range(2):  # the second run finds it open
            sink = Collected()
            summary = replay(log, config, plugin, [sink], ReplayOptions(span=Span(None, START_NS + 10**9)))
            assert summary.errors == 0
            assert len(sink.frames) > 5
    assert [what for what, _ in inner.log].count("infer") == 1
    assert [event for event in inner.events if event.startswith(("open", "close"))] == ["open cpu"]
    plugin.release()
    assert inner.events[-1] == "close"


def test_the_warm_up_counts_from_the_first_sensor_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SmallLog().transforms(start_s=-3600.0).image(seconds=1.0).status(seconds=1.0)
    with open_log(small.write(tmp_path / "late.mcap")) as log:
        config = complete_config(log).config
    spans: list[Span] = []

    def replayed(log: Log, config: Config, plugin: Plugin, sinks: list[Sink], options: ReplayOptions) -> None:
        spans.append(options.span)
        raise PluginError("seen")

    monkeypatch.setattr("perception.diagnosis.bench.measuring_process.replay", replayed)
    with pytest.raises(PluginError, match="seen"):
        Replays(MeasuredSetup("full", tmp_path / "late.mcap", config)).run(warm=True)
    assert spans == [Span(None, START_NS + 500_000_000)]


def test_a_plugin_that_computes_in_step_has_no_constant() -> None:
    assert type(kept(MemoryPlugin())) is KeptOpen
    assert type(kept(Inferring())) is KeptOpenInfers
    with pytest.raises(PluginError, match="offers no `infer`"):
        kept(MemoryPlugin(), constant=True)


@pytest.mark.parametrize("size", [(64, 32), (64, 12)])
def test_the_naive_loop_gives_what_the_plugin_gives(size: tuple[int, int], tmp_path: Path) -> None:
    import torch

    from perception.plugin import load_plugin

    scene = write_scene(tmp_path / "scene.mcap", duration_s=1.0, image_size=size)
    weights = tmp_path / "small.safetensors"
    about = Checkpoint(SMALL, preprocess={**DEFAULT_PREPROCESS, "stretch": [1, 1]})
    save_checkpoint(weights, FusionModel(SMALL, seed=3), about)
    threads = torch.get_num_threads()
    try:
        with open_log(scene) as log:
            config = complete_config(log).config
        loop = NaiveLoop(MeasuredSetup("naive", scene, config, weights=weights, most=4))
        assert loop.run().frames == 4
        sample = next(s for s in loop._samples() if all(given.present for given in s.inputs))
        plugin = load_plugin("fusion")
        names = tuple(config.sensors.status.fields) if config.sensors.status else ()
        plugin.open(Context(checkpoint=weights, backend="torch", precision="fp32", status=names))
        (output,) = plugin.step([plugin.prepare(sample)])
        plugin.close()
    finally:
        torch.set_num_threads(threads)
    assert output.control is not None
    values = [channel.value for channel in output.control.channels]
    assert loop._answer(sample)["control"] == pytest.approx(values, abs=2e-2)


@pytest.mark.parametrize("jobs", ["1", pytest.param("1,2", marks=pytest.mark.slow)])
def test_one_command_measures_and_says_where_the_time_goes(
    scene: Path,
    third_party: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    jobs: str,
) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    monkeypatch.setenv("PYTHONPATH", str(third_party))
    command = ["bench", str(scene), "--plugin", "blob_detector", "--repeat", "1", "--jobs", jobs]
    assert run([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (found,) = report["variants"]
    assert report["frames"] == 20
    assert report["naive"] == {}
    assert set(report["jobs"]) == ({"1", "2"} if jobs == "1,2" else set())
    assert found["frames_per_s"]["median"] > 1
    assert set(found["stages"]) == {"read", "align", "prepare", "infer", "step", "sink"}
    assert 0 < found["of_ideal"] < 2
    assert found["answer_ms"]["p50"] <= found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    assert found["gpu"] == {"ms": 0.0, "busy_share": 0.0}
    assert found["start_s"]["torch"] is False
    assert 0 < found["start_s"]["imports"] < found["start_s"]["total"]
    assert found["memory_mib"]["peak"] >= found["memory_mib"]["base"] > 10


def test_the_table_fits_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perception.diagnosis.bench import StartUp
    from perception_tools.bench.text import show_bench

    monkeypatch.setenv("COLUMNS", "80")
    start = StartUp(0.05, 0.4, 0.02, 0.1, 0.05, False)
    naive = {1: Rate(10.0, 9.0, 11.0, 100.0, 0.0, 3), 2: Rate(16.0, 15.0, 17.0, 110.0, 0.5, 3)}
    shown = variant(
        STAGES, 80.0, start=start, description={"backend": "openvino", "precision": "bf16", "device": "cpu"}
    )
    on_a_gpu = replace(shown, full=replace(shown.full, device_ms=9.0), cores=16, workers=8)
    show_bench(BenchReport("log.mcap", 100, [shown, on_a_gpu], naive, {1: shown.full, 2: shown.full}))
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for words in ("bottleneck: infer", "5.0 x", "0.64", "p99/p50 1.50", "0.62 to the first output", "noise"):
        assert words in text
    for words in ("bottleneck: gpu; ideal 111.1", "72% of the gpu", "gpu 9.00 ms", "p99 9.0"):
        assert words in text


@pytest.mark.parametrize(("cpu_ms", "full"), [(24.0, True), (12.0, False)])
def test_it_is_said_where_one_log_already_fills_the_cores(
    cpu_ms: float, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    from perception_tools.bench.text import show_bench

    rate = Rate(80.0, 80.0, 80.0, cpu_ms, 0.0, 3)
    shown = replace(variant(STAGES, 80.0), full=rate, cores=2)
    show_bench(BenchReport("log.mcap", 100, [shown], {}, {1: rate, 2: rate}))
    assert ("one log keeps 1.9 of 2 cores busy" in capsys.readouterr().out) == full
    show_bench(BenchReport("log.mcap", 100, [shown], {}, {1: rate}))
    assert "one log keeps" not in capsys.readouterr().out


def test_a_backend_that_cannot_run_here_is_one_clear_line(
    scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", str(scene), "--device", "cpu", "--backend", "graph", "--no-naive", "--no-startup"]
    assert run(command) == 2
    said = capsys.readouterr().err
    assert "engine.backend: graph needs a CUDA device, found the device cpu" in said
    assert len(said.strip().splitlines()) == 2


@pytest.mark.parametrize("option", [["--batch", "1,x"], ["--jobs", "0"], ["--batch", ""]])
def test_a_wrong_sweep_is_one_clear_line(
    scene: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(scene), *option]) == 2
    assert f"{option[0]}: expected one or several numbers" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--backend", "torch,openvno"], ["--precision", "int4"]])
def test_a_wrong_name_is_one_clear_line(
    scene: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(scene), *option]) == 2
    said = capsys.readouterr().err
    assert f"{option[0]} {option[1].split(',')[-1]}: should be 'auto'" in said
    assert len(said.strip().splitlines()) == 1
