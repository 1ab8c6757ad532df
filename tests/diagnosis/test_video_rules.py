"""The audit and the choice of sensors name what a video is, which key frames lack, and what is lost."""

from __future__ import annotations

from pathlib import Path

from perception.autoconfig import complete_config
from perception.diagnosis.audit import Audit, audit
from perception.logs import open_log
from tests.small_logs import SmallLog
from tests.video_files import packets, video_log


def audited(path: Path) -> Audit:
    with open_log(path) as log:
        return audit(log, complete_config(log).config)


def texts(found: Audit) -> dict[str, str]:
    return {finding.code: finding.text for finding in found.findings}


def test_a_whole_video_is_named_with_codec_size_and_key_frames(tmp_path: Path) -> None:
    path = video_log(tmp_path / "a.mcap", log=SmallLog().status(hz=50.0, seconds=2.4))
    found = texts(audited(path))
    assert found["video"] == "/video is video: h264, 64x48, a key frame every 8 pictures or sooner"
    assert not {code for code in found if code.startswith("video_")} | ({"undecodable"} & set(found))
    with open_log(path) as log:
        reasons = complete_config(log).reasons
    assert "camera: /video is video: h264, 64x48, a key frame every 8 pictures or sooner" in reasons


def test_lost_pictures_and_a_late_key_frame_are_named(tmp_path: Path) -> None:
    found = texts(audited(video_log(tmp_path / "a.mcap", packets()[3:], drop=(7,))))
    assert found["late_key_frame"] == "/video begins 5 packets before its first key frame: they are lost"
    assert found["video_no_key_frame"].startswith("5 pictures on /video")
    assert found["video_lost_packet"].startswith("5 pictures on /video")


def test_a_video_without_key_frames_cannot_be_decoded(tmp_path: Path) -> None:
    found = texts(audited(video_log(tmp_path / "a.mcap", packets()[1:8])))
    assert found["no_key_frame"] == "/video has no key frame: none of its 7 packets can be decoded"
    assert "no key frame in 7 packets" in found["video"]
