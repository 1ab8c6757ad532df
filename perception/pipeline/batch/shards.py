"""Shards: the part of a batch that one of several independent processes does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from perception.errors import ConfigError

T = TypeVar("T")

KUBERNETES = ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")
SLURM = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several equal parts.

    Attributes:
        index: From 0.
        count: How many there are.
        source: The environment variables that say so; empty: the command line does.
    """

    index: int = 0
    count: int = 1
    source: str = ""

    def of(self, items: Sequence[T]) -> list[T]:
        """Return the items of this shard, every `count`-th: shards differ by one item at most."""
        return list(items[self.index :: self.count])

    def __str__(self) -> str:
        return f"shard {self.index}/{self.count}" + (f" (from {self.source})" if self.source else "")


ALL = Shard()


def parse_shard(text: str | None, environment: Mapping[str, str]) -> Shard:
    """Return the shard that `--shard` or the environment names.

    Args:
        text: `i/n`, i from 0; or `/n`: i is that of the environment. None: the environment alone, in which a
            Kubernetes indexed job (`JOB_COMPLETION_INDEX`, with `JOB_COMPLETIONS` set in its manifest) or a
            Slurm array (`SLURM_ARRAY_TASK_ID`) says both.
        environment: The environment variables.

    Raises:
        ConfigError: It is not of that form, or one of the two numbers is not known.
    """
    if text is not None:
        match = re.fullmatch(r"(\d*)/(\d+)", text.strip())
        if match is None:
            raise ConfigError([f"--shard: expected i/n with i from 0 to n - 1, as 3/8, found '{text}'"])
        index, count = match[1], int(match[2])
        if index:
            return _checked(Shard(int(index), count), f"--shard {text}")
        shard = _of_environment(environment, count)
        if shard is None:
            names = f"{KUBERNETES[0]} and {SLURM[0]}"
            raise ConfigError([f"--shard {text}: takes i from the environment, and neither {names} is set"])
        return _checked(shard, f"--shard {text}")
    shard = _of_environment(environment, None)
    return ALL if shard is None else _checked(shard, shard.source)


def _of_environment(environment: Mapping[str, str], count: int | None) -> Shard | None:
    index_name, count_name = KUBERNETES
    if index_name in environment:
        return Shard(
            _number(environment, index_name),
            count if count is not None else _number(environment, count_name),
            index_name if count is not None else f"{index_name} and {count_name}",
        )
    index_name, count_name = SLURM
    if index_name not in environment:
        return None
    first, step = (int(environment.get(f"SLURM_ARRAY_TASK_{key}", value)) for key, value in _SLURM_DEFAULTS)
    known = count if count is not None else _number(environment, count_name)
    last = int(environment.get("SLURM_ARRAY_TASK_MAX", first + (known - 1) * step))
    index, rest = divmod(_number(environment, index_name) - first, max(step, 1))
    if count is None and (rest or (last - first) // max(step, 1) + 1 != known):
        raise ConfigError(
            [f"{index_name}: expected an array without gaps, as --array=0-7; otherwise add --shard i/n"]
        )
    return Shard(index, known, index_name if count is not None else f"{index_name} and {count_name}")


_SLURM_DEFAULTS = (("MIN", 0), ("STEP", 1))


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name)
    if text is None:
        known = " and ".join(key for key in (KUBERNETES[0], SLURM[0]) if key in environment)
        raise ConfigError(
            [f"{known} is set, and {name} is not: set it to the number of shards, or add --shard /n; "
             "--shard 0/1 does all here"]
        )  # fmt: skip
    if not text.isdecimal():
        raise ConfigError([f"{name}: expected a whole number from 0, found '{text}'"])
    return int(text)


def _checked(shard: Shard, source: str) -> Shard:
    if not 0 <= shard.index < shard.count:
        raise ConfigError(
            [f"{source}: expected i from 0 to n - 1, found {shard.index} of {shard.count} shards"]
        )
    return shard
