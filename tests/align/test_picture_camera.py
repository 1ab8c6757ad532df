from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.align.picture_camera import PictureShape, is_rectified, picture_camera
from perception.config import CameraConfig
from perception.geometry import project, transform_points
from perception.types import CameraInfo, RegionOfInterest

K = np.array([[400.0, 0.0, 330.0], [0.0, 410.0, 230.0], [0.0, 0.0, 1.0]])
P = np.array([[350.0, 0.0, 300.0, -35.0], [0.0, 350.0, 250.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
RAW = CameraConfig(topic="/camera/image_raw")
RECTIFIED = CameraConfig(topic="/camera/image_rect_color/compressed")
POINTS = np.array([[0.5, -0.2, 4.0], [-1.0, 0.6, 3.0], [0.1, 0.1, 9.0]])


def info(width: int = 640, height: int = 480, **changes: object) -> CameraInfo:
    made = CameraInfo("/info", 0, 0, "cam", width, height, K, np.array([-0.2, 0.05, 0.001, 0.002]), "radtan")
    return replace(made, **changes)  # type: ignore[arg-type]


def pixels(found: CameraInfo | None) -> np.ndarray:
    assert found is not None
    return project(POINTS, found.intrinsics, found.distortion, found.distortion_model)


def test_a_camera_info_that_fits_is_left_alone() -> None:
    fitting = info()
    for shape in (None, PictureShape(640, 480, "cam"), PictureShape(640, 480, "")):
        found = picture_camera(fitting, shape, RAW)
        assert found.calibration is fitting
        assert found[1:] == (None, None)


@given(
    x=st.integers(0, 100),
    y=st.integers(0, 100),
    width=st.integers(32, 500),
    height=st.integers(32, 300),
    binning=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    resized=st.sampled_from([0.5, 1.0, 2.0, 0.37]),
    swapped=st.booleans(),
)
def test_pixels_are_those_of_the_picture_however_it_was_cut_binned_and_resized(
    x: int, y: int, width: int, height: int, binning: tuple[int, int], resized: float, swapped: bool
) -> None:
    """Cutting, binning and resizing the pixels of the whole sensor gives the pixels of the picture."""
    roi = RegionOfInterest(x, y, width, height)
    binned = width / binning[0], height / binning[1]
    size = max(1, round(binned[0] * resized)), max(1, round(binned[1] * resized))
    if (size[0] - size[1]) * (binned[0] - binned[1]) < 0:
        return  # rounding made a wide picture upright
    camera_info = info(binning=binning, roi=roi)
    if swapped:  # some drivers write the size of the region as that of the sensor
        camera_info = replace(camera_info, width=width, height=height)
    if size == (camera_info.width, camera_info.height) != (width, height):
        return  # a picture of the whole sensor
    if size == (width, height) and binning != (1, 1):
        return  # resized to what it was before binning, or not binned at all: the principal point decides
    found = picture_camera(camera_info, PictureShape(*size, "cam"), RAW).calibration
    whole = pixels(info())
    expected = (whole - (x, y)) * (size[0] / width, size[1] / height)
    np.testing.assert_allclose(pixels(found), expected, rtol=1e-9, atol=1e-6)
    assert found is not None
    assert (found.width, found.height) == size


def test_a_picture_of_the_whole_sensor_has_no_region() -> None:
    announced = info(roi=RegionOfInterest(32, 16, 320, 240))
    assert picture_camera(announced, PictureShape(640, 480, "cam"), RAW).calibration is announced
    cut = picture_camera(announced, None, RAW).calibration
    assert cut is not None
    assert (cut.width, cut.height) == (320, 240)


@pytest.mark.parametrize("binning", [(1, 1), (2, 2)])
def test_a_region_without_a_size_has_that_of_the_picture(binning: tuple[int, int]) -> None:
    part = info(binning=binning, roi=RegionOfInterest(100, 40, 0, 0))
    stated = info(binning=binning, roi=RegionOfInterest(100, 40, 320, 240))
    shape = PictureShape(320 // binning[0], 240 // binning[1], "cam")
    found, expected = (picture_camera(each, shape, RAW).calibration for each in (part, stated))
    np.testing.assert_allclose(pixels(found), pixels(expected))
    assert picture_camera(part, shape, RAW).issue is None
    whole = PictureShape(640 // binning[0], 480 // binning[1], "cam")
    np.testing.assert_allclose(
        pixels(picture_camera(part, whole, RAW).calibration),
        pixels(picture_camera(info(binning=binning), whole, RAW).calibration),
    )


@pytest.mark.parametrize(
    ("topic", "setting", "rectified"),
    [
        ("/camera/image_raw", None, False),
        ("/camera/image_rect", None, True),
        ("/camera/image_rect_color/compressed", None, True),
        ("/mynteye/left_rect/image_rect/compressed", None, True),
        ("/stereo/left/rectified/image", None, True),
        ("/cam0/image_undistorted", None, True),
        ("/camera/unrectified/image", None, False),
        ("/left/imageRect", None, True),
        ("camera.rectifiedImage", None, True),
        ("/front/image-rect", None, True),
        ("/cam/image_rect0", None, True),
        ("/mono_rect/image", None, True),
        ("/canon_rect/image", None, True),
        ("/cam/not_rectified/image", None, False),
        ("/cam/non-rect/image", None, False),
        ("/rectangle/image", None, False),
        ("/direct/image", None, False),
        ("/camera/image_raw", True, True),
        ("/camera/image_rect", False, False),
    ],
)
def test_whether_images_are_rectified(topic: str, setting: bool | None, rectified: bool) -> None:
    assert is_rectified(CameraConfig(topic=topic, rectified=setting)) == rectified


def test_a_rectified_picture_is_projected_with_p() -> None:
    found = picture_camera(info(projection=P), PictureShape(640, 480, "cam"), RECTIFIED)
    assert found.picture_from_camera is not None
    moved = transform_points(found.picture_from_camera, POINTS)
    assert found.calibration is not None
    got = project(moved, found.calibration.intrinsics, found.calibration.distortion)
    homogeneous = np.concatenate([POINTS, np.ones((3, 1))], axis=1) @ P.T
    np.testing.assert_allclose(got, homogeneous[:, :2] / homogeneous[:, 2:], atol=1e-9)
    half = picture_camera(info(projection=P), PictureShape(320, 240, "cam"), RECTIFIED)
    assert half.calibration is not None
    np.testing.assert_allclose(project(moved, half.calibration.intrinsics), got / 2, atol=1e-9)
    raw = picture_camera(info(projection=P), PictureShape(640, 480, "cam"), RAW)
    assert raw.picture_from_camera is None
    expected = cv2.projectPoints(POINTS, np.zeros(3), np.zeros(3), K, info().distortion)[0][:, 0]
    np.testing.assert_allclose(pixels(raw.calibration), expected, atol=1e-9)


def test_a_rectified_picture_has_a_straight_lens_also_where_p_is_k() -> None:
    same = np.concatenate([K, np.zeros((3, 1))], axis=1)
    found = picture_camera(info(projection=same), PictureShape(640, 480, "cam"), RECTIFIED)
    assert found.picture_from_camera is None
    np.testing.assert_allclose(pixels(found.calibration), project(POINTS, K), atol=1e-9)
    straight = info(projection=same, distortion=np.zeros(5))
    assert picture_camera(straight, PictureShape(640, 480, "cam"), RECTIFIED).calibration is straight


def test_a_rectified_picture_without_p() -> None:
    shape = PictureShape(640, 480, "cam")
    bent = picture_camera(info(), shape, RECTIFIED)
    assert bent.calibration is None
    assert bent.issue is not None
    assert (bent.issue.code, "rectified: false" in bent.issue.text) == ("no_projection", True)
    straight = info(distortion=np.zeros(5))
    assert picture_camera(straight, shape, RECTIFIED).calibration is straight


def test_a_camera_info_of_another_frame_places_nothing_unless_accepted() -> None:
    shape = PictureShape(640, 480, "colour")
    found = picture_camera(info(), shape, RAW)
    assert found.calibration is None
    assert found.issue is not None
    assert found.issue.code == "other_camera"
    for words in ("'colour'", "'cam'", "/info", "sensors.camera.calibration_frame: cam"):
        assert words in found.issue.text
    accepted = RAW.model_copy(update={"calibration_frame": "cam"})
    assert picture_camera(info(), shape, accepted).issue is None


def test_a_camera_info_without_a_frame_is_of_that_of_the_picture() -> None:
    found = picture_camera(info(frame_id=""), PictureShape(640, 480, "cam"), RAW)
    assert found.calibration is not None
    assert (found.calibration.frame_id, found.issue) == ("cam", None)
    unnamed = picture_camera(info(frame_id=""), PictureShape(640, 480, ""), RAW).calibration
    assert unnamed is not None
    assert unnamed.frame_id == ""


def test_other_shapes() -> None:
    rotated = picture_camera(info(), PictureShape(480, 640, "cam"), RAW)
    assert rotated.calibration is None
    assert rotated.issue is not None
    assert rotated.issue.code == "rotated_image"
    stretched = picture_camera(info(), PictureShape(640, 360, "cam"), RAW)
    assert stretched.calibration is not None
    assert stretched.issue is not None
    assert stretched.issue.code == "stretched_image"
    assert picture_camera(info(1937, 1216), PictureShape(969, 608, "cam"), RAW).issue is None


@pytest.mark.parametrize(("focal", "places"), [(400.0, True), (20.0, True), (0.8, False), (0.004, False)])
def test_focal_lengths_that_are_not_in_pixels_are_named(focal: float, places: bool) -> None:
    matrix = np.array([[focal, 0, 320], [0, focal, 240], [0, 0, 1]])
    found = info(intrinsics=matrix)
    assert found.can_project == places
    if found.problem is not None:
        assert found.problem.code == "bad_camera_info"
        assert "expected are pixels" in found.problem.text


def test_a_camera_info_without_a_principal_point_places_nothing() -> None:
    problem = info(intrinsics=np.diag([400.0, 400.0, 1.0])).problem
    assert problem is not None
    assert (problem.code, "no principal point" in problem.text) == ("bad_camera_info", True)


def test_a_camera_matrix_written_by_columns_is_named() -> None:
    found = info(intrinsics=K.T.copy())
    assert found.problem is not None
    assert (found.problem.code, "by columns" in found.problem.text) == ("bad_camera_info", True)
    assert info().problem is None
    for place in ((1, 0), (2, 1)):
        strange = P.copy()
        strange[place] = 1.0
        no_pinhole = picture_camera(info(projection=strange), PictureShape(640, 480, "cam"), RECTIFIED)
        assert no_pinhole.issue is not None
        assert no_pinhole.issue.code == "no_projection"


def test_a_camera_info_of_the_binned_size_has_the_intrinsics_of_the_whole_sensor() -> None:
    """Drivers may write the size of the picture; where the intrinsics fit the picture, it is not binned."""
    binned = picture_camera(info(320, 240, binning=(2, 2)), PictureShape(320, 240, "cam"), RAW)
    np.testing.assert_allclose(pixels(binned.calibration), pixels(info()) / 2, atol=1e-9)
    assert binned.issue is None
    whole = info(binning=(2, 2))
    assert picture_camera(whole, PictureShape(640, 480, "cam"), RAW).calibration is whole
