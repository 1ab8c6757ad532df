"""Which camera looks ahead, by its topic."""

from __future__ import annotations

import pytest

from perception.autoconfig.sensor_names import front_first


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["back", "front", "left"], "front"),
        (["back", "frontleft", "frontright", "left"], "frontleft"),  # Spot's
        (["back", "left", "right"], "left"),
        (["rear_left", "side"], "side"),
        (["front_left", "front"], "front"),
        (["frontleft", "center"], "center"),
        (["b", "a"], "b"),
    ],
)
def test_the_camera_that_looks_ahead_is_first(names: list[str], first: str) -> None:
    topics = [f"/camera/{name}/image" for name in names]
    ordered = front_first(topics)
    assert ordered[0] == f"/camera/{first}/image"
    assert sorted(ordered) == sorted(topics)
