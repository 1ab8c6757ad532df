"""The MuJoCo model of a scene: what is drawn and what the laser meets. Nothing here is dynamic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perception.geometry import Matrix
from perception.simulation.gl import mujoco
from perception.simulation.objects.shapes import Figure, outline_pieces
from perception.simulation.world.model_builder import Builder
from perception.simulation.world.scene import HEIGHT, WIDTH, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERSAMPLE = 2
FAR_M = 160.0
NEAR_M = 0.15


@dataclass(eq=False)
class Thing:
    """An object of the world that has a class, its body and its geoms in the model.

    The middle of the box around it is half its height above the body's origin.
    """

    figure: Figure
    track_id: str
    body: int
    geoms: NDArray[np.intp]


@dataclass(eq=False)
class World:
    """A compiled scene.

    `mocap` gives the mocap index of each actor, `limbs` the qpos address of each of its joints.
    `outline` are points [P, 3] in the frames of the geoms `outline_geom` [P], grouped in convex pieces that
    start at `piece_start`; `piece_thing` says whose they are.
    """

    scene: Scene
    model: Any
    data: Any
    things: list[Thing]
    robot_mocap: int
    camera: int
    mocap: list[int]
    limbs: list[dict[str, int]]
    geom_thing: NDArray[np.intp]  # [geoms] index into things, -1: none
    reflectivity: Matrix  # [geoms] 0 to 1
    outline: Matrix
    outline_geom: NDArray[np.intp]
    piece_start: NDArray[np.intp]
    piece_thing: NDArray[np.intp]


def build_world(scene: Scene, ground_px: int = 4096) -> World:
    """Compiles the scene; `ground_px` is the longer side of the ground's texture."""
    mj = mujoco()
    spec = mj.MjSpec()
    _settings(spec, scene)
    builder = Builder(mj, spec, scene, ground_px)
    builder.ground()
    builder.sky()
    for block in scene.blocks:
        builder.block(block)
    robot = spec.worldbody.add_body(name="robot", mocap=True)
    eye = scene.rig
    camera = robot.add_camera(
        name="camera",
        pos=eye.camera_pos,
        fovy=float(np.rad2deg(2 * np.arctan(HEIGHT / 2 / eye.focal_px))),
        quat=_camera_quat(eye.base_from_camera),
    )
    for item in scene.items:
        builder.item(item.figure, item.x, item.y, item.yaw)
    for actor in scene.actors:
        builder.actor(actor.figure)
    model = spec.compile()
    return _gather(builder, model, robot, camera)


def _settings(spec: Any, scene: Scene) -> None:
    spec.visual.global_.offwidth = WIDTH * OVERSAMPLE
    spec.visual.global_.offheight = HEIGHT * OVERSAMPLE
    spec.visual.quality.shadowsize = 2048
    spec.visual.quality.offsamples = 0  # the frame is drawn larger and averaged instead, which costs less
    spec.visual.quality.numslices = 16
    spec.visual.quality.numstacks = 8
    spec.visual.headlight.ambient = scene.look.ambient
    spec.visual.headlight.diffuse = (0.0, 0.0, 0.0)
    spec.visual.headlight.specular = (0.0, 0.0, 0.0)
    # Clip planes and the reach of shadows are given in units of the model's extent: make that one metre.
    spec.stat.extent = 1.0
    spec.stat.center = (0.0, 0.0, 0.0)
    spec.visual.map.znear = NEAR_M
    spec.visual.map.zfar = FAR_M
    spec.visual.map.shadowclip = 19.0
    light = spec.worldbody.add_light(name="sun")
    light.type = mujoco().mjtLightType.mjLIGHT_DIRECTIONAL
    elevation, azimuth = scene.look.sun_elevation, scene.look.sun_azimuth
    light.dir = (
        -np.cos(elevation) * np.cos(azimuth),
        -np.cos(elevation) * np.sin(azimuth),
        -np.sin(elevation),
    )
    light.diffuse = scene.look.sun
    light.specular = tuple(0.5 * c for c in scene.look.sun)
    light.ambient = (0.0, 0.0, 0.0)
    light.castshadow = True


def _gather(builder: Builder, model: Any, robot: Any, camera: Any) -> World:
    """What the compiled model has become of what was built."""
    data = mujoco().MjData(model)
    geom_thing = np.full(model.ngeom, -1)
    reflectivity = model.geom_rgba[:, :3].mean(axis=1) * 0.8 + 0.1
    reflectivity[model.geom_matid >= 4] = 0.45
    things: list[Thing] = []
    points, owners, starts, piece_things = [], [], [0], []
    for figure, track_id, body, geoms in builder.things:
        ids = np.array([g.id for g, _ in geoms])
        if not figure.label:
            continue
        geom_thing[ids] = len(things)
        for geom, part in geoms:
            for piece in outline_pieces(part):
                local = _in_geom_frame(model, geom.id, piece)
                points.append(local)
                owners.append(np.full(len(local), geom.id))
                starts.append(starts[-1] + len(local))
                piece_things.append(len(things))
        things.append(Thing(figure, track_id, body.id, ids))
    return World(
        builder.scene,
        model,
        data,
        things,
        int(model.body_mocapid[robot.id]),
        camera.id,
        [int(model.body_mocapid[b.id]) for b, _ in builder.actors],
        [{name: int(model.jnt_qposadr[j.id]) for name, j in joints.items()} for _, joints in builder.actors],
        geom_thing,
        np.clip(reflectivity, 0.05, 1.0),
        np.concatenate(points) if points else np.zeros((0, 3)),
        np.concatenate(owners) if owners else np.zeros(0, int),
        np.array(starts),
        np.array(piece_things, int),
    )


def _camera_quat(base_from_camera: Matrix) -> Matrix:
    """MuJoCo's cameras look along -z with y up; ours along z with y down."""
    quat = np.zeros(4)
    mujoco().mju_mat2Quat(quat, (base_from_camera[:3, :3] @ np.diag([1.0, -1.0, -1.0])).ravel())
    return quat


def _in_geom_frame(model: Any, geom: int, points: Matrix) -> Matrix:
    """Points of the frame in which the part was given, in that of the compiled geom: MuJoCo moves meshes."""
    mesh = int(model.geom_dataid[geom])
    if mesh < 0:
        return points
    rotation = np.zeros(9)
    mujoco().mju_quat2Mat(rotation, model.mesh_quat[mesh])
    return np.asarray((points - model.mesh_pos[mesh]) @ rotation.reshape(3, 3))
