"""Warnings of a rig with many sensors: a line for each reason, and each of them for programs."""

from __future__ import annotations

import pytest

from perception.align import Aligner
from perception.config import parse_config
from perception.pipeline.replay_summary import Warned
from perception.pipeline.sensor_warnings import grouped
from perception.pipeline.tally import Tally
from perception.types import Output, Sample
from perception.types.placement import sensors_text
from perception.types.views import joined_output
from tests.align.rig_build import camera_info, image, scan

RANGES = tuple(f"lidar{k}" for k in range(6))
CAMERAS = ("front", *(f"side{k}" for k in range(5)))


def sample_of_many() -> Sample:
    """One sample of six cameras and six scanners whose frames nothing connects; one has no camera info."""
    cameras = {
        name: {"kind": "camera", "topic": f"/{name}", "calibration": f"/{name}/info"} for name in CAMERAS
    }
    ranges = {name: {"kind": "range", "topic": f"/{name}"} for name in RANGES}
    aligner = Aligner(
        parse_config({"reference": "front", "reference_rate_hz": 10, "sensors": cameras | ranges})
    )
    messages = [camera_info(name) for name in CAMERAS[:-1]]
    messages += [scan(name, 1) for name in RANGES] + [image(name, 2) for name in reversed(CAMERAS)]
    samples = [sample for message in messages for sample in aligner.push(message)]
    [sample] = [*samples, *aligner.flush()]
    return sample


def test_ranges_that_are_not_placed_are_a_line_for_each_reason_and_a_code_for_each_pair() -> None:
    tally, sample = Tally(), sample_of_many()
    for _ in range(3):
        tally.add(sample, Output(sample.tick, None, None))
    warnings = list(tally.warnings.values())
    assert len(warnings) == len(RANGES) * len(CAMERAS)
    assert "range_no_transform (side0: /lidar3)" in tally.warnings
    transforms, info = grouped(warnings)
    everything = ", ".join(f"/{name}" for name in RANGES)
    assert transforms.text.startswith(
        f"ranges are not placed in the image ({everything} in {', '.join(CAMERAS[:-1])}); "
        "the first: no transforms connect 'lidar0' with the camera's frame 'front'"
    )
    assert info.text == (
        f"ranges are not placed in the image ({everything} in side4): no usable camera info had arrived on "
        "/side4/info"
    )
    assert [(w.code, w.count) for w in (transforms, info)] == [
        ("range_no_transform", 3),
        ("range_no_camera_info", 3),
    ]


def test_sensors_absent_for_one_reason_are_one_line_and_other_warnings_stay() -> None:
    tail = "in 9 of 9 ticks: silent: nothing received"
    warnings = [
        Warned("config", "the rate is assumed"),
        Warned("left_mostly_absent", f"left absent {tail}"),
        Warned("untrained", "the weights are untrained", 9),
        Warned("right_mostly_absent", f"right absent {tail}"),
        Warned("radar_mostly_absent", "radar absent in 8 of 9 ticks: too late by 35 ms; set wait_ms: 40"),
    ]
    texts = [warned.text for warned in grouped(warnings)]
    assert texts == [warnings[0].text, f"left, right absent {tail}", warnings[4].text, warnings[2].text]


def test_a_single_warning_about_a_sensor_stays_as_it_is() -> None:
    warning = Warned("range_no_transform (left)", "ranges are not placed in the image: left: why", 4)
    assert grouped([warning]) == [warning]


@pytest.mark.parametrize(
    ("abouts", "text"),
    [
        (["left", "right"], "left, right"),
        (["/a", "/b"], "/a, /b"),
        (["left: /a", "right: /a", "left: /b", "left: /c"], "/a in left, right; /b, /c in left"),
    ],
)
def test_sensors_with_the_same_cameras_are_named_together(abouts: list[str], text: str) -> None:
    assert sensors_text(abouts) == text


def test_a_warning_of_some_views_names_their_cameras() -> None:
    sample = sample_of_many()
    outputs = {name: Output(sample.tick, None, None, warnings={"new": "weights"}) for name in CAMERAS}
    for name in CAMERAS[1:]:
        text = f"no transforms to the camera's frame {name!r}: name them in sensors.{name}.transforms"
        outputs[name] = Output(sample.tick, None, None, warnings={"new": "weights", "position": text})
    outputs["front"] = Output(sample.tick, None, None, warnings={"new": "weights", "position": "no info"})
    assert joined_output(sample, outputs).warnings == {
        "new": "weights",
        "position": "front: no info; side0, side1, side2, side3, side4: "
        "no transforms to the camera's frame 'side0': name them in sensors.side0.transforms",
    }
