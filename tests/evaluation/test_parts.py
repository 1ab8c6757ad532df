"""The kinds of parts that a user asks for."""

from __future__ import annotations

import pytest

from perception.errors import ConfigError
from perception.evaluation.parts import chosen_slices


def test_names_of_slices() -> None:
    assert chosen_slices("size, time") == ("size", "time")
    assert "status" not in chosen_slices("all")
    assert chosen_slices("all,status:yaw_rate")[-1] == "status:yaw_rate"
    with pytest.raises(ConfigError, match="found 'colour'"):
        chosen_slices("size,colour")
    with pytest.raises(ConfigError, match="--slices"):
        chosen_slices(" , ")
