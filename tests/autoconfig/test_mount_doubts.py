"""Transforms of two senders that contradict each other, and sound ones that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.logs import open_log
from tests.small_logs import SmallLog

FORWARD = {"x": -0.5, "y": 0.5, "z": -0.5, "w": 0.5}
LEVEL = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}


def place(
    log: SmallLog, topic: str, child: str, xs: list[float], parent: str = "base_link", **how: float
) -> None:
    """Add a transform for each x, at 10 Hz."""

    def transform(i: int) -> dict[str, object]:
        rotation = FORWARD if child == "camera" else LEVEL
        edge = {"parent_frame_id": parent, "child_frame_id": child, "rotation": rotation}
        return {"transforms": [{**edge, "translation": {"x": xs[i]}}]}

    log.json(topic, transform, "foxglove.FrameTransforms", seconds=len(xs) / 10, **how)


def said(log: SmallLog, folder: Path) -> list[str]:
    with open_log(log.write(folder / "small.mcap")) as opened:
        choice = complete_config(opened)
        again = complete_config(opened, choice.config)
    texts = [text for text in choice.warnings if "two senders" in text]
    assert [text for text in again.warnings if "two senders" in text] == texts
    return texts


def rig() -> SmallLog:
    log = SmallLog().image().calibration().scan()
    place(log, "/tf_static", "camera", [1.0])
    return log


def test_a_frame_with_two_parents_is_named(tmp_path: Path) -> None:
    log = rig()
    place(log, "/tf_static", "laser", [0.5])
    place(log, "/tf", "laser", [0.5 + i for i in range(20)], parent="odom")
    (text,) = said(log, tmp_path)
    assert "'laser' is in 'base_link' (/tf_static) and in 'odom' (/tf)" in text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("/tf", [0.5] * 20), ("/tf", [0.9] * 20)),
        (("/tf_static", [0.5]), ("/tf", [0.9] * 20)),
        (("/tf_static", [0.5]), ("/tf_static", [0.9])),
    ],
)
def test_a_frame_in_two_places_is_named(
    tmp_path: Path, one: tuple[str, list[float]], other: tuple[str, list[float]]
) -> None:
    log = rig()
    place(log, one[0], "laser", one[1])
    place(log, other[0], "laser", other[1], start_s=0.05)
    (text,) = said(log, tmp_path)
    assert "'laser' is in two places in 'base_link' (at 0.5, 0, 0 (" in text
    assert "at 0.9, 0, 0" in text


@pytest.mark.parametrize(
    "xs",
    [
        [0.5] * 20,
        [0.5] * 10 + [0.9] * 10,
        [0.1 * i for i in range(20)],
        [0.5 + 1e-7 * i for i in range(20)],
        [0.5, 0.502] * 10,
    ],
)
def test_a_frame_that_rests_or_moves_is_sound(tmp_path: Path, xs: list[float]) -> None:
    log = rig()
    place(log, "/tf", "laser", xs)
    place(log, "/tf_static", "camera", [1.0], start_s=0.5)  # said again
    assert said(log, tmp_path) == []
