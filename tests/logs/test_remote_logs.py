"""Logs behind URLs: the same messages as of the file, few bytes of a large one, and errors in one line."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage

from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.errors import LogError
from perception.logs import LogWriter, Query, open_log
from perception.logs.conversion.same_values import same_values
from perception.logs.log_patterns import find_logs
from perception.pipeline.log_source import LogSource, Span
from perception.remote import RemotePath, attempts, begin_to_open, fetched, remote_file
from perception.training.data import sample_cache
from perception.types import Sample, Schema
from perception_tools.cli import run
from tests.logs import ros_bags
from tests.logs.formats.made_logs import write_kitti_raw
from tests.range_server import RangeServer, serving
from tests.s3_server import put, s3_server
from tests.small_logs import START_NS, SmallLog, foxglove_schema

CHUNK = 1 << 18


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remote")


@pytest.fixture(scope="module")
def small(folder: Path) -> Path:
    return SmallLog().sound().write(folder / "small.mcap")


@pytest.fixture(scope="module")
def large(folder: Path) -> Path:
    """64 MB: pictures of 100 kB at 10 Hz beside a status at 50 Hz, in chunks of 256 kB."""
    import cv2

    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    noise = np.random.default_rng(0).integers(0, 255, 100_000, np.uint8).tobytes()
    schema, state = foxglove_schema(CompressedImage), Schema("State", "jsonschema", b"{}")
    path = folder / "large.mcap"
    with LogWriter(path, chunk_bytes=CHUNK, flush_by="log", flush_s=1e9) as out:
        for i in range(640):
            at = START_NS + i * 100_000_000
            image = CompressedImage(frame_id="camera", format="jpeg", data=jpeg + noise)
            image.timestamp.FromNanoseconds(at)
            out.write("/image", image.SerializeToString(), schema=schema, encoding="protobuf", log_time_ns=at)
            for k in range(5):
                stamp = at + k * 20_000_000
                data = json.dumps({"timestamp_ns": stamp, "speed": 3.0 + i, "yaw_rate": 0.1}).encode()
                out.write("/state", data, schema=state, encoding="json", log_time_ns=stamp)
    return path


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    monkeypatch.setattr(attempts, "_WAITS_S", (0.0, 0.0, 0.0))
    with serving(folder) as state:
        yield state


def without_entries(sample: Sample) -> Sample:
    names = ("camera", "range", "status")
    return replace(sample, **{name: replace(getattr(sample, name), entries=()) for name in names})


@pytest.mark.parametrize(
    "query",
    [
        Query(),
        Query(frozenset({"/state"})),
        Query(None, START_NS + 10**9, START_NS + 2 * 10**9),
        Query(frozenset({"/image"}), START_NS + 30 * 10**9, START_NS + 31 * 10**9),
    ],
)
def test_messages_account_and_survey_are_those_of_the_file(
    query: Query, large: Path, server: RangeServer
) -> None:
    with open_log(large) as local, open_log(server.url("large.mcap")) as remote:
        assert dict(remote.survey.topics) == dict(local.survey.topics)
        assert (remote.survey.start_ns, remote.survey.end_ns) == (local.survey.start_ns, local.survey.end_ns)
        before, after = local.messages(query), remote.messages(query)
        assert [(m.topic, m.log_time_ns, m.data) for m in before] == [
            (m.topic, m.log_time_ns, m.data) for m in after
        ]
        assert dict(before.account.rows()) == dict(after.account.rows())
        assert not after.damage


def test_a_file_that_was_begun_to_open_is_opened_once(small: Path, server: RangeServer) -> None:
    url = server.url("small.mcap")
    with open_log(url) as log:
        expected = [m.data for m in log.messages()]
    alone = server.requests
    server.reset()
    begin_to_open(url)
    with open_log(url) as log:
        assert [m.data for m in log.messages()] == expected
    assert server.requests <= alone
    server.reset()
    with open_log(url):
        assert server.requests  # it may have changed: nothing of the first opening is used
    begin_to_open(server.url("gone.mcap"))
    with pytest.raises(LogError, match="no such file"):
        open_log(server.url("gone.mcap"))
    begin_to_open(small)  # a local path


def test_a_look_and_a_second_of_a_large_log_read_little(large: Path, server: RangeServer) -> None:
    with open_log(server.url("large.mcap")) as log:
        config = complete_config(log).config
        assert server.bytes_sent < 4_500_000
        assert server.requests < 150
        server.reset()
        span = Span(START_NS, START_NS + 10**9)
        after = [without_entries(s) for s in LogSource(log, config, Ledger(), span).samples()]
        assert server.bytes_sent < 3_000_000
    with open_log(large) as log:
        local = complete_config(log).config
        before = [without_entries(s) for s in LogSource(log, local, Ledger(), span).samples()]
    assert config == local
    assert len(before) == len(after)
    assert all(map(same_values, before, after))


def test_a_whole_reading_asks_in_large_ranges(large: Path, server: RangeServer) -> None:
    with open_log(server.url("large.mcap")) as log:
        assert sum(1 for _ in log.messages()) == 640 * 6
    assert server.requests < 60  # of 250 chunks
    assert server.bytes_sent < 1.02 * large.stat().st_size


def test_info_says_what_was_fetched(
    small: Path, server: RangeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.url("small.mcap")
    assert run(["info", url, "--json"]) == 0
    remote = json.loads(capsys.readouterr().out)
    assert run(["info", str(small), "--json"]) == 0
    local = json.loads(capsys.readouterr().out)
    assert remote["log"]["path"] == url
    account = remote["log"].pop("remote")
    assert account["size"] == str(small.stat().st_size)
    assert account["tag"].startswith('"')
    assert "fetched_whole" not in account
    assert remote["configuration"] == local["configuration"]
    assert {k: t["messages"] for k, t in remote["topics"].items()} == {
        k: t["messages"] for k, t in local["topics"].items()
    }


def test_memory_and_file_urls_and_folders_are_read(small: Path, tmp_path: Path) -> None:
    expected = ros_bags.read(small)
    assert ros_bags.read(Path(small.as_uri())) == expected  # `Path` drops a slash
    bag = ros_bags.write_ros2(tmp_path / "drive", "SQLITE3")
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(bag), "/logs/drive", recursive=True)
    memory.put(str(small), "/logs/small.mcap")
    with open_log("memory://logs/small.mcap") as log:
        assert sum(1 for _ in log.messages()) == len(expected[0])
        assert str(log.path) == "memory://logs/small.mcap"
    with open_log("memory://logs/drive") as log:
        assert sum(1 for _ in log.messages()) == 60
        assert isinstance(log.path, RemotePath)
        assert log.path.file.fetched_because == "it is a folder"


def test_formats_and_servers_without_ranges_are_fetched_whole(
    folder: Path, small: Path, large: Path, server: RangeServer
) -> None:
    bag = ros_bags.write_ros1(folder / "drive.bag", seconds=0.5)
    with open_log(server.url("drive.bag")) as log:
        assert len(list(log.messages())) == len(ros_bags.read(bag)[0])
        assert log.path.file.fetched_because == "a ROS 1 bag is not read in ranges"  # type: ignore[attr-defined]
    (folder / "bare.mcap").write_bytes(small.read_bytes()[:-300])
    with open_log(server.url("bare.mcap")) as log:
        assert len(list(log.messages())) == len(ros_bags.read(small)[0])
        assert "no index" in log.path.file.fetched_because  # type: ignore[attr-defined]
    server.ranges = False
    with open_log(server.url("large.mcap")) as log:
        assert sum(1 for _ in log.messages()) == 640 * 6
        assert "does not give parts" in log.path.file.fetched_because  # type: ignore[attr-defined]


def test_a_connection_that_breaks_off_is_made_again(large: Path, server: RangeServer) -> None:
    server.broken = {30_000_000: 2}
    with open_log(server.url("large.mcap")) as log:
        stream = log.messages()
        read = sum(1 for _ in stream)
        assert not stream.damage
        assert read == 640 * 6


def test_a_slow_server_may_take_long_and_a_silent_one_may_not(
    large: Path, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp.client, "DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    monkeypatch.setattr(attempts, "_WAITS_S", ())
    server.ranges, server.pause_s = False, 0.01
    with open_log(server.url("large.mcap")) as log:
        assert sum(1 for _ in log.messages()) == 640 * 6
    server.latency_s = 1.0
    monkeypatch.setattr(remote_file, "SILENCE_S", 0.2)
    with pytest.raises(LogError, match="the connection failed"):
        open_log(server.url("large.mcap"))


def test_copies_of_a_file_without_a_tag_are_each_of_one_reader(small: Path, server: RangeServer) -> None:
    server.tags = False
    file = RemotePath(server.url("small.mcap")).file
    places = [fetched.copies.take(file)[0] for _ in range(2)]
    gc.collect()
    assert places[0] != places[1]
    assert all(place.is_file() for place in places)
    for place in places:
        fetched.copies.give_back(place)
        assert not place.exists()


def test_a_file_that_changes_while_it_is_fetched_is_fetched_again_later(
    folder: Path, small: Path, server: RangeServer
) -> None:
    changing = folder / "changing.mcap"
    changing.write_bytes(small.read_bytes())
    server.ranges = False
    file = RemotePath(server.url("changing.mcap")).file
    os.utime(changing, ns=(1, 1))
    first, _ = fetched.copies.take(file)
    second, _ = fetched.copies.take(file)  # by the size and the tag of before
    assert first != second
    for place in (first, second):
        fetched.copies.give_back(place)
        assert not place.exists()


def test_a_connection_that_stays_lost_is_a_named_loss(large: Path, server: RangeServer) -> None:
    server.broken = {30_000_000: 10**9}
    with open_log(server.url("large.mcap")) as log:
        stream = log.messages()
        read = sum(1 for _ in stream)
        assert 0 < read < 640 * 6
        assert any("cannot be read from the server" in damage.reason for damage in stream.damage)
        assert read + stream.account.lost.total() + stream.account.corrupt.total() == 640 * 6


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("{}/none.mcap", "no such file"),
        ("gs://bucket/x.mcap", "pip install gcsfs"),
        ("nope://x/y.mcap", "the protocol nope:// is not known"),
        ("http://127.0.0.1:9/x.mcap", "the connection failed"),
        ("memory://nothing/here.mcap", "no such file"),
    ],
)
def test_an_error_is_one_line_with_the_url_as_given(url: str, text: str, server: RangeServer) -> None:
    url = url.format(server.address)
    with pytest.raises(LogError, match=text) as raised:
        open_log(url)
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(f": {url}")


def test_an_error_hides_what_is_secret_of_a_url(server: RangeServer) -> None:
    url = server.address.replace("//", "//user:hunter2@") + "/none.mcap?X-Amz-Signature=abcdef"
    with pytest.raises(LogError, match="no such file") as raised:
        open_log(url)
    assert "hunter2" not in str(raised.value)
    assert "abcdef" not in str(raised.value)
    assert "user:***@" in repr(RemotePath(url))


def test_a_server_that_refuses_is_no_permission(small: Path, server: RangeServer) -> None:
    server.status = 403
    with pytest.raises(LogError, match=r"no permission \(HTTP 403\)"):
        open_log(server.url("small.mcap"))


def test_a_remote_folder_is_fetched_with_the_folders_in_it(tmp_path: Path) -> None:
    drive = write_kitti_raw(tmp_path / "local")
    (drive / "tracklet_labels.xml").write_bytes(b"")
    with open_log(drive) as log, open_log(f"file://{drive}") as remote:
        assert [m.data for m in remote.messages()] == [m.data for m in log.messages()]
        assert remote.survey.topics == log.survey.topics


def test_a_remote_file_that_is_no_log_is_refused_in_one_line(folder: Path, server: RangeServer) -> None:
    (folder / "notes.txt").write_text("hello\n" * 100)
    with pytest.raises(LogError, match="a text file"):
        open_log(server.url("notes.txt"))


def test_outputs_are_not_written_to_urls(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", str(small), "memory://out.mcap"]) == 1
    assert "OUT: files are written to this machine, found a URL" in capsys.readouterr().err


def test_a_remote_log_is_converted(
    small: Path, server: RangeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", server.url("small.mcap"), str(tmp_path / "new.mcap"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == server.url("small.mcap")
    assert document["messages"] == len(ros_bags.read(small)[0])


def test_the_look_that_ends_early_is_in_order(large: Path, server: RangeServer) -> None:
    from perception.logs.sparing import look

    with open_log(server.url("large.mcap")) as log:
        times = [message.log_time_ns for message in islice(look(log), 200)]
    assert times == sorted(times)
    assert len(times) > 20


def test_a_real_object_store_gives_logs_in_ranges_and_folders_whole(
    small: Path, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(monkeypatch) as bucket:
        with open_log(put(bucket, large)) as log, open_log(large) as local:
            assert log.survey.topics == local.survey.topics
            assert isinstance(log.path, RemotePath)
            assert not log.path.file.fetched_because
            assert log.path.file.bytes_read < large.stat().st_size / 2
            start = log.survey.start_ns
            part = Query(None, start, start + 500_000_000)
            assert [m.data for m in log.messages(part)] == [m.data for m in local.messages(part)]
        drive = write_kitti_raw(tmp_path)
        for calibration in drive.parent.glob("calib_*.txt"):  # what lies beside a folder is not fetched
            calibration.rename(drive / calibration.name)
        with open_log(put(bucket, drive)) as log, open_log(drive) as local:
            assert [m.data for m in log.messages()] == [m.data for m in local.messages()]
        with pytest.raises(LogError, match=r"no-such\.mcap"):
            open_log(f"{bucket}/no-such.mcap")
        assert run(["replay", put(bucket, small), "--end", "0.3", "--no-output"]) == 0


def test_what_others_change_in_a_store_is_seen_after_a_pattern(
    folder: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_by_another = (
        "import sys, s3fs; fs = s3fs.S3FileSystem(); fs.put(sys.argv[1], 'shared/small.mcap');"
        "fs.put(sys.argv[1], 'shared/new.mcap')"
    )
    other = SmallLog().sound().image("/camera/other", seconds=1.0).write(folder / "other.mcap")
    with s3_server(monkeypatch, "shared") as url:
        pattern = RemotePath(f"{url}/*.mcap")
        place = put(url, small)
        assert [path.name for path in find_logs([pattern])] == ["small.mcap"]
        subprocess.run([sys.executable, "-c", replace_by_another, str(other)], check=True)
        with open_log(place) as log:
            assert "/camera/other" in log.channels
        assert [path.name for path in find_logs([pattern])] == ["new.mcap", "small.mcap"]
        assert sample_cache.find_logs([str(pattern)], "train") == find_logs([pattern])
