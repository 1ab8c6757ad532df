"""A replay served to a plain WebSocket client: every message arrives, and the controls drive it."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from foxglove_schemas_protobuf.Log_pb2 import Log as LogMessage

pytest.importorskip("foxglove", reason="needs the extra 'foxglove'")

from perception.autoconfig import Overrides
from perception.diagnosis.monitor import MonitorSink
from perception.errors import OutputError
from perception.logs import Query, open_log
from perception.pipeline.replay_job import ReplayJob, run_job
from perception.pipeline.viewers import ServedRun, Serving, is_loopback
from perception.plugin import discovery
from perception_plugins.viewers.foxglove_server import PlaybackServer
from perception_plugins.viewers.live_replay import serve_replay
from perception_plugins.viewers.playback import Playback
from tests.pipeline.memory_plugin import MANIFEST, MemoryPlugin
from tests.plugins.viewers.websocket_client import WebsocketClient
from tests.scripted_scene import write_scene
from tests.small_logs import SmallLog

NOT_TIMING = ("/perception/timing", "/perception/log")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("served") / "scene.mcap", duration_s=3.0)


@pytest.fixture(autouse=True)
def _memory_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_registered", {"memory": (MANIFEST, MemoryPlugin)})


def job_of(path: Path, **how: Any) -> ReplayJob:
    return ReplayJob(path, overrides=Overrides("memory"), monitor=MonitorSink, **how)


@contextmanager
def served(job: ReplayJob, **how: Any) -> Iterator[tuple[WebsocketClient, PlaybackServer, list[ServedRun]]]:
    """Serve a job in a thread, and connect a client that has read the list of channels."""
    started: Queue[PlaybackServer | BaseException] = Queue()
    accounts: list[ServedRun] = []

    def run() -> None:
        try:
            accounts.append(serve_replay(job, Serving(port=0, started=started.put, **how)))
        except BaseException as error:
            started.put(error)

    thread = Thread(target=run)
    thread.start()
    server = started.get(timeout=60)
    if isinstance(server, BaseException):
        raise server
    client = WebsocketClient("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    try:
        client.until(lambda: bool(client.info) and "/perception/log" in client.channels)
        yield client, server, accounts
    finally:
        client.close()
        server.playback.leave()
        thread.join(60)
        assert not thread.is_alive()


def in_file(job: ReplayJob, path: Path) -> list[tuple[str, int, bytes]]:
    """Return the messages of the output log of a job, with its inputs."""
    from dataclasses import replace

    run_job(replace(job, output=path, with_inputs=True, rate=None))
    with open_log(path) as log:
        return [(m.topic, m.log_time_ns, bytes(m.data)) for m in log.messages(Query())]


def test_every_message_of_a_replay_arrives_as_the_output_log_has_it(scene: Path, tmp_path: Path) -> None:
    job = job_of(scene)
    with served(job) as (client, _, accounts):
        assert set(client.info["capabilities"]) == {"time", "playbackControl"}
        client.subscribe()
        client.until(lambda: any(state.status == "ended" for state in client.states))
        client.quiet(0.2)
    expected = [row for row in in_file(job, tmp_path / "a.mcap") if row[0] not in NOT_TIMING]
    arrived = [tuple(message) for message in client.messages if message.topic not in NOT_TIMING]
    assert Counter(arrived) == Counter(expected)
    assert len(client.on("/perception/timing")) == len(client.on("/perception/inputs")) == 30
    assert client.times_ns == sorted(client.times_ns)
    assert accounts[0].outputs == 30
    for topic, channel in client.channels.items():
        assert channel["encoding"] in ("protobuf", "json"), topic


@pytest.mark.parametrize("share", [0.2, pytest.param(0.75, marks=pytest.mark.slow)])
def test_a_seek_lands_where_asked_with_the_outputs_of_a_whole_replay(
    scene: Path, tmp_path: Path, share: float
) -> None:
    whole = in_file(job_of(scene), tmp_path / "whole.mcap")
    controls = [row for row in whole if row[0] == "/perception/control"]
    target_ns = controls[0][1] + round(share * 3e9)
    expected = next(row for row in controls if row[1] >= target_ns)
    with served(job_of(scene, rate=1.0)) as (client, _, _):
        client.subscribe()
        client.until(lambda: client.on("/perception/control"))
        client.ask(play=False, seek_ns=target_ns, name="seek")
        answer = client.answer_to("seek")
        assert answer[:2] == ("paused", target_ns)
        assert answer.did_seek
        client.messages.clear()
        client.until(lambda: client.on("/perception/inputs"))
        client.quiet(0.5)
        assert [tuple(m) for m in client.on("/perception/control")] == [expected]  # one, and it waits
        client.ask(play=True, speed=20.0, name="on")
        client.until(lambda: client.states[-1].status == "ended")
        client.quiet(0.2)  # a state may overtake the last message
        rest = [tuple(m) for m in client.on("/perception/control")]
        assert rest == [row for row in controls if row[1] >= target_ns]
        client.ask(play=True, speed=20.0, name="again")  # at the end: from the start
        assert client.answer_to("again").did_seek
        client.messages.clear()
        client.until(lambda: client.states[-1].status == "ended" and client.states[-1].request_id == "")
        client.quiet(0.2)
        assert [tuple(m) for m in client.on("/perception/control")] == controls


def test_a_pause_holds_and_the_speed_is_that_asked_for(scene: Path) -> None:
    with served(job_of(scene, rate=1.0)) as (client, server, _):
        client.subscribe()
        client.until(lambda: len(client.on("/perception/inputs")) >= 3)
        client.ask(play=False, name="pause")
        client.answer_to("pause")
        client.quiet(0.3)
        count = len(client.messages)
        client.quiet(0.5)
        assert len(client.messages) == count
        client.ask(play=True, speed=0.25, name="slowly")
        assert client.answer_to("slowly").speed == 0.25
        client.messages.clear()
        client.quiet(1.0)  # 0.25 s of the log: 2 or 3 of its 30 samples
        assert 1 <= len(client.on("/perception/inputs")) <= 4
        for wrong in (float("nan"), -1.0, 0.0, float("inf")):
            client.ask(play=True, speed=wrong, name=str(wrong))
            assert client.answer_to(str(wrong)).speed == 0.25
        client.ask(play=False, seek_ns=1, name="before")
        assert client.answer_to("before").now_ns == server.playback.start_ns
        client.ask(play=False, seek_ns=(1 << 64) - 1, name="after")
        assert client.answer_to("after").now_ns == server.playback.end_ns


def test_who_comes_later_gets_the_rig_and_the_present_sample(scene: Path) -> None:
    with served(job_of(scene, rate=1.0)) as (client, server, _):
        client.subscribe(["/perception/control"])
        client.until(lambda: client.on("/perception/control"))
        client.ask(play=False, name="pause")
        client.answer_to("pause")
        second = WebsocketClient("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        second.until(lambda: "/perception/log" in second.channels)
        second.subscribe()
        second.until(lambda: second.on("/perception/inputs"))
        second.quiet(0.3)
        assert second.on("/camera/calibration")
        assert second.on("/tf")
        assert {message.log_time_ns for message in second.on("/perception/inputs")} == {
            server.playback.now_ns
        }
        second.close()


def test_without_a_viewer_it_runs_to_the_end_and_encodes_nothing(scene: Path) -> None:
    playback_ends: list[int] = []
    serving = Serving(port=0, waits=False, stays=False, ended=playback_ends.append)
    account = serve_replay(job_of(scene), serving)
    assert playback_ends == [30]
    assert (account.outputs, account.errors, account.ends, account.seeks) == (30, 0, 1, 0)


def test_it_listens_on_this_machine_alone_and_a_port_in_use_is_one_line(scene: Path) -> None:
    with served(job_of(scene)) as (_, server, _):
        port = int(server.url.rsplit(":", 1)[1])
        listening = Path("/proc/net/tcp").read_text()
        places = [line.split()[1] for line in listening.splitlines()[1:] if line.split()[3] == "0A"]
        assert [place for place in places if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
        with pytest.raises(OutputError, match=r"cannot listen on 127.0.0.1 port .*--serve-port"):
            PlaybackServer(Playback(0, 1), "another", port=port)
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("192.168.1.5")
    assert not is_loopback(socket.gethostname() + ".example")


@pytest.mark.parametrize(
    ("host", "origin", "enters"),
    [
        ("127.0.0.1", None, True),  # a program
        ("localhost", "http://localhost:3000", True),
        ("[::1]", "http://[::1]:8080", True),
        ("127.0.0.1", "https://app.foxglove.dev", True),
        ("127.0.0.1", "app://foxglove", True),
        ("127.0.0.1", "https://other.example", False),
        ("127.0.0.1", "https://app.foxglove.dev.other.example", False),
        ("127.0.0.1", "http://127.0.0.1.other.example", False),
        ("127.0.0.1", "null", False),
        ("rebound.example", "http://rebound.example", False),
        ("rebound.example", None, False),
        ("", None, False),
    ],
)
def test_pages_of_other_sites_and_other_names_of_this_machine_are_refused(
    host: str, origin: str | None, enters: bool
) -> None:
    refused: list[str] = []
    with PlaybackServer(Playback(0, 1), "door", port=0, refused=refused.append) as server:
        port = int(server.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            lines = [
                "GET / HTTP/1.1",
                f"Host: {host}:{port}",
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Protocol: foxglove.sdk.v1",
                *([f"Origin: {origin}"] if origin is not None else []),
            ]
            client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101" if enters else b"HTTP/1.1 403")
        assert (not refused) == enters
        assert f"127.0.0.1%3A{port}" in server.app_url


def test_a_handshake_that_does_not_end_or_is_too_long_is_dropped() -> None:
    with PlaybackServer(Playback(0, 1), "door", port=0) as server:
        port = int(server.url.rsplit(":", 1)[1])
        for begun in (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, b"Host: a\r\nHost: b\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                with suppress(ConnectionError):
                    client.sendall(begun)
                with suppress(ConnectionError):
                    assert not client.recv(4096).startswith(b"HTTP/1.1 101")


def test_what_the_run_warns_of_is_shown_and_lost_messages_are_texts(tmp_path: Path) -> None:
    log = SmallLog().image().scan().status(hz=50.0).json("/spare", lambda i: {"x": 1.0}, "Spare", hz=1.0)
    log.rows += [row for row in log.rows if row[1] == "/vehicle/state"][10:12]
    with served(job_of(log.write(tmp_path / "a.mcap"))) as (client, _, _):
        client.subscribe()
        client.until(lambda: any(state.status == "ended" for state in client.states))
        client.quiet(0.3)
    assert any("/spare" in text for text in client.statuses.values())
    lines = [LogMessage.FromString(message.data) for message in client.on("/perception/log")]
    assert sum(line.message == "duplicate" and line.name == "/vehicle/state" for line in lines) == 2
