"""The options of a replay check themselves."""

from __future__ import annotations

from typing import Any

import pytest

from perception.pipeline import ReplayOptions


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": -1}, "rate: expected None .* or more than 0, found -1"),
        ({"rate": 0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": float("inf")}, "rate"),
        ({"live_drop": True}, "live_drop: needs a rate"),
        ({"loops": 0}, "loops: expected 1 or more, found 0"),
        ({"loops": 1.5}, "loops"),
        ({"on_error": "raise"}, "on_error: expected stop or skip, found 'raise'"),
    ],
)
def test_values_that_are_none_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReplayOptions(**values)


def test_a_function_is_no_observer() -> None:
    with pytest.raises(TypeError, match=r"expected an object with before and after .*, found function"):
        ReplayOptions(observer=lambda progress: None)  # type: ignore[arg-type]
