"""Tables: what is written comes back, readers take it as it is, a recording is there once and whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align.status_readings import StatusReadings
from perception.config import Config, to_yaml
from perception.geometry import TransformTree
from perception.plugin import frame_from_picture
from perception.sinks import RunInfo
from perception.sinks.tables import (
    Recording,
    TablesFolder,
    TablesSink,
    free_name,
    partition_name,
    table_specs,
)
from perception.sinks.tables.stored import StoredFrame, stored_recordings
from perception.types import (
    Control,
    ControlChannel,
    Detection,
    Detections,
    Output,
    Quantity,
    Rig,
    RigIssue,
    Sample,
    TruthBox,
    TruthFrame,
    absent_sample,
    heads,
    register_head,
)
from perception.types.heads import HeadSpec
from perception.types.views import output_views
from tests.sinks.build import output_of, sample_of, tick_of, truth_of

SUMMARY: dict[str, Any] = {
    "status": "clean",
    "frames": 0,
    "errors": 0,
    "run": {},
    "ledger": {},
    "warnings": [],
}
Rows = Sequence[tuple[Sample, Output, TruthFrame | None]]


@pytest.fixture
def lane() -> Iterator[HeadSpec]:
    """A further head, for one test."""
    before = dict(heads._registered)
    yield register_head(HeadSpec("lane", channels=(Quantity("offset", "m"),), truth=("offset",)))
    heads._registered.clear()
    heads._registered.update(before)


def write(
    folder: Path | str,
    rows: Rows,
    name: str = "drive",
    commit: bool = True,
    receipt: str = "",
    **summary: Any,
) -> TablesSink:
    """Write rows as the tables of a recording."""
    recording = Recording(name, f"{name}.mcap", f"/logs/{name}.mcap", sensor_start_ns=1_700_000_000 * 10**9)
    readings = StatusReadings(Config())
    with TablesSink(
        TablesFolder(folder), recording, readings, lambda rows: [()] * len(rows), receipt
    ) as sink:
        sink.open(RunInfo(config=to_yaml(Config())))
        for sample, output, truth in rows:
            sink.write(sample, output, truth, {"prepare": 1.5, "infer": 2.0})
        sink.close()
        if commit:
            sink.commit({**SUMMARY, "frames": len(rows)})
    return sink


def read(folder: Path | str) -> list[StoredFrame]:
    (recording,), left_out = stored_recordings(TablesFolder(folder))
    assert not left_out
    return list(recording.frames())


def plain(count: int) -> Rows:
    return [(sample_of(k), output_of(k), truth_of(k)) for k in range(count)]


numbers = st.floats(allow_nan=False, width=32)
labels = st.text(max_size=4)
fours, threes = st.tuples(*[numbers] * 4), st.tuples(*[numbers] * 3)
based_on = st.lists(st.sampled_from(["front", "left", "lidar"]), unique=True).map(tuple)
detections = st.builds(
    Detections,
    st.booleans(),
    based_on,
    st.text(max_size=5),
    st.lists(
        st.builds(
            Detection,
            st.text(max_size=5),
            numbers,
            fours,
            st.none() | fours,
            st.none() | numbers,
            st.none() | numbers,
            numbers,
            st.text(max_size=3),
            st.none() | threes,
            st.none() | st.tuples(threes, threes, threes),
            st.sampled_from(["", "not_stated"]),
        ),
        max_size=3,
    ).map(tuple),
    st.sampled_from(["", "base_link"]),
)
channels = st.lists(
    st.builds(
        ControlChannel, st.sampled_from("abcd"), st.sampled_from(["", "m"]), numbers, st.none() | numbers
    ),
    unique_by=lambda channel: channel.name,
    max_size=4,
).map(tuple)
controls = st.builds(Control, st.booleans(), based_on, st.text(max_size=5), channels)
known_values = st.dictionaries(st.sampled_from("abcde"), numbers, max_size=4)
boxes = st.none() | st.lists(
    st.builds(
        TruthBox,
        st.text(max_size=4),
        fours,
        numbers,
        numbers,
        st.text(max_size=3),
        st.none() | threes,
        st.booleans(),
    ),
    max_size=3,
).map(tuple)
issues = st.dictionaries(
    st.just("boxes"),
    st.builds(RigIssue, st.sampled_from(["silent", "too_far"]), st.text(max_size=5)),
    max_size=1,
)


@st.composite
def several_cameras(draw: st.DrawFn) -> tuple[Sample, Output, TruthFrame]:
    names = draw(st.sampled_from([(), ("front", "left")]))
    tick = tick_of(0)
    sample = absent_sample(tick, "not recorded", cameras=names)
    of_cameras = {name: draw(detections) for name in names if draw(st.booleans())}
    output = Output(
        tick,
        of_cameras.get(names[0]) if names else draw(st.none() | detections),
        draw(st.none() | controls),
        draw(st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2)),
        draw(st.dictionaries(st.just("lane"), controls, max_size=1)),
        of_cameras,
    )
    frames = {name: TruthFrame(tick.stamp_ns, draw(boxes), missing=draw(issues)) for name in names}
    first = frames[names[0]] if names else TruthFrame(tick.stamp_ns, draw(boxes), missing=draw(issues))
    truth = TruthFrame(
        tick.stamp_ns,
        first.boxes,
        draw(st.none() | known_values),
        draw(st.none() | known_values.filter(bool)),
        draw(st.dictionaries(st.just("lane"), known_values, max_size=1)),
        first.missing,
        frames,
    )
    return sample, output, truth


@given(rows=st.lists(several_cameras(), min_size=1, max_size=3))
@settings(max_examples=12, deadline=None)
def test_outputs_and_truth_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows
) -> None:
    before = dict(heads._registered)
    register_head(HeadSpec("lane", channels=(Quantity("offset", "m"),), truth=("offset",)))
    try:
        folder = tmp_path_factory.mktemp("tables")
        ticks = [tick_of(k) for k in range(len(rows))]
        rows = [
            (replace(s, tick=tick), replace(o, tick=tick), replace(t, stamp_ns=tick.stamp_ns))
            for tick, (s, o, t) in zip(ticks, rows, strict=True)
        ]
        write(folder, rows)
        found = read(folder)
    finally:
        heads._registered.clear()
        heads._registered.update(before)
    expected = [view for row in rows for view in output_views(*row)]
    assert len(found) == len(expected)
    for frame, (_, output, truth) in zip(found, expected, strict=True):
        assert frame.output == output
        assert truth is not None
        for name in ("boxes", "control", "measured", "extra", "missing"):
            own, said = getattr(frame.truth, name), getattr(truth, name)
            assert own == said, name
            if name == "control" and said is not None:
                assert list(own) == list(said)


def test_positions_are_judged_by_the_rig_of_the_moment(tmp_path: Path) -> None:
    sample, output, truth = sample_of(0), output_of(0), truth_of(0)
    assert output.detections is not None
    output = replace(output, detections=replace(output.detections, position_frame="lidar"))
    rig = sample.rig
    matrix = frame_from_picture(rig, "lidar")
    assert matrix is not None
    assert not np.allclose(matrix, np.eye(4))
    write(tmp_path, [(sample, output, replace(truth, rig=rig))])
    (frame,) = read(tmp_path)
    assert frame.truth.rig is not None
    assert np.array_equal(frame_from_picture(frame.truth.rig, "lidar"), matrix)
    write(tmp_path, [(sample, output, replace(truth, rig=Rig(transforms=TransformTree())))])
    assert read(tmp_path)[0].truth.rig is None


def test_a_further_head_gets_its_table(lane: HeadSpec, tmp_path: Path) -> None:
    values = Control(True, ("camera",), channels=(ControlChannel("offset", "m", 0.5, 0.1),))
    truth = replace(truth_of(0), extra={"lane": {"offset": 0.25}})
    write(tmp_path, [(sample_of(0), replace(output_of(0), extra={"lane": values}), truth)])
    (row,) = pq.read_table(tmp_path / "lane").to_pylist()
    assert (row["channel"], row["value"], row["true"], row["error"]) == ("offset", 0.5, 0.25, 0.25)
    heads._registered.pop("lane")
    write(tmp_path, plain(1))  # a run without that head leaves no table of an earlier one
    assert not list(tmp_path.glob("lane/*/*"))


def test_every_reader_takes_the_tables_as_they_are(tmp_path: Path) -> None:
    import duckdb
    import pandas as pd
    import polars as pl

    for name in ("20240101", "b"):
        write(tmp_path, plain(3), name=partition_name(name))
    for table, spec in table_specs().items():
        place, columns = tmp_path / table, {name for name, _ in spec.columns} | {"recording"}
        frames = {
            "pandas": pd.read_parquet(place),
            "polars": pl.read_parquet(place).to_pandas(),
            "duckdb": duckdb.sql(f"from read_parquet('{place}/*/*.parquet', hive_partitioning = true)").df(),
        }
        for reader, frame in frames.items():
            assert set(frame.columns) == columns, (table, reader)
            assert len(frame) == len(frames["pandas"]), (table, reader)
            if len(frame):
                assert sorted(set(frame["recording"].astype(str))) == ["b", "log_20240101"], reader
    of_duckdb = duckdb.sql(f"select sum(score) from '{tmp_path}/detections/*/*.parquet'").fetchone()
    assert of_duckdb == (pytest.approx(6 * (0.9 + 0.6 + 0.05)),)
    metadata = pq.read_schema(next((tmp_path / "truth").glob("*/*"))).metadata
    assert metadata[b"perception.tables"] == b"1"


def test_a_rerun_replaces_the_recording(tmp_path: Path) -> None:
    first = write(tmp_path, plain(5), receipt="a")
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    write(tmp_path, plain(2), receipt="b")
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == files
    assert first.receipt == "a"
    for table in ("ticks", "detections", "runs"):
        assert set(pq.read_table(tmp_path / table)["receipt"].to_pylist()) == {"b"}
    assert len(read(tmp_path)) == 2


def test_a_run_that_is_not_committed_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, plain(2))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write(tmp_path, plain(5), commit=False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_equal_runs_have_equal_rows_and_receipts(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, plain(4)) for name in "ab")
    assert one.receipt == two.receipt
    for table in table_specs():
        a, b = (pq.read_table(tmp_path / name / table) for name in "ab")
        assert a.equals(b), table


@pytest.mark.parametrize("moment", ["writing", "exchange"])
def test_a_killed_run_leaves_no_half_and_the_next_one_cleans_up(tmp_path: Path, moment: str) -> None:
    write(tmp_path, plain(2), receipt="first")
    child = os.fork()
    if child == 0:
        _write_and_die(tmp_path, moment)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert list((tmp_path / ".staging").iterdir())
    if moment == "writing":
        assert len(read(tmp_path)) == 2
    else:
        assert not TablesFolder(tmp_path).recordings()
    for path in tmp_path.glob("*/*/data.parquet"):
        pq.read_table(path)  # each file is whole
    write(tmp_path, plain(3), receipt="third")
    assert len(read(tmp_path)) == 3
    assert not (tmp_path / ".staging").exists()


def _write_and_die(folder: Path, moment: str) -> None:
    """Begin a second run, and be killed while it writes, or while its files take their places."""
    put = TablesFolder._put

    def put_and_die(self: TablesFolder, file: Path, path: str) -> None:
        put(self, file, path)
        if "inputs" in path:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        if moment == "exchange":
            TablesFolder._put = put_and_die  # type: ignore[method-assign]
        else:
            TablesSink.commit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        write(folder, plain(4), receipt="second")
    finally:
        os._exit(1)


def test_tables_go_to_a_store_and_come_back(tmp_path: Path) -> None:
    place = f"memory://{tmp_path.name}/tables"
    write(place, plain(3))
    write(place, plain(2))
    assert len(read(place)) == 2
    assert TablesFolder(place).tables() == sorted(table_specs())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("yard_day", "yard_day"),
        ("2024-01-01", "log_2024-01-01"),
        ("1e5", "log_1e5"),
        ("True", "log_True"),
        ("straße.2", "straße.2"),
    ],
)
def test_names_are_texts_for_every_reader(text: str, name: str) -> None:
    assert partition_name(text) == name


def test_names_that_lose_letters_stay_different() -> None:
    names = {partition_name(text) for text in ("a b", "a/b", "a_b", "a=b", "a%b")}
    assert len(names) == 5
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in names)


def test_another_log_of_the_same_name_gets_a_longer_one(tmp_path: Path) -> None:
    write(tmp_path, plain(1), name="run")
    folder = TablesFolder(tmp_path)
    own = Recording("", "run.mcap", "/logs/run.mcap")
    other = Recording("", "run.mcap", "/others/run.mcap", log_bytes=7)
    copy = Recording("", "run.mcap", "/copies/run.mcap")
    assert free_name(folder, own, ["run", "run.mcap"]) == "run"
    assert free_name(folder, other, ["run", "run.mcap"]) == "run.mcap"
    assert free_name(folder, copy, ["run", "run.mcap"]) == "run"  # equal size and times
