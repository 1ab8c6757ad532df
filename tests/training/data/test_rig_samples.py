"""Each camera of a rig is a sample of its own, with the boxes of its picture."""

from __future__ import annotations

from pathlib import Path

from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.sample_cache import cached_log
from perception.types import TruthBox
from tests.small_logs import SmallLog


def test_a_tick_of_two_cameras_is_two_samples_with_boxes_of_their_own(
    recipe: CacheSpec, tmp_path: Path
) -> None:
    log = SmallLog().status(hz=20)
    for name, frame, count in (("a", "one", 1), ("b", "two", 2)):
        log.image(f"/{name}/image", frame=frame, size=(128, 64))
        boxes = [TruthBox("vehicle", (10.0 * count, 10.0, 60.0 * count, 50.0), 5.0, 1.0, "1")] * count
        log.stream(
            f"/truth/{frame}",
            SCHEMAS["perception.Detections"],
            "protobuf",
            lambda i, stamp, frame=frame, boxes=boxes: encode_truth(stamp, frame, boxes),  # type: ignore[misc]
        )
    cached = cached_log(log.write(tmp_path / "rig.mcap"), recipe, tmp_path / "cache")
    assert (len(cached), cached.rows_per_tick) == (40, 2)
    assert [len(cached.boxes(row)) for row in range(40)] == [1, 2] * 20
    left, right = cached.boxes(0)["xyxy"], cached.boxes(1)["xyxy"]
    assert left[0][2] - left[0][0] < right[0][2] - right[0][0]
