"""Frames carried by several threads: the same answers whatever delays what; order, errors, nobody left."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.config import EngineConfig, PluginConfig
from perception.errors import OutputError
from perception.logs import LogWriter, open_log
from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, save_checkpoint
from perception.pipeline import ReplayOptions, Span, Summary, replay
from perception.pipeline.workers import Workers, default_workers
from perception.plugin import Context, Infers, Plugin, Prepared, load_plugin
from perception.types import Message, Output, Sample
from tests.fusion_scenes import SMALL
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.pipeline.test_replay import Collected
from tests.scripted_scene import START_NS, write_scene


class Inferring(MemoryPlugin):
    """Its sums are made beforehand; `log` tells which thread did what."""

    log: list[tuple[str, str]]

    def open(self, context: Context) -> None:
        super().open(context)
        self.log = []

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        self.log.append(("infer", threading.current_thread().name))
        return [replace(item, payload=(*item.payload[:2], item.payload[2] * 1.0)) for item in prepared]

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        self.log.append(("step", threading.current_thread().name))
        return super().step(prepared)


class Delayed(Plugin):
    """Another plugin, each of whose methods takes a random time more."""

    def __init__(self, plugin: Plugin, seed: int) -> None:
        assert isinstance(plugin, Infers)
        self.inner = plugin
        self.manifest, self.describe = plugin.manifest, plugin.describe  # type: ignore[method-assign]
        self.open, self.reset, self.close = plugin.open, plugin.reset, plugin.close  # type: ignore[method-assign]
        self.wait = dawdler(seed)

    def prepare(self, sample: Sample) -> Prepared:
        self.wait()
        return self.inner.prepare(sample)

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        self.wait()
        assert isinstance(self.inner, Infers)
        return self.inner.infer(prepared)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        self.wait()
        return self.inner.step(prepared)


def dawdler(seed: int) -> Callable[[], None]:
    """Sleeps now and then, up to 4 ms."""
    drawn = random.Random(seed)
    return lambda: time.sleep(max(0.0, drawn.uniform(-0.008, 0.004)))


class DelayedSink(Collected):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.wait = dawdler(seed)

    def write(self, *arguments, **named) -> None:  # type: ignore[no-untyped-def]
        self.wait()
        super().write(*arguments, **named)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 s, in which the camera is silent from 2 s on."""
    path = tmp_path_factory.mktemp("workers") / "scene.mcap"
    return write_scene(path, duration_s=3.0, image_size=(64, 32), silent={"camera": (2.0, 3.0)})


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(path, FusionModel(SMALL, seed=3), Checkpoint(SMALL))
    return path


def once(
    scene: Path,
    plugin: Plugin,
    sink: Collected | None = None,
    options: ReplayOptions | None = None,
    plugin_config: PluginConfig | None = None,
    **engine: object,
) -> tuple[Collected, Summary]:
    sink = sink or Collected()
    with open_log(scene) as log:
        config = complete_config(log).config
        changes = {"engine": EngineConfig(**engine), "plugin": plugin_config or config.plugin}  # type: ignore[arg-type]
        return sink, replay(log, config.model_copy(update=changes), plugin, [sink], options)


@pytest.mark.parametrize("which", ["memory", pytest.param("fusion", marks=pytest.mark.slow)])
def test_runs_with_random_delays_beside_other_logs_give_the_same(
    scene: Path, weights: Path, which: str
) -> None:
    fusion = which == "fusion"
    span = Span(None, START_NS + 900_000_000) if fusion else Span(START_NS + 1_500_000_000)
    settings = PluginConfig(checkpoint=weights) if fusion else None

    def plugin() -> Plugin:
        return load_plugin("fusion") if fusion else Inferring()

    def delayed(seed: int) -> tuple[Collected, Summary]:
        wait = dawdler(seed)
        options = ReplayOptions(span=span, on_message=lambda message: wait())
        slow = Delayed(plugin(), seed + 100)
        workers = 1 + seed % 3
        return once(
            scene, slow, DelayedSink(seed), options, settings, workers=workers, batch=2, backend="torch"
        )

    calm = once(scene, plugin(), None, ReplayOptions(span=span), settings, workers=1, backend="torch")
    assert calm[1].frames > 5
    with ThreadPoolExecutor(2) as beside:
        for sink, summary in beside.map(delayed, range(6)):
            assert sink.outputs == calm[0].outputs
            assert summary.ledger == calm[1].ledger
            assert summary.run["outputs_sha256"] == calm[1].run["outputs_sha256"]


def test_workers_prepare_and_infer_and_one_thread_steps(scene: Path) -> None:
    plugin = Inferring()
    once(scene, plugin, workers=3)
    threads = {what: {name for done, name in plugin.log if done == what} for what in ("infer", "step")}
    assert threads["step"] == {threading.current_thread().name}
    assert 1 <= len(threads["infer"]) <= 3  # one may take all, where the cores are few


def test_with_one_worker_everything_happens_in_the_calling_thread(scene: Path) -> None:
    plugin = Inferring()
    once(scene, plugin, workers=1)
    assert {name for _, name in plugin.log} == {threading.current_thread().name}
    assert [what for what, _ in plugin.log[:4]] == ["infer", "step"] * 2


def test_no_thread_stays_behind_whatever_ends_the_run(scene: Path) -> None:
    class Full(Collected):
        def write(self, *arguments, **named) -> None:  # type: ignore[no-untyped-def]
            super().write(*arguments, **named)
            if len(self.frames) == 5:
                raise OutputError("no space left")

    def unreadable(message: Message) -> None:
        if message.log_time_ns > START_NS + 500_000_000:
            raise OSError("the disk is gone")

    before = set(threading.enumerate())
    full = Full()
    with pytest.raises(OutputError, match="no space left"):
        once(scene, Inferring(), full, workers=3)
    assert len(full.frames) == 5
    assert full.closed
    source = Collected()
    with pytest.raises(OSError, match="the disk is gone"):
        once(scene, Inferring(), source, ReplayOptions(on_message=unreadable), workers=3)
    assert source.closed
    ticks = [output.tick.index for output in source.outputs]
    assert ticks == list(range(len(ticks)))  # what had been read is written, in order
    assert len(ticks) >= 4
    stopped = once(scene, MemoryPlugin(fail_at=[3]), None, ReplayOptions(on_error="stop"), workers=3)
    assert stopped[1].status == "failed"
    assert len(stopped[0].frames) == 4
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("nonsense", ["raises", "count", "type"])
def test_what_goes_wrong_in_infer_makes_the_outputs_of_its_batch_invalid(scene: Path, nonsense: str) -> None:
    class Odd(Inferring):
        def infer(self, prepared):  # type: ignore[no-untyped-def]
            if not any(item.sample.tick.index == 4 for item in prepared):
                return super().infer(prepared)
            if nonsense == "raises":
                raise ValueError("as asked")
            return [] if nonsense == "count" else ["words"] * len(prepared)

    sink, summary = once(scene, Odd(), workers=2, batch=2)
    invalid = [o.tick.index for o in sink.outputs if o.control is not None and not o.control.valid]
    assert invalid == [4, 5]
    assert summary.errors == 2
    expected = {"raises": "ValueError: as asked", "count": "infer returned 0", "type": "infer returned str"}
    assert expected[nonsense] in summary.first_error


def test_a_reset_waits_for_what_came_before_it(tmp_path: Path) -> None:
    path = tmp_path / "back.mcap"
    write_scene(path, duration_s=2.0, image_size=(64, 32))
    again = tmp_path / "again.mcap"
    with open_log(path) as log, LogWriter(again) as writer:
        for shift_ns in (0, 30_000_000_000):  # the clock jumps by half a minute
            for message in log.messages():
                later = message.log_time_ns + shift_ns, message.publish_time_ns + shift_ns
                writer.copy(replace(message, log_time_ns=later[0], publish_time_ns=later[1]))
    ordered: list[str] = []

    class Telling(Inferring):
        def step(self, prepared):  # type: ignore[no-untyped-def]
            ordered.extend(str(item.sample.tick.log_time_ns > START_NS + 10**10) for item in prepared)
            return super().step(prepared)

        def reset(self, reason):  # type: ignore[no-untyped-def]
            ordered.append("reset")
            super().reset(reason)

    once(again, Telling(), workers=3, batch=4)
    at = ordered.index("reset")
    assert set(ordered[:at]) == {"False"}
    assert set(ordered[at + 1 :]) == {"True"}


def test_images_that_are_overtaken_are_never_decoded(scene: Path) -> None:
    class Counting(Inferring):
        prepared = 0

        def prepare(self, sample: Sample) -> Prepared:
            self.prepared += 1
            time.sleep(0.02)
            return super().prepare(sample)

    plugin = Counting()
    options = ReplayOptions(rate=20.0, live_drop=True)
    _, summary = once(scene, plugin, None, options, workers=3)
    assert summary.dropped > 5
    assert plugin.prepared == summary.frames


def test_answers_later_than_a_period_are_counted_as_missed_deadlines(scene: Path) -> None:
    class Slow(MemoryPlugin):
        def step(self, prepared):  # type: ignore[no-untyped-def]
            time.sleep(0.03)
            return super().step(prepared)

    span = Span(None, START_NS + 800_000_000)
    _, late = once(scene, Slow(), None, ReplayOptions(rate=10.0, span=span))  # a tick each 10 ms
    assert late.deadline["period_ms"] == pytest.approx(10.0, rel=0.05)
    assert late.deadline["misses"] == late.frames > 5
    _, asap = once(scene, MemoryPlugin(), None, ReplayOptions(span=span))
    assert asap.deadline == {}
    assert asap.to_json()["deadline"] == {}


def test_workers_give_back_in_order_and_take_in_no_more_than_they_can_hold() -> None:
    gate, begun = threading.Event(), []

    def work(number: int) -> int:
        begun.append(number)
        gate.wait(5)
        return number

    with Workers(2, work) as workers:
        taken = 0
        while not workers.due:
            workers.submit(taken)
            taken += 1
        assert taken == 4
        assert len(begun) <= 2
        gate.set()
        assert [workers.fetch() for _ in range(taken)] == [0, 1, 2, 3]
        assert not workers.busy


def test_where_it_would_wait_the_calling_thread_carries_what_nobody_has_begun() -> None:
    gate, carried = threading.Event(), {}

    def work(number: int) -> int:
        carried[number] = threading.current_thread()
        if number == 0:
            gate.wait(5)
        if number == 3:
            gate.set()
        return number

    with Workers(2, work) as workers:
        for number in range(4):
            workers.submit(number)
        while 0 not in carried:
            time.sleep(0.001)
        assert [workers.fetch() for _ in range(4)] == [0, 1, 2, 3]
    assert carried[0] is not threading.current_thread()
    assert {carried[number] for number in (1, 2, 3)} == {threading.current_thread()}


def test_what_the_calling_thread_was_interrupted_at_is_done_when_it_goes_on() -> None:
    gate, tries = threading.Event(), []

    def work(number: int) -> int:
        tries.append(number)
        if number == 0:
            gate.wait(5)
        elif tries.count(1) == 1:
            raise KeyboardInterrupt
        elif tries.count(1) == 2:
            gate.set()
            raise ValueError("as asked")
        return number

    with Workers(2, work) as workers:
        workers.submit(0)
        while not tries:
            time.sleep(0.001)
        workers.submit(1)
        with pytest.raises(KeyboardInterrupt):
            workers.fetch()
        assert workers.fetch() == 0
        with pytest.raises(ValueError, match="as asked"):
            workers.fetch()
        assert not workers.busy
    assert tries == [0, 1, 1]


def test_as_many_workers_as_the_cores_have_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perception.pipeline.workers.usable_cores", lambda: 6)
    assert default_workers("cpu", 1) == 6
    assert default_workers("cpu", 4) == 1
    assert default_workers("cpu", None) == 1
    assert default_workers("cuda", None) == 6
    assert default_workers("cpu", 2, "openvino") == 6
    assert default_workers("cpu", 6, "openvino") == 1
    monkeypatch.setattr("perception.pipeline.workers.usable_cores", lambda: 64)
    assert default_workers("cpu", 1) == 8
