"""Bad days, end to end: whatever is wrong with a log, replay says so, counts it, and goes on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perception.autoconfig import complete_config
from perception.config import EngineConfig
from perception.diagnosis.audit import audit
from perception.errors import PerceptionError
from perception.logs import open_log
from perception.pipeline import Summary, replay
from perception.plugin import load_plugin
from perception_tools.cli import run as perception
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.plugins.test_fusion import write_checkpoint
from tests.scripted_scene import START_NS, Row, write_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "drive.mcap", duration_s=4.0, image_size=(64, 32))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("short") / "drive.mcap", duration_s=2.4, image_size=(64, 32))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "small.safetensors")


def replayed(path: Path, weights: Path | None = None) -> Summary:
    """Replay with the sensors that a sound log of this kind has: with `fusion` if there are weights."""
    with open_log(path) as log:
        config = complete_config(log).config
        if weights is None:
            return replay(log, config, MemoryPlugin())
        plugin = config.plugin.model_copy(update={"checkpoint": weights})
        changes = {"plugin": plugin, "engine": EngineConfig(backend="torch")}
        return replay(log, config.model_copy(update=changes), load_plugin("fusion"))


def assert_balanced(path: Path, summary: Summary) -> None:
    """The ledger equals the account of a reading of its own that asks for everything."""
    with open_log(path) as log:
        stream = log.messages()
        for _ in stream:
            pass
    expected = {topic: stream.account.total(topic) for topic in stream.account.topics}
    assert {topic: sum(rows.values()) for topic, rows in summary.ledger.items()} == expected


# --- damaged files -------------------------------------------------------------------------------


def test_a_log_cut_in_half_is_replayed_up_to_the_cut(scene: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mcap"
    data = scene.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    summary = replayed(cut)
    assert summary.status == "loss"
    assert 10 < summary.frames < 35
    assert summary.damage
    assert_balanced(cut, summary)


@settings(max_examples=10, deadline=None)
@example(at=0.48828125, kind="zeros")  # the message index of a bad chunk is gone too
@example(at=0.5, kind="gone")
@given(at=st.floats(0.02, 0.999), kind=st.sampled_from(["cut", "flip", "zeros", "gone"]))
def test_any_damage_leaves_a_summary_that_adds_up(short: Path, at: float, kind: str) -> None:
    data = bytearray(short.read_bytes())
    place = int(len(data) * at)
    if kind == "cut":
        del data[place:]
    elif kind == "flip":
        data[place] ^= 0x41
    elif kind == "zeros":
        data[place : place + 4096] = bytes(len(data[place : place + 4096]))
    else:
        del data[place : place + 4096]
    damaged = short.with_name("damaged.mcap")
    damaged.write_bytes(data)
    try:
        summary = replayed(damaged)
    except PerceptionError:
        assert at < 0.5, "sensors can be found in half a log"
    else:
        assert_balanced(damaged, summary)


@pytest.mark.parametrize("content", [b"", b"not a log at all\n", bytes(range(256)) * 40, None])
def test_what_is_no_log_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "thing.mcap"
    path.mkdir() if content is None else path.write_bytes(content)
    assert perception(["replay", str(path)]) == 1
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.err.startswith("error: ")


# --- broken content ------------------------------------------------------------------------------


def images(make: Any) -> Any:
    """A hook that replaces the content of every third image."""
    count = 0

    def mutate(row: Row) -> Iterator[Row]:
        nonlocal count
        if row.topic == "/camera/image":
            count += 1
            if count % 3 == 0:
                message = CompressedImage()
                message.ParseFromString(row.payload)
                message.data = make(message.data)
                row = replace(row, payload=message.SerializeToString())
        yield row

    return mutate


def _bomb(_: bytes) -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a hundred bytes."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    "make",
    [
        lambda data: b"\x00\x01\x02 no image",
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        _bomb,
    ],
    ids=["noise", "empty", "cut", "bomb"],
)
def test_images_that_do_not_decode_are_absent_and_counted(tmp_path: Path, weights: Path, make: Any) -> None:
    path = write_scene(tmp_path / "s.mcap", duration_s=1.2, image_size=(64, 32), mutate=images(make))
    summary = replayed(path, weights)
    assert summary.ledger["/camera/image"] == {"undecodable": 4, "used": 8}
    assert summary.inputs["camera"] == {"present": 8, "absent": 4}
    assert summary.outputs["control"] == {"valid": 12, "invalid": 0}
    assert summary.status == "loss"
    assert_balanced(path, summary)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_scans_without_a_usable_return_are_absent(tmp_path: Path, weights: Path, value: float) -> None:
    def mutate(row: Row) -> Iterator[Row]:
        if row.topic == "/scan":
            message = LaserScan()
            message.ParseFromString(row.payload)
            message.ranges[:] = [value] * len(message.ranges)
            row = replace(row, payload=message.SerializeToString())
        yield row

    path = write_scene(tmp_path / "s.mcap", duration_s=1.0, image_size=(64, 32), mutate=mutate)
    summary = replayed(path, weights)
    assert summary.inputs["range"]["present"] == 0
    assert summary.outputs["box"] == {"valid": 10, "invalid": 0}
    assert_balanced(path, summary)


# --- broken time ---------------------------------------------------------------------------------


def shifted(topic: str, from_s: float, by_s: float, arrival: bool) -> Any:
    """A hook that moves a topic's stamps (and arrivals) from a moment on."""

    def mutate(row: Row) -> Iterator[Row]:
        if row.topic == topic and row.stamp_ns >= START_NS + from_s * 1e9:
            row = _moved(row, round(by_s * 1e9), arrival)
        yield row

    return mutate


def _moved(row: Row, by_ns: int, arrival: bool) -> Row:
    message = CompressedImage() if row.topic == "/camera/image" else LaserScan()
    message.ParseFromString(row.payload)
    message.timestamp.FromNanoseconds(row.stamp_ns + by_ns)
    return replace(
        row,
        payload=message.SerializeToString(),
        stamp_ns=row.stamp_ns + by_ns,
        log_time_ns=row.log_time_ns + (by_ns if arrival else 0),
    )


@pytest.mark.parametrize(
    ("hook", "resets"),
    [
        (shifted("/camera/image", 2.0, -3.0, False), 1),
        (shifted("/camera/image", 2.0, -0.5, False), 0),
        (shifted("/camera/image", 2.0, 60.0, False), 1),
        (shifted("/scan", 2.0, -5.0, False), 0),
        (shifted("/scan", 2.0, 500.0, False), 0),
    ],
    ids=["camera back 3 s", "camera back 0.5 s", "camera ahead 60 s", "scan back", "scan ahead"],
)
def test_stamps_that_jump(tmp_path: Path, hook: Any, resets: int) -> None:
    path = write_scene(tmp_path / "s.mcap", duration_s=4.0, image_size=(64, 32), mutate=hook)
    summary = replayed(path)
    assert sum(w.count for w in summary.warnings if w.code == "reset") == resets
    assert summary.outputs["control"]["invalid"] == 0
    assert_balanced(path, summary)


def test_a_gap_in_the_recording_resets(tmp_path: Path) -> None:
    def mutate(row: Row) -> Iterator[Row]:
        late = 3600 * 10**9 if row.stamp_ns >= START_NS + 2 * 10**9 else 0
        yield replace(row, log_time_ns=row.log_time_ns + late)

    path = write_scene(tmp_path / "s.mcap", duration_s=4.0, image_size=(64, 32), mutate=mutate)
    summary = replayed(path)
    assert any("jumped forward by 3600" in w.text for w in summary.warnings if w.code == "reset")
    assert summary.frames < 60
    assert_balanced(path, summary)


def test_truth_that_arrives_too_late_is_a_warning_with_its_cure(tmp_path: Path) -> None:
    def mutate(row: Row) -> Iterator[Row]:
        late_ns = 10**9 if row.topic == "/truth/detections" else 0
        yield replace(row, log_time_ns=row.log_time_ns + late_ns)

    path = write_scene(tmp_path / "s.mcap", duration_s=3.0, image_size=(64, 32), mutate=mutate)
    texts = {w.code: w.text for w in replayed(path).warnings}
    assert "set truth.wait_ms: 970" in texts["truth_late (/truth/detections)"]
    with open_log(path) as log:
        config = complete_config(log).config
        assert [f.severity for f in audit(log, config).findings if f.code == "truth_late"] == ["warning"]
        longer = config.model_copy(update={"truth": config.truth.model_copy(update={"wait_ms": 970.0})})
        summary = replay(log, longer, MemoryPlugin())
    missing = {w.code: w.count for w in summary.warnings if w.code.startswith("truth")}
    assert missing == {"truth_too_far": 1}  # a substitute tick behind the last picture


def test_duplicates_are_counted_and_change_nothing(short: Path, tmp_path: Path) -> None:
    def mutate(row: Row) -> Iterator[Row]:
        yield row
        if row.topic in ("/camera/image", "/scan", "/vehicle/state"):
            yield replace(row, log_time_ns=row.log_time_ns + 3_000_000)

    doubled = write_scene(tmp_path / "d.mcap", duration_s=2.4, image_size=(64, 32), mutate=mutate)
    once, twice = replayed(short), replayed(doubled)
    for topic in ("/camera/image", "/scan", "/vehicle/state"):
        assert twice.ledger[topic]["duplicate"] == sum(once.ledger[topic].values())
    assert twice.run["outputs_sha256"] == once.run["outputs_sha256"]
    assert_balanced(doubled, twice)


# --- wrong configuration -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "sensors: {camera: {topic: /camera/imgae}}",
            ["sensors.camera.topic", "/camera/imgae", "/camera/image"],
        ),
        ("sensors: {camera: {topic: /scan}}", ["sensors.camera.topic", "LaserScan"]),
        ("sensor: {}", ["sensor", "did you mean sensors"]),
        (
            "sensors: {status: {topic: /vehicle/state, fields: {speed: sped}}}\nreference: status",
            ["sped", "speed"],
        ),
        ("sensors: {camera: {topic: 7}}\nwait_ms: -1", ["sensors.camera.topic", "wait_ms"]),
        ("sensors: [", ["not YAML"]),
        ("!!python/object/apply:os.system ['true']", ["not YAML"]),
    ],
)
def test_every_fault_of_a_configuration_in_one_message(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str]
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert perception(["replay", str(scene), "--config", str(tmp_path / "c.yaml"), "--no-output"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    for word in words:
        assert word in error


def test_a_log_whose_camera_topic_is_empty_still_gives_control(tmp_path: Path, weights: Path) -> None:
    path = write_scene(tmp_path / "s.mcap", duration_s=1.0, camera=False)
    summary = replayed(path, weights)
    assert summary.frames > 15
    assert summary.outputs["control"]["invalid"] == 0
    assert summary.inputs["camera"]["present"] == 0
