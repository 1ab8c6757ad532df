"""Tests of the truth, which is computed from geometry, against the renderer."""

from __future__ import annotations

import numpy as np
import pytest

from perception.simulation.sensors.camera import pose_world
from perception.simulation.sensors.truth import (
    clip_to_image,
    project_outlines,
    silhouette_pixels,
    truth_boxes,
)
from perception.simulation.world.model import OVERSAMPLE
from perception.simulation.world.scene import HEIGHT, WIDTH
from tests.simulation.conftest import MOMENTS, Stage

pytestmark = pytest.mark.sim


def alone(stage: Stage, thing: int) -> np.ndarray:
    """Return the oversampled mask of one object that is rendered alone."""
    model, camera = stage.world.model, stage.camera
    groups = model.geom_group.copy()
    try:
        model.geom_group[:] = 5
        model.geom_group[stage.world.objects[thing].geoms] = 0
        camera.update()
        geoms, _ = camera.identify(fine=True)  # a wheel seen end-on is thinner than a pixel
    finally:
        model.geom_group[:] = groups
    return geoms >= 0


def box_of(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


@pytest.mark.parametrize("moment", MOMENTS)
def test_boxes_and_visible_shares_match_each_object_rendered_alone(drawn: Stage, moment: float) -> None:
    pose_world(drawn.world, drawn.run, moment)
    drawn.camera.update()
    geoms, _ = drawn.camera.identify()
    boxes = truth_boxes(drawn.world, drawn.camera.camera_from_world, geoms)
    assert len(boxes) >= 2
    by_track = {thing.track_id: k for k, thing in enumerate(drawn.world.objects)}
    for box in boxes:
        mask = alone(drawn, by_track[box.track_id])
        assert np.abs(box_of(mask) / OVERSAMPLE - box.xyxy).max() <= 2.0, box
        seen = np.isin(geoms, drawn.world.objects[by_track[box.track_id]].geoms).sum()
        area = mask.sum() / OVERSAMPLE**2
        # A fraction of few pixels cannot be better known than to a pixel along the edge.
        assert box.visible == pytest.approx(min(1.0, seen / area), abs=0.03 + 2.5 / np.sqrt(area)), box


def test_every_clearly_visible_object_has_a_box(drawn: Stage) -> None:
    for moment in MOMENTS:
        pose_world(drawn.world, drawn.run, moment)
        drawn.camera.update()
        geoms, _ = drawn.camera.identify()
        named = {b.track_id for b in truth_boxes(drawn.world, drawn.camera.camera_from_world, geoms)}
        for thing in drawn.world.objects:
            pixels = np.isin(geoms, thing.geoms)
            if pixels.sum() < 150 or np.ptp(np.nonzero(pixels)[0]) < 12:
                continue
            full = alone(drawn, drawn.world.objects.index(thing)).sum() / OVERSAMPLE**2
            far = np.linalg.norm(
                drawn.world.data.xpos[thing.body] - drawn.world.data.cam_xpos[drawn.world.camera]
            )
            if pixels.sum() / full > 0.2 and far < 30:
                assert thing.track_id in named


def test_distance_is_measured_to_the_centre_of_the_object(drawn: Stage) -> None:
    pose_world(drawn.world, drawn.run, 3.0)
    drawn.camera.update()
    geoms, depth = drawn.camera.identify()
    rig = drawn.scene.rig
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    rays = np.sqrt(1 + ((u - WIDTH / 2) / rig.focal_px) ** 2 + ((v - HEIGHT / 2) / rig.focal_px) ** 2)
    ranges = depth * rays
    checked = 0
    for box in truth_boxes(drawn.world, drawn.camera.camera_from_world, geoms):
        thing = next(t for t in drawn.world.objects if t.track_id == box.track_id)
        pixels = np.isin(geoms, thing.geoms)
        half = np.linalg.norm(thing.figure.size_m) / 2
        assert ranges[pixels].min() - 0.1 <= box.distance_m <= ranges[pixels].max() + half
        assert box.distance_m - ranges[pixels].min() <= half + 0.1
        checked += 1
    assert checked >= 4


def test_an_occluded_object_is_less_visible(drawn: Stage) -> None:
    pose_world(drawn.world, drawn.run, 3.0)
    drawn.camera.update()
    geoms, _ = drawn.camera.identify()
    before = {b.track_id: b for b in truth_boxes(drawn.world, drawn.camera.camera_from_world, geoms)}
    track, box = max(before.items(), key=lambda item: item[1].visible * (item[1].xyxy[3] - item[1].xyxy[1]))
    x1, _, x2, _ = box.xyxy
    covered = geoms.copy()
    covered[:, int(x1) : int((x1 + x2) / 2)] = -1
    after = {b.track_id: b for b in truth_boxes(drawn.world, drawn.camera.camera_from_world, covered)}
    assert after[track].xyxy == box.xyxy
    assert 0.2 * box.visible < after[track].visible < 0.8 * box.visible


def test_objects_cut_by_the_near_plane_have_finite_outlines(drawn: Stage) -> None:
    """An object around the camera has an outline of finite points within the image."""
    pose_world(drawn.world, drawn.run, 3.0)
    drawn.camera.update()
    pose = drawn.camera.camera_from_world.copy()
    for k, thing in enumerate(drawn.world.objects):
        centre = pose[:3, :3] @ drawn.world.data.xpos[thing.body]
        moved = pose.copy()
        moved[:3, 3] = -centre + (0.3, 0.5, 0.2)
        for polygon in project_outlines(drawn.world, moved, np.array([k])).get(k, []):
            inside = clip_to_image(polygon)
            assert np.isfinite(inside).all()
            if len(inside):
                assert inside.min() >= 0
                assert (inside.max(axis=0) <= (WIDTH, HEIGHT)).all()


def test_silhouette_areas_of_known_shapes() -> None:
    square = np.array([(10.0, 10.0), (50.0, 10.0), (50.0, 30.0), (10.0, 30.0)])
    assert silhouette_pixels([square]) == pytest.approx(800, rel=0.02)
    right = np.array([20.0, 0.0])
    apart = square + 3 * right
    assert silhouette_pixels([square, apart]) == pytest.approx(1600, rel=0.02)
    assert silhouette_pixels([square, square + right]) == pytest.approx(1200, rel=0.02)


def test_clipping_keeps_inner_polygons_and_cuts_others_at_the_border() -> None:
    inside = np.array([(10.0, 10.0), (50.0, 10.0), (50.0, 30.0)])
    np.testing.assert_allclose(clip_to_image(inside), inside)
    assert len(clip_to_image(inside - (100, 0))) == 0
    # A triangle with its tip outside: within the image it is as high as it is at the border.
    tip = np.array(
        [(WIDTH - 10.0, 100.0), (WIDTH - 10.0, 120.0), (WIDTH + 30.0, 400.0), (WIDTH + 30.0, -180.0)]
    )
    clipped = clip_to_image(tip)
    assert clipped[:, 0].max() == WIDTH
    assert clipped[:, 1].min() == pytest.approx(30.0, abs=0.01)
    assert clipped[:, 1].max() == pytest.approx(190.0, abs=0.01)
