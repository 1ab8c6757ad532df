"""Output logs made again from the record of their run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from perception.autoconfig import complete_config
from perception.diagnosis.monitor import MonitorSink
from perception.errors import CheckpointError, LogError, PluginError
from perception.evaluation.agreement.recorded_run import find_input
from perception.evaluation.agreement.verification import Verification, verify
from perception.files import file_sha256
from perception.logs import LogWriter, Query, open_log
from perception.logs.survey import RUN_RECORD
from perception.logs.topic_digests import TopicDigests
from perception.pipeline import ReplayOptions, Span, replay
from perception.plugin import Plugin, Prepared
from perception.sinks import McapSink, read_receipt, read_run
from perception.sinks.mcap_sink import HEALTH, INPUTS, RECEIPT_RECORD, TIMING, WRITTEN
from perception.types import Message, Output
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.scripted_scene import START_NS, write_scene

SCENE: dict[str, Any] = {"duration_s": 2.0, "image_size": (32, 16), "scan_hz": 5.0, "status_hz": 20.0}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.mcap", **SCENE)


class Drifting(MemoryPlugin):
    """Answers as the other one does until the tenth sample."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self._by, self._count = by, 0

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return [self._moved(output) for output in super().step(prepared)]

    def _moved(self, output: Output) -> Output:
        self._count += 1
        if self._count <= 10 or output.control is None:
            return output
        first, *others = output.control.channels
        moved = replace(first, value=first.value + self._by)
        return replace(output, control=replace(output.control, channels=(moved, *others)))


class Weighed(MemoryPlugin):
    def describe(self) -> dict[str, str]:
        return {"weights_sha256": "aa" * 32}


def make(
    scene: Path,
    target: Path,
    answers: Plugin | None = None,
    options: ReplayOptions | None = None,
    **changes: object,
) -> Path:
    with open_log(scene) as log:
        config = complete_config(log).config.model_copy(update=changes)
        replay(log, config, answers or MemoryPlugin(), [McapSink(target)], options)
    return target


def make_with_all(scene: Path, target: Path) -> Path:
    """An output log with the inputs and the state of a monitor beside the outputs."""
    sink, plugin = McapSink(target), MemoryPlugin()
    options = ReplayOptions(on_message=sink.copy)
    with open_log(scene) as log:
        sinks = [sink, MonitorSink(plugin, sink.add_values)]
        replay(log, complete_config(log).config, plugin, sinks, options)
    return target


def again(target: Path, scene: Path, plugin: Plugin | None = None, **how: object) -> Verification:
    with open_log(target) as stored, open_log(scene) as log:
        return verify(stored, log, lambda name: plugin or MemoryPlugin(), **how)  # type: ignore[arg-type]


def test_a_receipt_says_what_made_the_outputs(scene: Path, tmp_path: Path) -> None:
    target = make(scene, tmp_path / "out.mcap", faults=("range.loss=0.5,seed=3",))
    with open_log(target) as stored:
        run, receipt = read_run(stored), read_receipt(stored)
    assert run is not None
    assert receipt["ended"] == "whole"
    assert receipt["frames"] == "20"
    assert receipt["input_sha256"] == file_sha256(scene)
    assert receipt["faults"] == "range.loss=0.5,seed=3"
    assert receipt["seed"] == "0"
    assert {"outputs_sha256", "messages_sha256", "config_sha256", "python", "machine"} <= set(receipt)
    with open_log(scene) as log:
        roles = complete_config(log).config.roles()
        read = sum(1 for _ in log.messages(Query(frozenset(roles))))
    assert receipt["messages"] == str(read)


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        (ReplayOptions(), ()),
        (ReplayOptions(span=Span(START_NS + 1_000_000_000, START_NS + 2_000_000_000)), ()),
        (ReplayOptions(), ("all.jitter=0.4,seed=2", "camera.freeze=0.5")),
        (ReplayOptions(rate=30.0), ()),
        (
            ReplayOptions(
                span=Span(START_NS + 1_000_000_000, START_NS + 2_000_000_000),
                ledger_listener=lambda *row: None,
            ),
            (),
        ),
    ],
)
def test_the_same_run_is_bit_equal(
    scene: Path, tmp_path: Path, options: ReplayOptions, faults: tuple[str, ...]
) -> None:
    found = again(make(scene, tmp_path / "out.mcap", options=options, faults=faults), scene)
    assert (found.verdict, found.outcome(exact=True), found.notes) == ("equal", "clean", ())
    assert found.stored == found.made > 9
    assert set(found.heads) == {"class", "box", "control"}


def test_a_small_drift_is_within_tolerance_and_a_large_one_says_where_it_begins(
    scene: Path, tmp_path: Path
) -> None:
    target = make(scene, tmp_path / "out.mcap")
    small = again(target, scene, Drifting(1e-6))
    assert (small.verdict, small.outcome()) == ("within_tolerance", "clean")
    assert small.outcome(exact=True) == "gate_failed"
    assert small.heads["control"].equal == 10
    assert small.heads["class"].verdict == "equal"
    large = again(target, scene, Drifting(1.0))
    assert (large.verdict, large.outcome()) == ("diverged", "gate_failed")
    with open_log(target) as stored:
        ticks = [m.log_time_ns for m in stored.messages(Query(frozenset({"/perception/control"})))]
    assert large.heads["control"].first.log_time_ns == ticks[10]
    told = large.to_json()
    assert told["heads"]["control"]["first_divergence"]["log_time_ns"] == ticks[10]
    assert told["heads"]["box"]["verdict"] == "equal"
    assert told["status"] == "diverged"


def test_a_copy_of_the_input_with_other_chunks_serves_as_well(scene: Path, tmp_path: Path) -> None:
    target, copy = make(scene, tmp_path / "out.mcap"), tmp_path / "copy.mcap"
    with open_log(scene) as log, LogWriter(copy, flush_by="log", compression="zstd") as writer:
        for message in log.messages():
            writer.copy(message)
    assert copy.stat().st_size != scene.stat().st_size
    assert again(target, copy).verdict == "equal"


def test_another_input_is_refused(scene: Path, tmp_path: Path) -> None:
    target = make(scene, tmp_path / "out.mcap")
    other = write_scene(tmp_path / "other.mcap", seed=5, **SCENE)
    with pytest.raises(LogError, match="does not hold the same messages"):
        again(target, other)


def test_the_input_is_found_where_it_was_beside_the_outputs_or_named(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("logs", "outputs", "elsewhere"):
        (tmp_path / name).mkdir()
    mine = Path(shutil.copy(scene, tmp_path / "logs"))
    monkeypatch.chdir(tmp_path)
    target = make(Path("logs/scene.mcap"), tmp_path / "outputs" / "out.mcap")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with open_log(target) as stored:
        assert find_input(stored) == mine
        other = tmp_path / "outputs" / "scene.mcap"
        other.write_bytes(b"another log by that name")
        assert find_input(stored) == mine
        other.unlink()
        mine.rename(other)
        assert find_input(stored) == other
        other.rename(tmp_path / "elsewhere" / "scene.mcap")
        assert find_input(stored) == tmp_path / "elsewhere" / "scene.mcap"
        (tmp_path / "elsewhere" / "scene.mcap").unlink()
        with pytest.raises(LogError, match=r"made from scene\.mcap, which is in none of .*--input"):
            find_input(stored)
        assert find_input(stored, scene) == scene


def test_other_or_missing_weights_are_named(scene: Path, tmp_path: Path) -> None:
    target = make(scene, tmp_path / "out.mcap", Weighed())
    with pytest.raises(CheckpointError, match="expected the weights aaaaaaaaaaaaaaaa, found none"):
        again(target, scene)
    with open_log(scene) as log:
        plugin = complete_config(log).config.plugin.model_copy(
            update={"checkpoint": tmp_path / "gone.safetensors"}
        )
    target = make(scene, tmp_path / "out2.mcap", Weighed(), plugin=plugin)
    with pytest.raises(CheckpointError, match="there is no file now; name them with --checkpoint"):
        again(target, scene, Weighed())


def test_outputs_that_were_up_to_the_machine_cannot_be_made_again(scene: Path, tmp_path: Path) -> None:
    target = make(scene, tmp_path / "out.mcap", options=ReplayOptions(rate=50.0, live_drop=True))
    with pytest.raises(PluginError, match="--live-drop"):
        again(target, scene)


def test_a_log_that_is_no_output_says_so(scene: Path) -> None:
    with pytest.raises(LogError, match="record of the run"):
        again(scene, scene)


def test_outputs_of_a_writer_that_was_killed_are_compared_as_far_as_they_go(
    scene: Path, tmp_path: Path
) -> None:
    target = make(scene, tmp_path / "out.mcap")
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(target.read_bytes()[: target.stat().st_size * 2 // 3])
    found = again(cut, scene)
    assert (found.verdict, found.outcome(), found.to_json()["status"]) == ("equal", "loss", "incomplete")
    assert 0 < found.stored < found.made
    assert any("no receipt" in note for note in found.notes)


def test_other_versions_are_told(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = make(scene, tmp_path / "out.mcap")
    monkeypatch.setattr(
        "perception.evaluation.agreement.recorded_run.recorded_versions", lambda: {"numpy": "0.1"}
    )
    found = again(target, scene)
    assert found.verdict == "equal"
    assert any(note.startswith("numpy was ") and note.endswith(", is 0.1") for note in found.notes)


def forged(
    source: Path,
    change: Callable[[Message], Message | None] = lambda message: message,
    receipt: Mapping[str, str] = MappingProxyType({}),
    run: Mapping[str, str] = MappingProxyType({}),
    rehash: bool = True,
) -> Path:
    """A copy of an output log with changes; by default its forger takes the hashes of the topics anew."""
    target = source.with_name("forged.mcap")
    digests = TopicDigests()
    with open_log(source) as log:
        records = {name: dict(record) for name, record in log.survey.metadata}
        head = {RUN_RECORD: records[RUN_RECORD] | run}
        with LogWriter(target, metadata=head) as writer:
            for message in log.messages():
                changed = change(message)
                if changed is not None:
                    writer.copy(changed)
                    channel, times = changed.channel, (changed.log_time_ns, changed.publish_time_ns)
                    digests.add(changed.topic, channel.schema, channel.encoding, *times, changed.data)
            signed = records[RECEIPT_RECORD] | receipt
            if rehash:
                signed = {key: text for key, text in signed.items() if not key.startswith(WRITTEN)}
                signed |= {f"{WRITTEN}{topic}": text for topic, text in digests.record().items()}
            writer.add_metadata(RECEIPT_RECORD, signed)
    return target


def once(topic: str, change: Callable[[Message], Message | None]) -> Callable[[Message], Message | None]:
    """Change the fifth message of a topic."""
    seen = [0]

    def changed(message: Message) -> Message | None:
        seen[0] += message.topic == topic
        return change(message) if message.topic == topic and seen[0] == 5 else message

    return changed


def judged(target: Path, scene: Path) -> Verification:
    return again(target, scene, monitor=MonitorSink)


@pytest.fixture(scope="module")
def whole(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_with_all(scene, tmp_path_factory.mktemp("whole") / "out.mcap")


def test_every_topic_that_a_run_writes_is_made_again(whole: Path, scene: Path) -> None:
    found = judged(whole, scene)
    assert (found.verdict, found.outcome(exact=True), found.notes) == ("equal", "clean", ())
    assert found.receipt.contradictions == []
    with open_log(whole) as log, open_log(scene) as inputs:
        assert set(found.topics) == set(log.channels)
        assert {HEALTH, TIMING, "/perception/annotations", *complete_config(inputs).config.roles()} <= set(
            found.topics
        )
    assert all(row.made_again and row.equal + row.within == row.stored > 0 for row in found.topics.values())
    assert any("not signed" in text for text in found.receipt.unproven)
    assert any(TIMING in text for text in found.receipt.unproven)


def test_an_honest_copy_passes(whole: Path, scene: Path) -> None:
    assert judged(forged(whole, rehash=False), scene).outcome(exact=True) == "clean"


def flipped(message: Message) -> Message:
    data = bytearray(message.data)
    data[len(data) // 2] ^= 1
    return replace(message, data=bytes(data))


def changes() -> Iterator[Any]:
    """Each change, by a forger who takes the hashes anew and by one who does not (one change by default)."""
    for name, change in {
        "flipped": flipped,
        "removed": lambda message: None,
        "moved": lambda message: replace(message, log_time_ns=message.log_time_ns + 1),
        "longer": lambda message: replace(message, data=message.data + b"\xfa\x07\x01x"),
    }.items():
        yield pytest.param(change, True, id=name)
        marks = () if change is flipped else pytest.mark.slow
        yield pytest.param(change, False, id=f"{name}, old hashes", marks=marks)


@pytest.mark.parametrize(("change", "rehash"), list(changes()))
@pytest.mark.parametrize("topic", ["/perception/annotations", "the pictures", HEALTH, INPUTS, TIMING])
def test_a_changed_message_is_seen_on_any_topic(
    whole: Path, scene: Path, topic: str, change: Callable[[Message], Message | None], rehash: bool
) -> None:
    if topic == "the pictures":
        with open_log(scene) as log:
            camera = complete_config(log).config.sensors.camera
        assert camera is not None
        topic = camera.topic
    try:
        found = judged(forged(whole, once(topic, change), rehash=rehash), scene)
    except LogError:  # bytes that are not what their schema says
        return
    if rehash and topic in (TIMING, HEALTH) and found.topics[topic].first is None:
        assert change is flipped  # another number of milliseconds, or a last bit: not proven, which is said
        assert any(topic in text for text in found.receipt.unproven)
        return
    assert found.outcome() == "gate_failed"
    assert found.to_json()["status"] == "diverged"
    named = [
        *found.receipt.contradictions,
        *(name for name, row in found.topics.items() if row.first is not None),
    ]
    assert any(topic in text for text in named) or found.comparison.ticks is not None


def test_a_foreign_topic_and_a_missing_one_are_seen(whole: Path, scene: Path) -> None:
    def renamed(message: Message) -> Message:
        if message.topic != TIMING:
            return message
        return replace(message, channel=replace(message.channel, topic="/perception/metrics/mine"))

    found = judged(forged(whole, renamed, rehash=False), scene)
    assert found.outcome() == "gate_failed"
    assert [text for text in found.receipt.contradictions if "mine" in text or TIMING in text]
    without = judged(forged(whole, lambda m: None if m.topic == "/perception/annotations" else m), scene)
    assert without.outcome() == "gate_failed"


@pytest.mark.parametrize(
    ("receipt", "named"),
    [
        ({"outputs_sha256": "0" * 64}, "outputs_sha256"),
        ({"config_sha256": "0" * 64}, "config_sha256"),
        ({"weights_sha256": "ab" * 32}, "weights_sha256"),
        ({"input_sha256": "0" * 64}, "byte for byte"),
        ({"ledger_sha256": "0" * 64}, "ledger_sha256"),
        ({"frames": "21"}, "frames"),
        ({"messages": "7"}, "messages"),
        ({"errors": "3"}, "errors"),
        ({"seed": "7"}, "seed"),
        ({"faults": "range.loss=0.5"}, "faults"),
    ],
)
def test_an_edited_receipt_is_seen(whole: Path, scene: Path, receipt: Mapping[str, str], named: str) -> None:
    found = judged(forged(whole, receipt=receipt), scene)
    assert (found.verdict, found.outcome()) == ("diverged", "gate_failed")
    assert any(named in text for text in found.receipt.contradictions)


@pytest.mark.parametrize(
    "run", [{"faults": "range.loss=0.5"}, {"batch": "4"}, {"classes": "cat\ndog"}, {"untrained": "true"}]
)
def test_an_edited_record_of_the_run_is_seen(whole: Path, scene: Path, run: Mapping[str, str]) -> None:
    found = judged(forged(whole, run=run), scene)
    assert found.outcome() == "gate_failed"
    assert any(key in text for key in run for text in found.receipt.contradictions)


def test_an_edited_configuration_is_seen(whole: Path, scene: Path) -> None:
    with open_log(whole) as log:
        run = read_run(log)
    assert run is not None
    found = judged(forged(whole, run={"config": f"{run.config}\n# mine\n"}), scene)
    assert any("config_sha256" in text for text in found.receipt.contradictions)


def test_outputs_changed_by_less_than_a_tolerance_are_told_from_rounding_by_the_receipt(
    scene: Path, tmp_path: Path
) -> None:
    honest = make(scene, tmp_path / "out.mcap")
    drifted = make(scene, tmp_path / "drifted.mcap", Drifting(1e-9))
    with open_log(honest) as log:
        receipt = read_receipt(log)
    found = judged(forged(drifted, receipt={"outputs_sha256": receipt["outputs_sha256"]}), scene)
    assert found.comparison.verdict == "within_tolerance"
    assert found.outcome() == "gate_failed"
    assert any("not those of the run" in text for text in found.receipt.contradictions)
    elsewhere = judged(drifted, scene)  # as made on a processor that rounds otherwise
    assert (elsewhere.verdict, elsewhere.outcome()) == ("within_tolerance", "clean")
    elsewhere = judged(forged(drifted, receipt={"outputs_sha256": "0" * 64}), scene)
    assert any("outputs_sha256" in text for text in elsewhere.receipt.unproven)


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.999])
def test_a_part_of_a_file_never_passes(whole: Path, scene: Path, tmp_path: Path, part: float) -> None:
    data, cut = whole.read_bytes(), tmp_path / "cut.mcap"
    cut.write_bytes(data[: int(len(data) * part)])
    assert judged(cut, scene).outcome() in ("loss", "gate_failed")


def test_a_hole_in_a_file_never_passes(whole: Path, scene: Path, tmp_path: Path) -> None:
    data, torn = bytearray(whole.read_bytes()), tmp_path / "torn.mcap"
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    torn.write_bytes(data)
    assert judged(torn, scene).outcome() in ("loss", "gate_failed")
