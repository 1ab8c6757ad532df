"""Whatever finite numbers a rig and its cuboids hold, they are placed or named; nothing raises."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perception.align.rig_track import RigTrack
from perception.align.truth import boxes_of
from perception.align.truth.boxes import placing_issue
from perception.config import CameraConfig
from perception.models.preprocess import InputSpec
from perception.models.preprocess.returns import UnusableScan, returns_array
from perception.types import (
    CameraFrame,
    CameraInfo,
    Cuboid,
    Cuboids,
    FrameTransform,
    FrameTransforms,
    RangeScan,
    RegionOfInterest,
)

NUMBER = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 5e-324, -1e-300, 1e6])
POSITIVE = st.floats(1e-300, 1e6) | st.sampled_from([50.0, 500.0])
SIZE = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 48, 64, 1080])
SPEC = InputSpec(width=64, height=48, returns=16)


def matrix(rows: int, columns: int) -> st.SearchStrategy[Any]:
    return st.lists(NUMBER, min_size=rows * columns, max_size=rows * columns).map(
        lambda values: np.array(values).reshape(rows, columns)
    )


@st.composite
def intrinsics(draw: Any) -> Any:
    k = draw(matrix(3, 3) | st.just([[50.0, 0, 32], [0, 50.0, 24], [0, 0, 1]]).map(np.array))
    k[0, 0], k[1, 1] = draw(POSITIVE), draw(POSITIVE)
    return k


@st.composite
def camera_infos(draw: Any) -> CameraInfo:
    roi = RegionOfInterest(*(draw(SIZE) for _ in range(4))) if draw(st.booleans()) else None
    return CameraInfo(
        "/info", 0, 0, draw(st.sampled_from(["cam", "other", ""])), draw(SIZE), draw(SIZE),
        draw(intrinsics()),
        np.array(draw(st.lists(NUMBER, max_size=14))),
        draw(st.sampled_from(["plumb_bob", "equidistant", "radtan", "mystery", ""])),
        projection=draw(st.none() | matrix(3, 4) | st.just(np.eye(3, 4))),
        binning=(draw(st.integers(1, 2**32 - 1)), draw(st.integers(1, 4))), roi=roi,
    )  # fmt: skip


@given(
    info=camera_infos(),
    poses=st.lists(matrix(4, 4), min_size=3, max_size=3),
    size=st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)),
    rectified=st.booleans(),
    stamps=st.lists(st.integers(0, 2**62), min_size=3, max_size=3),
)
def test_nothing_raises(
    info: CameraInfo, poses: list[Any], size: tuple[int, int], rectified: bool, stamps: list[int]
) -> None:
    track = RigTrack(CameraConfig(topic="/c", calibration="/info", rectified=rectified))
    track.learn(info)
    for stamp, pose in zip(stamps, poses, strict=True):
        item = FrameTransform("base", "cam", pose, stamp)
        track.learn(FrameTransforms("/tf", stamp, stamp, (item,)))
    image = CameraFrame("/c", stamps[0], 0, "cam", b"", "jpeg", *size)
    scan = RangeScan.from_array(
        np.array([[5.0, 1.0, 0.5], [-3.0, 0.0, 2.0]]), stamp_ns=stamps[1], frame_id="base"
    )
    with np.errstate(all="ignore"):
        rig, issues = track.at(stamps[2], image, scan)
        rows = None
        try:
            rows, _ = returns_array(scan, rig, SPEC)
        except UnusableScan:
            assert rows is None
        cuboid = Cuboid("car", "1", "base", np.eye(4), (1.0, 2.0, 3.0))
        truth = Cuboids("/truth", 0, 0, (cuboid,))
        boxes = boxes_of(truth, rig, {})
    assert (boxes is None) == (placing_issue(truth, rig) is not None)
    if rows is not None and rows[:, 7].any():
        assert not any(issue.code in ("no_camera_info", "unknown_lens", "other_camera") for issue in issues)
    for box in boxes or ():
        assert 0 <= box.xyxy[0] < box.xyxy[2] <= size[0]
        assert 0 <= box.xyxy[1] < box.xyxy[3] <= size[1]
