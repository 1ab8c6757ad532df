"""Replay of real files: sameness, the account, errors, and what a user stops."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from perception.align import Aligner
from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.config import Config
from perception.errors import PluginError
from perception.logs import LogWriter, Query, decode, open_log
from perception.pipeline import ReplayOptions, Span, Summary, context_of, replay
from perception.pipeline.log_source import LogSource
from perception.pipeline.runner import Runner
from perception.plugin import Prepared
from perception.sinks import RunInfo
from perception.types import Output, Reset, Sample, TruthFrame
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.scripted_scene import START_NS, Row, write_scene


class Collected:
    """A sink that keeps everything in memory."""

    def __init__(self) -> None:
        self.frames: list[tuple[Sample, Output, TruthFrame | None]] = []
        self.info: RunInfo | None = None
        self.closed = False

    def open(self, run: RunInfo) -> None:
        self.info = run

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self.frames.append((sample, output, truth))

    def close(self) -> None:
        self.closed = True

    @property
    def outputs(self) -> list[Output]:
        return [output for _, output, _ in self.frames]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 s, in which the camera is silent from 4 s on."""
    path = tmp_path_factory.mktemp("scene") / "scene.mcap"
    return write_scene(path, duration_s=6.0, image_size=(64, 32), silent={"camera": (4.0, 6.0)})


def run(
    path: Path, options: ReplayOptions | None = None, **changes: object
) -> tuple[Collected, Summary, Config]:
    sink, plugin = Collected(), changes.pop("plugin", None) or MemoryPlugin()
    with open_log(path) as log:
        config = complete_config(log).config.model_copy(update=changes)
        summary = replay(log, config, plugin, [sink], options)  # type: ignore[arg-type]
    return sink, summary, config


@cache
def whole_run(path: Path, **changes: object) -> tuple[Collected, Summary, Config]:
    """The run of a whole log, which several tests look at or compare parts with."""
    return run(path, **changes)


def count_independently(path: Path) -> Counter[str]:
    """Messages by topic, as the library of the format reads them."""
    with path.open("rb") as file:
        return Counter(channel.topic for _, channel, _ in make_reader(file).iter_messages())


def test_a_whole_log_is_replayed_and_accounted_for(scene: Path) -> None:
    sink, summary, _ = whole_run(scene)
    assert summary.status == "clean"
    assert summary.frames == len(sink.frames) > 54
    assert {topic: sum(rows.values()) for topic, rows in summary.ledger.items()} == count_independently(scene)
    assert sink.closed
    assert summary.ledger["/truth/detections"] == {"truth": 60}


def test_control_goes_on_at_10_hz_when_the_camera_falls_silent(scene: Path) -> None:
    sink, summary, _ = whole_run(scene)
    after = [s.tick for s, _, _ in sink.frames if s.tick.log_time_ns > START_NS + 4_300_000_000]
    assert summary.substitutes == len([s for s, _, _ in sink.frames if s.tick.kind == "substitute"])
    assert {tick.kind for tick in after} == {"substitute"}
    steps_ms = {(b.log_time_ns - a.log_time_ns) / 1e6 for a, b in pairwise(after)}
    assert all(abs(step - 100) < 1 for step in steps_ms)
    assert all(o.control and o.control.valid for o in sink.outputs)


def test_truth_comes_with_the_outputs_and_never_in_the_sample(scene: Path) -> None:
    sink, _, _ = whole_run(scene)
    joined = [truth for sample, _, truth in sink.frames if sample.tick.kind == "reference"]
    assert all(t is not None and t.boxes is not None and t.control is not None for t in joined)
    assert any(t.boxes for t in joined if t)


class Unread(Collected):
    ignores_truth = True


class ReadAfterAll(Unread):
    """A class of another package over one that reads no truth: it may read it."""


def test_boxes_of_truth_are_placed_where_a_sink_may_read_them_and_warnings_are_the_same(scene: Path) -> None:
    runs = {}
    for kind in (Unread, ReadAfterAll):
        sink = kind()
        with open_log(scene) as log:
            span = Span(None, START_NS + 1_500_000_000)
            config = complete_config(log).config
            runs[kind] = replay(log, config, MemoryPlugin(), [sink], ReplayOptions(span=span))
        placed = [truth.boxes for _, _, truth in sink.frames if truth is not None]
        assert placed
        assert all((boxes is None) == (kind is Unread) for boxes in placed)
    assert runs[Unread].warnings == runs[ReadAfterAll].warnings
    assert runs[Unread].run["outputs_sha256"] == runs[ReadAfterAll].run["outputs_sha256"]


@pytest.mark.parametrize("rate", [40.0, pytest.param(200.0, marks=pytest.mark.slow)])
def test_the_rate_changes_nothing(scene: Path, rate: float) -> None:
    span = Span(None, START_NS + 3_000_000_000)
    asap, paced = run(scene, ReplayOptions(span=span))[0], run(scene, ReplayOptions(rate=rate, span=span))[0]
    assert paced.outputs == asap.outputs


@settings(max_examples=6, deadline=None)
@given(start_s=st.floats(0.0, 5.9), wait_ms=st.sampled_from([0.0, 45.0]))
def test_any_start_gives_that_part_of_the_whole(scene: Path, start_s: float, wait_ms: float) -> None:
    start_ns = START_NS + round(start_s * 1e9)
    whole, _, _ = whole_run(scene, wait_ms=wait_ms)
    part, summary, _ = run(scene, ReplayOptions(span=Span(start_ns, None)), wait_ms=wait_ms)
    assert part.outputs == [o for o in whole.outputs if o.tick.log_time_ns >= start_ns]
    assert {topic: sum(rows.values()) for topic, rows in summary.ledger.items()} == count_independently(scene)


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 2.0), (2.5, 4.25), (4.5, 5.5), (5.0, 20.0)])
def test_a_span_gives_its_part_and_the_ledger_still_adds_up(
    scene: Path, start_s: float, end_s: float
) -> None:
    start_ns, end_ns = START_NS + round(start_s * 1e9), START_NS + round(end_s * 1e9)
    for wait_ms in (0.0, 45.0):
        whole, _, _ = whole_run(scene, wait_ms=wait_ms)
        part, summary, _ = run(scene, ReplayOptions(span=Span(start_ns, end_ns)), wait_ms=wait_ms)
        assert part.outputs == [o for o in whole.outputs if start_ns <= o.tick.log_time_ns < end_ns]
        assert {t: sum(rows.values()) for t, rows in summary.ledger.items()} == count_independently(scene)


@pytest.mark.parametrize("end_s", [2.5, 30.0])
def test_a_span_that_ends_while_the_recorder_paused_gives_its_part(tmp_path: Path, end_s: float) -> None:
    def paused(row: Row) -> Iterator[Row]:
        late_ns = 40_000_000_000 if row.stamp_ns >= START_NS + 2_000_000_000 else 0
        yield replace(row, log_time_ns=row.log_time_ns + late_ns)

    path = write_scene(tmp_path / "x.mcap", duration_s=3.0, image_size=(64, 32), mutate=paused)
    end_ns = START_NS + round(end_s * 1e9)
    whole, part = run(path)[0], run(path, ReplayOptions(span=Span(None, end_ns)))[0]
    assert part.outputs == [o for o in whole.outputs if o.tick.log_time_ns < end_ns] != []


def test_a_pause_that_faults_lengthen_beyond_a_break_in_time_gives_no_tick_either(tmp_path: Path) -> None:
    """The first messages after a pause of 9.99 s are lost, so that time breaks."""

    def paused(row: Row) -> Iterator[Row]:
        after = row.stamp_ns >= START_NS + 2_000_000_000
        if not after or row.topic in ("/camera/image", "/scan", "/vehicle/state"):
            yield replace(row, log_time_ns=row.log_time_ns + after * 9_950_000_000)

    path = write_scene(tmp_path / "x.mcap", duration_s=3.0, image_size=(64, 32), mutate=paused)
    span = Span(None, START_NS + 5_000_000_000)
    faults = ("camera.loss=0.7,range.loss=0.7,status.loss=0.7,seed=1",)
    whole, part = run(path, faults=faults)[0], run(path, ReplayOptions(span=span), faults=faults)[0]
    assert part.outputs == [o for o in whole.outputs if o.tick.log_time_ns < START_NS + 5_000_000_000] != []


@pytest.mark.parametrize(("start_s", "wait_ms"), [(1.0, 0.0), (1.0, 120.0), (53.0, 0.0)])
def test_a_listener_of_each_message_changes_neither_the_outputs_nor_the_rows(
    tmp_path: Path, start_s: float, wait_ms: float
) -> None:
    def later(row: Row) -> Iterator[Row]:
        late_ns = 48_000_000_000 if row.stamp_ns >= START_NS + 2_300_000_000 else 0
        yield replace(row, log_time_ns=row.log_time_ns + late_ns)

    scene = write_scene(tmp_path / "x.mcap", duration_s=6.0, image_size=(64, 32), mutate=later)
    span = Span(START_NS + round(start_s * 1e9), START_NS + round(start_s * 1e9) + 1_040_000_000)
    lines: list[tuple[object, ...]] = []
    plain, summary, _ = run(scene, ReplayOptions(span=span), wait_ms=wait_ms)
    options = ReplayOptions(span=span, ledger_listener=lambda *line: lines.append(line))
    heard, heard_summary, _ = run(scene, options, wait_ms=wait_ms)
    assert heard.outputs == plain.outputs
    assert heard_summary.ledger == summary.ledger
    assert len(lines) == count_independently(scene).total()


def seen(sample: Sample) -> tuple[object, ...]:
    """What a plugin may rest on: the moment, each input's state, the status window, the rig."""
    window = sample.status.value.values.tobytes() if sample.status.value is not None else None
    inputs = [(given.name, given.stamp_ns, given.age_ms, given.reason) for given in sample.inputs]
    return replace(sample.tick, index=0), inputs, window, repr(sample.rig)


@pytest.mark.slow  # earlier starts: above
def test_a_start_late_in_a_long_log_finds_windows_and_a_rig_that_was_told_once(tmp_path: Path) -> None:
    """Late enough that the beginning is not read again."""
    scene, told_once = tmp_path / "scene.mcap", tmp_path / "told_once.mcap"
    write_scene(scene, duration_s=16.0, image_size=(64, 32))
    with open_log(scene) as log, LogWriter(told_once) as writer:
        told = set()
        for message in log.messages():
            if message.topic not in told:
                writer.copy(message)
            if message.topic in ("/camera/calibration", "/tf"):
                told.add(message.topic)
    whole, _, _ = run(told_once)
    for start_s in (13.05, 15.0):
        start_ns = START_NS + round(start_s * 1e9)
        # Its own warm-up would fill the windows of any aligner: this plugin asks for none.
        plugin = MemoryPlugin(replace(MemoryPlugin().manifest, preroll_s=0.0))
        part, summary, _ = run(told_once, ReplayOptions(span=Span(start_ns, None)), plugin=plugin)
        assert [seen(sample) for sample, _, _ in part.frames] == [
            seen(sample) for sample, _, _ in whole.frames if sample.tick.log_time_ns >= start_ns
        ]
        assert part.frames[0][0].rig.calibration is not None
        assert part.frames[0][0].status.value is not None
        assert summary.ledger["/camera/calibration"] == summary.ledger["/tf"] == {"preroll_only": 1}
        assert summary.ledger["/camera/image"]["outside_range"] > 0


def test_without_warming_up_a_plugin_that_remembers_would_differ(scene: Path) -> None:
    """The test above can fail: a plugin that hides its memory gives something else after a seek."""
    forgetful = replace(MemoryPlugin().manifest, preroll_s=0.0)
    start_ns = START_NS + 5_000_000_000
    whole, _, _ = whole_run(scene)
    part, _, _ = run(scene, ReplayOptions(span=Span(start_ns, None)), plugin=MemoryPlugin(forgetful))
    assert part.outputs != [o for o in whole.outputs if o.tick.log_time_ns >= start_ns]


def test_a_plugin_may_ask_for_everything_before_the_start(scene: Path) -> None:
    everything = replace(MemoryPlugin().manifest, preroll_s=None)
    start_ns = START_NS + 5_000_000_000
    whole, _, _ = run(scene, plugin=MemoryPlugin(everything))
    part, _, _ = run(scene, ReplayOptions(span=Span(start_ns, None)), plugin=MemoryPlugin(everything))
    assert part.outputs == [o for o in whole.outputs if o.tick.log_time_ns >= start_ns]


def test_a_live_program_with_a_timer_gets_the_same_as_replay(scene: Path) -> None:
    recorded, _, config = whole_run(scene)
    plugin, aligner, live = MemoryPlugin(), Aligner(config), []
    plugin.open(context_of(config, "cpu"))
    with open_log(scene) as log:
        roles = config.roles()
        clock_ns = log.survey.start_ns or 0
        for message in log.messages(Query(topics=frozenset(roles))):
            samples = []
            while clock_ns + 7_000_000 < message.log_time_ns:  # a timer of 7 ms
                clock_ns += 7_000_000
                samples += aligner.advance(clock_ns)
            samples += aligner.push(decode(message, roles[message.topic]))
            for sample in samples:
                live += plugin.step([plugin.prepare(sample)])
    live += [plugin.step([plugin.prepare(sample)])[0] for sample in aligner.flush()]
    assert live == recorded.outputs


def test_batches_are_full_but_for_the_last(scene: Path) -> None:
    class Counting(MemoryPlugin):
        def step(self, prepared):  # type: ignore[no-untyped-def]
            sizes.append(len(prepared))
            return super().step(prepared)

    sizes: list[int] = []
    single, _, config = whole_run(scene)
    batched, _, _ = run(scene, plugin=Counting(), engine=config.engine.model_copy(update={"batch": 8}))
    assert batched.outputs == single.outputs
    assert set(sizes[:-1]) == {8}


def test_loops_repeat_the_same_and_say_so_if_not(scene: Path) -> None:
    span = Span(None, START_NS + 1_500_000_000)
    plugin = MemoryPlugin()
    sink, summary, _ = run(scene, ReplayOptions(loops=3, span=span), plugin=plugin)
    assert plugin.events == ["open cpu", "reset loop", "reset loop", "close"]
    assert summary.frames == len(sink.frames)
    assert not [w for w in summary.warnings if w.code == "loop_differs"]

    class Leaking(MemoryPlugin):
        def reset(self, reason):  # type: ignore[no-untyped-def]
            """Forgets to forget."""

    _, leaking, _ = run(scene, ReplayOptions(loops=2, span=span), plugin=Leaking())
    assert [w.code for w in leaking.warnings] == ["loop_differs"]


def test_a_plugin_that_raises_is_counted_and_replay_goes_on(scene: Path) -> None:
    sink, summary, _ = run(scene, plugin=MemoryPlugin(fail_at=[3, 5]))
    assert summary.status == "loss"
    assert (summary.errors, summary.first_error) == (2, "ValueError: as asked")
    failed = [o for o in sink.outputs if o.control and not o.control.valid]
    assert [o.control.error for o in failed if o.control] == ["ValueError: as asked"] * 2
    assert summary.outputs["control"]["invalid"] == 2
    assert summary.frames > 54


@pytest.mark.parametrize("method", ["prepare", "step"])
def test_a_plugin_that_calls_sys_exit_has_failed_and_the_run_goes_on(scene: Path, method: str) -> None:
    class Leaves(MemoryPlugin):
        def prepare(self, sample: Sample) -> Prepared:
            if method == "prepare" and sample.tick.index == 3:
                sys.exit(0)
            return super().prepare(sample)

        def step(self, prepared: Sequence[Prepared]) -> list[Output]:
            if method == "step" and prepared[0].sample.tick.index == 3:
                sys.exit(0)
            return super().step(prepared)

    span = Span(None, START_NS + 1_000_000_000)
    sink, summary, _ = run(scene, ReplayOptions(span=span), plugin=Leaves())
    assert (summary.status, summary.errors, summary.first_error) == ("loss", 1, "SystemExit: 0")
    assert [bool(o.control and o.control.valid) for o in sink.outputs].count(False) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_a_reset_that_fails_is_tried_again_and_what_comes_before_it_is_invalid(
    scene: Path, workers: int
) -> None:
    class Stubborn(MemoryPlugin):
        def reset(self, reason: Reset) -> None:
            self.events.append(f"reset {reason.reason}")
            if len(self.events) < 3:
                raise SystemExit(0)

    with open_log(scene) as log:
        source = LogSource(log, complete_config(log).config, Ledger(), Span(None, START_NS + 1_000_000_000))
        samples = list(source.samples())
    samples[4] = replace(samples[4], reset=Reset("the clock went back"))
    sink, plugin = Collected(), Stubborn()
    runner = Runner(plugin, [sink], workers=workers)
    runner.run(samples)
    states = [bool(output.control and output.control.valid) for output in sink.outputs]
    assert [index for index, valid in enumerate(states) if not valid] == [4, 5]
    assert plugin.events == ["reset the clock went back"] * 3
    assert (runner.tally.errors, runner.tally.first_error) == (2, "reset failed: SystemExit: 0")


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, RuntimeError])
def test_a_plugin_that_does_not_close_fails_the_run_and_the_sinks_are_closed(
    scene: Path, kind: type[BaseException]
) -> None:
    class Stuck(MemoryPlugin):
        def close(self) -> None:
            raise kind("no")

    sink = Collected()
    span = Span(None, START_NS + 1_000_000_000)
    with open_log(scene) as log:
        config = complete_config(log).config
        with pytest.raises(PluginError, match=f"'memory' did not close: {kind.__name__}: no"):
            replay(log, config, Stuck(), [sink], ReplayOptions(span=span))
    assert sink.closed


def test_on_error_stop_ends_at_the_first_and_closes_everything(scene: Path) -> None:
    plugin = MemoryPlugin(fail_at=[3])
    sink, summary, _ = run(scene, ReplayOptions(on_error="stop"), plugin=plugin)
    assert summary.status == "failed"
    assert 1 <= len(sink.frames) <= 4
    assert sink.closed
    assert plugin.events[-1] == "close"


@pytest.mark.parametrize("nonsense", ["none", "count", "tick", "nan", "list"])
def test_nonsense_makes_the_output_invalid_and_names_the_fault(scene: Path, nonsense: str) -> None:
    class Odd(MemoryPlugin):
        def step(self, prepared):  # type: ignore[no-untyped-def]
            good = super().step(prepared)
            first = good[0]
            if nonsense == "none":
                return None
            if nonsense == "count":
                return good * 2
            if nonsense == "list":
                return ["words"]
            if nonsense == "tick":
                return [replace(first, tick=replace(first.tick, stamp_ns=0))]
            control = first.control
            bad = replace(control, channels=(replace(control.channels[0], value=float("nan")),))
            return [replace(first, control=bad)]

    span = Span(None, START_NS + 1_000_000_000)
    sink, summary, _ = run(scene, ReplayOptions(span=span), plugin=Odd())
    assert summary.errors == summary.frames > 5
    assert all(o.control and not o.control.valid and o.control.error for o in sink.outputs)


def test_live_drop_keeps_only_the_newest_and_counts_what_it_skipped(scene: Path) -> None:
    import time

    class Slow(MemoryPlugin):
        def step(self, prepared):  # type: ignore[no-untyped-def]
            time.sleep(0.05)
            return super().step(prepared)

    span = Span(None, START_NS + 4_000_000_000)
    options = ReplayOptions(rate=20.0, live_drop=True, span=span)  # a frame each 5 ms
    sink, summary, _ = run(scene, options, plugin=Slow())
    everything, full, _ = run(scene, ReplayOptions(span=span))
    assert summary.dropped > 20
    assert summary.frames + summary.dropped == full.frames
    kept = {o.tick for o in sink.outputs}
    assert kept < {o.tick for o in everything.outputs}
    assert {t: sum(r.values()) for t, r in summary.ledger.items()} == count_independently(scene)
    assert summary.ledger["/camera/image"]["dropped_live"] > 20


def test_keyboard_interrupt_closes_the_sinks_and_says_interrupted(scene: Path) -> None:
    class Impatient:
        def before(self, sample: Sample) -> None:
            if sample.tick.index == 10:
                raise KeyboardInterrupt

        def after(self, progress: object) -> None:
            """Not of interest."""

    sink, summary, _ = run(scene, ReplayOptions(observer=Impatient()))  # type: ignore[arg-type]
    assert summary.status == "interrupted"
    assert len(sink.frames) == 10
    assert sink.closed


def test_a_stretch_without_frames_says_why(scene: Path) -> None:
    _, summary, _ = run(scene, ReplayOptions(span=Span(START_NS + 100_000_000_000, None)))
    assert summary.frames == 0
    assert [w.code for w in summary.warnings] == ["no_frames"]
    assert summary.status == "failed"  # no outputs are not all of them
    assert {t: sum(r.values()) for t, r in summary.ledger.items()} == count_independently(scene)
