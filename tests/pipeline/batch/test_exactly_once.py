"""A recording is done exactly once: its receipt comes last, and what killed attempts leave is replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from perception.errors import OutputError
from perception.pipeline.batch import BatchResult, JobEvent, Shard, run_batch, run_in_processes
from perception.pipeline.batch.attempt import attempt_recording
from perception.pipeline.batch.receipts import RecordingTask
from perception.pipeline.batch.result_store import LocalStore
from tests.pipeline.batch.text_jobs import CountJob


def here(tasks: Sequence[RecordingTask]) -> Iterator[JobEvent]:
    """Do recordings in this process."""
    for task in tasks:
        yield attempt_recording(task, lambda log, span: nullcontext())


def run(jobs: Sequence[CountJob], folder: Path, **how: object) -> BatchResult:
    return run_batch(jobs, folder, how.pop("execute", here), **how)  # type: ignore[arg-type]


def tree(folder: Path) -> dict[str, str]:
    """Return the content of every file but receipts, by name."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(files)}


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "logs"
    folder.mkdir()
    paths = [folder / f"{name}.log" for name in "abc"]
    for size, path in enumerate(paths):
        path.write_bytes(b"x" * (size + 1))
    return paths


def test_results_lie_under_their_names_with_a_receipt_that_lists_them(
    logs: list[Path], tmp_path: Path
) -> None:
    result = run([CountJob(log) for log in logs], tmp_path / "out")
    assert result.status == "clean"
    receipt = json.loads((tmp_path / "out" / "a.json").read_bytes())
    assert set(receipt["written"]) == {"a.txt", "tables/recording=a/0.csv"}
    assert receipt["read_sha256"] == "abc"
    assert tree(tmp_path / "out")["tables/recording=a/0.csv"] == f"{receipt['receipt']},1\n"
    assert not (tmp_path / "out" / ".partial").exists()


def test_what_is_done_is_skipped_until_log_settings_or_results_change(
    logs: list[Path], tmp_path: Path
) -> None:
    def skipped(**changes: str) -> list[bool]:
        jobs = [replace(CountJob(log), **changes) for log in logs]  # type: ignore[arg-type]
        return [log.skipped for log in run(jobs, tmp_path / "out").logs]

    assert skipped() == [False] * 3
    assert skipped() == [True] * 3
    os.utime(logs[0])  # another time, the same bytes
    assert skipped() == [True] * 3
    logs[0].write_bytes(b"y")
    assert skipped() == [False, True, True]
    (tmp_path / "out" / "tables" / "recording=b" / "0.csv").write_text("changed")
    assert skipped() == [True, False, True]
    (tmp_path / "out" / "c.json").unlink()
    assert skipped() == [True, True, False]
    assert skipped(version="2") == [False] * 3


def test_results_that_new_settings_do_not_make_are_removed(logs: list[Path], tmp_path: Path) -> None:
    run([CountJob(logs[0], parts=3)], tmp_path / "out")
    run([CountJob(logs[0], parts=0, version="2")], tmp_path / "out")
    assert list(tree(tmp_path / "out")) == ["a.txt"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.json", "a.txt"]


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_unfinished_work_has_no_receipt_and_leaves_no_table(
    logs: list[Path], tmp_path: Path, status: str
) -> None:
    result = run([CountJob(logs[0], status=status)], tmp_path / "out")  # type: ignore[arg-type]
    assert result.status == status
    assert list((tmp_path / "out").iterdir()) == []


def test_a_log_that_changes_while_it_is_read_gets_no_receipt(logs: list[Path], tmp_path: Path) -> None:
    class Grows(CountJob):
        def run(self, place, observe):  # type: ignore[no-untyped-def]
            end = CountJob.run(self, place, observe)
            self.log.write_bytes(b"more than before")
            return end

    (only,) = run([Grows(logs[0])], tmp_path / "out").logs
    assert only.status == "failed"
    assert "changed while it was read" in only.error
    assert list((tmp_path / "out").iterdir()) == []
    assert run([CountJob(logs[0])], tmp_path / "out").status == "clean"


def test_a_crash_before_the_receipt_is_a_recording_to_be_done(
    logs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(store: LocalStore, data: bytes, name: str) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "write", crash)
        (only,) = run([CountJob(logs[0])], tmp_path / "out").logs
    assert only.status == "failed"
    assert "the receipt cannot be written: no space left on device" in only.error
    assert not (tmp_path / "out" / "a.json").exists()
    (again,) = run([CountJob(logs[0])], tmp_path / "out").logs
    assert (again.status, again.skipped) == ("clean", False)


def test_workers_that_are_killed_leave_what_an_undisturbed_run_leaves(
    logs: list[Path], tmp_path: Path
) -> None:
    run([CountJob(log) for log in logs], tmp_path / "calm")
    kill = tmp_path / "kill"
    kill.write_bytes(b"!")
    jobs = [CountJob(log, kill=kill) for log in logs]
    result = run(jobs, tmp_path / "wild", execute=lambda tasks: run_in_processes(tasks, 2))
    assert result.status == "clean"
    assert kill.read_bytes() == b""
    assert tree(tmp_path / "wild") == tree(tmp_path / "calm")
    assert not (tmp_path / "wild" / ".partial").exists()


def test_shared_memory_that_is_full_is_named(
    logs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", full)
    with pytest.raises(
        OutputError, match=r"shared memory \(no space left on device\); free some at /dev/shm"
    ):
        run([CountJob(logs[0])], tmp_path / "out", execute=lambda tasks: run_in_processes(tasks, 2))


def test_what_a_killed_attempt_has_left_is_removed_and_what_a_running_one_makes_is_not(
    tmp_path: Path,
) -> None:
    store = LocalStore(tmp_path)
    dead = tmp_path / ".partial" / "a~0123"
    dead.mkdir(parents=True)
    (dead / "a.txt").write_text("half")
    with store.staging("a") as first:
        assert not dead.exists()
        with store.staging("a") as second:
            assert first.exists()
            assert second.exists()
        store.clean(["a"])
        assert first.exists()
    assert not (tmp_path / ".partial").exists()


def test_shards_do_every_recording_once_and_name_them_alike(logs: list[Path], tmp_path: Path) -> None:
    jobs = [CountJob(log) for log in logs]
    run(jobs, tmp_path / "whole")
    done = [run(jobs, tmp_path / "out", shard=Shard(index, 2)).logs for index in range(2)]
    assert sorted(log.recording for part in done for log in part) == ["a", "b", "c"]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert all(log.skipped for log in run(jobs, tmp_path / "out").logs)


def test_a_folder_that_cannot_be_made_is_one_line(logs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the folder of the outputs cannot be made"):
        run([CountJob(logs[0])], tmp_path / "file" / "out")
