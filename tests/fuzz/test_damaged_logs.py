"""Thousands of damaged logs against an independent count of what is intact in them.

The selection of the normal suite is small. All of it, with another seed or number:

    PERCEPTION_FUZZ_FILES=10000 PERCEPTION_FUZZ_SEED=7 pytest -m slow tests/fuzz
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from perception.errors import LogError
from perception.logs import Query, open_log
from tests.fuzz import reading_costs
from tests.fuzz.damaged_logs import TOPICS, DamagedLog, Written, damage, write_sound

FILES = int(os.environ.get("PERCEPTION_FUZZ_FILES", "3000"))
SEED = int(os.environ.get("PERCEPTION_FUZZ_SEED", "1"))
PIECE = 100  # files of one test


def read(path: Path, query: Query) -> tuple[list[Written], Counter[str], int]:
    """Return the messages, the ledger's total by topic, and how many damages were named."""
    with open_log(path) as log:
        stream = log.messages(query)
        messages = [Written(m.log_time_ns, m.publish_time_ns, m.sequence, m.topic, m.data) for m in stream]
        assert Counter(m.topic for m in messages) == +stream.account.read
        return messages, stream.account.totals(), len(stream.damage)


def queries(rng: random.Random, written: list[Written]) -> list[Query]:
    times = [message.log_time_ns for message in written]
    start, end = sorted((rng.choice(times), rng.choice(times)))
    topics = frozenset(rng.sample(TOPICS, rng.randrange(1, 3)))
    return [Query(topics), Query(None, start, end), Query(topics, start, None)]


def check(seed: int, path: Path) -> None:
    """Damage one log and read it in several ways."""
    rng = random.Random(seed)
    sound = write_sound(rng)
    damaged = damage(sound, rng)
    path.write_bytes(damaged.data)
    context = (seed, damaged.how)
    with reading_costs.bounded(context):
        check_reading(rng, path, sound.messages, damaged, context)


def check_reading(
    rng: random.Random, path: Path, written: list[Written], damaged: DamagedLog, context: object
) -> None:
    """Read the whole log, its survey and parts of it, and compare them with what was written."""
    try:
        messages, totals, damages = read(path, Query())
    except LogError:
        assert not damaged.must_read, context
        return
    check_messages(messages, damages, written, damaged, context)
    with open_log(path) as log:
        surveyed = log.survey.message_count
    assert surveyed <= totals.total(), context
    for query in queries(rng, written):
        part, part_totals, _ = read(path, query)
        assert part_totals == totals, (context, query)
        wanted = [m for m in messages if query.wants(m.topic) and query.covers(m.log_time_ns, m.log_time_ns)]
        assert part == wanted, (context, query)
    if damaged.chunked:
        assert totals.total() <= len(written), context


def check_messages(
    messages: list[Written], damages: int, written: list[Written], damaged: DamagedLog, context: object
) -> None:
    missing = damaged.must_read - Counter(messages)
    assert not missing, (context, len(missing), next(iter(missing)))
    if damaged.chunked:  # outside chunks no CRC tells that a content is damaged
        extra = Counter(m._replace(topic="") for m in messages) - Counter(
            m._replace(topic="") for m in written
        )
        assert not extra or damaged.cut, (context, next(iter(extra)))
        assert damages or Counter(messages) == Counter(written), context
    times = [message.log_time_ns for message in messages]
    assert times == sorted(times), context


@pytest.mark.parametrize(
    "seed", [0, 20, 40, *(pytest.param(n, marks=pytest.mark.slow) for n in (60, 80, 100))]
)
def test_a_selection_of_damaged_logs(seed: int, tmp_path: Path) -> None:
    for i in range(seed, seed + 20):
        check(1_000_000 + i, tmp_path / "log.mcap")


@pytest.mark.parametrize(
    "seed",
    [
        70_001_690,  # a channel whose opcode says message, in a log without chunks
        70_001_830,  # the same in the summary of a log with chunks
        70_002_370,  # all chunks stand one byte before where the index says
        70_002_811,  # a message on an undeclared channel in a part that is not read
    ],
)
def test_damaged_logs_that_were_once_read_wrongly(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path / "log.mcap")


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(-(-FILES // PIECE)))
def test_damaged_logs(piece: int, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    for i in range(PIECE):
        check(SEED * 10_000_000 + piece * PIECE + i, tmp_path / "log.mcap")
    record_property("highest", dict(reading_costs.highest))
