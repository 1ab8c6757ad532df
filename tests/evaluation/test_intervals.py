"""What a difference means."""

from __future__ import annotations

import pytest

from perception.evaluation.intervals import verdict


@pytest.mark.parametrize(
    ("difference", "p", "better", "expected"),
    [
        (0.1, 0.01, "higher", "better"),
        (0.1, 0.01, "lower", "worse"),
        (-0.1, 0.01, "higher", "worse"),
        (-0.1, 0.06, "higher", "cannot tell"),
        (0.1, 0.01, "", "cannot tell"),
        (None, None, "higher", "cannot tell"),
    ],
)
def test_verdicts(difference: float | None, p: float | None, better: str, expected: str) -> None:
    assert verdict(difference, p, better) == expected
