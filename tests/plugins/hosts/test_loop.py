"""The loop of a host gives what replay gives, stays up on bad days, and says what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from threading import Event, Lock, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.autoconfig import complete_config
from perception.config import Config
from perception.errors import ConfigError, OutputError
from perception.logs import open_log
from perception.pipeline import replay
from perception.pipeline.digest import OutputDigest
from perception.plugin import Context, Prepared
from perception.types import Channel, Message, Output, Sample, Schema, Tick
from perception_plugins.hosts import health
from perception_plugins.hosts.loop import HostLoop
from perception_plugins.hosts.outcomes import HostFrame
from perception_plugins.hosts.recording import HostRecording
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.plugins.hosts.feeding import config_of, feed_as_recorded, messages_of
from tests.small_logs import SmallLog


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drive") / "drive.mcap"
    log = SmallLog().image(seconds=3.0, delay_s=0.03, drop=range(11, 19)).scan(hz=20, seconds=3.0)
    return log.status(hz=50, seconds=3.0, delay_s=0.002).write(path)


class Digest:
    """The hash of published outputs."""

    def __init__(self) -> None:
        self.digest, self.frames = OutputDigest(), 0

    def __call__(self, frame: HostFrame) -> None:
        self.digest.write(frame.sample, frame.output)
        self.frames += 1


def replayed(path: Path) -> tuple[str, int]:
    with open_log(path) as log:
        summary = replay(log, complete_config(log).config, MemoryPlugin())
    return summary.run["outputs_sha256"], summary.frames


def test_the_outputs_are_those_of_replay(drive: Path) -> None:
    published, config = Digest(), config_of(drive)
    with HostLoop(config, MemoryPlugin(), published, clock=None, queue=10_000) as loop:
        feed_as_recorded(loop, messages_of(drive, config))
    assert (published.digest.hexdigest(), published.frames) == replayed(drive)
    summary = loop.summary()
    assert summary.status == "clean"
    assert summary.substitutes > 0
    assert summary.ledger["/camera/image"]["used"] == 22


def test_a_recording_on_the_clock_of_the_machine_replays_bit_for_bit(drive: Path, tmp_path: Path) -> None:
    published, config, out = Digest(), config_of(drive), tmp_path / "out.mcap"
    with HostLoop(config, MemoryPlugin(), published, record=HostRecording(out, "test")) as loop:
        for message in messages_of(drive, config):
            time.sleep(0.002)
            loop.feed(message.channel, message.data, message.publish_time_ns)
        time.sleep(0.2)  # the sensors are silent: a substitute tick is made, also in the replay
    assert published.frames > 20
    assert (published.digest.hexdigest(), published.frames) == replayed(out)


def fed(loop: HostLoop, path: Path, config: Config, pause_s: float = 0.0) -> None:
    for message in messages_of(path, config):
        time.sleep(pause_s)
        loop.feed(message.channel, message.data, message.publish_time_ns)


def eventually(holds: Callable[[], bool], wait_s: float = 20.0) -> bool:
    until_s = time.monotonic() + wait_s
    while not holds() and time.monotonic() < until_s:
        time.sleep(0.01)
    return holds()


def test_a_sensor_that_is_unplugged_is_named_and_the_ticks_go_on(
    drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SILENT_S", 0.1)
    published, config = Digest(), config_of(drive)
    with HostLoop(config, MemoryPlugin(), published, queue=100) as loop:
        messages = list(messages_of(drive, config))
        for i, message in enumerate(messages):
            if i < len(messages) // 3:
                loop.feed(message.channel, message.data, message.publish_time_ns)
            elif message.topic == "/vehicle/state":  # the camera and the scanner say nothing more
                time.sleep(0.02)
                loop.feed(message.channel, message.data, message.publish_time_ns)
        state = loop.health()
    camera = next(entry for entry in state.inputs if entry.name == "camera")
    assert state.level == "warn"
    assert "silent: nothing for" in camera.problem
    assert any("camera (/camera/image): silent" in text for text in state.problems)
    assert loop.summary().substitutes >= 2


def test_a_message_of_another_type_is_counted_with_its_reason(drive: Path) -> None:
    config = config_of(drive)
    other = Channel(1, "/scan", "json", Schema("geometry.Twist", "jsonschema", b"{}"))
    with HostLoop(config, MemoryPlugin(), Digest(), clock=None, queue=10_000) as loop:
        messages = list(messages_of(drive, config))
        loop.feed(other, b'{"a": 1}', None, messages[0].log_time_ns)
        feed_as_recorded(loop, messages)
    summary = loop.summary()
    assert summary.status == "loss"
    assert summary.frames == 30
    assert summary.ledger["/scan"]["undecodable"] == 1
    assert any("as range, found geometry.Twist" in warned.text for warned in summary.warnings)


@pytest.mark.parametrize("error", [ValueError("as asked"), SystemExit(0)])
def test_a_plugin_that_raises_or_exits_costs_its_output(drive: Path, error: BaseException) -> None:
    class Raising(MemoryPlugin):
        def step(self, prepared: Sequence[Prepared]) -> list[Output]:
            if prepared[0].sample.tick.index == 3:
                raise error
            return super().step(prepared)

    published, config = Digest(), config_of(drive)
    with HostLoop(config, Raising(), published, clock=None, queue=10_000) as loop:
        feed_as_recorded(loop, messages_of(drive, config))
        assert eventually(lambda: loop.health().outputs >= 29)
        state = loop.health()
    assert (loop.summary().errors, published.frames) == (1, 30)
    assert loop.summary().status == "loss"
    assert state.level == "error"
    assert type(error).__name__ in state.last_error


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, "'NoneType' object is not iterable"),
        ([], "step returned 0 outputs"),
        ([None], "expected an Output, found NoneType"),
        ([Output(Tick(0, "reference", 0, 0), None, 3.0)], "expected Detections or Control, found float"),  # type: ignore[arg-type]
    ],
)
def test_an_answer_of_another_type_costs_its_output(drive: Path, answer: object, error: str) -> None:
    class Odd(MemoryPlugin):
        def step(self, prepared: Sequence[Prepared]) -> list[Output]:
            return answer  # type: ignore[return-value]

    published, config = Digest(), config_of(drive)
    with HostLoop(config, Odd(), published, clock=None, queue=10_000) as loop:
        feed_as_recorded(loop, messages_of(drive, config))
    summary = loop.summary()
    assert summary.status == "loss"
    assert summary.errors == summary.frames == published.frames > 20
    assert error in summary.first_error


def test_a_plugin_that_hangs_is_named_and_what_it_costs_is_counted(
    drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "BUSY_S", 0.05)
    free = Event()

    class Hanging(MemoryPlugin):
        def step(self, prepared: Sequence[Prepared]) -> list[Output]:
            if prepared[0].sample.tick.index == 2:
                free.wait(30)
            return super().step(prepared)

    published, config = Digest(), config_of(drive)
    with HostLoop(config, Hanging(), published, clock=None) as loop:
        feed_as_recorded(loop, messages_of(drive, config))
        assert eventually(lambda: loop.health().plugin == "hangs")
        state = loop.health()
        free.set()
    assert state.level == "error"
    assert any("has not answered for" in text for text in state.problems)
    summary = loop.summary()
    assert summary.dropped["/camera/image"] > 5
    assert summary.missed_deadlines > 0
    for topic, rows in summary.ledger.items():  # each message that was fed has its row
        assert sum(rows.values()) == loop.arrivals.topics[topic].received


def test_a_plugin_that_still_hangs_at_the_end_is_left_behind_with_what_was_recorded(
    drive: Path, tmp_path: Path
) -> None:
    free = Event()

    class Hanging(MemoryPlugin):
        def step(self, prepared: Sequence[Prepared]) -> list[Output]:
            if prepared[0].sample.tick.index == 2:
                free.wait(30)
            return super().step(prepared)

    config, record = config_of(drive), HostRecording(tmp_path / "out.mcap", "test")
    loop = HostLoop(config, Hanging(), Digest(), clock=None, queue=10_000, record=record)
    loop.start()
    feed_as_recorded(loop, messages_of(drive, config))
    assert eventually(lambda: loop.health().outputs == 2)
    loop.stop(wait_s=0.1)
    summary = loop.summary()
    free.set()
    assert summary.status == "failed"
    assert replayed(record.path)[1] >= 2


def test_a_host_that_is_stopped_while_the_plugin_opens_does_not_blame_it_for_the_end(drive: Path) -> None:
    """As where weights are converted, which takes up to a minute."""
    opening, free = Event(), Event()

    class Slow(MemoryPlugin):
        def open(self, context: Context) -> None:
            opening.set()
            free.wait(30)
            super().open(context)

    loop = HostLoop(config_of(drive), Slow(), Digest(), clock=None)
    starting = Thread(target=loop.start, daemon=True)
    starting.start()
    assert opening.wait(10)
    loop.stop(wait_s=0.01)
    summary = loop.summary()
    free.set()
    starting.join()
    assert summary.status == "failed"
    assert any("the plugin was still being opened, and was left behind" in w.text for w in summary.warnings)


def test_the_plugin_has_answered_before_the_host_is_ready_and_remembers_nothing_of_it(drive: Path) -> None:
    published, config, plugin = Digest(), config_of(drive), MemoryPlugin()
    with HostLoop(config, plugin, published, clock=None, queue=10_000) as loop:
        warm, events = plugin._steps, list(plugin.events)
        feed_as_recorded(loop, messages_of(drive, config))
    assert warm > 0
    assert events == ["open cpu", "reset the plugin has been warmed up"]
    assert (published.digest.hexdigest(), published.frames) == replayed(drive)


def test_a_plugin_that_cannot_be_warmed_up_runs_all_the_same(drive: Path) -> None:
    class Picky(MemoryPlugin):
        def prepare(self, sample: Sample) -> Prepared:
            if sample.camera.topic != "/camera/image":
                raise SystemExit(1)
            return super().prepare(sample)

    config = config_of(drive)
    with HostLoop(config, Picky(), Digest(), clock=None, queue=10_000) as loop:
        feed_as_recorded(loop, messages_of(drive, config))
    assert (loop.summary().status, loop.summary().frames) == ("clean", 30)


def test_what_publish_raises_is_counted_and_the_host_goes_on(drive: Path) -> None:
    def publish(frame: HostFrame) -> None:
        raise ConnectionError("the stack is gone")

    config = config_of(drive)
    with HostLoop(config, MemoryPlugin(), publish, clock=None, queue=10_000) as loop:
        feed_as_recorded(loop, messages_of(drive, config))
    summary = loop.summary()
    assert (summary.frames, summary.status) == (30, "loss")
    assert any("the stack is gone" in warned.text and warned.count == 30 for warned in summary.warnings)


def test_a_full_disk_ends_the_recording_and_not_the_host(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, record = config_of(drive), HostRecording(tmp_path / "out.mcap", "test")
    with HostLoop(config, MemoryPlugin(), Digest(), clock=None, queue=10_000, record=record) as loop:
        messages = list(messages_of(drive, config))
        feed_as_recorded(loop, messages[:60])
        assert eventually(lambda: loop.health().outputs > 3)
        monkeypatch.setattr(record._sink, "copy", _full)
        feed_as_recorded(loop, messages[60:])
    state, summary = loop.health(), loop.summary()
    assert any("the recording has ended: no space" in text for text in state.problems)
    assert (summary.frames, summary.status) == (30, "loss")


def _full(message: object) -> None:
    raise OutputError("no space left on the device")


def test_a_host_that_is_started_again_replaces_no_recording(tmp_path: Path) -> None:
    (tmp_path / "out.mcap").write_bytes(b"the first drive")
    assert HostRecording(tmp_path / "out.mcap", "test").path == tmp_path / "out.2.mcap"
    (tmp_path / "out.2.mcap").touch()
    assert HostRecording(tmp_path / "out.mcap", "test").path == tmp_path / "out.3.mcap"


@pytest.mark.parametrize("step_s", [-5, 3600])
def test_a_clock_that_is_set_costs_no_message_and_changes_no_order(
    drive: Path, tmp_path: Path, step_s: int
) -> None:
    """Stamps are of another clock, which is not set."""
    later = 10**18 + step_s * 10**9
    times = chain(range(10**18, 10**18 + 100 * 10**6, 10**6), range(later, later + 5 * 10**9, 10**6))
    lock, out = Lock(), tmp_path / "out.mcap"

    def clock() -> int:
        with lock:
            return next(times)

    published, config = Digest(), config_of(drive)
    with HostLoop(config, MemoryPlugin(), published, clock, HostRecording(out, "test"), queue=100) as loop:
        fed(loop, drive, config, 0.001)
    assert loop.arrivals.clock_jumps == 1
    assert "late" not in loop.summary().ledger["/camera/image"]
    assert (published.digest.hexdigest(), published.frames) == replayed(out)


@cache
def messages_by_topic(path: Path) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = {}
    for message in messages_of(path, config_of(path)):
        found.setdefault(message.topic, []).append(message)
    return found


@settings(max_examples=8)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["/camera/image", "/scan", "/vehicle/state", "clock"]), st.integers(0, 400)
        ),
        max_size=60,
    ).filter(lambda steps: any(topic != "clock" for topic, _ in steps)),
    st.sampled_from([0, 30]),
)
def test_any_arrivals_replay_alike(
    drive: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], wait_ms: int
) -> None:
    """Also pauses of more than ten seconds, and clocks that run on without a message."""
    config = config_of(drive).model_copy(update={"wait_ms": float(wait_ms)})
    by_topic = messages_by_topic(drive)
    out = tmp_path_factory.mktemp("any") / "out.mcap"
    published, now_ns = Digest(), 10**18
    with HostLoop(config, MemoryPlugin(), published, None, HostRecording(out, "test"), queue=10_000) as loop:
        for i, (topic, step) in enumerate(steps):
            now_ns += 12 * 10**9 if step == 400 else step * 10**6
            if topic == "clock":
                loop.tell_time(now_ns)
            else:
                message = by_topic[topic][i % len(by_topic[topic])]
                loop.feed(message.channel, message.data, None, now_ns)
    assert (published.digest.hexdigest(), published.frames) == replayed(out)


def test_a_configuration_for_a_host_is_complete(drive: Path) -> None:
    config = config_of(drive)
    with pytest.raises(ConfigError, match="reference_rate_hz: missing"):
        HostLoop(config.model_copy(update={"reference_rate_hz": None}), MemoryPlugin(), Digest())
    with pytest.raises(ConfigError, match="a host injects none"):
        HostLoop(config.model_copy(update={"faults": ("camera.loss=0.5",)}), MemoryPlugin(), Digest())
