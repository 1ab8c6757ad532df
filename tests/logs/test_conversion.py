"""Conversion to MCAP: the samples of the new log are those of the source, and other readers read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from rosbags.typesys import Stores, get_typestore

from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.errors import ConfigError
from perception.logs import LogWriter, open_log
from perception.logs.conversion import Conversion, ConvertOptions, convert_log
from perception.logs.conversion.same_values import same_values
from perception.pipeline.log_source import LogSource
from perception.types import CameraInfo, Sample, Schema
from tests.logs import ros_bags
from tests.small_logs import START_NS, SmallLog, foxglove_schema

WRITERS: dict[str, Callable[[Path], Path]] = {
    "ros1": lambda folder: ros_bags.write_ros1(folder / "drive.bag", "bz2"),
    "ros2_sqlite": lambda folder: ros_bags.write_ros2(folder / "drive", "SQLITE3", "MESSAGE"),
    "ros2_mcap": lambda folder: ros_bags.write_ros2(folder / "drive", "MCAP"),
    "mcap": lambda folder: SmallLog().sound().write(folder / "drive.mcap"),
}


def convert(source: Path, target: Path, options: ConvertOptions = ConvertOptions()) -> Conversion:  # noqa: B008
    with open_log(source) as log:
        return convert_log(log, target, options)


def samples(path: Path) -> tuple[list[Sample], Ledger]:
    ledger = Ledger()
    with open_log(path) as log:
        source = LogSource(log, complete_config(log).config, ledger)
        return [_without_entries(sample) for sample in source.samples()], ledger


def _without_entries(sample: Sample) -> Sample:
    """The sample without its entries in the ledger, which are objects of one run."""
    names = ("camera", "range", "status")
    return replace(sample, **{name: replace(getattr(sample, name), entries=()) for name in names})


@pytest.mark.parametrize("as_recorded", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_the_samples_of_the_new_log_are_those_of_the_source(
    name: str, as_recorded: bool, tmp_path: Path
) -> None:
    source, target = WRITERS[name](tmp_path), tmp_path / "new.mcap"
    conversion = convert(source, target, ConvertOptions(as_recorded=as_recorded))
    before, rows = samples(source)
    after, new_rows = samples(target)
    assert len(before) == len(after) > 10
    assert all(map(same_values, before, after))
    assert rows.rows() == new_rows.rows()
    assert conversion.status == "clean"
    with open_log(source) as old, open_log(target) as new:
        pairs = list(zip(old.messages(), new.messages(), strict=True))
    assert conversion.messages == len(pairs)
    for a, b in pairs:
        assert (a.topic, a.log_time_ns, a.publish_time_ns) == (b.topic, b.log_time_ns, b.publish_time_ns)
        assert not as_recorded or a.data == b.data


def test_images_of_ros_become_foxglove_images_that_other_programs_read(tmp_path: Path) -> None:
    source = ros_bags.write_ros1(tmp_path / "drive.bag")
    conversion = convert(source, tmp_path / "new.mcap")
    with (tmp_path / "new.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == conversion.messages
        assert {chunk.compression for chunk in summary.chunk_indexes} == {"zstd"}
        images = [m for _, _, _, m in reader.iter_decoded_messages(topics="/image")]
    pixels = np.frombuffer(images[3].data, np.uint8)
    expected = [m for t, _, _, m in ros_bags.drive(1) if t == "/image"][3]
    assert np.array_equal(pixels, expected.data)
    assert (images[3].width, images[3].height, images[3].encoding) == (64, 48, "rgb8")
    rows = {row.topic: row for row in conversion.topics}
    assert (rows["/image"].source, rows["/image"].schema) == ("sensor_msgs/Image", "foxglove.RawImage")
    assert (rows["/odom"].schema, rows["/odom"].encoding) == ("nav_msgs/Odometry", "ros1")
    assert [(lack.topic, lack.messages, lack.code) for lack in conversion.not_carried] == [
        ("/image", 20, "field")
    ]


def test_a_message_that_foxglove_cannot_say_keeps_its_bytes_and_the_table_says_why(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](sec=START_NS // 10**9, nanosec=0)
    info = types["sensor_msgs/msg/CameraInfo"](
        types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera"),
        48,
        64,
        "plumb_bob",
        np.zeros(5),
        np.array([50.0, 0, 32, 0, 50, 24, 0, 0, 1]),
        np.eye(3).ravel(),
        np.zeros(12),
        2,
        2,
        types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    )
    name = "sensor_msgs/msg/CameraInfo"
    schema = Schema(name, "ros2msg", store.generate_msgdef(name, ros_version=2)[0].encode())
    with LogWriter(tmp_path / "old.mcap") as out:
        data = bytes(store.serialize_cdr(info, name))
        out.write("/info", data, schema=schema, encoding="cdr", log_time_ns=START_NS)
    conversion = convert(tmp_path / "old.mcap", tmp_path / "new.mcap")
    (row,) = conversion.topics
    assert (row.schema, row.encoding) == (name, "cdr")
    assert row.kept == "foxglove.CameraCalibration has no place for binning"
    with open_log(tmp_path / "new.mcap") as log:
        assert [message.data for message in log.messages()] == [data]


def test_two_messages_that_differ_only_in_what_is_dropped_stay_two(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    time = types["builtin_interfaces/msg/Time"](sec=START_NS // 10**9, nanosec=0)
    name = "sensor_msgs/msg/Image"
    schema = Schema("sensor_msgs/Image", "ros1msg", store.generate_msgdef(name)[0].encode())
    with LogWriter(tmp_path / "old.mcap") as out:
        for seq in range(2):
            header = types["std_msgs/msg/Header"](seq=seq, stamp=time, frame_id="camera")
            image = types[name](header, 2, 2, "mono8", 0, 2, np.zeros(4, np.uint8))
            data = bytes(store.serialize_ros1(image, name))
            out.write("/image", data, schema=schema, encoding="ros1", log_time_ns=START_NS + seq)
    conversion = convert(tmp_path / "old.mcap", tmp_path / "new.mcap")
    assert {row.schema: row.messages for row in conversion.topics} == {
        "foxglove.RawImage": 1,
        "sensor_msgs/Image": 1,
    }


def test_a_cut_keeps_what_holds_on_from_before_it(tmp_path: Path) -> None:
    small = SmallLog().image().scan().transforms(seconds=1.0).calibration(seconds=1.0)
    source = small.write(tmp_path / "old.mcap")
    conversion = convert(source, tmp_path / "new.mcap", ConvertOptions(1.0, 1.5))
    with open_log(tmp_path / "new.mcap") as log:
        survey = log.survey
        assert survey.start_ns == START_NS + 10**9
        assert (survey.end_ns or 0) < START_NS + 1_500_000_000
        assert survey.counts == {"/camera/image": 5, "/scan": 5, "/tf": 1, "/camera/calibration": 1}
        config = complete_config(log).config
        infos: list[object] = []
        taken = list(LogSource(log, config, Ledger(), on_decoded=infos.append).samples())
    assert conversion.latched == 2
    assert any(isinstance(item, CameraInfo) for item in infos)
    assert len(taken) == 5
    outside = {row.topic: row.messages for row in conversion.not_carried if row.code == "outside_cut"}
    assert outside == {"/camera/image": 15, "/scan": 15}


def test_topics_are_selected_by_pattern_and_a_wrong_pattern_is_named(tmp_path: Path) -> None:
    source = SmallLog().sound().write(tmp_path / "old.mcap")
    conversion = convert(source, tmp_path / "new.mcap", ConvertOptions(topics=("/camera/*", "/tf")))
    assert {row.topic for row in conversion.topics} == {"/camera/image", "/camera/calibration", "/tf"}
    left = {row.topic for row in conversion.not_carried if row.code == "not_selected"}
    assert left == {"/scan", "/vehicle/state", "/truth/detections", "/truth/control"}
    with pytest.raises(ConfigError, match="no topic matches '/camra/image'; did you mean /camera/image"):
        convert(source, tmp_path / "none.mcap", ConvertOptions(topics=("/camra/image",)))
    assert not (tmp_path / "none.mcap").exists()


def test_what_is_lost_in_the_source_is_counted_and_the_rest_is_there(tmp_path: Path) -> None:
    whole = SmallLog().image(noisy=True, seconds=4.0).write(tmp_path / "old.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(whole[: len(whole) // 2])
    conversion = convert(tmp_path / "cut.mcap", tmp_path / "new.mcap")
    assert conversion.status == "loss"
    assert conversion.damage
    with open_log(tmp_path / "new.mcap") as log:
        stream = log.messages()
        assert sum(1 for _ in stream) == conversion.messages > 0
        assert not stream.damage


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SmallLog().sound().write(tmp_path / "old.mcap")
    target = tmp_path / "new.mcap"
    target.write_bytes(b"before")

    def interrupt(self: LogWriter, message: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LogWriter, "copy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(source, target)
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mcap", "old.mcap"]


def test_a_definition_that_the_source_lacks_is_written(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS2_HUMBLE)
    name = "std_msgs/msg/Float32"
    with LogWriter(tmp_path / "old.mcap") as out:
        data = bytes(store.serialize_cdr(store.types[name](2.5), name))
        out.write("/x", data, schema=Schema(name, "ros2msg", b""), encoding="cdr", log_time_ns=START_NS)
    convert(tmp_path / "old.mcap", tmp_path / "new.mcap")
    with open_log(tmp_path / "new.mcap") as log:
        schema = log.channels["/x"].schema
        assert schema is not None
        assert schema.data == b"float32 data\n"


def test_records_beside_the_messages_are_copied_or_named(tmp_path: Path) -> None:
    from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan

    records = {"rig": {"name": "north"}, "perception.run": {"plugin": "x"}}
    with LogWriter(tmp_path / "old.mcap", metadata=records) as out:
        out.add_metadata("rig", {"name": "south"})
        data = LaserScan().SerializeToString()
        out.write("/s", data, schema=foxglove_schema(LaserScan), encoding="protobuf", log_time_ns=1)
    conversion = convert(tmp_path / "old.mcap", tmp_path / "new.mcap")
    assert [row.topic for row in conversion.not_carried] == ["(metadata perception.run)"]
    with open_log(tmp_path / "new.mcap") as log:
        rigs = [dict(values) for name, values in log.survey.metadata if name == "rig"]
    assert rigs == [{"name": "north"}, {"name": "south"}]
    assert json.loads(json.dumps(conversion.to_json()))["schema"] == "perception.convert/1"
