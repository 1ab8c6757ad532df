"""Output logs made again from the record of their run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.errors import CheckpointError, LogError, PluginError
from perception.evaluation.agreement.verification import Verification, find_input, verify
from perception.files import file_sha256
from perception.logs import LogWriter, Query, open_log
from perception.pipeline import ReplayOptions, Span, replay
from perception.plugin import Plugin, Prepared
from perception.sinks import McapSink, read_receipt, read_run
from perception.types import Output
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.scripted_scene import START_NS, write_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.mcap", duration_s=3.0, image_size=(32, 16))


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


def again(target: Path, scene: Path, plugin: Plugin | None = None, **how: object) -> Verification:
    with open_log(target) as stored, open_log(scene) as log:
        return verify(stored, log, lambda name: plugin or MemoryPlugin(), **how)  # type: ignore[arg-type]


def test_a_receipt_says_what_made_the_outputs(scene: Path, tmp_path: Path) -> None:
    target = make(scene, tmp_path / "out.mcap", faults=("range.loss=0.5,seed=3",))
    with open_log(target) as stored:
        run, receipt = read_run(stored), read_receipt(stored)
    assert run is not None
    assert receipt["ended"] == "whole"
    assert receipt["frames"] == "30"
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
    other = write_scene(tmp_path / "other.mcap", seed=5, duration_s=3.0, image_size=(32, 16))
    with pytest.raises(LogError, match="does not hold the same messages"):
        again(target, other)


def test_an_input_that_moved_is_named(scene: Path, tmp_path: Path) -> None:
    target = make(scene, tmp_path / "out.mcap")
    with open_log(target) as stored:
        with pytest.raises(
            LogError, match=r"made from scene\.mcap, which is neither in .* name it with --input"
        ):
            find_input(stored)
        shutil.copy(scene, tmp_path / "scene.mcap")
        assert find_input(stored) == tmp_path / "scene.mcap"
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
    assert found.verdict == "equal"
    assert 0 < found.stored < found.made
    assert any("no receipt" in note for note in found.notes)


def test_other_versions_are_told(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = make(scene, tmp_path / "out.mcap")
    monkeypatch.setattr(
        "perception.evaluation.agreement.verification.recorded_versions", lambda: {"numpy": "0.1"}
    )
    found = again(target, scene)
    assert found.verdict == "equal"
    assert any(note.startswith("numpy was ") and note.endswith(", is 0.1") for note in found.notes)
