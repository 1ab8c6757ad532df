"""The pictures are those that the camera had taken by then, from the log itself."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.evaluation.report import frame_pictures
from perception.evaluation.report.drawing_schema import MomentReport
from perception.evaluation.report.frame_drawing import drawing, frame_words
from perception.evaluation.report.frame_pictures import moment_pictures
from perception.logs import Query, decode, open_log
from perception.types import CameraFrame
from tests.evaluation.report.build import moment
from tests.scripted_scene import write_scene

SIZE = (320, 160)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("pictures") / "a drive.mcap", duration_s=1.5, image_size=SIZE)


@pytest.fixture(scope="module")
def frames(log: Path) -> list[CameraFrame]:
    with open_log(log) as opened:
        found = [decode(m) for m in opened.messages(Query(frozenset({"/camera/image"})))]
    return [frame for frame in found if isinstance(frame, CameraFrame)]


def at(log: Path, frame: CameraFrame, camera: str = "/camera/image") -> MomentReport:
    update = {"log_time_ns": frame.log_time_ns, "stamp_ns": frame.stamp_ns}
    return moment("person", str(log), camera=camera).model_copy(update=update)


def pixels(jpeg: bytes | memoryview) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(float)


def test_the_picture_is_that_of_the_moment(log: Path, frames: list[CameraFrame]) -> None:
    wanted = [frames[3], frames[10]]
    found = moment_pictures([at(log, frame) for frame in wanted])
    assert list(found) == [0, 1]
    for picture, frame in zip(found.values(), wanted, strict=True):
        assert (picture.width, picture.height) == SIZE
        offs = [np.abs(pixels(picture.jpeg) - pixels(other.data)).mean() for other in frames]
        assert int(np.argmin(offs)) == frames.index(frame)
        assert min(offs) < 6
        assert picture.uri.startswith("data:image/jpeg;base64,")


def test_a_picture_of_another_time_says_so(log: Path, frames: list[CameraFrame]) -> None:
    """The camera was silent: the last picture stands under boxes of 650 ms later."""
    now = at(log, frames[3])
    late = now.model_copy(update={"stamp_ns": frames[3].stamp_ns + 650_000_000})
    found = moment_pictures([now, late])
    notes = [drawn.note for place in (0, 1) if (drawn := drawing(now.scene, found[place])) is not None]
    assert notes == ["", "The picture is 650 ms older than this moment."]


def test_wide_pictures_are_made_small_and_boxes_stay_in_source_pixels(
    log: Path, frames: list[CameraFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_pictures, "WIDTH", 80)
    picture = moment_pictures([at(log, frames[3])])[0]
    assert pixels(picture.jpeg).shape == (40, 80, 3)
    assert (picture.width, picture.height) == SIZE


def test_moments_without_a_picture_are_left_out(
    log: Path, frames: list[CameraFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = at(tmp_path / "gone.mcap", frames[3])
    no_log = at(Path(__file__), frames[3])
    silent = at(log, frames[3], camera="/camera/other")
    scan = at(log, frames[3], camera="/scan")
    before = at(log, frames[3]).model_copy(update={"log_time_ns": frames[0].log_time_ns - 1})
    bare = at(log, frames[3]).model_copy(update={"scene": None})
    assert moment_pictures([gone, no_log, silent, scan, before, bare]) == {}
    monkeypatch.setattr(frame_pictures, "BYTES", 100)
    assert moment_pictures([at(log, frames[3])]) == {}


def test_only_so_many_are_read(log: Path, frames: list[CameraFrame]) -> None:
    assert list(moment_pictures([at(log, frame) for frame in frames[:5]], most=2)) == [0, 1]


def test_labels_lie_in_the_picture_beside_each_other(log: Path, frames: list[CameraFrame]) -> None:
    picture = moment_pictures([at(log, frames[3])])[0]
    scene = moment("person", str(log)).scene
    assert scene is not None
    crowd = scene.model_copy(update={"boxes": scene.boxes * 12})
    drawn = drawing(crowd, picture)
    assert drawn is not None
    places = [(label.x, label.y, label.width, label.height) for label in drawn.labels]
    assert 0 < len(places) < len(crowd.boxes)
    for x, y, width, height in places:
        assert 0 <= x <= SIZE[0] - width + 0.2
        assert 0 <= y <= SIZE[1] - height + 0.2
    for one in range(len(places)):
        for other in range(one):
            ax, ay, aw, ah = places[one]
            bx, by, bw, bh = places[other]
            apart = ax + aw <= bx + 0.2 or bx + bw <= ax + 0.2 or ay + ah <= by + 0.2 or by + bh <= ay + 0.2
            assert apart


def test_what_is_drawn_is_also_said() -> None:
    assert frame_words(moment("person", "x.mcap").scene) == [
        ("missed", "missed (1)", "person, 12 m"),
        ("false", "false (1)", "person 0.50, 12 m"),
        ("hit", "right (1)", "person 0.50, 12 m"),
        ("", "person", "said 0.100 \u00b10.020, true 0.140 1/m (off by \u22120.0400)"),
    ]
    assert frame_words(None) == []
