"""A sentence about an evaluation, with the section of the report that shows it."""

from __future__ import annotations

from typing import NamedTuple


class Highlight(NamedTuple):
    """A sentence. `place` is the section that shows it; `bad`: it needs a look."""

    text: str
    place: str
    bad: bool
