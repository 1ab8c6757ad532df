"""The first messages of topics, however many topics there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mcap.writer import Writer

from perception.autoconfig import complete_config
from perception.autoconfig.first_messages import FIRST, MANY_TOPICS, first_messages
from perception.errors import ConfigError
from perception.logs import open_log
from perception.types import Schema
from tests.small_logs import SmallLog


def write_topics(path: Path, topics: int, messages: int) -> Path:
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=256)
        writer.start()
        channels = [writer.register_channel(f"/topic{k}", "json", 0) for k in range(topics)]
        for index in range(messages):
            for k, channel in enumerate(channels):
                data = json.dumps({"number": index, "topic": k}).encode()
                writer.add_message(channel, 1_000_000 * (index * topics + k) + 1, data, 0)
        writer.finish()
    return path


@pytest.mark.parametrize("topics", [3, MANY_TOPICS + 40])
def test_the_first_messages_are_the_same_for_few_and_many_topics(tmp_path: Path, topics: int) -> None:
    with open_log(write_topics(tmp_path / "log.mcap", topics, FIRST + 2)) as log:
        for k in (0, topics - 1):
            first = [json.loads(message.data) for message in first_messages(log, f"/topic{k}", FIRST)]
            assert first == [{"number": index, "topic": k} for index in range(FIRST)]
            assert len(list(first_messages(log, f"/topic{k}", FIRST + 1))) == FIRST + 1
        assert list(first_messages(log, "/nothing", FIRST)) == []


@pytest.mark.parametrize("messages", [1, FIRST + 2])
def test_many_topics_are_looked_at_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: int
) -> None:
    with open_log(write_topics(tmp_path / "log.mcap", 4 * MANY_TOPICS, messages)) as log:
        passes = []
        for name, read in [(name, getattr(type(log), name)) for name in ("messages", "look")]:
            monkeypatch.setattr(type(log), name, lambda *given, read=read: passes.append(1) or read(*given))
        with pytest.raises(ConfigError):
            complete_config(log)
        assert len(passes) < MANY_TOPICS


@pytest.mark.parametrize("at", [100, 300])
def test_a_field_that_comes_later_is_found_and_its_configuration_accepted(tmp_path: Path, at: int) -> None:
    signals = SmallLog().image(seconds=6.0)
    signals.json("/bus", lambda i: {"speed": 1.0} if i >= at else {"door": 1}, hz=100.0, seconds=6.0)
    for k in range(2 * MANY_TOPICS):
        signals.json(f"/bus{k}", lambda i: {"door": 1}, seconds=6.0)
    with open_log(signals.write(tmp_path / "log.mcap")) as log:
        config = complete_config(log).config
        assert config.sensors.statuses["status"].fields == {"speed": "speed"}
        assert complete_config(log, config).config == config


def empty_at_first(log: SmallLog, topics: tuple[str, ...], count: int = 1) -> SmallLog:
    """Take the contents of the first messages of topics, as drivers send them while they start."""
    kept: list[tuple[int, str, bytes, Schema | None, str]] = []
    left = dict.fromkeys(topics, count)
    for log_time, topic, data, schema, encoding in sorted(log.rows, key=lambda row: row[0]):
        is_first = left.get(topic, 0) > 0
        left[topic] = left.get(topic, 0) - 1
        kept.append((log_time, topic, b"" if is_first else data, schema, encoding))
    log.rows = kept
    return log


@pytest.mark.parametrize("count", [1, 4])
def test_a_sensor_whose_first_messages_are_empty_is_used(tmp_path: Path, count: int) -> None:
    log = SmallLog().image("/front/image", frame="front").calibration("/front/info", frame="front", hz=10)
    log.image("/left/image", frame="left").calibration("/left/info", frame="left", hz=10)
    log.raw_image("/depth/image", "16UC1", frame="depth").calibration("/depth/info", frame="depth", hz=10)
    log.transforms(edges=(("base_link", "front"), ("base_link", "left"), ("base_link", "depth")), hz=10)
    empty_at_first(log, ("/front/image", "/front/info", "/depth/image", "/depth/info", "/tf"), count)
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        choice = complete_config(opened)
    cameras, ranges = choice.config.sensors.cameras, choice.config.sensors.ranges
    assert {c.topic: c.calibration for c in cameras.values()} == {
        "/front/image": "/front/info",
        "/left/image": "/left/info",
    }
    assert [(each.topic, each.calibration) for each in ranges.values()] == [("/depth/image", "/depth/info")]
    assert choice.config.base_frame == "base_link"
    assert not [text for text in choice.warnings if "read" in text]
