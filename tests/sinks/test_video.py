"""The video file: every frame is in it, at the right rate, or the fault is said."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.errors import OutputError
from perception.sinks import RunInfo, VideoSink, video_writers
from perception.sinks.palette import SKY
from perception.sinks.render import layout_for, picture_of
from perception.sinks.video import rate_of
from perception.types import CameraFrame, Sample
from tests.forked_python import ROOT, ForkedPython
from tests.sinks.build import HEIGHT, STEP_NS, WIDTH, output_of, sample_of

RUN = RunInfo(reference_rate_hz=10.0, classes=("car", "person"))
SUFFIXES = pytest.mark.parametrize("suffix", ["mp4", "webm"])


def frames_of(path: Path) -> tuple[float, list[np.ndarray]]:
    """Rate and RGB frames of a video."""
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    frames = []
    while (found := capture.read())[0]:
        frames.append(found[1][:, :, ::-1].copy())
    return rate, frames


@SUFFIXES
def test_every_tick_is_a_frame_with_its_image_and_boxes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run.{suffix}"
    sink = VideoSink(path)
    sink.open(RUN)
    for index in range(12):
        kind = "substitute" if index == 5 else "reference"
        sink.write(sample_of(index, kind), output_of(index, kind))
    sink.close()
    sink.close()
    rate, frames = frames_of(path)
    assert rate == pytest.approx(10.0)
    assert len(frames) == 12
    for index, frame in enumerate(frames):
        assert frame.shape == (layout_for((WIDTH, HEIGHT)).height, 640, 3)
        grey = 15 if index == 5 else 40 + 10 * index  # build.jpeg_of
        assert frame[430, 520].astype(int) == pytest.approx([grey] * 3, abs=8)
        assert frame[220, 79:82].mean(axis=0) == pytest.approx(SKY, abs=60)  # chroma is halved
        assert frame[220, 80, 2] > frame[220, 80, 0] + 40


def test_a_frozen_camera_is_not_drawn_as_sound(tmp_path: Path) -> None:
    """The panel of the last of four equal pictures under new stamps is as red as that of an absent input."""
    sink, shown = VideoSink(tmp_path / "frozen.mp4"), []
    sink.open(RUN)
    frame = sample_of(0).camera.value
    assert frame is not None
    for index in range(4):
        sample = sample_of(index)
        assert sample.range.value is not None
        moving = replace(sample.range.value, points_m=sample.range.value.points_m + 0.1 * index)
        sample = replace(sample, camera=replace(sample.camera, value=frame))
        sink.write(replace(sample, range=replace(sample.range, value=moving)), output_of(index))
    sink.close()
    _, frames = frames_of(tmp_path / "frozen.mp4")
    for frame in frames:
        panel = frame[int(0.7 * len(frame)) :, : frame.shape[1] // 3].astype(int)
        red = (panel[..., 0] - panel[..., 2] > 60) & (panel[..., 0] - panel[..., 1] > 40)
        shown.append(int(red.sum()))
    assert shown[0] == shown[1]
    assert shown[3] > shown[0] + 50


def test_rate_is_found_where_the_run_does_not_tell_it(tmp_path: Path) -> None:
    for count in (3, 12):
        path = tmp_path / f"{count}.webm"
        sink = VideoSink(path)
        sink.open(RunInfo())
        for index in range(count):
            output = output_of(index)
            sink.write(
                sample_of(index), replace(output, tick=replace(output.tick, stamp_ns=index * STEP_NS // 4))
            )
        sink.close()
        rate, frames = frames_of(path)
        assert rate == pytest.approx(40.0)
        assert len(frames) == count


@pytest.mark.parametrize(
    ("stamps", "rate"),
    [
        ([], 10.0),
        ([5], 10.0),
        ([7, 7], 10.0),
        ([0, 33_333_333, 66_666_666, 900_000_000], 30.0),
        ([0, 10**9], 1.0),
    ],
)
def test_rate_of_stamps(stamps: list[int], rate: float) -> None:
    assert rate_of(stamps) == rate


def test_images_may_change_size_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "run.webm"
    sink = VideoSink(path)
    sink.open(RUN)
    for index, size in enumerate([(320, 240), (300, 100), (1280, 720), (320, 240)]):
        sink.write(sample_of(index, width=size[0], height=size[1]), output_of(index))
    sink.close()
    _, frames = frames_of(path)
    assert [frame.shape for frame in frames] == [frames[0].shape] * 4
    assert frames[1][30, 320].max() < 40  # letterbox
    assert frames[1][240, 620].min() > 40


def test_a_run_without_outputs_leaves_no_file(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "run.mp4")
    sink.open(RUN)
    sink.close()
    assert not list(tmp_path.iterdir())


def test_faults_are_one_line_and_name_the_path(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(b"precious")
    cases = {
        tmp_path / "run.avi": r"\.mp4 or \.webm",
        tmp_path / "no" / "run.mp4": "make it first",
        source: "being read",
        Path("/proc/run.mp4"): "cannot make a video",
    }
    for path, words in cases.items():
        with pytest.raises(OutputError, match=words) as caught:
            VideoSink(path).open(RunInfo(input=source))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert source.read_bytes() == b"precious"
    with pytest.raises(OutputError, match="not open"):
        VideoSink(tmp_path / "run.mp4").write(sample_of(0), output_of(0))


@SUFFIXES
def test_a_video_that_is_being_made_is_left_alone(tmp_path: Path, suffix: str) -> None:
    """Two runs that encode into one file leave the frames of neither."""
    path = tmp_path / f"run.{suffix}"
    sink = VideoSink(path)
    sink.open(RUN)
    with pytest.raises(OutputError, match="cannot make a video here: another program is writing it"):
        VideoSink(path).open(RUN)
    for index in range(12):
        sink.write(sample_of(index), output_of(index))
    sink.close()
    assert len(frames_of(path)[1]) == 12
    VideoSink(path).open(RUN)


def test_an_opencv_without_the_encoder_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(video_writers._CODES, ".webm", "prhq")  # an encoder that the wheel has not
    with pytest.raises(OutputError, match=r"cannot encode \.webm"):
        VideoSink(tmp_path / "run.webm").open(RUN)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for suffix in ("mp4", "webm"):
        sink = VideoSink(tmp_path / f"run.{suffix}")
        sink.open(RUN)
        sink.write(sample_of(0), output_of(0))
        sink.close()
    assert capfd.readouterr() == ("", "")


FULL = """
import resource, signal, sys
from tests.sinks.build import output_of, sample_of
from perception.errors import OutputError
from perception.sinks import RunInfo, VideoSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
sink = VideoSink(sys.argv[1])
sink.open(RunInfo(reference_rate_hz=10.0))
for index in range(8):
    sink.write(sample_of(index), output_of(index))
try:
    sink.close()
except OutputError as error:
    print(error)
"""


@SUFFIXES
@pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
def test_a_full_disk_is_noticed_at_the_end(tmp_path: Path, suffix: str, forked_python: ForkedPython) -> None:
    path = tmp_path / f"run.{suffix}"
    done = forked_python.run(path, program=FULL, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"of 8 frames, free some space: {path}\n") or "File too large" in done.stdout
    assert str(path) in done.stdout


KILLED = """
import os, sys
from tests.sinks.build import output_of, sample_of
from perception.sinks import RunInfo, VideoSink
sink = VideoSink(sys.argv[1])
sink.open(RunInfo(reference_rate_hz=10.0))
for index in range(25):
    sink.write(sample_of(index), output_of(index))
while sink._encoder._queue.qsize():
    pass
os._exit(9)
"""


def test_the_video_of_a_run_that_was_killed_plays_up_to_there(
    tmp_path: Path, forked_python: ForkedPython
) -> None:
    pytest.importorskip("av")
    path = tmp_path / "run.mp4"
    assert forked_python.run(path, program=KILLED, cwd=ROOT).returncode == 9
    rate, frames = frames_of(path)
    assert rate == pytest.approx(10.0)
    assert len(frames) >= 20  # whole fragments of a second
    assert VideoSink.is_ours(path)


def test_without_the_extra_an_mp4_is_encoded_by_opencv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_writers, "find_spec", lambda name: None)
    path = tmp_path / "run.mp4"
    sink = VideoSink(path)
    sink.open(RUN)
    for index in range(3):
        sink.write(sample_of(index), output_of(index))
    sink.close()
    assert len(frames_of(path)[1]) == 3
    assert b"vp09" in path.read_bytes()
    assert VideoSink.is_ours(path)


def test_with_the_extra_an_mp4_is_h264(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / "run.mp4"
    sink = VideoSink(path)
    sink.open(RUN)
    sink.write(sample_of(0), output_of(0))
    sink.close()
    assert b"avc1" in path.read_bytes()


def raw(sample: Sample, data: bytes, layout: str, width: int, height: int) -> Sample:
    assert sample.camera.value is not None
    frame: CameraFrame = replace(sample.camera.value, data=data, format=layout, width=width, height=height)
    return replace(sample, camera=replace(sample.camera, value=frame))


def test_pictures_of_raw_layouts() -> None:
    layout = layout_for((64, 48))
    colour = np.zeros((48, 64, 3), np.uint8)
    colour[:] = (200, 100, 50)
    _, picture = picture_of(raw(sample_of(0), colour.tobytes(), "rgb8", 64, 48), layout)
    assert picture is not None
    assert picture.shape == (480, 640, 3)
    assert tuple(picture[240, 320]) == (200, 100, 50)
    _, picture = picture_of(raw(sample_of(0), colour.tobytes(), "bgr8", 64, 48), layout)
    assert picture is not None
    assert tuple(picture[240, 320]) == (50, 100, 200)
    depth = np.tile(np.linspace(500, 8000, 64).astype("<u2"), (48, 1))
    _, picture = picture_of(raw(sample_of(0), depth.tobytes(), "mono16", 64, 48), layout)
    assert picture is not None
    assert picture[240, 2].max() < 20
    assert picture[240, 637].min() > 235


def test_an_image_that_does_not_decode_is_absent_with_its_reason() -> None:
    sample = raw(sample_of(0), b"\xff\xd8 not an image", "jpeg", WIDTH, HEIGHT)
    found, picture = picture_of(sample, layout_for((WIDTH, HEIGHT)))
    assert picture is None
    assert not found.camera.present
    assert found.camera.reason


@pytest.mark.shared
def test_real_recording_is_drawn_with_its_returns(shared: Path) -> None:
    """PandaSet: the lidar's returns must fall onto the image, most of them below the horizon."""
    from perception.align import align
    from perception.autoconfig import complete_config
    from perception.logs import decode, open_log
    from perception.sinks.render import render

    with open_log(shared / "pandaset_002_front.mcap") as log:
        config = complete_config(log).config
        messages = (decode(m, config.roles().get(m.topic)) for m in log.messages())
        sample = next(s for s in align(messages, config) if s.tick.index == 10)
    layout = layout_for((1920, 1080))
    assert (layout.width, layout.picture_height) == (1280, 720)
    sample, picture = picture_of(sample, layout)
    assert picture is not None
    drawn = render(picture, layout, sample, replace(output_of(0), detections=None), RUN)[:720]
    changed = np.argwhere(np.any(drawn != picture, axis=-1))
    assert 5_000 < len(changed) < 60_000
    assert np.mean(changed[:, 0] > 300) > 0.7
