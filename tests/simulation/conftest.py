"""A small simulated world that is built once; rendering needs MuJoCo and OpenGL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from perception.errors import PerceptionError
from perception.simulation.motion.drive import Drive, simulate_drive
from perception.simulation.scenario import Scenario
from perception.simulation.world.layout import make_scene
from perception.simulation.world.scene import Scene

SEED, DURATION_S = 11, 8.0
MOMENTS = (0.5, 3.0, 5.5)


@dataclass
class Stage:
    """A world, its drive and a camera."""

    scene: Scene
    run: Drive
    world: object
    camera: object


@pytest.fixture(scope="session")
def drawing() -> None:
    """Skip the tests if MuJoCo or OpenGL is missing."""
    from perception.simulation.gl import gl_context

    try:
        gl_context(64, 64).free()
    except PerceptionError as error:
        pytest.skip(str(error))


def stage(scene: Scene, run: Drive) -> Iterator[Stage]:
    from perception.simulation.sensors.camera import Camera
    from perception.simulation.world.model import build_world

    world = build_world(scene, ground_px=256)
    with Camera(world) as camera:
        yield Stage(scene, run, world, camera)


@pytest.fixture(scope="session")
def scene() -> Scene:
    return make_scene(SEED, Scenario(), DURATION_S)


@pytest.fixture(scope="session")
def run(scene: Scene) -> Drive:
    return simulate_drive(scene, DURATION_S)


@pytest.fixture(scope="module")
def drawn(drawing: None, scene: Scene, run: Drive) -> Iterator[Stage]:
    yield from stage(scene, run)
