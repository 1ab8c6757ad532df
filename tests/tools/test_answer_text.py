"""What `replay --step` prints of an answer."""

from __future__ import annotations

from perception.types import Control, ControlChannel, Detection, Detections, Output, Tick
from perception_tools.replay.answer_text import MOST, answer_lines

TICK = Tick(0, "reference", 1, 1)


def test_boxes_distances_and_control_are_shown_with_what_they_rest_on() -> None:
    items = (
        Detection("vehicle", 0.91, (10.2, 20.0, 30.0, 40.0), (1.0,) * 4, 5.24, 0.4),
        Detection("person", 0.5, (1.0, 2.0, 3.0, 4.0)),
        Detection("cone", 0.1, (0.0, 0.0, 1.0, 1.0)),
    )
    channels = (ControlChannel("curvature", "1/m", 0.0123, 0.002), ControlChannel("gear", "", 2.0))
    output = Output(
        TICK,
        Detections(True, ("camera", "range"), items=items),
        Control(True, ("status",), channels=channels),
        {"w": "unlike"},
    )
    assert list(answer_lines(output)) == [
        "class, box: 2 of score 0.3 and more, 1 below, from camera, range",
        "  vehicle 0.91 at 10 20 30 40, 5.2 ± 0.4 m",
        "  person 0.50 at 1 2 3 4",
        "control: curvature 0.0123 ± 0.002 1/m, gear 2, from status",
        "warning: unlike",
    ]


def test_an_invalid_head_gives_its_reason() -> None:
    output = Output(
        TICK, Detections(False, error="no camera"), None, {}, {"lane": Control(False, error="none")}
    )
    assert list(answer_lines(output)) == ["class, box: invalid: no camera", "lane: invalid: none"]


def test_many_boxes_are_counted() -> None:
    items = tuple(Detection("cone", 0.9, (0.0, 0.0, 1.0, 1.0)) for _ in range(MOST + 3))
    lines = list(answer_lines(Output(TICK, Detections(True, items=items), None)))
    assert len(lines) == MOST + 2
    assert lines[-1] == "  and 3 more"
