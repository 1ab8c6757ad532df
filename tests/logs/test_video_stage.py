"""Video packets become pictures in order of arrival; damage costs those up to the next key frame."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from perception.logs import open_log
from perception.logs.video import camera_video, decoder_process
from perception.logs.video.facts import video_facts
from perception.logs.video.h26x import h265_has_hash
from perception.logs.video.packet_header import codec_of, read_packet
from perception.logs.video.stage import VideoStage
from perception.types import CameraFrame, Decoded, Message, Undecodable, VideoPacket
from tests.video_files import START_NS, decoded, packets, video_log

STEP_NS = 100_000_000


def sent(coded: Sequence[bytes], codec: str = "h264", topic: str = "/video") -> list[VideoPacket]:
    return [
        VideoPacket(topic, START_NS + i * STEP_NS, START_NS + i * STEP_NS, "camera", data, codec, source=data)
        for i, data in enumerate(coded)
    ]


def run(items: Sequence[Message | Decoded], stage: VideoStage | None = None) -> list[Message | Decoded]:
    return list((stage or VideoStage({"/video": "camera"})).pictures(items))


def lost(items: Sequence[Message | Decoded]) -> dict[int, str]:
    """The indices of lost pictures, with their codes."""
    return {
        (item.stamp_ns - START_NS) // STEP_NS: item.code for item in items if isinstance(item, Undecodable)
    }


def planes(items: Sequence[Message | Decoded]) -> dict[int, bytes]:
    frames = [item for item in items if isinstance(item, CameraFrame)]
    return {(frame.stamp_ns - START_NS) // STEP_NS: bytes(frame.data) for frame in frames}


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_the_pictures_are_those_that_the_library_decodes_in_one_go(codec: str) -> None:
    coded = packets(codec)
    stage = VideoStage({"/video": "camera"})
    items = run(sent(coded, codec), stage)
    assert list(planes(items).values()) == list(decoded(coded, codec))
    assert list(planes(items)) == list(range(24))
    assert not stage.losses


def test_a_log_of_compressed_video_and_of_images_of_format_h264_decode_alike(tmp_path: Path) -> None:
    with open_log(video_log(tmp_path / "video.mcap")) as log:
        assert list(planes(run(list(log.messages()))).values()) == list(decoded(packets()))


def test_key_frames_and_sizes_are_read_from_the_packets() -> None:
    for codec in ("h264", "h265", "av1"):
        headers = [read_packet(codec, data) for data in packets(codec)]
        assert [i for i, header in enumerate(headers) if header.key] == [0, 8, 16], codec
        assert headers[8].size == (64, 48)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("h264", "h264"),
        ("H.265", "h265"),
        ("libx264", "h264"),
        ("hevc_nvenc", "h265"),
        ("h264;yuv420p;bgr8;bgr8", "h264"),
        ("libsvtav1", "av1"),
        ("jpeg", None),
        ("rgb8; jpeg compressed bgr8", None),
        ("", None),
    ],
)
def test_the_names_of_encoders_name_their_codec(text: str, codec: str | None) -> None:
    assert codec_of(text) == codec


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_a_packet_that_is_missing_costs_the_pictures_up_to_the_next_key_frame(codec: str) -> None:
    coded = packets(codec)
    stage = VideoStage({"/video": "camera"})
    items = run([packet for i, packet in enumerate(sent(coded, codec)) if i != 10], stage)
    reference = decoded(coded, codec)
    assert set(lost(items)) == set(range(11, 16)), lost(items)
    assert all(data == reference[i] for i, data in planes(items).items())
    assert sum(count for count, _ in stage.losses.values()) == 5


def test_pictures_before_the_first_key_frame_are_lost_with_their_reason() -> None:
    items = run(sent(packets())[3:])
    assert lost(items) == dict.fromkeys(range(3, 8), "no_key_frame")
    assert len(planes(items)) == 16


def test_a_damaged_packet_costs_its_group_and_not_the_others() -> None:
    coded = list(packets())
    coded[9] = coded[9][: len(coded[9]) // 2]
    items = run(sent(coded))
    assert lost(items) == dict.fromkeys(range(9, 16), "damaged_packet")
    assert [planes(items)[i] for i in (8, 16, 23)] == [decoded(packets())[i] for i in (8, 16, 23)]


def test_a_decoder_that_is_killed_costs_the_pictures_up_to_the_next_key_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    start = camera_video.DecoderProcess

    def started(codec: str) -> camera_video.DecoderProcess:
        made.append(start(codec))
        return made[-1]

    monkeypatch.setattr(camera_video, "DecoderProcess", started)
    stage = VideoStage({"/video": "camera"})
    items: list[Message | Decoded] = []
    for i, packet in enumerate(sent(packets())):
        items += stage.push(packet)
        if i == 10:
            items += stage.settle()
            os.kill(made[0]._process.pid, signal.SIGKILL)
            made[0]._process.wait()
    items += stage.flush()
    stage.close()
    assert len(made) == 2
    assert lost(items) == dict.fromkeys(range(11, 16), "decoder_crashed")
    assert planes(items)[23] == decoded(packets())[23]


def test_the_other_messages_keep_their_place_among_the_pictures() -> None:
    channelled = sent(packets())
    others = [
        Undecodable("/other", packet.stamp_ns, packet.log_time_ns + 1, "another message")
        for packet in channelled
    ]
    items = run([item for pair in zip(channelled, others, strict=True) for item in pair])
    assert [item.topic for item in items] == ["/video", "/other"] * 24


def test_pictures_coded_in_another_order_come_in_the_order_of_their_stamps() -> None:
    coded = packets("h265", 24, 8, (64, 48), 2)
    order = [packet_order(coded, i) for i in range(len(coded))]
    assert order != sorted(order)
    messages = [
        VideoPacket("/video", START_NS + place * STEP_NS, START_NS + i * STEP_NS, "camera", data, "h265", 3)
        for i, (place, data) in enumerate(zip(order, coded, strict=True))
    ]
    items = run(messages)
    assert list(planes(items).values()) == list(decoded(coded, "h265"))
    arrivals = [item.log_time_ns for item in items]
    assert arrivals == sorted(arrivals)


def packet_order(coded: Sequence[bytes], index: int) -> int:
    """The place of a coded picture among the shown ones, from decoding them with numbers."""
    from tests.video_files import av

    decoder = av.CodecContext.create("hevc", "r")
    shown = []
    for i, data in enumerate(coded):
        packet = av.Packet(data)
        packet.pts = i
        shown += [frame.pts for frame in decoder.decode(packet)]
    shown += [frame.pts for frame in decoder.decode(None)]
    return shown.index(index)


def test_b_frames_in_messages_that_forbid_them_are_named() -> None:
    coded = packets("h265", 24, 8, (64, 48), 2)
    items = run(sent(coded, "h265"))
    assert "b_frames" in set(lost(items).values())


def test_a_packet_that_came_twice_is_decoded_once() -> None:
    twice = [packet for packet in sent(packets()) for _ in range(2)]
    items = run(twice)
    assert list(planes(items).values()) == list(decoded(packets()))


def test_without_the_extra_the_reason_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_video, "is_installed", lambda: False)
    stage = VideoStage({"/video": "camera"})
    items = run(sent(packets()), stage)
    assert set(lost(items).values()) == {"not_installed"}
    assert "video" in stage.losses["/video", "not_installed"][1]
    assert (
        "install" in stage.losses["/video", "not_installed"][1]
        or "sync" in stage.losses["/video", "not_installed"][1]
    )


def test_a_decoder_that_works_for_too_long_ends() -> None:
    program = "import decoder_process as p\np._allow(1)\nwhile True: pass"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(decoder_process.__file__).parent, check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGXCPU


def test_a_flipped_bit_in_a_picture_with_a_hash_is_always_counted() -> None:
    plain, hashed = packets("h265", 6), packets("h265", 6, hashed=True)
    assert [h265_has_hash(packet) for packet in (plain[1], hashed[1])] == [False, True]
    rng, whole = random.Random(1), planes(run(sent(hashed, "h265")))
    assert len(whole) == 6
    for _ in range(6):
        damaged = [bytearray(packet) for packet in hashed]
        packet = damaged[rng.randrange(1, 6)]
        packet[rng.randrange(30, len(packet))] ^= 1 << rng.randrange(8)
        shown = planes(run(sent([bytes(packet) for packet in damaged], "h265")))
        assert all(whole[number] == picture for number, picture in shown.items())


@pytest.mark.parametrize(("hashed", "says"), [(True, "a hash that proves it"), (False, "without hashes")])
def test_it_is_said_whether_pictures_of_h265_carry_hashes(tmp_path: Path, hashed: bool, says: str) -> None:
    with open_log(video_log(tmp_path / "x.mcap", packets("h265", 6, hashed=hashed), "h265")) as log:
        facts = video_facts(log, "/video")
    assert facts is not None
    assert says in facts.text
