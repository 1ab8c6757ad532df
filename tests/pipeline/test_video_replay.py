"""Logs of video, end to end: a replay from the middle gives the same pictures, and losses are counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.logs import Query, open_log
from perception.logs.video.h26x import units
from perception.logs.video.stage import VideoStage
from perception.pipeline import LogSource, Summary, replay
from perception.pipeline.log_source import WHOLE, Span
from perception.pipeline.replay_options import ReplayOptions
from perception.sinks import McapSink
from perception.types import CameraFrame, Sample
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.small_logs import START_NS, SmallLog, foxglove_schema
from tests.video_files import HZ, decoded, packets, video_log, video_payload

STEP_NS = 100_000_000


def samples_of(path: Path, span: Span = WHOLE) -> list[Sample]:
    with open_log(path) as log:
        config = complete_config(log).config
        return list(LogSource(log, config, Ledger(span.start_ns, span.end_ns), span, warm_s=0.0).samples())


def pictures_from(samples: Sequence[Sample], start_ns: int) -> dict[int, bytes]:
    return {
        sample.tick.stamp_ns: bytes(sample.camera.value.data)
        for sample in samples
        if sample.tick.log_time_ns >= start_ns and sample.camera.value is not None
    }


def replayed(path: Path) -> Summary:
    with open_log(path) as log:
        return replay(log, complete_config(log).config, MemoryPlugin())


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = SmallLog().status(hz=50.0, seconds=2.4)
    return video_log(tmp_path_factory.mktemp("video") / "drive.mcap", log=log)


def test_every_packet_gives_a_sample_with_its_picture(drive: Path) -> None:
    samples = samples_of(drive)
    assert [bytes(s.camera.value.data) for s in samples if s.camera.value] == list(decoded(packets()))
    assert all(sample.status.present for sample in samples[1:])


@pytest.mark.parametrize("first", [5, 8, 9, 13, 23])
def test_a_replay_from_the_middle_has_the_pictures_of_the_whole(drive: Path, first: int) -> None:
    start_ns = START_NS + first * STEP_NS
    part = pictures_from(samples_of(drive, Span(start_ns)), start_ns)
    assert part == pictures_from(samples_of(drive), start_ns)
    assert len(part) == 24 - first


def test_parameter_sets_that_only_begin_the_log_are_found_for_a_seek(tmp_path: Path) -> None:
    coded = [data if i == 0 else without_parameters(data) for i, data in enumerate(packets())]
    path = video_log(tmp_path / "once.mcap", coded)
    start_ns = START_NS + 18 * STEP_NS
    whole = pictures_from(samples_of(path), start_ns)
    assert len(whole) == 6
    assert pictures_from(samples_of(path, Span(start_ns)), start_ns) == whole


def without_parameters(data: bytes) -> bytes:
    kept = [data[begin:end] for begin, end in units(data) if data[begin] & 31 not in (7, 8)]
    return b"".join(b"\0\0\1" + unit for unit in kept)


def test_lost_pictures_are_counted_in_the_ledger_and_in_the_summary(tmp_path: Path) -> None:
    summary = replayed(video_log(tmp_path / "gap.mcap", drop=(10,)))
    assert summary.status == "loss"
    assert summary.ledger["/video"] == {"undecodable": 5, "used": 18}
    assert summary.absences["camera"] == {"undecodable": 5}
    lost = {warning.code: warning.count for warning in summary.warnings if warning.code.startswith("video_")}
    assert lost == {"video_lost_packet": 5}


def test_a_whole_video_is_clean(drive: Path) -> None:
    summary = replayed(drive)
    assert summary.status == "clean"
    assert summary.ledger["/video"] == {"used": 24}


@pytest.mark.parametrize("first", [13, 20])
def test_a_copied_part_of_a_video_begins_with_its_key_frame(drive: Path, tmp_path: Path, first: int) -> None:
    start_ns, part = START_NS + first * STEP_NS, tmp_path / "part.mcap"
    with open_log(drive) as log:
        sink = McapSink(part)
        config = complete_config(log).config
        options = ReplayOptions(span=Span(start_ns), on_message=sink.copy)
        replay(log, config, MemoryPlugin(), [sink], options)
    with open_log(part) as log:
        items = list(VideoStage({"/video": "camera"}).pictures(log.messages(Query(frozenset({"/video"})))))
    copied = [bytes(item.data) for item in items if isinstance(item, CameraFrame)]
    assert copied == list(decoded(packets())[first // 8 * 8 :])


def test_two_cameras_have_a_decoder_each(tmp_path: Path) -> None:
    log = SmallLog().stream(
        "/left",
        foxglove_schema(CompressedVideo),
        "protobuf",
        lambda i, stamp: video_payload(packets("h265")[i], stamp, "h265"),
        hz=HZ,
        seconds=2.4,
    )
    stage = VideoStage({"/video": "camera", "/left": "camera"})
    with open_log(video_log(tmp_path / "two.mcap", log=log)) as opened:
        frames = [item for item in stage.pictures(opened.messages()) if isinstance(item, CameraFrame)]
    for topic, codec in (("/video", "h264"), ("/left", "h265")):
        mine = [bytes(frame.data) for frame in frames if frame.topic == topic]
        assert mine == list(decoded(packets(codec), codec))
    assert [frame.topic for frame in frames] == ["/left", "/video"] * 24
