"""Stamps that many messages share: arrival stands in where they say less than it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.autoconfig import ConfigChoice, complete_config
from perception.autoconfig.choose_config import choose_config
from perception.config import Config, parse_config
from perception.errors import ConfigError
from perception.logs import open_log
from perception.pipeline import replay
from perception.training.data.cache_writer import samples_with_truth
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.small_logs import START_NS, Make, SmallLog

S = 1_000_000_000


class Restamped(SmallLog):
    """Messages whose stamps are not those of their measurements."""

    def __init__(self, stamp_of: Callable[[int, int], int]) -> None:
        super().__init__()
        self._stamp_of = stamp_of

    def stream(self, topic, schema, encoding, make: Make, **how):  # type: ignore[no-untyped-def]
        return super().stream(topic, schema, encoding, lambda i, ns: make(i, self._stamp_of(i, ns)), **how)


def choice_of(log: SmallLog, path: Path, base: Config | None = None) -> ConfigChoice:
    log.write(path)
    with open_log(path) as opened:
        return choose_config(opened, base)


def by_arrival(choice: ConfigChoice) -> set[str]:
    sensors = choice.config.sensors.named
    return {name for name, section in sensors.items() if section.stamp and section.stamp.source == "arrival"}


@pytest.mark.parametrize("hz", [10.0, 100.0])
@pytest.mark.parametrize(
    "stamp_of",
    [
        pytest.param(lambda i, ns: START_NS, id="a clock that stands"),
        pytest.param(lambda i, ns: ns // S * S, id="whole seconds"),
        pytest.param(lambda i, ns: ns // (S // 2) * (S // 2), id="half seconds"),
        pytest.param(lambda i, ns: S, id="a clock that stands in 1970"),
    ],
)
def test_arrival_stands_in_for_stamps_that_do_not_tell_messages_apart(
    tmp_path: Path, stamp_of: Callable[[int, int], int], hz: float
) -> None:
    log = Restamped(stamp_of).image(seconds=4.0).status(hz=hz, seconds=4.0)
    path = tmp_path / "a.mcap"
    choice = choice_of(log, path)
    assert by_arrival(choice) == {"camera", "status"}
    camera, status = (text for text in choice.warnings if "arrival stands in" in text)
    assert "stamps on /camera/image do not say when each message was measured" in camera
    assert "set sensors.status.stamp: {source: message}" in status
    with open_log(path) as opened:
        summary = replay(opened, choice.config, MemoryPlugin())
    assert summary.frames == 40
    assert summary.inputs["camera"] == {"present": 40, "absent": 0}
    assert summary.inputs["status"]["present"] >= 39


def sent_again(i: int, ns: int) -> int:
    return ns // S * S  # a picture a second, sent ten times


def grouped(i: int, ns: int) -> int:
    return ns // (S // 10) * (S // 10)


def set_late(i: int, ns: int) -> int:
    return max(ns, START_NS + 3 * S)


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(SmallLog().image(hz=2.0, seconds=8.0), id="a slow sensor"),
        pytest.param(Restamped(lambda i, ns: ns // S * S).image(hz=1.0, seconds=9.0), id="a second each"),
        pytest.param(
            Restamped(sent_again).image(frozen=True, seconds=6.0), id="pictures that are sent again"
        ),
        pytest.param(
            Restamped(lambda i, ns: ns // (S // 10) * (S // 10)).json(
                "/state", lambda i: {"speed": i}, hz=100.0
            ),
            id="a bus that stamps groups",
        ),
        pytest.param(
            Restamped(lambda i, ns: max(ns, START_NS + 3 * S)).image(seconds=20.0),
            id="a clock that is set late",
        ),
        pytest.param(Restamped(lambda i, ns: START_NS).image(hz=10.0, seconds=0.5), id="too short to tell"),
    ],
)
def test_stamps_that_are_shared_rightly_stay(tmp_path: Path, log: SmallLog) -> None:
    assert not by_arrival(choice_of(log, tmp_path / "a.mcap"))


def test_scanners_of_one_topic_share_their_stamp(tmp_path: Path) -> None:
    log = SmallLog()
    for index in range(8):
        log.scan(
            "/sonar", frame=f"sonar{index}", hz=1.0, seconds=6.0, ranges=lambda i, k=index: [1.0 + k + i]
        )
    assert not by_arrival(choice_of(log, tmp_path / "a.mcap"))


def test_messages_that_come_together_share_their_stamp(tmp_path: Path) -> None:
    log = SmallLog()
    for index in range(6):  # as updates of a scene with a message for each object
        log.json("/state", lambda i, k=index: {"speed": k + i}, hz=1.0, seconds=6.0, delay_s=0.001 * index)
    assert not by_arrival(choice_of(log, tmp_path / "a.mcap"))


@pytest.mark.parametrize("stamp_of", [lambda i, ns: START_NS, lambda i, ns: ns // S * S])
def test_truth_is_joined_by_arrival_where_its_stamps_do_not_tell_messages_apart(
    tmp_path: Path, stamp_of: Callable[[int, int], int]
) -> None:
    """Each picture has a box of its own: its distance says which."""
    log = Restamped(stamp_of).image(seconds=5.0).truth(seconds=5.0, apart_m=1.0)
    choice = choice_of(log, tmp_path / "a.mcap")
    topic = choice.config.truth.boxes
    assert topic is not None
    assert choice.config.truth.stamps[topic].source == "arrival"
    assert any(f"truth.stamps: {{{topic}: {{source: message}}}}" in text for text in choice.warnings)
    with open_log(tmp_path / "a.mcap") as opened:
        joined = list(samples_with_truth(opened, choice.config))
    assert len(joined) == 50
    distances = [truth.boxes[0].distance_m for _, truth in joined if truth.boxes]
    assert distances == [5.0 + i for i in range(50)]


def test_stamps_of_truth_are_said_of_topics_that_are_found(tmp_path: Path) -> None:
    log = Restamped(lambda i, ns: START_NS).image(seconds=5.0).truth(seconds=5.0, apart_m=1.0)
    log.write(tmp_path / "a.mcap")
    with open_log(tmp_path / "a.mcap") as opened:
        topic = complete_config(opened).config.truth.boxes
        kept = parse_config({"truth": {"stamps": {topic: {"source": "message"}}}})
        choice = complete_config(opened, kept)
        assert choice.config.truth.boxes == topic
        assert choice.config.truth.stamps[topic].source == "message"
        assert not any(f"truth.stamps: {{{topic}" in text for text in choice.warnings)
        unknown = parse_config({"truth": {"stamps": {"/other": {"source": "message"}}}})
        with pytest.raises(ConfigError, match=r"truth\.stamps: /other: no topic of truth; they are: "):
            complete_config(opened, unknown)
    sensors = {"camera": {"topic": "/camera/image"}}
    with pytest.raises(ConfigError, match=r"truth\.stamps: /x: no topic of truth; they are: none"):
        parse_config({"sensors": sensors, "truth": {"stamps": {"/x": {"source": "message"}}}})


@pytest.mark.parametrize(("away_s", "taken"), [(0, True), (-86_400, False), (86_400, False)])
def test_arrival_stands_in_only_where_the_sensors_have_its_clock(
    tmp_path: Path, away_s: int, taken: bool
) -> None:
    """A log that was played, and recorded again: whole seconds are nearer to the pictures than arrival is."""
    log = SmallLog().image(seconds=5.0)
    coarse = Restamped(lambda i, ns: ns // S * S).status(hz=20.0, seconds=5.0)
    log.rows += coarse.truth(seconds=5.0, apart_m=1.0).rows
    log.rows = [(log_time + away_s * S, *row) for log_time, *row in log.rows]
    choice = choice_of(log, tmp_path / "a.mcap")
    assert by_arrival(choice) == ({"status"} if taken else set())
    assert bool(choice.config.truth.stamps) is taken
    texts = [text for text in choice.warnings if "do not say when" in text]
    assert len(texts) == 2
    assert all(("arrival cannot stand in" in text) is not taken for text in texts)


@settings(max_examples=15, deadline=None)
@given(hz=st.floats(5.0, 60.0), step_ms=st.integers(1, 60_000))
def test_arrival_never_stands_in_for_stamps_that_rise_with_every_message(
    tmp_path_factory: pytest.TempPathFactory, hz: float, step_ms: int
) -> None:
    """However fast that clock runs."""
    log = Restamped(lambda i, ns: START_NS + i * step_ms * 1_000_000).image(hz=hz, seconds=2.0)
    assert not by_arrival(choice_of(log, tmp_path_factory.mktemp("log") / "a.mcap"))


@pytest.mark.parametrize(("source", "stamped"), [("message", True), ("arrival", False)])
def test_a_user_decides_whose_time_holds(tmp_path: Path, source: str, stamped: bool) -> None:
    section = {"topic": "/camera/image", "stamp": {"source": source}}
    base = parse_config({"reference": "camera", "sensors": {"camera": section}})
    choice = choice_of(Restamped(lambda i, ns: START_NS).image(), tmp_path / "a.mcap", base)
    assert not [text for text in choice.warnings if "stamp" in text]
    with open_log(tmp_path / "a.mcap") as opened:
        summary = replay(opened, choice.config, MemoryPlugin())
    assert (summary.inputs["camera"]["present"] == 1) is stamped
