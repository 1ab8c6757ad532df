from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.align.truth import Joined, TruthJoiner, TruthStore
from perception.config import CameraConfig, SensorsConfig, TruthConfig
from perception.geometry import pose_matrix
from perception.types import (
    CameraFrame,
    Decoded,
    FrameTransform,
    FrameTransforms,
    Input,
    Sample,
    TruthFrame,
    Undecodable,
)
from tests.align.truth.build import MS, boxes_message, control_message, cuboid, cuboids, rig, sample

CONFIG = TruthConfig(boxes="/boxes", control="/control")


def taken(truth: TruthFrame) -> float | None:
    """Which boxes message was joined: the stamp it was given, in seconds."""
    return None if truth.boxes is None else truth.boxes[0].distance_m


def clock(log_time_ns: int) -> Decoded:
    """Any message that only shows that time goes on."""
    return Undecodable("/other", log_time_ns, log_time_ns, "")


@pytest.mark.parametrize(
    ("stamps_ms", "expected_ms"),
    [
        ([950, 1040], 1040),
        ([950, 1055], 950),
        ([950, 1050], 950),  # equally far: the older
        ([940, 1100], 940),
        ([939, 1061], None),
        ([1000, 1001], 1000),
        ([], None),
    ],
)
def test_the_nearest_within_60_ms_is_taken(stamps_ms: list[int], expected_ms: int | None) -> None:
    store = TruthStore(CONFIG)
    for stamp in stamps_ms:
        store.add(boxes_message(stamp * MS))
        store.add(control_message(stamp * MS))
    truth = store.at(sample(0, 1000 * MS))
    expected = None if expected_ms is None else expected_ms / 1000
    assert taken(truth) == expected
    assert truth.stamp_ns == 1000 * MS
    assert (truth.control or {}).get("curvature") == expected


def test_a_class_that_is_not_completely_labelled_has_the_picture_as_a_region() -> None:
    store = TruthStore(CONFIG.model_copy(update={"incomplete_classes": ("person",)}))
    assert store.at(sample(0, 1000 * MS)).boxes is None  # unknown truth stays unknown
    store.add(boxes_message(1000 * MS))
    car, region = store.at(sample(0, 1000 * MS)).boxes or ()
    assert (car.label, car.ignore) == ("car", False)
    assert (region.label, region.ignore) == ("person", True)
    assert region.xyxy == (0.0, 0.0, 640.0, 480.0)


@given(ahead_ms=st.integers(0, 2000), stamped_ms=st.integers(0, 2000), tick_ms=st.integers(3000, 5000))
def test_control_is_the_command_that_lies_ahead_of_the_tick(
    ahead_ms: int, stamped_ms: int, tick_ms: int
) -> None:
    """A message stamped t holds the command of t + `stamped_ms`."""
    config = TruthConfig(control="/control", control_ahead_ms=ahead_ms, control_stamped_ahead_ms=stamped_ms)
    around = (tick_ms + ahead_ms - stamped_ms, tick_ms - stamped_ms)
    stamps = sorted({stamp + step for stamp in around for step in (-100, 0, 100)})
    joiner = TruthJoiner(config)
    for stamp in stamps:
        if stamp < tick_ms:
            joiner.push(control_message(stamp * MS))
    joined = joiner.add(sample(0, tick_ms * MS))
    for stamp in stamps:
        if stamp >= tick_ms:
            joiner.push(control_message(stamp * MS))
    (pair,) = [*joined, *joiner.ready(), *joiner.flush()]
    assert pair.truth.control is not None
    assert pair.truth.measured is not None
    assert pair.truth.control["curvature"] * 1000 + stamped_ms == pytest.approx(tick_ms + ahead_ms)
    assert pair.truth.measured["curvature"] * 1000 + stamped_ms == pytest.approx(tick_ms)


def test_without_a_setting_messages_announce_the_command_half_a_second_ahead() -> None:
    config = TruthConfig(control="/control")
    assert (config.control_shift_ns, config.stamped_ahead_ns) == (0, 500 * MS)


def test_measured_is_the_command_in_force() -> None:
    store = TruthStore(CONFIG)
    for stamp in range(0, 2000, 100):
        store.add(control_message(stamp * MS))
    assert store.at(sample(0, 1040 * MS)).measured == {"curvature": 0.5, "acceleration": 1.0}
    assert store.at(sample(0, 400 * MS)).measured is None, "nothing had been commanded yet"
    assert store.at(sample(0, 3000 * MS)).measured is None, "too old"


def test_control_is_read_from_the_fields_of_the_configuration() -> None:
    store = TruthStore(
        TruthConfig(control="/control", control_fields={"bend": "curvature", "brake": "missing"})
    )
    store.add(control_message(1000 * MS))
    assert store.at(sample(0, 1000 * MS)).control == {"bend": 1.0}


def late_stream(config: TruthConfig, late_ms: int) -> tuple[TruthJoiner, list[float | None]]:
    """Return the joiner of ten ticks whose boxes arrive late, and which boxes each tick has."""
    joiner = TruthJoiner(config)
    ticks = [(stamp, "tick") for stamp in range(1000, 2000, 100)]
    events = sorted([*ticks, *((stamp + late_ms, "truth") for stamp, _ in ticks)])
    joined = []
    for at_ms, event in events:
        if event == "tick":
            joiner.push(clock(at_ms * MS))
            joined += joiner.add(sample(0, at_ms * MS))
        else:
            joiner.push(boxes_message((at_ms - late_ms) * MS, at_ms * MS))
            joined += joiner.ready()
    return joiner, [taken(pair.truth) for pair in [*joined, *joiner.flush()]]


def test_truth_that_arrives_within_the_wait_is_joined() -> None:
    every = [stamp / 1000 for stamp in range(1000, 2000, 100)]
    joiner, found = late_stream(TruthConfig(boxes="/boxes"), 240)
    assert found == every
    assert [*joiner.late.texts()] == []
    assert late_stream(TruthConfig(boxes="/boxes", wait_ms=900), 850)[1] == every


@pytest.mark.parametrize(
    ("late_ms", "cure"), [(850, "set truth.wait_ms: 850"), (90_000, "in the order of its stamps")]
)
def test_truth_that_arrives_when_its_ticks_have_left_is_counted(late_ms: int, cure: str) -> None:
    joiner, found = late_stream(TruthConfig(boxes="/boxes"), late_ms)
    ((topic, text, ticks),) = joiner.late.texts()
    assert (topic, ticks) == ("/boxes", found.count(None))
    assert ticks > 0
    assert f"up to {late_ms} ms after its tick" in text
    assert cure in text


def test_truth_behind_that_of_a_later_stamp_is_not_said_to_come_after_the_wait() -> None:
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"))
    joiner.push(boxes_message(900 * MS))
    joiner.add(sample(0, 1000 * MS))
    joiner.push(boxes_message(1100 * MS))
    assert len(joiner.ready()) == 1
    joiner.push(boxes_message(1000 * MS, 1200 * MS))
    ((_, text, _),) = joiner.late.texts()
    assert "arrived behind truth of a later stamp, and was not joined" in text
    assert "200 ms after its tick" in text
    assert "write it into the log in the order of its stamps" in text


def test_truth_of_another_run_is_not_late() -> None:
    """A simulation that starts again repeats its stamps: labels of the second run are none of the first."""
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"))
    for i in range(20):
        joiner.push(clock(i * 100 * MS))
        joiner.add(sample(i, i * 100 * MS))
    joiner.push(clock(0))
    joiner.add(sample(20, 1900 * MS))  # of the first run, and released only now
    for i in range(20):
        joiner.push(boxes_message(i * 100 * MS))
        joiner.add(sample(21 + i, i * 100 * MS))
    joiner.flush()
    assert [*joiner.late.texts()] == []


def test_a_message_that_cannot_be_read_is_no_late_truth() -> None:
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"))
    for i in range(20):
        joiner.push(clock(i * 100 * MS))
        joiner.add(sample(i, i * 100 * MS))
    joiner.push(Undecodable("/boxes", 500 * MS, 2000 * MS, "cut off"))
    assert [*joiner.late.texts()] == []
    joiner.push(boxes_message(500 * MS, 2100 * MS))
    ((_, _, ticks),) = joiner.late.texts()
    assert ticks == 1


def test_only_configured_topics_are_truth() -> None:
    store = TruthStore(TruthConfig())
    store.add(boxes_message(1000 * MS))
    store.add(control_message(1000 * MS))
    truth = store.at(sample(0, 1000 * MS))
    assert (truth.boxes, truth.control, truth.measured) == (None, None, None)


def test_cuboids_are_projected_with_the_rig_of_the_sample() -> None:
    store = TruthStore(TruthConfig(boxes="/cuboids", classes={"Car": "vehicle"}))
    store.add(cuboids(cuboid([0, 0, 10.0]), stamp_ns=1000 * MS))
    (box,) = store.at(sample(0, 1010 * MS)).boxes or ()
    assert (box.label, box.distance_m) == ("vehicle", 10.0)


def test_a_sample_waits_until_its_truth_is_settled() -> None:
    joiner = TruthJoiner(CONFIG)
    joiner.push(boxes_message(960 * MS))
    joiner.push(control_message(960 * MS))
    assert joiner.add(sample(0, 1000 * MS), "mine") == []
    joiner.push(boxes_message(1030 * MS))
    joiner.push(boxes_message(1090 * MS))
    assert joiner.ready() == [], "control may still come"
    joiner.push(control_message(1059 * MS))
    assert joiner.ready() == [], "nearer control may still come"
    joiner.push(control_message(1060 * MS))
    ((found, truth, payload),) = joiner.ready()
    assert (found.tick.index, taken(truth), payload) == (0, 1.03, "mine")
    assert truth.control == {"curvature": 0.96, "acceleration": 1.0}
    assert joiner.ready() == []


def test_a_sample_waits_for_its_truth_also_after_one_of_another_clock() -> None:
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"))
    joiner.push(boxes_message(10**18, 0))
    joiner.push(boxes_message(100 * MS, 100 * MS))
    assert joiner.add(sample(0, 200 * MS, 200 * MS)) == []
    joiner.push(boxes_message(200 * MS, 230 * MS))
    joiner.push(boxes_message(300 * MS, 330 * MS))
    [joined] = joiner.ready()
    assert joined.truth.boxes is not None


@pytest.mark.parametrize(
    ("size", "code"), [((32, 24), None), ((48, 64), "rotated_image"), ((64, 64), None), (None, None)]
)
def test_labels_of_a_picture_that_a_tool_has_rotated_are_no_truth(
    size: tuple[int, int] | None, code: str | None
) -> None:
    store = TruthStore(TruthConfig(boxes="/boxes"))
    store.add(replace(boxes_message(0), size=size))
    image = CameraFrame("/camera", 0, 0, "", b"", "jpeg", 64, 48)
    truth = store.at(replace(sample(0, 0), camera=Input("camera", "/camera", image, 0, 0.0)))
    assert (truth.boxes is None) == (code is not None)
    assert {head: issue.code for head, issue in truth.missing.items()} == ({"boxes": code} if code else {})


def test_a_sample_does_not_wait_for_ever() -> None:
    joiner = TruthJoiner(CONFIG)
    joiner.push(clock(1000 * MS))
    assert joiner.add(sample(0, 1000 * MS)) == []
    joiner.push(clock(1249 * MS))
    assert joiner.ready() == []
    joiner.push(clock(1250 * MS))
    assert [j.truth.boxes for j in joiner.ready()] == [None]
    joiner.add(sample(1, 1300 * MS))
    assert [j.sample.tick.index for j in joiner.flush()] == [1]


def test_without_truth_topics_nothing_waits() -> None:
    joiner = TruthJoiner(TruthConfig())
    assert [j.sample.tick.index for j in joiner.add(sample(0, 1000 * MS))] == [0]


@given(seed=st.integers(0, 10_000), delay_ms=st.integers(0, 150))
def test_a_stream_gives_what_the_whole_log_gives(seed: int, delay_ms: int) -> None:
    """Truth that arrives late, early or never, at its own rate: joining on the way is joining at leisure."""
    rng = random.Random(seed)
    samples = [sample(i, (1000 + 100 * i + rng.randrange(-5, 5)) * MS) for i in range(40)]
    truth: list[Decoded] = []
    for make in (boxes_message, control_message):
        stamp = 900 + rng.randrange(100)
        while stamp < 5200:
            if rng.random() < 0.8:
                truth.append(make(stamp * MS, (stamp + rng.randrange(delay_ms + 1)) * MS))
            stamp += rng.randrange(20, 130)
    # A topic's own messages arrive in the order of their stamps.
    truth.sort(key=lambda m: (m.topic, m.stamp_ns))
    store = TruthStore(CONFIG)
    for message in truth:
        store.add(message)
    expected = [store.at(s) for s in samples]
    assert flat(streamed(samples, in_arrival_order(truth))) == flat(
        [Joined(s, t) for s, t in zip(samples, expected, strict=True)]
    )


def in_arrival_order(truth: list[Decoded]) -> list[Decoded]:
    latest: dict[str, int] = {}
    arrived = []
    for message in truth:
        latest[message.topic] = max(latest.get(message.topic, 0), message.log_time_ns)
        arrived.append(replace(message, log_time_ns=latest[message.topic]))
    return sorted(arrived, key=lambda message: message.log_time_ns)


def streamed(samples: list[Sample], truth: list[Decoded]) -> list[Joined]:
    joiner = TruthJoiner(CONFIG)
    events: list[tuple[int, int, Decoded | Sample]] = [(m.log_time_ns, 0, m) for m in truth]
    events += [(s.tick.log_time_ns, 1, s) for s in samples]
    found: list[Joined] = []
    for _, _, event in sorted(events, key=lambda e: e[:2]):
        if isinstance(event, Sample):
            found += joiner.add(event)
        else:
            joiner.push(event)
            found += joiner.ready()
    return found + joiner.flush()


def flat(joined: list[Joined]) -> list[object]:
    return [(j.sample.tick.index, j.truth.boxes, j.truth.control, j.truth.measured) for j in joined]


def test_watch_and_pairs_wrap_a_stream() -> None:
    messages = [boxes_message(i * 100 * MS) for i in range(10)]
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"))
    samples = (sample(i, m.stamp_ns + 20 * MS) for i, m in enumerate(joiner.watch(messages)))
    assert [(j.sample.tick.index, taken(j.truth)) for j in joiner.pairs(samples)] == [
        (i, i / 10) for i in range(10)
    ]


def test_a_long_stream_is_not_remembered() -> None:
    joiner = TruthJoiner(CONFIG)
    waiting = 0
    for i in range(5000):
        joiner.push(boxes_message(i * 50 * MS))
        joiner.push(control_message(i * 50 * MS))
        joiner.add(sample(i, i * 50 * MS))
        waiting = max(waiting, len(joiner._waiting))
    assert len(joiner._store.boxes.stamps) < 100
    assert len(joiner._store.control.messages) < 100
    assert waiting <= 3


def test_truth_of_before_a_jump_back_is_not_truth_after_it() -> None:
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"))
    for i in range(100):
        joiner.push(boxes_message(i * 100 * MS))
    joiner.add(sample(0, 9950 * MS))
    joiner.push(clock(0))
    assert [j.sample.tick.index for j in joiner.ready()] == [0], "what waited is let go first"
    (old,) = joiner.add(sample(1, 9890 * MS))
    assert taken(old.truth) == 9.9, "a sample of before that comes only now"
    for i in range(10, 20):
        joiner.push(boxes_message(i * 100 * MS))
    (found,) = joiner.add(sample(2, 1510 * MS))
    assert taken(found.truth) == 1.5
    joiner.add(sample(3, 2500 * MS))
    assert [j.truth.boxes for j in joiner.flush()] == [None]


def test_why_there_is_no_truth() -> None:
    config = TruthConfig(boxes="/cuboids", control="/control", tolerance_ms=30)
    store = TruthStore(config)
    missing = store.at(sample(0, 1000 * MS)).missing
    assert {head: issue.code for head, issue in missing.items()} == {"boxes": "silent", "control": "silent"}
    store.add(cuboids(cuboid((0, 0, 10), frame_id="map"), stamp_ns=1000 * MS))
    store.add(control_message(1040 * MS))
    missing = store.at(sample(0, 1000 * MS)).missing
    assert missing["boxes"].code == "no_transform"
    assert "'map'" in missing["boxes"].text
    assert missing["control"].code == "too_far"
    assert "40 ms away, at most 30 ms is accepted (truth.tolerance_ms)" in missing["control"].text
    store.add(cuboids(cuboid((0, 0, 10)), stamp_ns=1010 * MS))
    assert store.at(sample(0, 1020 * MS)).missing == {}
    assert TruthStore(TruthConfig()).at(sample(0, 0)).missing == {}


def test_the_limit_is_a_setting() -> None:
    store = TruthStore(TruthConfig(boxes="/boxes", tolerance_ms=500))
    store.add(boxes_message(0))
    assert taken(store.at(sample(0, 500 * MS))) == 0.0
    assert taken(store.at(sample(0, 501 * MS))) is None


def test_a_message_of_bad_boxes_alone_is_unknown_truth() -> None:
    store = TruthStore(TruthConfig(boxes="/cuboids"))
    store.add(replace(cuboids(), ignored=2, ignored_reason="NaN"))
    truth = store.at(sample(0, 0))
    assert truth.boxes is None
    assert truth.missing["boxes"].code == "no_usable_box"


def test_cuboids_are_not_placed_by_a_pose_that_is_held_while_the_vehicle_moves_on() -> None:
    """Poses at 10 Hz end after half a second; boxes of the vehicle itself need none of them."""
    sensors = SensorsConfig(
        camera=CameraConfig(topic="/camera", calibration="/calibration", transforms=("/tf",))
    )
    found = {}
    for frame in ("map", "base"):
        store = TruthStore(TruthConfig(boxes="/cuboids"), sensors)
        calibration = rig().calibration
        assert calibration is not None
        store.add(calibration)
        for at_ms in range(0, 501, 100):
            moving, mount = (
                pose_matrix((0, 0, at_ms / 100), (0, 0, 0, 1)),
                pose_matrix((0,) * 3, (0, 0, 0, 1)),
            )
            items = [FrameTransform("map", "base", moving, at_ms * MS)]
            items += [FrameTransform("base", "camera", mount, at_ms * MS)]
            store.add(FrameTransforms("/tf", at_ms * MS, at_ms * MS, tuple(items)))
        for at_ms in (550, 1500):
            store.add(cuboids(cuboid((0, 0, 40), frame_id=frame), stamp_ns=at_ms * MS))
        found[frame] = [store.at(sample(at_ms, at_ms * MS)) for at_ms in (550, 1500)]
    soon, late = found["map"]
    assert soon.boxes is not None
    assert soon.boxes[0].distance_m == pytest.approx(34.5), "the motion goes on for a while"
    assert late.boxes is None
    assert late.missing["boxes"].code == "held_transform"
    assert "1000 ms away" in late.missing["boxes"].text
    assert [len(truth.boxes or ()) for truth in found["base"]] == [1, 1]


def test_transforms_that_arrive_after_the_tick_place_its_truth() -> None:
    """A vehicle of 10 m/s with poses at 10 Hz: the cuboid of the map is where the image shows it."""
    sensors = SensorsConfig(
        camera=CameraConfig(topic="/camera", calibration="/calibration", transforms=("/tf",))
    )
    joiner = TruthJoiner(TruthConfig(boxes="/cuboids"), sensors)
    calibration = rig().calibration
    assert calibration is not None
    joiner.push(calibration)
    joined = []
    for at_ms in range(0, 1001, 50):
        if at_ms % 100 == 0:
            pose = pose_matrix((0, 0, at_ms / 100), (0, 0, 0, 1))
            item = FrameTransform("map", "camera", pose, at_ms * MS)
            joiner.push(FrameTransforms("/tf", at_ms * MS, (at_ms + 60) * MS, (item,)))
        else:
            joiner.push(cuboids(cuboid((0, 0, 40), frame_id="map"), stamp_ns=at_ms * MS))
            joined += joiner.add(sample(at_ms, at_ms * MS))
    joined += joiner.flush()
    distances = [truth.boxes[0].distance_m for _, truth, _ in joined if truth.boxes]
    expected = [40 - s.tick.stamp_ns / 1e8 for s, _, _ in joined]
    assert distances == pytest.approx(expected)
