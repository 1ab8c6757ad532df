"""The output log: what is in it, in what order, and what survives."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

from perception.errors import LogError, OutputError
from perception.logs import Query, open_log
from perception.logs.mcap.writer import LogWriter
from perception.sinks import McapSink, RunInfo, read_outputs, read_run
from perception.types import Channel, Control, Detections, Message, Output, Reset, invalid_output
from tests.forked_python import ROOT, ForkedPython
from tests.sinks.build import START_NS, output_of, sample_of

RUN = RunInfo(
    input=Path("/data/drive.mcap"),
    input_bytes=123,
    plugin="fusion",
    weights_sha256="ab" * 32,
    untrained=True,
    batch=2,
    threads=1,
    reference_rate_hz=10.0,
    classes=("person", "car"),
    versions={"numpy": "2.0", "torch": "2.12"},
    config="version: 1\nreference: camera\n",
    extra={"note": "x"},
)
KINDS = ("reference", "reference", "substitute", "reference")


def write_run(path: Path, count: int = 12, **options: object) -> None:
    sink = McapSink(path, **options)
    sink.open(RUN)
    for index in range(count):
        kind = KINDS[index % 4]
        sink.write(sample_of(index, kind), output_of(index, kind), None, {"step": 1.5 + index})
    sink.close()


def topics_in_file_order(path: Path) -> list[tuple[str, int]]:
    with path.open("rb") as file:
        found = make_reader(file).iter_messages(log_time_order=False)
        return [(channel.topic, message.log_time) for _, channel, message in found]


def test_official_reader_decodes_every_topic(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    write_run(path)
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        decoded = list(reader.iter_decoded_messages())
        names = {channel.topic: schema.name for schema, channel, _, _ in decoded}
        assert names == {
            "/perception/detections": "perception.Detections",
            "/perception/control": "perception.Control",
            "/perception/inputs": "perception.Inputs",
            "/perception/annotations": "foxglove.ImageAnnotations",
            "/perception/timing": "perception.Status",
        }
        assert len(decoded) == 5 * 12
        timing = [message for _, channel, _, message in decoded if channel.topic == "/perception/timing"]
        assert [(c.name, c.unit, c.value) for c in timing[3].channels] == [("step", "ms", 4.5)]


def test_log_time_is_the_arrival_of_the_tick(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    write_run(path)
    times = [time for topic, time in topics_in_file_order(path) if topic == "/perception/detections"]
    assert times == [output_of(index).tick.log_time_ns for index in range(12)]


def test_stored_outputs_come_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    write_run(path)
    with open_log(path) as log:
        found = list(read_outputs(log))
        assert read_run(log) == replace(RUN, input=Path("drive.mcap"))
    for index, stored in enumerate(found):
        kind = KINDS[index % 4]
        assert stored.output == replace(output_of(index, kind), warnings={})
        assert stored.output.tick.index == index
        assert stored.frame_id == "cam"
        assert [state.present for state in stored.inputs] == [kind == "reference", True, True]
        assert stored.inputs[0].reason == ("" if kind == "reference" else "silent for 150 ms")
    assert len(found) == 12


def test_missing_and_invalid_heads_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    outputs = [
        Output(output_of(0).tick, None, Control(True)),
        Output(output_of(1).tick, Detections(True), None),
        Output(output_of(2).tick, None, None),
        invalid_output(output_of(3).tick, ("class", "box", "control"), "ValueError: no"),
        output_of(4),
    ]
    sink = McapSink(path)
    sink.open(RunInfo())
    for index, output in enumerate(outputs):
        sink.write(sample_of(index), output)
    sink.close()
    with open_log(path) as log:
        assert [s.output for s in read_outputs(log)] == [replace(o, warnings={}) for o in outputs]


def test_two_runs_give_equal_bytes_without_timing(tmp_path: Path) -> None:
    write_run(tmp_path / "a.mcap", timing=False)
    write_run(tmp_path / "b.mcap", timing=False)
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    assert not any(topic == "/perception/timing" for topic, _ in topics_in_file_order(tmp_path / "a.mcap"))


def test_timing_changes_nothing_but_its_own_topic(tmp_path: Path) -> None:
    contents = []
    for name, timing in (("a", False), ("b", True)):
        path = tmp_path / f"{name}.mcap"
        write_run(path, timing=timing)
        with path.open("rb") as file:
            contents.append(
                [
                    (channel.topic, message.log_time, message.publish_time, message.sequence, message.data)
                    for _, channel, message in make_reader(file).iter_messages(log_time_order=False)
                    if channel.topic != "/perception/timing"
                ]
            )
    assert contents[0] == contents[1]


def raw(topic: str, log_time_ns: int, data: bytes, number: int = 7) -> Message:
    channel = Channel(3, topic, "json", None, {"made": "here"})
    return Message(channel, log_time_ns, log_time_ns - 5, number, data)


def test_copied_input_is_unchanged_and_interleaved_by_log_time(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    sink = McapSink(path, timing=False)
    sink.open(RUN)
    step = 30_000_000
    messages = [raw("/raw", START_NS + k * step, bytes([k])) for k in range(40)]
    ticks = [output_of(index) for index in range(10)]
    waiting = iter(enumerate(ticks))
    following = next(waiting, None)
    for message in messages:  # as a host does: an output comes some messages after its tick
        sink.copy(message)
        if following is not None and message.log_time_ns > following[1].tick.log_time_ns + 100_000_000:
            sink.write(sample_of(following[0]), following[1])
            following = next(waiting, None)
    while following is not None:
        sink.write(sample_of(following[0]), following[1])
        following = next(waiting, None)
    sink.close()
    order = topics_in_file_order(path)
    assert [time for _, time in order] == sorted(time for _, time in order)
    with open_log(path) as log:
        copied = [m for m in log.messages() if m.topic == "/raw"]
        assert len(list(read_outputs(log))) == 10
    assert [(m.log_time_ns, m.publish_time_ns, m.sequence, m.data) for m in copied] == [
        (m.log_time_ns, m.publish_time_ns, m.sequence, m.data) for m in messages
    ]
    assert dict(copied[0].channel.metadata) == {"made": "here"}


def test_memory_held_for_copies_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    sink = McapSink(path, hold_bytes=1000)
    sink.open(RUN)
    for k in range(100):
        sink.copy(raw("/raw", START_NS + k, bytes(100)))
    sink.write(sample_of(0), output_of(0))  # its tick is later than all of them
    sink.close()
    with path.open("rb") as file:
        times = [message.log_time for _, _, message in make_reader(file).iter_messages()]
    assert len(times) == 100 + 4
    assert times == sorted(times)


def test_copies_keep_going_when_time_goes_back(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    sink = McapSink(path, timing=False)
    sink.open(RUN)
    late = output_of(9).tick.log_time_ns
    sink.copy(raw("/raw", late, b"before"))
    sink.write(sample_of(9), output_of(9))
    sink.copy(raw("/raw", late + 1, b"between"))
    sink.copy(raw("/raw", START_NS, b"after"))
    sink.write(replace(sample_of(0), reset=Reset("clock went back")), output_of(0))
    sink.close()
    copied = [topic for topic, _ in topics_in_file_order(path)].index("/perception/inputs")
    assert copied == 4
    assert [topic for topic, _ in topics_in_file_order(path)].count("/raw") == 3


def test_own_topics_of_an_input_are_not_mixed_with_new_outputs(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    sink = McapSink(path)
    sink.open(RUN)
    sink.copy(raw("/perception/detections", START_NS, b"old"))
    sink.copy(raw("/truth/detections", START_NS, b"kept"))
    sink.write(sample_of(0), output_of(0))
    sink.close()
    topics = [topic for topic, _ in topics_in_file_order(path)]
    assert topics.count("/perception/detections") == 1
    assert topics.count("/truth/detections") == 1
    assert sink.not_copied == {"/perception/detections": 1}


KILLED = """
import os, sys, time
from pathlib import Path
from perception.sinks import McapSink, RunInfo
from tests.sinks.build import output_of, sample_of
sink = McapSink(Path(sys.argv[1]))
sink.open(RunInfo(plugin="fusion"))
started, written = time.monotonic(), 0
while True:
    sink.write(sample_of(written), output_of(written))
    written += 1
    print(written, round(time.monotonic() - started, 3), flush=True)
    time.sleep(0.02)
"""


def test_killed_writer_loses_at_most_the_last_second(tmp_path: Path, forked_python: ForkedPython) -> None:
    path = tmp_path / "out.mcap"
    process = forked_python.start(path, program=KILLED, cwd=ROOT)
    assert process.stdout is not None
    times = []
    for line in process.stdout:
        times.append(float(line.split()[1]))
        if times[-1] > 2.3:
            break
    process.kill()
    with open_log(path) as log:
        found = list(read_outputs(log))
    must_be_there = sum(time < times[-1] - 1.2 for time in times)
    assert len(found) >= must_be_there > 10
    assert found[5].output == replace(output_of(5), warnings={})


def test_faults_are_one_line_and_name_the_path(tmp_path: Path) -> None:
    source = tmp_path / "in.mcap"
    LogWriter(source).close()
    before = source.read_bytes()
    (tmp_path / "link.mcap").symlink_to(source)
    cases = {
        tmp_path / "no" / "out.mcap": "make it first",
        tmp_path: "found a folder",
        source: "being read",
        tmp_path / "link.mcap": "being read",
    }
    for path, words in cases.items():
        with pytest.raises(OutputError, match=words) as caught:
            McapSink(path).open(RunInfo(input=source))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert source.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_an_output_error_and_close_is_quiet() -> None:
    sink = McapSink("/dev/full")
    with pytest.raises(OutputError, match=r"space.*: /dev/full$"):
        sink.open(RunInfo())
    sink.close()
    sink.close()


def test_a_log_without_outputs_says_so(tmp_path: Path) -> None:
    path = tmp_path / "other.mcap"
    with LogWriter(path) as writer:
        writer.write("/x", b"{}", schema=None, encoding="json", log_time_ns=1)
    with open_log(path) as log, pytest.raises(LogError, match="/perception/inputs"):
        next(read_outputs(log))


def test_writing_before_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not open"):
        McapSink(tmp_path / "x.mcap").write(sample_of(0), output_of(0))


def test_run_record_survives_unknown_and_missing_keys() -> None:
    assert RunInfo.from_metadata({}) == RunInfo()
    assert RunInfo.from_metadata({"later": "1", "plugin": "p"}).plugin == "p"
    with pytest.raises(ValueError, match="invalid literal"):
        RunInfo.from_metadata({"batch": "many"})


def test_what_was_written_reaches_the_file_also_while_the_plugin_takes_its_time(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    sink = McapSink(path)
    sink.open(RUN)
    for index in range(3):
        sink.write(sample_of(index), output_of(index))
    deadline = time.monotonic() + 60
    found = 0
    while found < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
        with open_log(path) as log:
            found = sum(1 for _ in log.messages(Query(frozenset({"/perception/inputs"}))))
    assert found == 3
    sink.close()
    sink.close()
