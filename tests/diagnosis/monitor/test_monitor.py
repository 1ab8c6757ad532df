"""The monitor raises alarms on a log with injected faults, and none on a clean one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.autoconfig import complete_config
from perception.diagnosis.monitor import (
    HEALTH,
    HeadHealth,
    Monitor,
    MonitorSink,
    StatsCollector,
    SubsetStats,
    to_plain,
)
from perception.diagnosis.monitor.baseline_stats import LEVELS
from perception.diagnosis.monitor.drift import place_of
from perception.diagnosis.monitor.hysteresis import Alarm, FadingAverage
from perception.diagnosis.monitor.input_monitor import InputMonitor, input_statistics
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.monitor_sink import Remark
from perception.diagnosis.trained_inputs import TrainedInputs
from perception.logs import open_log
from perception.logs.perception_proto import decode_status
from perception.models.input_profile import fit_profile
from perception.models.preprocess import InputSpec
from perception.models.preprocess.descriptors import describe_picture
from perception.pipeline import replay
from perception.sinks import McapSink, RunInfo
from perception.types import (
    Absent,
    CameraFrame,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Input,
    Output,
    Placing,
    Rig,
    Sample,
    StatusWindow,
    Tick,
    absent_sample,
)
from tests.pipeline.memory_plugin import MANIFEST, MemoryPlugin
from tests.sinks.build import output_of, sample_of

SAMPLES = Path(__file__).parents[3] / "sample_logs"


def sample(
    number: int, *, camera: bytes | None = b"", hz: float = 10.0, ahead_ms: int = 0, still: bool = False
) -> Sample:
    """A tick with a camera of these bytes (empty: new ones each time; None: absent) and a status."""
    at = 1_000_000_000 + round(number * 1e9 / hz)
    tick = Tick(number, "reference", at, at)
    empty = absent_sample(tick, "silent")
    speeds = np.full((4, 1), 3.0) if still else np.arange(4.0)[:, None] + number
    status = StatusWindow(at, ("speed",), speeds)
    empty = replace(empty, range=empty.range.absent(Absent("not_configured", "no range sensor")))
    found = replace(empty, status=Input("status", "/status", status, at, 2.0), rig=Rig())
    if camera is None:
        return found
    data = camera or (b"%08d" % number) * 100
    frame = CameraFrame("/camera", at, at, "camera", data, "jpeg", 64, 32)
    return replace(found, camera=Input("camera", "/camera", frame, at + ahead_ms * 1_000_000, 0.0))


def output(
    given_: Sample,
    score: float = 0.9,
    std: float = 0.1,
    valid: bool = True,
    *,
    box_std: float = 2.0,
    distance_std: float = 0.5,
    objects: int = 1,
    warnings: Mapping[str, str] | None = None,
) -> Output:
    based_on = tuple(i.name for i in given_.inputs if i.present)
    if not valid:
        return Output(given_.tick, Detections(False, based_on, "broke"), Control(False, based_on, "broke"))
    items = (Detection("car", score, (0.0, 0.0, 20.0, 5.0), (box_std,) * 4, 10.0, distance_std),) * objects
    channels = (ControlChannel("curvature", "1/m", 0.0, std),)
    detections, control = Detections(True, based_on, items=items), Control(True, based_on, channels=channels)
    return Output(given_.tick, detections, control, warnings or {})


def blind(given_: Sample, score: float = 0.8, std: float = 0.1) -> Output:
    """What is said without the camera: a little less."""
    return output(given_, 0.85 * score, 1.3 * std, box_std=2.6)


def usual(seed: int = 0, *subsets: tuple[str, ...]) -> dict[str, SubsetStats]:
    """Statistics of scores about 0.8 and stds about 0.1, for camera and status."""
    return dict(_usual(seed, *subsets))


@cache
def _usual(seed: int, *subsets: tuple[str, ...]) -> dict[str, SubsetStats]:
    rng, found = np.random.default_rng(seed), {}
    for subset in subsets or (("camera", "status"),):
        collector = StatsCollector()
        for k in range(200):
            tick = sample(k, camera=b"" if "camera" in subset else None)
            score, std = float(rng.uniform(0.7, 0.9)), float(rng.uniform(0.08, 0.12))
            camera = "camera" in subset
            collector.add(output(tick, score, std) if camera else blind(tick, score, std))
        found["+".join(subset)] = collector.stats()
    return found


def follow(monitor: Monitor, ticks: list[tuple[Sample, Output]]) -> list[dict[str, bool]]:
    return [{h: v.believed for h, v in monitor.update(*tick).items()} for tick in ticks]


def test_usual_outputs_are_believed() -> None:
    rng, monitor = np.random.default_rng(1), Monitor(usual())
    ticks = [sample(k) for k in range(300)]
    found = follow(
        monitor,
        [(t, output(t, float(rng.uniform(0.7, 0.9)), float(rng.uniform(0.08, 0.12)))) for t in ticks],
    )
    assert all(all(heads.values()) for heads in found)
    assert monitor.record.episodes_total == 0
    assert monitor.inputs["camera"].rate_hz == pytest.approx(10.0)
    assert monitor.reference == "the checkpoint's statistics"


@pytest.mark.parametrize(
    ("score", "std", "heads", "told"),
    [
        (0.2, 0.1, {"class", "box"}, "best score is about 0."),
        (0.85, 0.5, {"control"}, "std/curvature is about"),
        (0.85, 0.01, {"control"}, "std/curvature is about"),
    ],
)
def test_a_head_whose_statistics_drift_is_no_longer_believed_and_comes_back(
    score: float, std: float, heads: set[str], told: str
) -> None:
    monitor, ticks = Monitor(usual()), [sample(k) for k in range(120)]
    said = [output(t, *((score, std) if 40 <= k < 80 else (0.8, 0.1))) for k, t in enumerate(ticks)]
    found = follow(monitor, list(zip(ticks, said, strict=True)))
    assert all(all(f.values()) for f in found[:42])
    assert {head for head, believed in found[79].items() if not believed} == heads
    assert all(found[-1].values())
    episode = next(e for e in monitor.record.episodes if e.subject == max(heads))
    assert told in episode.reasons[0]
    assert ticks[42].tick.log_time_ns <= episode.from_ns < ticks[60].tick.log_time_ns
    assert episode.until_ns is not None
    assert 2.5 < monitor.record.in_doubt_s(max(heads)) < 6.5


def scattered(seed: int, count: int, shift: float = 0.0) -> list[tuple[Sample, Output]]:
    """Outputs whose sureness varies; the shift is in usual spreads, towards less sure."""
    rng, ticks = np.random.default_rng(seed), [sample(k) for k in range(count)]
    said = [
        output(
            tick,
            float(np.clip(0.7 + 0.05 * (rng.standard_normal() - 1.6 * shift), 0.01, 0.99)),
            box_std=float(np.exp(0.1 * (rng.standard_normal() + 1.6 * shift))),
            distance_std=float(np.exp(0.2 * (rng.standard_normal() + 1.6 * shift))),
        )
        for tick in ticks
    ]
    return list(zip(ticks, said, strict=True))


def statistics(pairs: list[tuple[Sample, Output]], subset: str = "camera+status") -> dict[str, SubsetStats]:
    collector = StatsCollector()
    for tick, said in pairs:
        collector.add(said, {i.name: input_statistics(i) for i in tick.inputs if i.present})
    return {subset: collector.stats()}


def test_detections_with_lower_confidence_in_every_statistic_are_not_believed() -> None:
    stats = statistics(scattered(0, 400))
    assert all(all(f.values()) for f in follow(Monitor(stats), scattered(1, 400)))
    monitor = Monitor(stats)
    found = follow(monitor, scattered(2, 100, shift=1.5))
    assert found[-1] == {"class": False, "box": False, "control": True}
    assert "altogether less sure" in " ".join(monitor.health["box"].reasons)
    surer = follow(Monitor(stats), scattered(3, 100, shift=-1.0))
    assert all(surer[-1].values())


def test_a_head_that_gives_much_less_on_these_sensors_is_not_believed_there() -> None:
    full = statistics([(s, output(s, objects=6)) for s in (sample(k) for k in range(60))])
    alone = [(s, output(s, 0.3)) for s in (sample(k, camera=None) for k in range(60))]
    monitor = Monitor(full | statistics(alone, "status"))
    ticks = [sample(k, camera=b"" if k < 20 else None) for k in range(60)]
    said = [output(t, objects=6) if t.camera.present else output(t, 0.3) for t in ticks]
    found = follow(monitor, list(zip(ticks, said, strict=True)))
    assert all(all(f.values()) for f in found[:20])
    assert found[-1] == {"class": False, "box": False, "control": True}
    assert monitor.health["class"].reasons == (
        "on status alone it finds about 0.3 objects, of 5.4 on camera+status",
    )


def test_what_is_wrong_with_an_input_concerns_the_heads_that_need_it() -> None:
    """A status that stands still: boxes are the same without it."""
    with_it = statistics([(s, output(s)) for s in (sample(k) for k in range(60))])
    without = [(s, output(s, std=0.5)) for s in (sample(k) for k in range(60))]
    monitor = Monitor(with_it | statistics(without, "camera"))
    ticks = [sample(k, still=k >= 20) for k in range(60)]
    found = follow(monitor, [(t, output(t)) for t in ticks])
    assert all(all(f.values()) for f in found[:20])
    assert found[-1] == {"class": True, "box": True, "control": False}
    assert monitor.health["control"].reasons[0].startswith("status still is about")


def test_a_stamp_after_the_arrival_is_noticed() -> None:
    monitor = Monitor(usual())
    found = follow(monitor, [(s, output(s, 0.8)) for s in (sample(k, ahead_ms=50) for k in range(20))])
    assert not any(found[-1].values())
    assert monitor.health["box"].reasons == ("camera is stamped 50 ms after it arrived: clocks differ",)


def test_an_input_that_comes_and_goes_is_told() -> None:
    monitor = Monitor(usual(0, ("camera", "status"), ("status",)))
    ticks = [sample(k, camera=b"" if k % 2 else None) for k in range(80)]
    follow(monitor, [(t, output(t, 0.8) if t.camera.present else blind(t)) for t in ticks])
    (episode,) = [e for e in monitor.record.episodes if e.subject == "camera"]
    assert episode.reasons[0].startswith("camera comes and goes, absent in ")
    assert episode.until_ns is None


def test_what_the_plugin_itself_warns_of_is_not_believed() -> None:
    for code, believed in (("untrained", False), ("input_status", False), ("status_rate", True)):
        monitor, ticks = Monitor(usual()), [sample(k) for k in range(20)]
        found = follow(monitor, [(t, output(t, 0.8, warnings={code: "odd"})) for t in ticks])
        assert all(found[-1].values()) is believed


@given(values=st.lists(st.floats(-1e3, 1e3), min_size=40, max_size=80), value=st.floats(-2e3, 2e3))
def test_a_place_rises_with_the_value_and_tails_are_usual(values: list[float], value: float) -> None:
    quantiles = tuple(float(q) for q in np.quantile(values, LEVELS))
    assert place_of(quantiles[3], quantiles) == 0.0
    assert abs(place_of(quantiles[5], quantiles)) <= 1.0 + 1e-9
    assert abs(place_of(quantiles[6], quantiles)) <= 1.566 + 1e-9
    assert place_of(value, quantiles) <= place_of(value + 1.0, quantiles)


def test_one_odd_output_is_no_alarm() -> None:
    monitor, ticks = Monitor(usual()), [sample(k) for k in range(60)]
    said = [output(t, 0.8, 0.1, valid=k != 30) for k, t in enumerate(ticks)]
    assert all(all(f.values()) for f in follow(monitor, list(zip(ticks, said, strict=True))))


def test_a_head_that_does_not_answer_says_why() -> None:
    monitor, ticks = Monitor(usual()), [sample(k) for k in range(60)]
    said = [output(t, valid=k < 20) for k, t in enumerate(ticks)]
    found = follow(monitor, list(zip(ticks, said, strict=True)))
    assert not any(found[-1].values())
    assert "it does not answer (broke)" in monitor.health["box"].reasons


def test_a_picture_that_stands_still_puts_in_doubt_what_rests_on_it() -> None:
    monitor = Monitor(usual(0, ("camera", "status"), ("status",)))
    ticks = [sample(k, camera=b"same" * 50 if 20 <= k < 40 else b"") for k in range(80)]
    found = follow(monitor, [(t, output(t, 0.8)) for t in ticks])
    assert all(all(f.values()) for f in found[:21])
    assert not any(found[25].values())  # half a second of equal pictures
    assert all(found[-1].values())
    unseen = [(t, blind(t)) for t in (sample(80 + k, camera=None) for k in range(30))]
    assert all(all(f.values()) for f in follow(monitor, unseen))  # rests on the status alone, which is known
    assert "camera is absent (silent)" in monitor.record.episodes[-1].reasons


def test_a_picture_that_loses_its_detail_is_noticed() -> None:
    monitor = Monitor(usual())
    ticks = [sample(k, camera=bytes([k]) * (800 if k < 60 else 90)) for k in range(90)]
    found = follow(monitor, [(t, output(t, 0.8)) for t in ticks])
    assert all(found[59].values())
    assert not found[-1]["box"]
    (reason,) = monitor.health["class"].reasons
    assert reason.startswith("camera pictures have 1")  # 90 of 800 bytes, which slowly become the usual


def test_inputs_of_which_nothing_is_known_are_not_believed() -> None:
    monitor, ticks = Monitor(usual()), [sample(k, camera=b"" if k < 30 else None) for k in range(60)]
    found = follow(monitor, [(t, output(t, 0.8)) for t in ticks])
    assert all(found[29].values())
    assert not any(found[-1].values())
    assert "it rests on status alone" in monitor.health["control"].reasons[0]


def test_without_statistics_the_first_outputs_of_the_run_are_the_baseline() -> None:
    rng, monitor = np.random.default_rng(2), Monitor()
    ticks = [sample(k) for k in range(260)]
    said = [output(t, float(rng.uniform(0.7, 0.9)) if k < 200 else 0.12) for k, t in enumerate(ticks)]
    found = follow(monitor, list(zip(ticks[:50], said[:50], strict=True)))
    assert monitor.reference.startswith("nothing yet")
    found += follow(monitor, list(zip(ticks[50:], said[50:], strict=True)))
    assert monitor.reference == "the first 100 outputs of this run"
    assert all(all(f.values()) for f in found[:200])
    assert not found[-1]["class"]
    assert found[-1]["control"]


@pytest.mark.parametrize("known", [True, False])
def test_each_camera_is_compared_with_what_is_usual(known: bool) -> None:
    rng, monitor = np.random.default_rng(2), Monitor(usual() if known else None)
    found = []
    for k in range(300):
        front = sample(k)
        left = replace(front.camera, name="left", topic="/left", kind="camera")
        rig = {name: Placing(Rig()) for name in ("camera", "left")}
        tick = replace(front, cameras={"camera": front.camera, "left": left}, placings=rig)
        answer = output(front, float(rng.uniform(0.7, 0.9)))
        unsure = output(front, float(rng.uniform(0.7, 0.9)) if k < 200 else 0.12).detections
        assert answer.detections is not None
        assert unsure is not None
        cameras = {"camera": answer.detections, "left": replace(unsure, based_on=("left", "status"))}
        found += follow(monitor, [(tick, replace(answer, cameras=cameras))])
    assert all(all(heads.values()) for heads in found[:200])
    assert not found[-1]["left/class"]
    assert found[-1]["class"]
    assert found[-1]["control"]
    assert set(monitor.to_json()["cameras_compared_with"]) == {"left"}


def test_a_run_that_begins_with_a_fault_does_not_blame_what_follows() -> None:
    """Outputs of the first 100 ticks are those of a fault that no input shows."""
    rng, monitor = np.random.default_rng(2), Monitor()
    ticks = [sample(k) for k in range(450)]
    said = [
        output(t, float(rng.uniform(0.1, 0.15) if k < 100 else rng.uniform(0.7, 0.9)))
        for k, t in enumerate(ticks)
    ]
    found = follow(monitor, list(zip(ticks, said, strict=True)))
    assert all(all(heads.values()) for heads in found)
    assert "those before them were unlike these, one was at fault" in monitor.reference
    assert monitor.to_json()["baseline"] == {
        "known": False,
        "confirmed": True,
        "contradicted": 1,
        "left_out": 0,
    }
    later = [(t, output(t, 0.12)) for t in (sample(450 + k) for k in range(60))]
    assert not follow(monitor, later)[-1]["class"]


def test_outputs_on_inputs_that_are_at_fault_are_not_learned_from() -> None:
    monitor = Monitor()
    ticks = [sample(k, camera=b"same" * 50 if 5 <= k < 105 else b"") for k in range(320)]
    follow(monitor, [(t, output(t, 0.1 if 5 <= k < 105 else 0.8)) for k, t in enumerate(ticks)])
    assert "on sound inputs" in monitor.reference
    assert monitor.to_json()["baseline"]["contradicted"] == 0
    assert all(health.believed for health in monitor.health.values())


@pytest.mark.parametrize(("suffix", "limit"), [("jpeg", 0.15), ("png", 0.05), ("webp", 0.02)])
def test_detail_is_judged_by_what_black_pictures_of_a_format_have(suffix: str, limit: float) -> None:
    """WebP holds a smooth street, and PNG a drawn scene, in as many bits as JPEG a black picture."""
    black = cv2.imencode(f".{suffix}", np.zeros((480, 640, 3), np.uint8))[1].tobytes()
    drawn = np.full((480, 640, 3), (90, 180, 90), np.uint8)
    cv2.circle(drawn, (320, 240), 90, (0, 0, 200), -1)
    for k in range(40):
        cv2.line(drawn, (16 * k, 0), (640 - 9 * k, 479), (80, 5 * k, 80), 2)
    scene = cv2.imencode(f".{suffix}", drawn)[1].tobytes()
    assert 8 * len(black) / drawn[..., 0].size < limit < 8 * len(scene) / drawn[..., 0].size
    for data, sound in ((scene, True), (black, False)):
        watch = InputMonitor("camera", Limits())
        frame = CameraFrame("/image", 1, 1, "camera", data, suffix, 640, 480)
        given = Input("camera", "/image", frame, 1, 0.0)
        assert ("detail" not in watch.update(given, 1, 0.1)) == sound


@pytest.mark.parametrize("dark", [20, 150])
def test_pictures_after_a_dark_beginning_are_not_blamed(dark: int) -> None:
    """1.4 bits a pixel, after 0.1 or 0.4: the beginning was covered."""
    for few in (24, 100):
        monitor = Monitor(usual())
        ticks = [
            sample(k, camera=bytes([k % 256, k // 256]) * (few // 2 if k < dark else 180)) for k in range(300)
        ]
        found = follow(monitor, [(t, output(t, 0.8)) for t in ticks])
        assert all(all(heads.values()) for heads in found[dark + 12 :])
        if few == 24:
            assert not found[dark - 1]["box"]
            assert "hold hardly any detail: 0.09 bits a pixel" in " ".join(monitor.record.episodes[0].reasons)


def test_sensors_whose_common_clock_is_ahead_of_the_recorder_are_believed() -> None:
    monitor = Monitor(usual())
    ticks = []
    for k in range(30):
        tick = sample(k)
        late = replace(tick.tick, log_time_ns=tick.tick.log_time_ns - 5_000_000_000)
        ticks.append(replace(tick, tick=late))
    assert all(all(f.values()) for f in follow(monitor, [(t, output(t, 0.8)) for t in ticks]))


def test_pictures_unlike_those_of_training_put_in_doubt_what_rests_on_them() -> None:
    rng = np.random.default_rng(0)
    pictures = (rng.normal(90 + k, 30, (3, 32, 64)).clip(0, 255).astype(np.uint8) for k in range(80))
    rows = np.array([describe_picture(picture) for picture in pictures])
    profile = fit_profile("camera", rows, np.arange(80) % 20)
    assert profile is not None
    trained = TrainedInputs(InputSpec(64, 32), {"camera": profile}, "these weights")
    monitor = Monitor(usual(), trained=trained)
    black = np.zeros((32, 64, 3), np.uint8)
    found = []
    for k in range(60):
        black[k % 32, k % 64] = 1 + k
        tick = sample(k, camera=cv2.imencode(".png", black)[1].tobytes())
        frame = replace(tick.camera.value, format="png")
        tick = replace(tick, camera=replace(tick.camera, value=frame))
        found += follow(monitor, [(tick, output(tick, 0.8))])
    assert all(all(heads.values()) for heads in found[:20])  # one or two samples may be odd
    assert not any(found[-1].values())
    assert "pictures are unlike those that these weights were trained on" in monitor.health["class"].reasons
    assert monitor.to_json()["training"]["camera"]["unlike"]


def test_memory_is_constant() -> None:
    """What is kept after a thousand ticks is as much as after many more."""

    def size(thing: object, seen: set[int]) -> int:
        if id(thing) in seen:
            return 0
        seen.add(id(thing))
        total = sys.getsizeof(thing)
        if isinstance(thing, Mapping):
            parts = [*thing.keys(), *thing.values()]
        elif isinstance(thing, tuple | list | set) or type(thing).__name__ == "deque":
            parts = list(thing)  # type: ignore[call-overload]
        else:
            slots = getattr(type(thing), "__slots__", ())
            parts = [*vars(thing).values()] if hasattr(thing, "__dict__") else []
            parts += [getattr(thing, name) for name in slots if hasattr(thing, name)]
        return total + sum(size(part, seen) for part in parts)

    monitor, rng, sizes = Monitor(usual()), np.random.default_rng(0), []
    for k in range(2100):
        tick = sample(k, camera=b"same" if k % 40 < 9 else b"")
        monitor.update(tick, output(tick, float(rng.uniform(0.7, 0.9)), valid=k % 100 > 20))
        if k % 700 == 699:
            sizes.append(size(monitor, set()))
    assert monitor.record.episodes_total > 100
    assert len(monitor.record.episodes) == 100
    assert abs(sizes[2] - sizes[1]) < 0.05 * sizes[1]


@given(bad=st.lists(st.booleans(), min_size=1, max_size=80), up=st.integers(0, 8), down=st.integers(0, 8))
def test_an_alarm_changes_only_after_an_unbroken_time(bad: list[bool], up: int, down: int) -> None:
    alarm, was = Alarm(up, down), False
    for k, problem in enumerate(bad):
        raised = alarm.update(k * 1_000_000_000, "bad" if problem else "")
        if raised != was:
            lasting = bad[max(k - (up if raised else down), 0) : k + 1]
            assert all(p == raised for p in lasting)
            assert len(lasting) == (up if raised else down) + 1
        was = raised


def test_older_values_fade_from_the_average() -> None:
    average = FadingAverage(1.0)
    for _ in range(100):
        average.add(1.0, 0.1)
    for _ in range(10):
        average.add(0.0, 0.1)
    average.add(float("nan"), 0.1)
    assert average.value == pytest.approx(np.exp(-1.0), rel=1e-4)


def test_an_average_is_the_plain_one_until_its_window_is_whole() -> None:
    average = FadingAverage(1000.0)
    for value in (5.0, 1.0, 2.0, 3.0):  # the first has lasted for no time yet
        assert not average.settled
        average.add(value, 0.1)
    assert average.value == pytest.approx(2.0, rel=1e-3)


class Knowing(MemoryPlugin):
    """One that says what its outputs usually look like."""

    def __init__(self, plain: object) -> None:
        super().__init__(MANIFEST)
        self._plain = plain

    def output_stats(self) -> object:
        return self._plain


def watched(
    name: str, plugin: MemoryPlugin, target: Path | None = None, remark: Remark | None = None
) -> tuple[MonitorSink, int]:
    with open_log(SAMPLES / name) as log:
        kept = McapSink(target) if target is not None else None
        sink = MonitorSink(plugin, kept.add_values if kept is not None else None, remark=remark)
        replay(log, complete_config(log).config, plugin, [*([kept] if kept is not None else []), sink])
        return sink, log.survey.start_ns or 0


def test_a_clean_log_raises_nothing_and_is_published(tmp_path: Path) -> None:
    sink, _ = watched("yard_day.mcap", MemoryPlugin(), tmp_path / "out.mcap")
    assert sink.monitor.record.episodes_total == 0
    told = sink.monitor.to_json()
    assert all(head["believed"] for head in told["heads"].values())
    assert told["inputs"]["camera"]["rate_hz"] == pytest.approx(10, rel=0.05)
    with open_log(tmp_path / "out.mcap") as log:
        rows = [decode_status(m.data)[1] for m in log.messages() if m.topic == HEALTH]
    assert len(rows) == 200
    assert {name: value for name, _, value in rows[-1]}["control.believed"] == 1.0


def test_dead_sensors_and_a_frozen_camera_are_noticed_where_they_are() -> None:
    """Silent: camera 2 to 4 s, range 4.5 to 6.5, status 7 to 8.5; the camera stands still from 9 to 10."""
    told: list[tuple[str, str, str, int]] = []
    sink, start_ns = watched("yard_faults.mcap", MemoryPlugin(), remark=lambda *row: told.append(row[:4]))
    found = [(e.subject, (e.from_ns - start_ns) / 1e9, e.reasons) for e in sink.monitor.record.episodes]
    first = {subject: (at, reasons) for subject, at, reasons in reversed(found)}
    assert 2.0 < first["camera"][0] < 3.2
    assert "camera is absent (silent" in first["camera"][1][0]
    assert 4.5 < first["range"][0] < 5.7
    assert 7.0 < first["status"][0] < 8.2
    still = [(s, at) for s, at, reasons in found if "camera shows the same under new stamps" in reasons]
    assert {s for s, _ in still} == {"camera", "class", "box", "control"}
    assert all(9.0 < at < 9.7 for _, at in still)
    for head in ("class", "control"):  # the same in words, when it comes and when it goes
        texts = [(level, text) for level, subject, text, _ in told if subject == f"monitor {head}"]
        assert texts[0][0] == "warning"
        assert texts[0][1].startswith("in doubt: ")
        assert ("info", "no longer in doubt") in texts
        doubts = {reason for e in sink.monitor.record.episodes if e.subject == head for reason in e.reasons}
        assert all(any(reason in text for _, text in texts) for reason in doubts)
    at_s = min((at_ns - start_ns) / 1e9 for _, subject, _, at_ns in told if subject == "monitor control")
    assert at_s == pytest.approx(min(at for subject, at, _ in found if subject == "control"), abs=0.11)


def test_a_doubt_whose_numbers_change_is_told_once() -> None:
    told: list[str] = []
    sink = MonitorSink(MemoryPlugin(), remark=lambda *row: told.append(row[2]))
    reasons = [("count is about 3.1", "camera is absent"), ("count is about 12.7", "camera is absent"), ()]
    for index, texts in enumerate(reasons):
        health = {"control": HeadHealth("control", not texts, 0, texts)}
        sink.monitor = SimpleNamespace(update=lambda *_: None, health=health)  # type: ignore[assignment]
        sink.write(sample_of(index), output_of(index))
    assert told == ["in doubt: count is about 3.1; camera is absent", "no longer in doubt"]


def test_statistics_of_the_plugin_are_used_and_wrong_ones_are_told() -> None:
    good, wrong = MonitorSink(Knowing(to_plain(usual()))), MonitorSink(Knowing({"levels": [1]}))
    for sink in (good, wrong):
        sink.open(RunInfo())
    assert good.monitor.known
    assert good.problem == ""
    assert not wrong.monitor.known
    assert "levels" in wrong.problem
