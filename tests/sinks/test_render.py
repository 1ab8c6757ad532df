"""What a drawn frame shows, and where: colours are read back from its pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.sinks import RunInfo
from perception.sinks.canvas import Box, Canvas, ramp
from perception.sinks.palette import CYCLE, GREEN, RANGE_RAMP, SKY, VERMILION, WHITE, YELLOW, ink_on
from perception.sinks.render import _free_place, layout_for, picture_size, render
from perception.sinks.status_panel import (
    BACK,
    bar_position,
    clock,
    control_words,
    panel_height,
    sensor_words,
    sources,
)
from perception.types import (
    Absent,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Output,
    Rig,
    Sample,
    TruthBox,
    TruthFrame,
    invalid_output,
)
from tests.sinks.build import HEIGHT, WIDTH, output_of, sample_of, tick_of, truth_of

RUN = RunInfo(classes=("car", "person"))
LAYOUT = layout_for((WIDTH, HEIGHT))  # 640 x 480 and the strip: twice the source
GREY = 77


def blank() -> Canvas:
    return np.full((480, 640, 3), GREY, np.uint8)


def bare(sample: Sample) -> Sample:
    """Without a rig no returns are drawn."""
    return replace(sample, rig=Rig())


def with_items(*items: Detection) -> Output:
    return Output(tick_of(0), Detections(True, items=items), None)


def item(box: Box, label: str = "car", score: float = 0.9) -> Detection:
    return Detection(label, score, box, (1.0,) * 4, 10.0, 1.0)


def is_colour(pixels: Canvas, colour: tuple[int, int, int]) -> np.ndarray:
    return np.all(np.abs(pixels.astype(int) - colour) <= 12, axis=-1)


def test_boxes_lie_where_the_source_has_them_in_the_colour_of_their_class() -> None:
    output = with_items(item((40, 60, 120, 160)), item((200, 80, 230, 170), "person"))
    frame = render(blank(), LAYOUT, bare(sample_of(0)), output, RUN)
    for (x1, y1, x2, y2), colour in (((80, 120, 240, 320), SKY), ((400, 160, 460, 340), YELLOW)):
        for x, y in ((x1, (y1 + y2) // 2), (x2, (y1 + y2) // 2), ((x1 + x2) // 2, y2)):
            assert is_colour(frame[y, x], colour), (x, y, frame[y, x])
        assert tuple(frame[(y1 + y2) // 2, (x1 + x2) // 2]) == (GREY,) * 3
    assert tuple(frame[200, 300]) == (GREY,) * 3


def test_detections_below_the_threshold_are_not_drawn() -> None:
    output = with_items(item((40, 60, 120, 160), score=0.29))
    frame = render(blank(), LAYOUT, bare(sample_of(0)), output, RUN, min_score=0.3)
    assert np.all(frame[: LAYOUT.picture_height] == GREY)
    assert not np.all(render(blank(), LAYOUT, bare(sample_of(0)), output, RUN, min_score=0.2)[:480] == GREY)


def test_returns_are_projected_and_coloured_by_range() -> None:
    """Points 5 m ahead, and 20 m ahead with 4 m to the right and 0.5 m up; one not finite, one behind."""
    frame = render(blank(), LAYOUT, sample_of(0), with_items(), RUN)
    changed = np.argwhere(np.any(frame[:480] != GREY, axis=-1))
    centres = [(320, 240), (320 + 2 * 320 * 4 / 20, 240 - 2 * 320 * 0.5 / 20)]
    for (u, v), range_m in zip(centres, (5.0, np.sqrt(400 + 16 + 0.25)), strict=True):
        near = changed[np.hypot(changed[:, 1] - u, changed[:, 0] - v) < 6]
        assert len(near) == 9
        expected = ramp(np.array([np.log(range_m) / np.log(100)]), RANGE_RAMP)[0]
        assert np.array_equal(frame[round(v), round(u)], expected)
    assert len(changed) == 18


def test_the_nearer_return_lies_on_top() -> None:
    sample = sample_of(0)
    assert sample.range.value is not None
    points = np.array([[5.0, 0, 0], [50.0, 0, 0]], np.float32)
    for order in (points, points[::-1]):
        scan = replace(sample.range.value, points_m=order.copy())
        found = render(
            blank(), LAYOUT, replace(sample, range=replace(sample.range, value=scan)), with_items(), RUN
        )
        assert np.array_equal(found[240, 320], ramp(np.array([np.log(5) / np.log(100)]), RANGE_RAMP)[0])


def test_truth_is_dashed_in_white() -> None:
    frame = render(blank(), LAYOUT, bare(sample_of(0)), with_items(), RUN, truth_of(0))
    edge = frame[140:316, 88]  # the left edge of (44, 64)-(124, 164), doubled, away from its corners
    white, dark = is_colour(edge, WHITE), is_colour(edge, (0, 0, 0))
    assert 0.25 < white.mean() < 0.75
    assert dark.any()
    assert np.count_nonzero(np.diff(white.astype(int)) == 1) >= 5
    assert tuple(frame[228, 168]) == (GREY,) * 3


def test_without_a_camera_the_rest_is_drawn_on_a_dark_canvas() -> None:
    sample = sample_of(0, "substitute")
    frame = render(None, LAYOUT, sample, output_of(0, "substitute"), RUN)
    assert frame.shape == (LAYOUT.height, LAYOUT.width, 3)
    assert frame[20, 20].max() < 30
    assert is_colour(frame[220, 80], SKY)  # the box of the car
    assert np.array_equal(frame[240, 320], ramp(np.array([np.log(5) / np.log(100)]), RANGE_RAMP)[0])
    words = frame[400:450]
    assert np.count_nonzero(words.max(axis=-1) > 100) > 100  # why there is no image


def banner_rows(frame: Canvas) -> int:
    return int(np.count_nonzero(is_colour(frame[:480, 3], VERMILION)))


def test_banners_say_what_must_not_be_missed() -> None:
    sample, unit = bare(sample_of(0)), LAYOUT.unit
    plain = render(blank(), LAYOUT, sample, with_items(), RUN)
    untrained = render(blank(), LAYOUT, sample, with_items(), replace(RUN, untrained=True))
    failed = invalid_output(tick_of(0), ("class", "box", "control"), "ValueError: no")
    invalid = render(blank(), LAYOUT, sample, failed, RUN)
    assert banner_rows(plain) == 0
    assert banner_rows(untrained) == pytest.approx(2 * unit, abs=3)
    assert banner_rows(invalid) == pytest.approx(4 * unit, abs=6)
    assert np.count_nonzero(is_colour(untrained[: int(2 * unit)], WHITE)) > 100


def test_sensor_strip_tells_present_from_absent_without_colour() -> None:
    frame = render(blank(), LAYOUT, sample_of(1, "substitute"), output_of(1, "substitute"), RUN)
    strip = frame[480:]
    marks = strip[:, 4:18]
    absent, present = is_colour(marks, VERMILION), is_colour(marks, GREEN)
    assert absent.any(axis=1).sum() < present.any(axis=1).sum() / 4  # one flat bar against two squares
    assert np.argwhere(absent)[:, 0].max() < np.argwhere(present)[:, 0].min()  # the camera's row comes first


def sensor_row(frame: Canvas, row: int) -> Canvas:
    """The row of a kind of sensor in the panel."""
    height = panel_height(LAYOUT.unit) / 3
    return frame[480 + round(row * height) : 480 + round((row + 1) * height), : round(0.36 * 640)]


def test_one_of_several_sensors_that_is_absent_is_said() -> None:
    sample = sample_of(0)
    left, right = replace(sample.range, name="left"), replace(sample.range, name="right")
    silent = right.absent(Absent("silent", "silent for 1500 ms"))
    frames = []
    for ranges in ({"left": left, "right": right}, {"left": left, "right": silent}):
        rig = replace(sample, range=left, ranges=ranges)
        frames.append(render(blank(), LAYOUT, rig, with_items(), RUN))
    assert not is_colour(sensor_row(frames[0], 1), VERMILION).any()
    assert is_colour(sensor_row(frames[1], 1), VERMILION).any()


def test_words_of_the_panel_do_not_cover_each_other() -> None:
    """The key of truth makes room for the reason of an absence, and the age begins behind a long name."""
    unit = LAYOUT.unit

    def camera_row(text: str, truth: TruthFrame | None) -> Canvas:
        sample = bare(sample_of(0)).with_absent({"camera": Absent("undecodable", text)})
        return sensor_row(render(None, LAYOUT, sample, with_items(), RUN, truth), 0)

    assert not np.array_equal(camera_row("short", truth_of(0)), camera_row("short", None))
    assert np.array_equal(camera_row("long " * 20, truth_of(0)), camera_row("long " * 20, None))
    sample = bare(sample_of(0))
    named = replace(sample, camera=replace(sample.camera, name="front_left_camera"), cameras={}, placings={})
    row = sensor_row(render(blank(), LAYOUT, named, with_items(), RUN), 0)
    written = ~is_colour(row, BACK).all(axis=0)
    bright = (row.min(axis=-1) > 190).any(axis=0)  # the name; the age is dim
    name_end = int(np.flatnonzero(bright).max())
    assert not written[name_end + 2 : name_end + int(unit / 2)].any()
    assert written[name_end + int(unit / 2) :].any()


def test_control_channels_without_room_are_named() -> None:
    def third_row(count: int) -> Canvas:
        channels = tuple(ControlChannel(f"c{k}", "m", 0.5, 0.1) for k in range(count))
        output = Output(tick_of(0), None, Control(True, channels=channels))
        frame = render(blank(), LAYOUT, bare(sample_of(0)), output, RUN)
        height = panel_height(LAYOUT.unit) / 3
        return frame[480 + round(2 * height) :, round(0.38 * 640) : round(0.76 * 640)]

    assert is_colour(third_row(3), SKY).any()  # the bar of the third
    assert not is_colour(third_row(4), SKY).any()
    assert not np.array_equal(third_row(4), third_row(5))  # one more name


def test_a_box_beside_the_picture_has_no_caption() -> None:
    beside = render(blank(), LAYOUT, bare(sample_of(0)), with_items(item((400, 300, 500, 400))), RUN)
    assert np.all(beside[:480] == GREY)


def test_control_bars_point_the_way_the_vehicle_goes() -> None:
    def blue(curvature: float, acceleration: float) -> tuple[float, float]:
        channels = (
            ControlChannel("curvature", "1/m", curvature, 0.0),
            ControlChannel("acceleration", "m/s2", acceleration, 0.0),
        )
        output = Output(tick_of(0), None, Control(True, channels=channels))
        strip = render(blank(), LAYOUT, bare(sample_of(0)), output, RUN)[480:]
        rows = np.split(is_colour(strip, SKY)[: 3 * (len(strip) // 3)], 3)
        return tuple(float(np.argwhere(row)[:, 1].mean()) for row in rows[:2])  # type: ignore[return-value]

    left, right = blue(0.03, -2.0), blue(-0.03, 2.0)
    assert left[0] < right[0]  # a positive curvature turns left
    assert left[1] < right[1]
    assert bar_position(ControlChannel("curvature", "1/m", 0.1, 0.0)) == (-1.0, 0.0)
    assert bar_position(ControlChannel("acceleration", "m/s2", -2.0, 1.0)) == (-0.5, 0.25)
    assert bar_position(ControlChannel("x", "K", float("nan"), float("inf"))) == (0.0, 0.0)


def test_drawing_is_repeatable_and_changes_nothing_it_was_given() -> None:
    picture, sample = blank(), sample_of(0)
    assert sample.range.value is not None
    before = sample.range.value.points_m.copy()
    first = render(picture, LAYOUT, sample, output_of(0), RUN, truth_of(0))
    second = render(picture, LAYOUT, sample, output_of(0), RUN, truth_of(0))
    assert np.array_equal(first, second)
    assert first is not second
    assert np.all(picture == GREY)
    assert np.array_equal(sample.range.value.points_m, before, equal_nan=True)


def test_grey_pictures_are_drawn() -> None:
    frame = render(blank()[:, :, 0], LAYOUT, bare(sample_of(0)), with_items(), RUN)
    assert np.all(frame[:480] == GREY)


def test_an_image_of_another_shape_is_centred_undistorted() -> None:
    """The video was laid out for 320 x 240; now images are 300 x 100."""
    sample = bare(sample_of(0, width=300, height=100))
    assert picture_size(LAYOUT, (300, 100)) == (640, 213)
    frame = render(
        np.full((213, 640, 3), GREY, np.uint8), LAYOUT, sample, with_items(item((30, 20, 90, 80))), RUN
    )
    top = (480 - 213) // 2
    scale = 640 / 300
    assert is_colour(frame[round(top + 50 * scale), round(30 * scale)], SKY)
    assert frame[top - 20, 320].max() < 30
    assert tuple(frame[top + 3, 320]) == (GREY,) * 3


sizes = st.tuples(st.integers(16, 4096), st.integers(16, 4096)) | st.sampled_from([(160, 120), (3840, 2160)])


@given(sizes, st.integers(320, 1920))
def test_any_image_size_has_a_layout(source: tuple[int, int], max_width: int) -> None:
    layout = layout_for(source, max_width)
    width, height = picture_size(layout, source)
    assert layout.width % 2 == layout.height % 2 == layout.picture_height % 2 == 0
    assert layout.width <= max(640, max_width + 1)
    assert layout.picture_height <= 961
    assert layout.unit >= 10
    assert layout.height - layout.picture_height == panel_height(layout.unit)
    assert 1 <= width <= layout.width
    assert 1 <= height <= layout.picture_height
    if min(width, height) > 50:
        assert width / height == pytest.approx(source[0] / source[1], rel=0.05)


wild = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-500, 5000)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(wild, wild, wild, wild, wild, wild), max_size=4),
    st.sampled_from([(160, 120), (1920, 1080), (3840, 2160), (100, 1000)]),
    st.booleans(),
)
def test_nothing_a_plugin_says_breaks_the_drawing(
    rows: list[tuple[float, ...]], source: tuple[int, int], camera: bool
) -> None:
    sample = sample_of(0, "reference" if camera else "substitute", width=source[0], height=source[1])
    items = tuple(Detection("x" * 200, 0.9, row[:4], (row[4],) * 4, row[4], row[5]) for row in rows)
    control = Control(True, channels=tuple(ControlChannel("c" * 50, "1/m", row[4], row[5]) for row in rows))
    boxes = tuple(TruthBox("y", row[:4], row[4], 1.0, "") for row in rows)
    output = Output(tick_of(0), Detections(True, items=items), control)
    layout = layout_for(source)
    width, height = picture_size(layout, source)
    picture = np.full((height, width, 3), GREY, np.uint8) if camera else None
    frame = render(picture, layout, sample, output, RUN, TruthFrame(0, boxes))
    assert frame.shape == (layout.height, layout.width, 3)


boxes = st.tuples(st.floats(0, 600), st.floats(0, 440), st.floats(5, 300), st.floats(5, 300))


@given(st.lists(boxes, max_size=12))
def test_words_never_cover_words_and_stay_in_view(rows: list[tuple[float, float, float, float]]) -> None:
    view = np.zeros((480, 640, 3), np.uint8)
    taken: list[Box] = []
    for x, y, width, height in rows:
        found = _free_place((x, y - 15, x + 120, y), (x, y, x + width, y + height), taken, view)
        if found is not None:
            assert found[0] >= 0
            assert found[1] >= 0
            assert found[2] <= 640
            assert found[3] <= 480
            assert not any(
                found[0] < t[2] and t[0] < found[2] and found[1] < t[3] and t[1] < found[3] for t in taken
            )
            taken.append(found)
    if rows:
        assert taken


# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def lab(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    xyz = linear @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    t = np.clip(xyz / (0.9505, 1.0, 1.089), 0, None)
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_class_colours_differ_for_colour_blind_people(deficiency: str) -> None:
    """CIE76 differences; 2.3 is just noticeable. The first three classes are far apart."""
    seen = [lab(np.clip(DEFICIENCIES[deficiency] @ (np.array(c) / 255) ** 2.2, 0, 1)) for c in CYCLE]
    gaps = {(i, j): float(np.linalg.norm(seen[i] - seen[j])) for i in range(7) for j in range(i)}
    assert min(gap for (i, _), gap in gaps.items() if i < 3) > 33
    assert min(gaps.values()) > 15


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_words_can_be_read_on_any_background(background: tuple[int, int, int]) -> None:
    def luminance(colour: tuple[int, ...]) -> float:
        return float(np.dot((np.array(colour) / 255) ** 2.2, (0.2126, 0.7152, 0.0722)))

    light, dark = sorted((luminance(background), luminance(ink_on(background))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2 AA


def test_strip_says_things_in_words() -> None:
    sample = sample_of(0, "substitute")
    assert sensor_words(sample.camera) == "silent for 150 ms"
    assert sensor_words(sample.range) == "age 12 ms"
    assert sensor_words(replace(sample.range, age_ms=None)) == "present"
    assert sensor_words(sample.range, 1.23) == "frozen for 1.2 s"
    assert sensor_words(sample.camera, 1.23) == "silent for 150 ms"
    assert clock(tick_of(0)) == "22:13:20.123 UTC"
    assert clock(replace(tick_of(0), stamp_ns=12_345_678_901)) == "12.346 s"
    assert control_words(ControlChannel("a", "m/s2", -0.5, 0.25)) == "-0.50 ±0.25 m/s2"
    assert control_words(ControlChannel("c", "1/m", 0.01, float("nan"))) == "+0.0100 1/m"
    assert sources(("range", "status")) == "from range, status"
    assert sources(("status", "camera", "range")) == "from all inputs"
    assert sources(()) == ""
