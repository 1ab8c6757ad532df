"""The shard of a process: from the command line, a Kubernetes indexed job, or a Slurm array."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import ConfigError
from perception.pipeline.batch.shards import Shard, parse_shard

SLURM = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}
SLURM |= {"SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_MAX": "7"}


@pytest.mark.parametrize(
    ("text", "environment", "index", "count"),
    [
        (None, {}, 0, 1),
        ("3/8", {}, 3, 8),
        ("3/8", {"JOB_COMPLETION_INDEX": "5"}, 3, 8),
        ("/8", {"JOB_COMPLETION_INDEX": "5"}, 5, 8),
        (None, {"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "2"}, 0, 2),
        (None, SLURM, 3, 4),
        ("/9", {"SLURM_ARRAY_TASK_ID": "8"}, 8, 9),
        ("0/1", SLURM, 0, 1),
    ],
)
def test_the_shard_is_what_is_asked_for_or_what_the_scheduler_says(
    text: str | None, environment: dict[str, str], index: int, count: int
) -> None:
    shard = parse_shard(text, environment)
    assert (shard.index, shard.count) == (index, count)


@pytest.mark.parametrize(
    ("text", "environment", "error"),
    [
        ("8/8", {}, "expected i from 0 to n - 1, found 8 of 8"),
        ("half", {}, "expected i/n"),
        ("/8", {}, "takes i from the environment"),
        (None, {"JOB_COMPLETION_INDEX": "3"}, "JOB_COMPLETIONS is not"),
        (None, {"JOB_COMPLETION_INDEX": "x", "JOB_COMPLETIONS": "2"}, "expected a whole number"),
        (None, SLURM | {"SLURM_ARRAY_TASK_MAX": "70"}, "without gaps"),
        ("/0", {"JOB_COMPLETION_INDEX": "0"}, "found 0 of 0"),
    ],
)
def test_a_shard_that_is_not_known_is_refused(
    text: str | None, environment: dict[str, str], error: str
) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_shard(text, environment)


@given(st.integers(0, 50), st.integers(1, 12))
def test_shards_share_all_items_evenly(items: int, count: int) -> None:
    parts = [Shard(index, count).of(range(items)) for index in range(count)]
    assert sorted(item for part in parts for item in part) == list(range(items))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
