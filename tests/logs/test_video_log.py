"""A video file alone is a log with one camera."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from perception.errors import LogError
from perception.logs import open_log
from perception.logs.video import indexer
from perception.logs.video.preroll import decoded_camera
from perception.logs.video.stage import VideoStage
from perception.types import CameraFrame
from tests.video_files import av, file_pictures, video_file


def frames_of(path: Path) -> list[CameraFrame]:
    with open_log(path) as log:
        items = VideoStage({"/video": "camera"}).pictures(log.messages())
        return [item for item in items if isinstance(item, CameraFrame)]


@pytest.mark.parametrize(
    ("name", "codec", "b_frames"),
    [
        ("a.mp4", "h264", 0),
        ("a.mp4", "h264", 2),
        ("a.mp4", "h265", 2),
        ("a.mp4", "av1", 0),
        ("a.mkv", "h264", 2),
        ("a.mov", "h265", 0),
        ("a.hevc", "h265", 0),
    ],
)
def test_the_pictures_of_a_file_come_in_order_at_the_times_it_gives_them(
    name: str, codec: str, b_frames: int, tmp_path: Path
) -> None:
    path = video_file(tmp_path / name, codec, b_frames=b_frames)
    frames = frames_of(path)
    assert [bytes(frame.data) for frame in frames] == file_pictures(path)
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(stamps)
    assert {b - a for a, b in pairwise(stamps)} == {100_000_000}
    assert [frame.log_time_ns for frame in frames] == stamps


def test_times_of_a_raw_stream_are_made_at_the_rate_that_it_states_and_that_is_said(tmp_path: Path) -> None:
    raw, whole = video_file(tmp_path / "a.h264", "h264"), video_file(tmp_path / "a.mp4", "h264")
    with open_log(raw) as log:
        assert log.survey.notes == (
            "times are made: the file has none; 10 Hz (the rate that the video states)",
        )
        assert log.survey.duration_s == pytest.approx(2.3)
    with open_log(whole) as log:
        assert log.survey.notes == ()


def test_a_raw_stream_without_a_rate_says_that_it_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.hevc"
    with av.open(str(path), "w") as file:
        options = {"x265-params": "vui-timing-info=0:log-level=none"}
        stream = file.add_stream("libx265", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode())
    with open_log(path) as log:
        assert "guessed: the video states no rate" in log.survey.notes[0]


def test_packets_beyond_the_end_of_a_cut_file_are_lost_and_counted(tmp_path: Path) -> None:
    path = video_file(tmp_path / "whole.mp4")
    data = path.read_bytes()
    moov = data.rindex(b"moov") - 4
    assert moov > data.index(b"mdat")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[:moov])
    with pytest.raises(LogError, match="it was not closed or is cut"):
        open_log(cut)
    with open_log(path) as log:
        path.write_bytes(data[: data.index(b"mdat") + 1500])
        stream = log.messages()
        read = sum(1 for _ in stream)
    assert 0 < read < 24
    assert stream.account.lost["/video"] == 24 - read
    assert "the file ends before it" in stream.damage[0].reason


def test_a_file_without_a_video_and_one_of_another_codec_are_refused_with_what_to_do(tmp_path: Path) -> None:
    from tests.video_files import av

    path = tmp_path / "other.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(LogError, match=r"expected a video of h264.*found 'mpeg4'; encode it anew"):
        open_log(path)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count", "size"),
    [
        ("video_h264/vehicle_test.mp4", 38, (1280, 720)),
        pytest.param(
            "lerobot_real/umi_cup_in_the_wild/videos/observation.image_episode_000000.mp4",
            400,
            (224, 224),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_real_files_have_the_pictures_that_the_library_decodes(
    name: str, count: int, size: tuple[int, int], shared: Path
) -> None:
    frames = frames_of(shared / name)
    assert [bytes(frame.data) for frame in frames] == file_pictures(shared / name)
    assert len(frames) == count
    assert {(frame.width, frame.height) for frame in frames} == {size}


@pytest.mark.shared
@pytest.mark.parametrize("name", ["video", pytest.param("image", marks=pytest.mark.slow)])
def test_real_logs_of_video_are_whole_and_a_seek_begins_at_a_key_frame(name: str, shared: Path) -> None:
    topic = f"/camera/{name}"
    with open_log(shared / f"video_h264/udacity_h264_{name}.mcap") as log:
        stage = VideoStage({topic: "camera"})
        frames = [item for item in stage.pictures(log.messages()) if isinstance(item, CameraFrame)]
        start_ns = frames[130].log_time_ns
        part = [
            item
            for item in decoded_camera(log, topic, start_ns, frames[140].log_time_ns)
            if isinstance(item, CameraFrame)
        ]
    assert len(frames) == 221
    assert not stage.losses
    assert [bytes(item.data) for item in part] == [bytes(item.data) for item in frames[130:140]]


def test_without_the_extra_the_error_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = video_file(tmp_path / "a.mp4")
    monkeypatch.setattr(indexer, "is_installed", lambda: False)
    with pytest.raises(LogError, match="needs the extra `video`"):
        open_log(path)
