"""Recordings and results in an object store: a server that speaks S3, and one that counts what is fetched."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perception.errors import OutputError
from perception.logs.conversion import ConvertOptions
from perception.pipeline.batch import BatchResult, ConvertRecording, run_batch
from perception.pipeline.batch.result_store import RemoteStore
from perception.remote import log_path
from perception_tools.cli import run
from tests.pipeline.batch.test_exactly_once import here
from tests.pipeline.batch.text_jobs import CountJob
from tests.s3_server import put, s3_server
from tests.short_logs import write_beginning


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_server(monkeypatch, f"bucket-{secrets.token_hex(4)}") as url:  # the server keeps those of others
        yield url


def contents(url: str) -> dict[str, bytes]:
    """Return the objects below a URL."""
    import s3fs

    store = s3fs.S3FileSystem(use_listings_cache=False)
    place = url.removeprefix("s3://")
    return {name.removeprefix(place + "/"): store.cat_file(name) for name in store.find(place)}


@pytest.mark.slow  # local results: test_exactly_once.py; a bucket: below
def test_results_are_put_with_the_receipt_last_and_found_again(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.log").write_text(name)
        put(f"{bucket}/drives", tmp_path / f"{name}.log")
    order: list[str] = []
    for method in ("put", "write"):
        original = getattr(RemoteStore, method)

        def noted(self: Any, what: Any, name: str, original: Any = original) -> None:
            order.append(name)
            original(self, what, name)

        monkeypatch.setattr(RemoteStore, method, noted)

    def batch(version: str = "1") -> BatchResult:
        logs = [log_path(f"{bucket}/drives/{name}.log") for name in "abc"]
        jobs = [CountJob(log, version) for log in logs]
        return run_batch(jobs, log_path(f"{bucket}/out"), lambda tasks: here(tasks))  # type: ignore[arg-type]

    first = batch()
    assert [log.status for log in first.logs] == ["clean"] * 3
    assert order[:3] == ["a.txt", "tables/recording=a/0.csv", "a.json"]
    objects = contents(f"{bucket}/out")
    assert {"a.txt", "b.txt", "tables/recording=c/0.csv", "a.json"} < objects.keys()
    receipt = json.loads(objects["a.json"])
    assert receipt["input"] == [{"bytes": 1, "tag": receipt["input"][0]["tag"]}]
    assert receipt["input"][0]["tag"]  # the ETag: nothing is downloaded to hash it
    assert receipt["read_sha256"] == "abc"
    assert [log.skipped for log in batch().logs] == [True] * 3

    (tmp_path / "b.log").write_text("B")
    put(f"{bucket}/drives", tmp_path / "b.log")
    assert [log.skipped for log in batch().logs] == [True, False, True]
    import s3fs

    s3fs.S3FileSystem().rm(f"{bucket}/out/tables/recording=c/0.csv".removeprefix("s3://"))
    assert [log.skipped for log in batch().logs] == [True, True, False]
    assert [log.skipped for log in batch("2").logs] == [False] * 3


def test_objects_of_the_user_are_not_replaced(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    put(f"{bucket}/out", tmp_path / "a.txt")
    (tmp_path / "a.log").write_text("a")
    jobs = [CountJob(tmp_path / "a.log")]
    with pytest.raises(OutputError, match="no earlier output"):
        run_batch(jobs, log_path(f"{bucket}/out"), lambda tasks: here(tasks))  # type: ignore[arg-type]
    assert contents(f"{bucket}/out") == {"a.txt": b"mine"}
    forced = run_batch(jobs, log_path(f"{bucket}/out"), lambda tasks: here(tasks), force=True)  # type: ignore[arg-type]
    assert forced.status == "clean"


def test_the_command_takes_a_pattern_of_a_bucket_and_puts_into_one(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(f"{bucket}/drives/monday", write_beginning(tmp_path / "run.mcap", 0.3))
    command = ["convert", f"{bucket}/drives/**/*.mcap", "--output-dir", f"{bucket}/drives/out", "--json"]
    codes, reports = [], []
    for _ in range(2):
        codes.append(run(command))
        reports.append(json.loads(capsys.readouterr().out))
    assert codes == [0, 0]
    assert reports[0]["logs"][0]["written"] == [f"{bucket}/drives/out/run.mcap"]
    assert [report["totals"]["skipped"] for report in reports] == [0, 1]  # its own result is no log


def test_a_remote_log_is_read_once(bucket: str, tmp_path: Path) -> None:
    log = log_path(put(bucket, write_beginning(tmp_path / "run.mcap", 0.5)))
    jobs = [ConvertRecording(log, ConvertOptions())]
    for skipped in (False, True):
        result = run_batch(jobs, tmp_path / "out", lambda tasks: here(tasks))  # type: ignore[arg-type]
        assert [row.skipped for row in result.logs] == [skipped]
        # Reading opens the path afresh; this one was only asked for size and tag.
        assert log.file.bytes_read == 0  # type: ignore[attr-defined]


def test_names_that_are_patterns_elsewhere_are_names(bucket: str, tmp_path: Path) -> None:
    for name in ("run[1].log", "run*.log", "what?.log"):
        (tmp_path / name).write_text(name)
    store = RemoteStore(bucket)
    store.write(b"run[1].log", "run[1].log")
    assert store.read_receipts(["run[1].log", "gone[1].log"]) == {"run[1].log": b"run[1].log"}
    jobs = [CountJob(log) for log in sorted(tmp_path.glob("*.log"))]
    for skipped in (False, True):
        result = run_batch(jobs, log_path(f"{bucket}/out"), lambda tasks: here(tasks))  # type: ignore[arg-type]
        assert [row.skipped for row in result.logs] == [skipped] * 3


def test_a_key_with_a_number_sign_is_whole() -> None:
    path = log_path("s3://bucket/run#1.mcap")
    assert (path.name, path.stem, path.suffix) == ("run#1.mcap", "run#1", ".mcap")
    assert log_path("https://host/run.mcap?x#y").name == "run.mcap"


@pytest.mark.parametrize(
    ("folder", "changes", "text"),
    [
        ("s3://no-such-bucket/out", {}, "there is no bucket no-such-bucket"),
        ("", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "the connection failed"),
        ("", {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no permission"),
    ],
)
def test_what_is_wrong_with_a_store_is_one_line(
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    changes: dict[str, str | None],
    text: str,
) -> None:
    import s3fs

    (tmp_path / "a.log").write_text("a")
    folder = folder or f"{bucket}/out"
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("perception.remote.attempts._WAITS_S", ())
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(OutputError, match=f"cannot be made: {text}.*: {folder}$"):
        run_batch([CountJob(tmp_path / "a.log")], log_path(folder), lambda tasks: here(tasks))  # type: ignore[arg-type]
