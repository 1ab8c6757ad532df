"""The compiled MuJoCo model of a scene, for drawing and ray casting; nothing in it is dynamic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perception.geometry import Matrix
from perception.simulation.gl import mujoco
from perception.simulation.objects.shapes import Figure, outline_pieces
from perception.simulation.world.model_builder import ModelBuilder
from perception.simulation.world.scene import HEIGHT, WIDTH, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERSAMPLE = 2
FAR_M = 160.0
NEAR_M = 0.15
OWN_MATERIALS = 4
"""Materials of solids, which come first; those of textured surfaces follow."""


@dataclass(eq=False)
class WorldObject:
    """An object with a class: its body and its geoms in the model.

    The centre of the box around it is half its height above the body's origin.
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
    start at `piece_start`; `piece_object` is the index of the object of each piece.
    """

    scene: Scene
    model: Any
    data: Any
    objects: list[WorldObject]
    robot_mocap: int
    camera: int
    mocap: list[int]
    limbs: list[dict[str, int]]
    geom_object: NDArray[np.intp]  # [geoms] index into objects, -1: none
    reflectivity: Matrix  # [geoms] 0 to 1
    outline: Matrix
    outline_geom: NDArray[np.intp]
    piece_start: NDArray[np.intp]
    piece_object: NDArray[np.intp]


def build_world(scene: Scene, ground_px: int = 4096) -> World:
    """Compile a scene; `ground_px` is the longer side of the ground's texture, in pixels."""
    mj = mujoco()
    spec = mj.MjSpec()
    _set_visuals(spec, scene)
    builder = ModelBuilder(mj, spec, scene, ground_px)
    builder.add_ground()
    builder.add_sky()
    for building in scene.buildings:
        builder.add_building(building)
    robot = spec.worldbody.add_body(name="robot", mocap=True)
    rig = scene.rig
    fov = float(np.rad2deg(2 * np.arctan(HEIGHT / 2 / rig.focal_px)))
    quat = _camera_quaternion(rig.base_from_camera)
    camera = robot.add_camera(name="camera", pos=rig.camera_pos, fovy=fov, quat=quat)
    for item in scene.items:
        builder.add_item(item.figure, item.x, item.y, item.yaw)
    for actor in scene.actors:
        builder.add_actor(actor.figure)
    return _index(builder, spec.compile(), robot, camera)


def _set_visuals(spec: Any, scene: Scene) -> None:
    """Set buffers, clip planes and lights."""
    black, conditions, visual = (0.0, 0.0, 0.0), scene.conditions, spec.visual
    visual.global_.offwidth, visual.global_.offheight = WIDTH * OVERSAMPLE, HEIGHT * OVERSAMPLE
    visual.quality.shadowsize = 2048
    visual.quality.offsamples = 0  # the frame is drawn larger and averaged instead, which costs less
    visual.quality.numslices, visual.quality.numstacks = 16, 8
    visual.headlight.ambient = conditions.ambient
    visual.headlight.diffuse = visual.headlight.specular = black
    # Clip planes and the reach of shadows are in units of the model's extent: set that to one metre.
    spec.stat.extent, spec.stat.center = 1.0, black
    visual.map.znear, visual.map.zfar, visual.map.shadowclip = NEAR_M, FAR_M, 19.0
    light = spec.worldbody.add_light(name="sun")
    light.type = mujoco().mjtLightType.mjLIGHT_DIRECTIONAL
    elevation, azimuth = conditions.sun_elevation, conditions.sun_azimuth
    flat = -np.cos(elevation)
    light.dir = (flat * np.cos(azimuth), flat * np.sin(azimuth), -np.sin(elevation))
    light.diffuse, light.ambient = conditions.sun, black
    light.specular = tuple(0.5 * c for c in conditions.sun)
    light.castshadow = True


def _index(builder: ModelBuilder, model: Any, robot: Any, camera: Any) -> World:
    """Look up what was built in the compiled model."""
    geom_object = np.full(model.ngeom, -1)
    reflectivity = model.geom_rgba[:, :3].mean(axis=1) * 0.8 + 0.1
    reflectivity[model.geom_matid >= OWN_MATERIALS] = 0.45
    objects: list[WorldObject] = []
    points, owners, lengths, piece_objects = [np.zeros((0, 3))], [np.zeros(0, int)], [0], []
    for figure, track_id, body, geoms in builder.objects:
        if not figure.label:
            continue
        ids = np.array([geom.id for geom, _ in geoms])
        geom_object[ids] = len(objects)
        for geom, solid in geoms:
            for piece in outline_pieces(solid):
                points.append(_in_geom_frame(model, geom.id, piece))
                owners.append(np.full(len(piece), geom.id))
                lengths.append(len(piece))
                piece_objects.append(len(objects))
        objects.append(WorldObject(figure, track_id, body.id, ids))
    return World(
        scene=builder.scene,
        model=model,
        data=mujoco().MjData(model),
        objects=objects,
        robot_mocap=int(model.body_mocapid[robot.id]),
        camera=camera.id,
        mocap=[int(model.body_mocapid[body.id]) for body, _ in builder.actors],
        limbs=[{n: int(model.jnt_qposadr[j.id]) for n, j in joints.items()} for _, joints in builder.actors],
        geom_object=geom_object,
        reflectivity=np.clip(reflectivity, 0.05, 1.0),
        outline=np.concatenate(points),
        outline_geom=np.concatenate(owners),
        piece_start=np.cumsum(lengths),
        piece_object=np.array(piece_objects, int),
    )


def _camera_quaternion(base_from_camera: Matrix) -> Matrix:
    """Return w, x, y, z of MuJoCo's camera, which looks along -z with y up; ours along z with y down."""
    quat = np.zeros(4)
    mujoco().mju_mat2Quat(quat, (base_from_camera[:3, :3] @ np.diag([1.0, -1.0, -1.0])).ravel())
    return quat


def _in_geom_frame(model: Any, geom: int, points: Matrix) -> Matrix:
    """Return points [N, 3] of a solid's frame in the frame of its compiled geom: MuJoCo moves meshes."""
    mesh = int(model.geom_dataid[geom])
    if mesh < 0:
        return points
    rotation = np.zeros(9)
    mujoco().mju_quat2Mat(rotation, model.mesh_quat[mesh])
    return np.asarray((points - model.mesh_pos[mesh]) @ rotation.reshape(3, 3))
