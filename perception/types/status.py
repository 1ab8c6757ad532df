"""How a run or a check ended."""

from __future__ import annotations

from typing import Literal, TypeVar

Status = Literal["clean", "loss", "gate_failed", "usage", "failed", "interrupted"]
"""===========  =========================================================================
clean        all was done, and nothing is missing
loss         all was done, but data was lost, undecodable, or an answer failed
gate_failed  all was done, and a requirement on the result does not hold
usage        nothing was done: the options or the configuration are wrong
failed       an error ended it
interrupted  the user ended it; what was done until then is kept
===========  ========================================================================="""

S = TypeVar("S", bound=str)
_WORST_FIRST: tuple[str, ...] = ("interrupted", "failed", "usage", "gate_failed", "loss", "clean")


def worst(first: S, *others: S) -> S:
    """Return the worst of some statuses."""
    return min((first, *others), key=_WORST_FIRST.index)
