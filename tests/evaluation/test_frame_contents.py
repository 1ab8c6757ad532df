"""What is drawn of a frame: of a rig, what belongs to the pictures that are drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perception.evaluation import MetricSink
from perception.evaluation.frame_contents import FrameContents
from perception.evaluation.metrics import Rules, Suite
from perception.types import Control, ControlChannel, Detections, Output, TruthFrame, absent_sample
from tests.evaluation.metrics.build import detection, tick, truth_box

MINE, OTHER = (10.0, 10.0, 60.0, 60.0), (100.0, 100.0, 180.0, 180.0)


@pytest.mark.parametrize("publish", [False, True])
@pytest.mark.parametrize("reference", ["front", "left"])
def test_boxes_of_other_cameras_are_not_drawn_into_the_pictures_of_the_reference(
    reference: str, publish: bool
) -> None:
    boxes = {"front": OTHER, "left": MINE} if reference == "left" else {"front": MINE, "left": OTHER}
    contents = FrameContents("/camera/image")
    written = (lambda *_: None) if publish else None
    sink = MetricSink(Suite(Rules(min_support=1)), publish=written, contents=contents)
    for stamp in (0, 100):
        sample = absent_sample(tick(stamp), "not recorded", cameras=tuple(boxes))
        sample = replace(sample, camera=sample.cameras[reference])
        seen = {name: Detections(True, items=(detection(box),)) for name, box in boxes.items()}
        control = Control(True, channels=(ControlChannel("curvature", "1/m", 0.5, 0.1),))
        truths = {name: TruthFrame(stamp, (truth_box(box),)) for name, box in boxes.items()}
        truth = TruthFrame(stamp, truths[reference].boxes, {"curvature": 0.4}, cameras=truths)
        sink.write(sample, Output(tick(stamp), seen[reference], control, cameras=seen), truth)
    sink.close()
    for stamp in (0, 100):
        found = contents.at(stamp, stamp)
        assert found is not None
        assert [(box.kind, tuple(box.xyxy)) for box in found.boxes] == [("found", MINE), ("hit", MINE)]
        assert [control.said for control in found.control] == [0.5]
    assert contents.at(50, 50) is None
