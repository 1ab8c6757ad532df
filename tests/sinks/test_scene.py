"""Positions as entities of a Foxglove scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from foxglove_schemas_protobuf.SceneEntityDeletion_pb2 import SceneEntityDeletion
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate

from perception.geometry import rotation_from_quaternion
from perception.logs import decode, open_log
from perception.plugin import positioned
from perception.sinks import McapSink, RunInfo, read_outputs
from perception.sinks.mcap_sink import SCENE
from perception.sinks.scene import encode_scene
from perception.types import Cuboids, Output
from tests.sinks.build import output_of, sample_of

RUN = RunInfo(classes=("car", "person"))


def placed(index: int = 0) -> Output:
    output = output_of(index)
    assert output.detections is not None
    return replace(output, detections=positioned(output.detections, sample_of(index).rig, "lidar"))


def test_an_entity_has_the_place_the_spread_and_the_words_of_its_detection() -> None:
    output = placed()
    scene = SceneUpdate.FromString(encode_scene(output, RUN, min_score=0.5))
    assert [deletion.type for deletion in scene.deletions] == [SceneEntityDeletion.ALL]
    assert [entity.id for entity in scene.entities] == ["track/t1", "object/1"]
    assert output.detections is not None
    for entity, item in zip(scene.entities, output.detections.items, strict=False):
        assert entity.frame_id == "lidar"
        assert entity.timestamp.ToNanoseconds() == output.tick.stamp_ns
        assert 0 < entity.lifetime.ToNanoseconds() <= 10**9
        sphere = entity.spheres[0]
        position = sphere.pose.position
        assert (position.x, position.y, position.z) == item.position_m
        o, s = sphere.pose.orientation, sphere.size
        axes = rotation_from_quaternion(o.x, o.y, o.z, o.w)
        np.testing.assert_allclose(
            axes @ np.diag([(side / 2) ** 2 for side in (s.x, s.y, s.z)]) @ axes.T,
            item.position_cov_m2,
            atol=1e-9,
        )
        words = {pair.key: pair.value for pair in entity.metadata}
        assert (words["class"], float(words["score"])) == (item.label, item.score)
        assert float(words["distance_m"]) == pytest.approx(item.distance_m)


def test_the_mcap_sink_writes_a_scene_where_positions_are_stated_and_reads_them_back(tmp_path: Path) -> None:
    for name, outputs in (("with", [placed(i) for i in range(3)]), ("without", [output_of(0)])):
        sink = McapSink(tmp_path / f"{name}.mcap", timing=False)
        sink.open(RunInfo())
        for i, output in enumerate(outputs):
            sink.write(sample_of(i), output)
        sink.close()
        with open_log(tmp_path / f"{name}.mcap") as log:
            assert [item.output.detections for item in read_outputs(log)] == [o.detections for o in outputs]
            scenes = [decode(m) for m in log.messages() if m.topic == SCENE]
    assert scenes == [], "the bytes of before"
    with open_log(tmp_path / "with.mcap") as log:
        scenes = [decode(m) for m in log.messages() if m.topic == SCENE]
    assert len(scenes) == 3
    assert all(isinstance(scene, Cuboids) and scene.change is not None for scene in scenes)


def test_an_object_without_a_place_is_no_entity_and_one_without_a_spread_is_a_ball() -> None:
    output = placed()
    assert output.detections is not None
    first, second, third = output.detections.items
    items = (
        replace(first, position_m=None, position_cov_m2=None),
        replace(second, position_cov_m2=None),
        third,
    )
    scene = SceneUpdate.FromString(
        encode_scene(replace(output, detections=replace(output.detections, items=items)), RUN)
    )
    assert len(scene.deletions) == 1
    assert [entity.id for entity in scene.entities] == ["object/1", "object/2"]
    size = scene.entities[0].spheres[0].size
    assert size.x == size.y == size.z > 0
