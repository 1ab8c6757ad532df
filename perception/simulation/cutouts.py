"""Rendered objects without a background, to be pasted into pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix
from perception.simulation.gl import mujoco
from perception.simulation.objects.people import cyclist, person, posed_person
from perception.simulation.objects.props import THING, barrel, cone, plain_cone, thing
from perception.simulation.random_draws import pick_one, random_stream, uniforms
from perception.simulation.scenario import Scenario
from perception.simulation.sensors.camera import Camera
from perception.simulation.sensors.optics import Optics
from perception.simulation.world.layout import make_scene
from perception.simulation.world.model import OVERSAMPLE, World, build_world
from perception.simulation.world.model_builder import quaternion
from perception.simulation.world.scene import HEIGHT, WIDTH, Item, Scene, SensorRig

MAKERS = (cone, plain_cone, barrel, person, posed_person, cyclist, thing)
SHARES = (0.12, 0.28, 0.1, 0.08, 0.12, 0.08, 0.22)
"""The probability of each of `MAKERS`. Classes with few labelled real pictures are frequent; things without a
class teach that what was pasted in is not an object for that reason."""

LYING = 0.25
"""The share of cones that lie on their side or stand on their head."""

EACH_SCENE = 40
"""Objects that stand in one scene, and so in one light."""

SPACING_M = 30.0
FOCAL_PX = 300.0
SIZES_PX = (90.0, 190.0)
"""Range of the larger side of an object in the drawn image: large, as they are made smaller when pasted."""

MOST_ELEVATION = np.deg2rad(50)
MOST_ROLL = np.deg2rad(12)


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """One object: its class (empty: none), its pixels [h, w, 3] RGB and their opacity [h, w] from 0 to 1."""

    label: str
    pixels: NDArray[np.uint8]
    opacity: NDArray[np.float32]


def render_cutouts(count: int, seed: int) -> list[Cutout]:
    """Draw objects one by one, from random directions, distances and in several lights.

    The silhouettes are exact (from the rendered segmentation), so that what is pasted has no rim of the
    ground it stood on. The same seed gives the same objects.

    Raises:
        MissingExtraError, PerceptionError: MuJoCo or OpenGL is missing.
    """
    found: list[Cutout] = []
    for number in range(-(-count // EACH_SCENE)):
        rng = random_stream(seed, f"cutouts {number}")
        world = build_world(_scene(rng, int(rng.integers(2**31)), min(EACH_SCENE, count - len(found))), 256)
        found += _drawn(world, rng)
    return found


def _scene(rng: np.random.Generator, seed: int, count: int) -> Scene:
    """Return a scene whose only objects stand in a row, far apart."""
    makers = [pick_one(rng, MAKERS, SHARES) for _ in range(count)]
    items = tuple(
        Item(make(rng), k * SPACING_M, 0.0, rng.uniform(-np.pi, np.pi)) for k, make in enumerate(makers)
    )
    scene = make_scene(seed, Scenario(density=0), 1.0)
    rig = SensorRig((0.0, 0.0, 0.0), 0.0, FOCAL_PX, (0.0, 0.0, 0.0))
    return replace(scene, items=items, actors=(), buildings=(), rig=rig)


def _drawn(world: World, rng: np.random.Generator) -> Iterator[Cutout]:
    optics = Optics(world.scene)
    with Camera(world) as camera:
        for index, item in enumerate(world.scene.items):
            _look_at(world, item, rng)
            camera.update()
            geoms, _ = camera.identify(fine=True)
            mask = (geoms >= 0) & (world.geom_object[geoms] == index)
            optics.gain = None  # the exposure suits each picture
            image = optics.expose(*camera.draw(), (0.0, 0.0))
            opacity = mask.reshape(HEIGHT, OVERSAMPLE, WIDTH, OVERSAMPLE).mean((1, 3)).astype(np.float32)
            rows, columns = np.flatnonzero(opacity.any(1)), np.flatnonzero(opacity.any(0))
            if not len(rows):
                continue
            part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            label = "" if item.figure.label == THING else item.figure.label
            yield Cutout(label, image[part].copy(), opacity[part].copy())


def _look_at(world: World, item: Item, rng: np.random.Generator) -> None:
    """Pose the camera so that it sees an object from a random direction, in the middle of the image."""
    size_px = float(np.exp(rng.uniform(*np.log(SIZES_PX))))
    distance = max(item.figure.size_m) * FOCAL_PX / size_px
    lies = item.figure.label == "cone" and rng.random() < LYING
    most_roll = np.pi if lies else MOST_ROLL
    azimuth, roll = uniforms(rng, (-np.pi, np.pi), (-most_roll, most_roll))
    elevation = MOST_ELEVATION * rng.uniform() ** 1.5
    centre = np.array([item.x, item.y, world.scene.terrain.height_at(item.x, item.y)])
    centre[2] += item.figure.size_m[2] / 2
    flat = np.cos(elevation) * distance
    offset: Matrix = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), -np.sin(elevation) * distance])
    module, data = mujoco(), world.data
    data.mocap_pos[world.robot_mocap] = centre - offset
    data.mocap_quat[world.robot_mocap] = quaternion(azimuth, float(elevation), roll)
    module.mj_kinematics(world.model, data)
    module.mj_camlight(world.model, data)
