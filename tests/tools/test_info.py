"""`perception info`: what it prints at 80 columns, what it says to programs, and its exit codes."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.cells import cell_len

from perception.autoconfig import complete_config
from perception.config import parse_config
from perception.logs import LogWriter, open_log
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.types import TruthBox
from perception_tools.cli import run
from tests.forked_python import ForkedPython
from tests.scripted_scene import write_scene
from tests.small_logs import SmallLog


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("info") / "scene.mcap", duration_s=2.0)


@pytest.fixture(scope="module")
def cut(scene: Path) -> Path:
    path = scene.with_name("cut.mcap")
    path.write_bytes(scene.read_bytes()[: scene.stat().st_size // 2])
    return path


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def report(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert run(["info", *arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == code
    assert found["schema"] == "perception.info/1"
    return found


def test_the_text_reads_at_80_columns(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(scene), "--audit"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text  # plain when piped
    for part in (
        "scene.mcap",
        "2.0 s, ",
        "indexed, not compressed",
        "from 2023-11-14 22:13:20 UTC",
        "/vehicle/state       perception.Status",
        "camera: /camera/image, the only foxglove.CompressedImage",
        "reference: camera, whose messages make the ticks, at 10",
        "arrival less stamp, ms",
        "class and box: its inputs are sound, but unlike those of training: do not rely",  # they are drawn
        "control: can be relied on",
    ):
        assert part in text, part


def test_the_yaml_is_a_configuration_that_replays_the_log(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["info", str(scene), "--yaml"]) == 0
    text = capsys.readouterr().out
    config = parse_config(yaml.safe_load(text))
    assert config.reference_rate_hz is not None
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    found = report(capsys, str(scene), "--config", str(file))
    assert found["configuration"] == json.loads(config.model_dump_json(exclude_none=True))


def test_json_says_it_all(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, str(scene), "--audit")
    assert found["status"] == "clean"
    assert found["damage"] == found["warnings"] == []
    assert found["log"]["messages"] == sum(topic["messages"] for topic in found["topics"].values())
    assert found["log"]["indexed"] is True
    assert found["log"]["size_bytes"] == scene.stat().st_size
    camera = found["topics"]["/camera/image"]
    assert camera["role"] == "camera"
    assert camera["rate_hz"] == pytest.approx(10, rel=0.05)
    assert camera["largest_gap_s"] < 0.12
    assert found["audit"]["heads"]["distance"] == {
        "reliable": True,
        "because": [],
        "not_judged": [],
        "unlike_training": False,
    }
    assert found["audit"]["delays"]["/scan"]["median_ms"] == pytest.approx(13.5, abs=1)


def test_a_damaged_log_is_told_and_ends_with_3(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, str(cut), code=3)
    assert found["status"] == "loss"
    assert found["damage"]
    assert run(["info", str(cut), "--audit"]) == 3
    text = capsys.readouterr().out
    assert "no index" in text
    assert "the file is damaged" in text
    assert "class and box: unreliable (damage" in text


def test_undecodable_messages_end_an_audit_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = SmallLog().sound()
    log.rows = [(t, topic, b"\xff" if topic == "/scan" else data, s, e) for t, topic, data, s, e in log.rows]
    path = str(log.write(tmp_path / "bad.mcap"))
    assert report(capsys, path)["status"] == "clean"  # nothing was decoded
    found = report(capsys, path, "--audit", code=3)
    assert found["audit"]["findings"][0]["code"] == "undecodable"
    assert found["audit"]["heads"]["distance"]["because"] == ["undecodable"]


def test_an_ambiguous_log_is_shown_with_yaml_to_paste(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = SmallLog().image("/camera").calibration("/a").calibration("/b")
    path = str(log.write(tmp_path / "two.mcap"))
    assert run(["info", path]) == 0
    text = capsys.readouterr().out
    assert "2 topics could be the camera's calibration" in text
    assert "camera: {topic: /camera, calibration: /a}" in text
    assert run(["info", path, "--yaml"]) == 2
    assert "2 topics could be the camera's calibration" in capsys.readouterr().err
    found = report(capsys, path)
    assert found["configuration"] is None
    assert found["warnings"][0]["code"] == "no_configuration"


def test_a_wrong_configuration_ends_with_2(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("sensors: {camera: {topic: /camera/imag}, range: {topic: /tf}}")
    assert run(["info", str(scene), "--config", str(file)]) == 2
    text = capsys.readouterr().err
    assert "did you mean /camera/image?" in text
    assert "sensors.range.topic: expected a scan or a point cloud, found foxglove.FrameTransforms" in text
    file.write_text("sensors: {}")
    assert run(["info", str(scene), "--config", str(file), "--json"]) == 2
    assert "at least one of camera, range, status" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("content", [b"", b"not a log", bytes(100)])
def test_what_is_no_log_is_one_line_and_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "file.mcap"
    path.write_bytes(content)
    assert run(["info", str(path)]) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert len(streams.err.splitlines()) == 1


def test_a_log_without_messages_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(SmallLog().write(tmp_path / "empty.mcap"))
    assert run(["info", path, "--audit"]) == 0
    text = capsys.readouterr().out
    assert "0 messages" in text
    assert "There are no topics in this log." in text
    assert "the log has no messages" in text


def test_markup_in_names_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(
        SmallLog().image("/[red]cam[/red]").json("/[bold]", lambda i: {"a": i}).write(tmp_path / "m.mcap")
    )
    assert run(["info", path]) == 0
    text = capsys.readouterr().out
    assert "/[red]cam[/red]" in text
    assert "/[bold]" in text


@pytest.mark.shared
@pytest.mark.parametrize("part", [slice(1, None, 3), pytest.param(slice(None), marks=pytest.mark.slow)])
def test_every_real_recording_is_shown(shared: Path, capsys: pytest.CaptureFixture[str], part: slice) -> None:
    """By default every third, without the large ones."""
    paths = [path for path in sorted(shared.rglob("*.mcap")) if "conformance" not in str(path)]
    for path in paths[part]:
        assert run(["info", str(path), "--audit"]) == 0, path
        text = capsys.readouterr().out
        assert path.name in text
        assert max(map(len, text.splitlines())) <= 80 or "topic:" in text
    assert len(paths) > 15


@pytest.mark.parametrize("arguments", [["--help"], ["info", "--help"]])
def test_a_reader_that_leaves_early_is_no_failure(forked_python: ForkedPython, arguments: list[str]) -> None:
    """As with `| head`: the pipe is closed before anything is written to it."""
    reader, writer = os.pipe()
    os.close(reader)
    process = forked_python.start(*arguments, stdout=writer)
    os.close(writer)
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


# --- what is shown, and how -----------------------------------------------------------------------------


def test_names_of_topics_are_never_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long_name = "/robot/sensors/front_left_center/lidar/points_filtered_and_transformed/compressed/by_zone/a"
    names = ["/camera/image", "/perception/obstacle_segmentation/pointcloud_of_the_front", long_name]
    log = SmallLog().image(names[0]).calibration(names[1]).status(names[2])
    assert run(["info", str(log.write(tmp_path / "names.mcap"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in names:
        assert name in lines
    table = lines[: lines.index("Replay would take")]
    assert all(len(line) <= 80 or line == long_name for line in table)


def test_metadata_are_shown_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "meta.mcap"
    with LogWriter(path, metadata={"host": {"serial": "SN-4711"}}) as log:
        for log_time, topic, data, schema, encoding in SmallLog().scan().rows:
            log.write(topic, data, schema=schema, encoding=encoding, log_time_ns=log_time)
    assert run(["info", str(path)]) == 0
    text = capsys.readouterr().out
    assert "metadata: " in text
    assert "host" in text
    assert "SN-4711" not in text + json.dumps(report(capsys, str(path)))
    assert run(["info", str(path), "--metadata"]) == 0
    assert "SN-4711" in capsys.readouterr().out
    assert {"name": "host", "values": {"serial": "SN-4711"}} in report(capsys, str(path), "--metadata")[
        "log"
    ]["metadata"]


def test_what_is_chosen_and_what_it_costs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = SmallLog().image().scan(delay_s=0.035).status(hz=50.0).json("/battery", lambda i: {"percentage": 1})
    found = report(capsys, str(log.write(tmp_path / "late.mcap")))
    assert found["configuration"]["wait_ms"] == 40.0
    assert any(text.startswith("wait_ms: 40, since") for text in found["reasons"])
    assert found["alignment"]["ticks"] == 20
    assert found["alignment"]["sensors"]["range"]["present"] == 20
    assert [(item["topic"], item["code"]) for item in found["unused"]] == [("/battery", "no_known_field")]


def test_a_configuration_whose_sensor_is_absent_gets_the_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = SmallLog().image().scan(delay_s=0.035)
    file = tmp_path / "config.yaml"
    file.write_text("sensors: {camera: {topic: /camera/image}, range: {topic: /scan}}")
    arguments = str(log.write(tmp_path / "late.mcap")), "--config", str(file)
    warnings = {warning["code"]: warning["text"] for warning in report(capsys, *arguments)["warnings"]}
    assert warnings["range_mostly_absent"].endswith("too late by 35 ms; set wait_ms: 40")
    assert run(["info", *arguments]) == 0
    assert "set wait_ms: 40" in " ".join(capsys.readouterr().out.split())


def test_class_words_come_with_the_mapping_to_paste(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(SmallLog().image().truth().write(tmp_path / "words.mcap"))
    found = report(capsys, path)["truth_classes"]
    assert found["words"] == {"car": 20}
    assert found["suggested"] == {"car": "vehicle"}
    assert run(["info", path]) == 0
    text = capsys.readouterr().out
    pasted = text[text.index("classes:\n") :].split("\n\n")[0]
    assert parse_config({"truth": yaml.safe_load(pasted)}).truth.classes == {"car": "vehicle"}
    file = tmp_path / "mapped.yaml"
    file.write_text(
        f"version: 1\ntruth: {{{pasted.replace(chr(10), ' ').replace('classes:', 'classes: {', 1)}}}}}"
    )
    assert report(capsys, path, "--config", str(file))["truth_classes"]["suggested"] == {}


def labelled_log(path: Path) -> Path:
    """Write a log whose truth has a person, a car and a moose."""
    boxes = [TruthBox(word, (1.0, 2.0, 30.0, 40.0), 5.0, 1.0, "") for word in ("person", "car", "moose")]
    log = (
        SmallLog()
        .image()
        .stream(
            "/truth/detections",
            SCHEMAS["perception.Detections"],
            "protobuf",
            lambda i, stamp: encode_truth(stamp, "camera", boxes),
        )
    )
    return log.write(path)


def test_a_mapping_to_paste_keeps_the_words_that_are_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(capsys, str(labelled_log(tmp_path / "words.mcap")))["truth_classes"]
    assert found["suggested"] == {"person": "person", "car": "vehicle"}


def test_a_mapping_that_drops_a_class_is_pointed_out(tmp_path: Path) -> None:
    """As one does that lists the words alone that the weights do not know."""
    with open_log(labelled_log(tmp_path / "words.mcap")) as opened:
        config = complete_config(opened).config
        warned = []
        for mapping in ({"car": "vehicle"}, {"car": "vehicle", "person": "person"}, {"car": "person"}, {}):
            truth = config.truth.model_copy(update={"classes": mapping})
            warned.append(complete_config(opened, config.model_copy(update={"truth": truth})).warnings)
    (text,) = [text for text in warned[0] if "truth.classes" in text]
    assert text.endswith("counts as wrong; add person: person")
    assert not [text for texts in warned[1:] for text in texts if "truth.classes" in text]


def test_without_a_choice_every_topic_is_named_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = (
        SmallLog()
        .image("/camera")
        .calibration("/a")
        .calibration("/b")
        .json("/battery", lambda i: {"percentage": 0.5})
        .json("/rosout", lambda i: {"line": i})
    )
    path = str(log.write(tmp_path / "two.mcap"))
    found = report(capsys, path)
    assert {item["topic"]: item["code"] for item in found["unused"]} == {
        "/battery": "no_known_field",
        "/b": "second_choice",
        "/rosout": "housekeeping",
    }
    assert run(["info", path]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    why = "none of its fields is known as a speed, yaw rate or acceleration (percentage, timestamp_ns)"
    assert f"/battery: {why}" in printed


def test_topics_line_up_where_the_output_has_few_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule below the head is of the output's characters, as on Windows; wide letters take two places."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="cp932", errors="backslashreplace", write_through=True)
    monkeypatch.setattr("sys.stdout", out)
    log = SmallLog().image("/カメラ").scan().write(tmp_path / "a.mcap")
    assert run(["info", str(log)]) == 0
    lines = out.buffer.getvalue().decode("cp932").splitlines()  # type: ignore[attr-defined]
    head = next(line for line in lines if line.startswith("topic "))
    rows = [line for line in lines if line.startswith("/")]
    assert lines[lines.index(head) + 1].strip("-") == ""
    assert len(rows) == 2
    for row in rows:
        assert cell_len(row[: row.index("foxglove")]) == head.index("schema")
