"""LeRobot datasets of versions 2.1 and 3.0 are logs: states, actions and several cameras on one clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from perception.align.ledger import Ledger
from perception.autoconfig import complete_config
from perception.errors import LogError
from perception.logs import Query, decode, open_log
from perception.logs.lerobot.dataset import PAUSE_NS
from perception.logs.lerobot.description import fill, inside
from perception.logs.video.stage import VideoStage
from perception.pipeline import LogSource
from perception.types import CameraFrame, StatusReading
from tests.logs.lerobot_files import CAMERAS, LENGTHS, STATE, write_version_2, write_version_3

Write = Callable[[Path], Path]
BOTH = pytest.mark.parametrize("write", [write_version_2, write_version_3], ids=["2.1", "3.0"])
FRAMES = sum(LENGTHS)


def topic(feature: str) -> str:
    return "/" + feature.replace(".", "/")


@BOTH
def test_every_frame_of_every_feature_is_a_message(write: Write, tmp_path: Path) -> None:
    with open_log(write(tmp_path / "set")) as log:
        counts = {name: survey.count for name, survey in log.survey.topics.items()}
        stream = log.messages()
        assert sum(1 for _ in stream) == sum(counts.values())
    numbers = ("/observation/state", "/action", "/next/reward")
    assert counts == dict.fromkeys((*numbers, *map(topic, CAMERAS)), FRAMES)
    assert not stream.damage
    assert not stream.account.lost


@BOTH
def test_states_and_pictures_of_a_frame_have_one_stamp_and_the_state_comes_first(
    write: Write, tmp_path: Path
) -> None:
    wanted = frozenset({"/observation/state", topic(CAMERAS[0])})
    with open_log(write(tmp_path / "set")) as log:
        stage = VideoStage({topic(CAMERAS[0]): "camera"})
        items = list(stage.pictures(log.messages(Query(wanted))))
    decoded = [decode(item) if not isinstance(item, CameraFrame) else item for item in items]
    states = [item for item in decoded if isinstance(item, StatusReading)]
    frames = [item for item in decoded if isinstance(item, CameraFrame)]
    assert [item.stamp_ns for item in states] == [item.stamp_ns for item in frames]
    assert [type(item) for item in decoded[:2]] == [StatusReading, CameraFrame]
    assert len(frames) == FRAMES
    assert [item.values["gripper.pos"] for item in states] == [float(i) for n in LENGTHS for i in range(n)]
    assert states[LENGTHS[0]].stamp_ns - states[LENGTHS[0] - 1].stamp_ns > PAUSE_NS


@BOTH
def test_a_table_alone_is_its_episodes(write: Write, tmp_path: Path) -> None:
    root = write(tmp_path / "set")
    last = sorted(root.glob("data/*/*.parquet"))[-1]
    with open_log(last) as log:
        count = log.survey.topics["/action"].count
    assert count == (LENGTHS[-1] if write is write_version_2 else FRAMES)


def test_a_file_that_is_missing_or_damaged_costs_its_episode_and_is_named(tmp_path: Path) -> None:
    root = write_version_2(tmp_path / "set")
    (root / f"videos/chunk-000/{CAMERAS[1]}/episode_000001.mp4").unlink()
    (root / "data/chunk-000/episode_000000.parquet").write_bytes(b"PAR1 and nothing more")
    with open_log(root) as log:
        stream = log.messages()
        read = sum(1 for _ in stream)
    assert stream.account.lost[topic(CAMERAS[1])] == LENGTHS[1]
    assert stream.account.lost["/action"] == LENGTHS[0]
    assert read == 3 * LENGTHS[1] + 2 * FRAMES - LENGTHS[1]
    assert len(stream.damage) >= 2


def test_a_camera_and_a_state_are_replayed_and_each_episode_begins_anew(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "version: 1\nreference: camera\nsensors:\n"
        f"  camera: {{topic: {topic(CAMERAS[1])}}}\n"
        "  status: {topic: /observation/state, fields: {grip: gripper.pos}}\n"
    )
    with open_log(write_version_3(tmp_path / "set")) as log:
        choice = complete_config(log, config)
        samples = list(LogSource(log, choice.config, Ledger()).samples())
    assert [sample.tick.kind for sample in samples] == ["reference"] * FRAMES
    assert all(sample.camera.present and sample.status.present for sample in samples)
    assert [i for i, sample in enumerate(samples) if sample.reset] == [LENGTHS[0]]
    newest = [sample.status.value.values[-1, 0] for sample in samples if sample.status.value]
    assert newest == [float(i) for n in LENGTHS for i in range(n)]
    assert "/action" in {unused.topic for unused in choice.unused}


def test_an_unknown_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    root = write_version_2(tmp_path / "set")
    info = root / "meta" / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "codebase_version": "v1.6"}))
    with pytest.raises(LogError, match=r"found 'v1.6'; convert it with the scripts of lerobot"):
        open_log(root)


def test_templates_of_paths_read_names_and_widths_only_and_stay_inside() -> None:
    assert fill("a-{chunk_index:03d}/{key}.mp4", {"chunk_index": 7, "key": "top"}) == "a-007/top.mp4"
    assert fill("{chunk_index.__class__}", {"chunk_index": 7}) == "{chunk_index.__class__}"
    for path in ("../outside", "/etc/passwd", "a/../../b"):
        with pytest.raises(ValueError, match="leads out of the dataset"):
            inside(Path("/set"), path)


def test_names_with_dots_are_paths(tmp_path: Path) -> None:
    with open_log(write_version_2(tmp_path / "set")) as log:
        first = decode(next(iter(log.messages(Query(frozenset({"/action"}))))))
    assert isinstance(first, StatusReading)
    assert {name: first.values[name] for name in STATE} == {"shoulder.pos": 0.5, "gripper.pos": -1.0}


def test_a_feature_that_is_not_read_and_a_table_that_is_damaged_are_named_in_one_line(tmp_path: Path) -> None:
    root = write_version_3(tmp_path / "set")
    info = root / "meta" / "info.json"
    content = json.loads(info.read_text())
    content["features"]["plan"] = {"dtype": "string", "shape": [1], "names": None}
    del content["features"]["observation.images.wrist"]["dtype"]
    info.write_text(json.dumps(content))
    with open_log(root) as log:
        notes = log.survey.notes
    assert notes[0].startswith(
        "observation.images.wrist is not read: 9216 values a frame without a type; expected"
    )
    assert notes[1] == "plan is not read: it is text"
    episodes = root / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    data = episodes.read_bytes()
    episodes.write_bytes(data[:100] + b"\xff" * 40 + data[140:])
    with pytest.raises(LogError) as caught:
        open_log(root)
    assert "\n" not in str(caught.value)


def test_an_episode_that_is_longer_than_its_description_is_read_whole_and_named(tmp_path: Path) -> None:
    root = write_version_2(tmp_path / "set")
    lines = root / "meta" / "episodes.jsonl"
    text = lines.read_text()
    lines.write_text(text.replace(f'"length": {LENGTHS[0]}', f'"length": {LENGTHS[0] - 1}'))
    with open_log(root) as log:
        counts, damage = log.survey.counts, log.survey.damage
    assert set(counts.values()) == {FRAMES}
    assert [item.reason for item in damage] == [
        f"episode 0 has {LENGTHS[0]} frames, its description says {LENGTHS[0] - 1}: episode_000000.parquet"
    ]
    lines.write_text(text.replace(f'"length": {LENGTHS[0]}', '"length": 1e999'))
    with pytest.raises(LogError, match="the description of the dataset is damaged"):
        open_log(root)


def test_a_dataset_of_the_first_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "meta_data").mkdir()
    (tmp_path / "meta_data" / "info.json").write_text('{"fps": 10}')
    with pytest.raises(LogError, match="version 2 or 3, found one of version 1"):
        open_log(tmp_path)
