"""Each camera of a rig is a sample of its own, with the boxes of its picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception.autoconfig import complete_config
from perception.logs import open_log
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import open_dataset
from perception.training.data.fit_to_logs import fit_to_logs
from perception.training.data.sample_cache import cached_log
from perception.training.data.splits import cache_spec
from perception.training.train_config import DataConfig
from perception.types import TruthBox
from tests.small_logs import SmallLog
from tests.training.conftest import small_config


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of two cameras, of which the second has two boxes."""
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
    return log.write(tmp_path_factory.mktemp("rig") / "rig.mcap")


def test_a_tick_of_two_cameras_is_two_samples_with_boxes_of_their_own(
    recipe: CacheSpec, rig: Path, cache_root: Path
) -> None:
    cached = cached_log(rig, recipe, cache_root)
    assert (len(cached), cached.rows_per_tick) == (40, 2)
    assert [len(cached.boxes(row)) for row in range(40)] == [1, 2] * 20
    left, right = cached.boxes(0)["xyxy"], cached.boxes(1)["xyxy"]
    assert left[0][2] - left[0][0] < right[0][2] - right[0][0]


@pytest.mark.parametrize("camera", ["a", "b"])
def test_control_is_learned_from_the_picture_that_gives_it_in_a_replay(
    camera: str, recipe: CacheSpec, cache_root: Path, tmp_path: Path
) -> None:
    log = SmallLog().status(hz=20).control().image("/a/image", frame="one").image("/b/image", frame="two")
    path = log.write(tmp_path / "driven.mcap")
    with open_log(path) as opened:
        config = complete_config(opened).config.model_copy(update={"control_camera": camera})
    cached = cached_log(path, replace(recipe, config=config), cache_root)
    known = np.isfinite(np.asarray(cached.column("control"))).any(1)
    assert known.reshape(-1, 2).any(0).tolist() == [camera == "a", camera == "b"]


@pytest.mark.parametrize(("stride", "ticks"), [(1, 20), (2, 10), (3, 7), (4, 5)])
def test_a_stride_leaves_out_moments_and_no_camera(
    stride: int, ticks: int, recipe: CacheSpec, rig: Path, cache_root: Path
) -> None:
    dataset = open_dataset([rig], DataConfig(stride=stride), recipe, cache_root)
    assert [sample.row for sample in dataset.ids] == [
        2 * stride * tick + camera for tick in range(ticks) for camera in range(2)
    ]


@pytest.mark.parametrize("most", [8, 9, 20, 21, 39])
def test_fewer_samples_are_spread_over_the_log_for_every_camera(
    most: int, recipe: CacheSpec, rig: Path, cache_root: Path
) -> None:
    few = open_dataset([rig], DataConfig(), recipe, cache_root).some(most)
    ticks = [[row // 2 for _, row in few.ids if row % 2 == camera] for camera in (0, 1)]
    assert ticks[0] == ticks[1]
    assert len(ticks[0]) == most // 2
    assert (ticks[0][0], ticks[0][-1]) == (0, 19)


def test_beside_logs_of_one_camera_as_many_samples_are_taken(
    recipe: CacheSpec, rig: Path, cache_root: Path, tmp_path: Path
) -> None:
    alone = SmallLog().status(hz=20).image("/a/image", frame="one", size=(128, 64)).write(tmp_path / "a.mcap")
    few = open_dataset([rig, alone], DataConfig(), recipe, cache_root).some(30)
    assert 28 <= len(few) <= 30
    of_rig = [row for log, row in few.ids if log == 0]
    assert {row // 2 for row in of_rig if row % 2} == {row // 2 for row in of_rig if not row % 2}
    assert few.ids[-1].log == 1  # spread over both


def test_every_camera_counts_in_the_passes_over_the_samples(
    recipe: CacheSpec, rig: Path, cache_root: Path, tmp_path: Path
) -> None:
    counts: list[tuple[int, int]] = []
    cached_log(rig, recipe, tmp_path / "anew", lambda log, done, total: counts.append((done, total)))
    assert counts[-1] == (40, 40)
    schedule = {"steps": 10_000, "passes": 200}
    config = small_config(rig, cache_root, tmp_path / "run", schedule=schedule)
    assert fit_to_logs(config, [rig], cache_spec(config), lambda text: None).schedule.steps == 200 * 40 / 4
