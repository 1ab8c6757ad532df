"""A depth image as a range sensor: each pixel is a return along its ray."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align import align
from perception.align.depth_ranges import MAX_PIXELS, DepthRanges
from perception.align.ledger import Ledger
from perception.config import RangeConfig, parse_config
from perception.geometry import project
from perception.models.preprocess import InputSpec
from perception.models.preprocess.returns import returns_array
from perception.types import CameraInfo, DepthImage, RangeScan, Rig, Sample, Undecodable

RANGE = RangeConfig(topic="/depth", calibration="/info")
K = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]])


def info(width: int = 64, height: int = 48, distortion: Any = (), frame: str = "optical") -> CameraInfo:
    return CameraInfo("/info", 0, 0, frame, width, height, K, np.array(distortion, float), "plumb_bob")


def depth(values: Any, stamp_ns: int = 0, frame: str = "optical") -> DepthImage:
    return DepthImage("/depth", stamp_ns, stamp_ns, frame, np.asarray(values, np.float32))


def scan_of(image: DepthImage, camera: CameraInfo | None, config: RangeConfig = RANGE) -> Any:
    ranges = DepthRanges(config)
    if camera is not None:
        ranges.learn(camera)
    return ranges.scan_of(image)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), bent=st.booleans())
def test_every_pixel_with_a_distance_projects_back_to_itself(seed: int, bent: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.3, 8, (48, 64))
    values[rng.random((48, 64)) < 0.3] = np.nan
    camera = info(distortion=(-0.1, 0.02, 0.001, 0, 0) if bent else ())
    found = scan_of(depth(values), camera)
    assert isinstance(found, RangeScan)
    assert found.optical
    v, u = np.nonzero(np.isfinite(values))
    np.testing.assert_allclose(found.points_m[:, 2], values[v, u].astype(np.float32))
    pixels = project(found.points_m.astype(float), K, camera.distortion, "plumb_bob")
    np.testing.assert_allclose(pixels, np.stack([u, v], axis=1), atol=1e-3)


def test_an_image_of_another_size_than_its_camera_info_is_scaled() -> None:
    values = np.full((24, 32), np.nan)
    values[12, 16] = 2.0
    found = scan_of(depth(values), info())
    np.testing.assert_allclose(found.points_m, [[0, 0, 2]], atol=1e-6)


def test_a_large_image_is_thinned_evenly() -> None:
    found = scan_of(depth(np.ones((720, 1280))), info(1280, 720))
    assert MAX_PIXELS / 3 < len(found.points_m) <= MAX_PIXELS


@pytest.mark.parametrize(
    ("camera", "config", "reason"),
    [
        (None, RANGE, "no camera info had arrived on /info"),
        (info(), RangeConfig(topic="/depth"), "needs sensors.range.calibration"),
        (info(frame="other"), RANGE, "another camera"),
    ],
)
def test_a_depth_image_that_cannot_be_placed_says_why(camera: Any, config: RangeConfig, reason: str) -> None:
    found = scan_of(depth(np.ones((48, 64))), camera, config)
    assert isinstance(found, Undecodable)
    assert reason in found.reason
    assert "sensors.camera" not in found.reason


def test_a_depth_image_that_is_registered_to_another_camera_takes_its_camera_info() -> None:
    config = RangeConfig(topic="/depth", calibration="/info", calibration_frame="colour")
    found = scan_of(depth(np.ones((48, 64))), info(frame="colour"), config)
    assert isinstance(found, RangeScan)
    assert found.frame_id == "optical", "the frame of the depth image"


def test_a_rectified_depth_image_is_seen_by_p_from_its_own_origin() -> None:
    p = np.array([[40.0, 0, 30, -40.0 * 0.1], [0, 40.0, 20, 0], [0, 0, 1, 0]])
    camera = CameraInfo("/info", 0, 0, "optical", 64, 48, K, np.array([-0.2, 0.1, 0, 0, 0]), projection=p)
    values = np.full((48, 64), np.nan)
    values[20, 50] = 2.0
    config = RangeConfig(topic="/depth", calibration="/info", rectified=True)
    (point,) = scan_of(depth(values), camera, config).points_m
    u, v, w = p @ [*point, 1.0]
    np.testing.assert_allclose((u / w, v / w, point[2]), (50, 20, 2), atol=1e-4)


def samples(messages: list[Any], ledger: Ledger | None = None) -> list[Sample]:
    config = parse_config(
        {
            "reference": "range",
            "reference_rate_hz": 10,
            "sensors": {
                "camera": {"topic": "/image", "calibration": "/colour_info"},
                "range": {"topic": "/depth", "calibration": "/info"},
            },
        }
    )
    return list(align(messages, config, ledger))


def test_samples_hold_scans_and_the_rig_of_the_camera_stays_its_own() -> None:
    colour = CameraInfo("/colour_info", 0, 0, "colour", 640, 480, 10 * K, np.zeros(5))
    ledger = Ledger()
    first, second = samples(
        [depth(np.ones((48, 64)), 0), info(), colour, depth(np.full((48, 64), 2.0), 100_000_000)], ledger
    )
    ledger.finish()
    assert ledger.rows()["/depth"]["unmatched"] == 1, "it is sound, and came before its camera info"
    assert not ledger.rows()["/depth"].get("undecodable")
    assert first.range.absence is not None
    assert first.range.absence.code == "undecodable"
    assert "no camera info had arrived" in first.range.reason
    scan = second.range.value
    assert isinstance(scan, RangeScan)
    assert scan.frame_id == "optical"
    assert second.rig.calibration is not None
    assert second.rig.calibration.frame_id == "colour"


def test_returns_of_a_depth_camera_without_a_rig_have_the_bearings_of_a_scan() -> None:
    values = np.full((48, 64), np.nan)
    values[24, 57] = 2.0  # to the right: bearing is positive to the left
    values[4, 32] = 2.0  # above
    scan = scan_of(depth(values), info())
    rows, valid = returns_array(scan, Rig(), InputSpec())
    bearing, elevation = rows[valid > 0][:, 2], rows[valid > 0][:, 3]
    np.testing.assert_allclose(sorted(bearing), [-np.arctan(0.5), 0], atol=1e-6)
    np.testing.assert_allclose(sorted(elevation), [0, np.arctan(0.4)], atol=1e-6)


def test_one_camera_info_may_serve_colours_and_depth() -> None:
    parse_config(
        {
            "sensors": {
                "camera": {"topic": "/image", "calibration": "/info"},
                "range": {"topic": "/depth", "calibration": "/info"},
            }
        }
    )
