"""The camera, which renders colours, depth and a segmentation of the world in its present pose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix
from perception.simulation.gl import gl_context, mujoco, no_gl
from perception.simulation.motion.drive import Drive
from perception.simulation.world.model import FAR_M, NEAR_M, OVERSAMPLE, World
from perception.simulation.world.model_builder import quaternion
from perception.simulation.world.scene import HEIGHT, WIDTH


def pose_world(world: World, drive: Drive, t: float) -> None:
    """Pose the robot and all actors as they are at time `t` of the drive, s."""
    data, terrain = world.data, world.scene.terrain
    state = drive.robot_at(t)
    pitch, roll = drive.attitude_at(t)
    data.mocap_pos[world.robot_mocap] = (state["x"], state["y"], terrain.height_at(state["x"], state["y"]))
    data.mocap_quat[world.robot_mocap] = quaternion(state["yaw"], pitch, roll)
    for k, (x, y, yaw, phase, swing) in enumerate(drive.actors_at(t)):
        figure = world.scene.actors[k].figure
        tilt = terrain.tilt(x, y, yaw) if figure.label != "person" else (0.0, 0.0)
        data.mocap_pos[world.mocap[k]] = (x, y, terrain.height_at(x, y))
        data.mocap_quat[world.mocap[k]] = quaternion(yaw, *tilt)
        for name, address in world.limbs[k].items():
            # The left leg moves with the right arm. Mirrored figures have mirrored joints.
            ahead = 1.0 if name in ("leg_l", "arm_r") else -1.0
            data.qpos[address] = ahead * swing * np.sin(phase)
    module = mujoco()
    module.mj_kinematics(world.model, data)
    module.mj_camlight(world.model, data)


class Camera:
    """Renders into memory. Holds OpenGL resources until it is closed."""

    def __init__(self, world: World) -> None:
        self.world = world
        mj = self.mj = mujoco()
        model = world.model
        self.context = gl_context(WIDTH * OVERSAMPLE, HEIGHT * OVERSAMPLE)
        try:
            self.renderer = mj.MjrContext(model, mj.mjtFontScale.mjFONTSCALE_100)
        except Exception as error:  # mujoco.FatalError, when the context is incomplete
            self.context.free()
            raise no_gl(error) from None
        mj.mjr_setBuffer(mj.mjtFramebuffer.mjFB_OFFSCREEN, self.renderer)
        self.renderer.readDepthMap = mj.mjtDepthMap.mjDEPTH_ZEROFAR
        self.scene = mj.MjvScene(model=model, maxgeom=model.ngeom + 64)
        self.scene.flags[mj.mjtRndFlag.mjRND_CULL_FACE] = True
        self.scene.flags[mj.mjtRndFlag.mjRND_REFLECTION] = False
        self.option = mj.MjvOption()
        self.view = mj.MjvCamera()
        self.view.type, self.view.fixedcamid = mj.mjtCamera.mjCAMERA_FIXED, world.camera
        self.large = mj.MjrRect(0, 0, WIDTH * OVERSAMPLE, HEIGHT * OVERSAMPLE)
        self.small = mj.MjrRect(0, 0, WIDTH, HEIGHT)

    def update(self) -> None:
        """Read the present poses of the world."""
        mj, world = self.mj, self.world
        mj.mjv_updateScene(
            world.model, world.data, self.option, None, self.view, mj.mjtCatBit.mjCAT_ALL, self.scene
        )
        # The shadow map covers a square around the light: keep it in front of the robot.
        forward, position = self.forward, world.data.cam_xpos[world.camera]
        for k in range(self.scene.nlight):
            light = self.scene.lights[k]
            if not light.headlight:
                light.pos = position + forward * 13.0 - np.asarray(light.dir) * 20.0

    @property
    def forward(self) -> Matrix:
        """Return the viewing direction [3], world axes."""
        return np.asarray(-self.world.data.cam_xmat[self.world.camera].reshape(3, 3)[:, 2])

    @property
    def camera_from_world(self) -> Matrix:
        """Return the 4x4 pose of the world in the optical frame."""
        rotation = self.world.data.cam_xmat[self.world.camera].reshape(3, 3) @ np.diag([1.0, -1.0, -1.0])
        matrix = np.eye(4)
        matrix[:3, :3] = rotation.T
        matrix[:3, 3] = -rotation.T @ self.world.data.cam_xpos[self.world.camera]
        return matrix

    def draw(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return oversampled colours, and depth in m along the optical axis (`FAR_M`: sky)."""
        colours = np.empty((HEIGHT * OVERSAMPLE, WIDTH * OVERSAMPLE, 3), np.uint8)
        depth = np.empty(colours.shape[:2], np.float32)
        self.mj.mjr_render(self.large, self.scene, self.renderer)
        self.mj.mjr_readPixels(colours, depth, self.large, self.renderer)
        return colours[::-1], _metres(depth)[::-1]

    def identify(self, fine: bool = False) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return each pixel's geom (-1: none) and depth, m, at the image's size or (`fine`) oversampled."""
        flags = self.mj.mjtRndFlag
        rect = self.large if fine else self.small
        self.scene.flags[flags.mjRND_SEGMENT] = self.scene.flags[flags.mjRND_IDCOLOR] = True
        codes = np.empty((rect.height, rect.width, 3), np.uint8)
        depth = np.empty((rect.height, rect.width), np.float32)
        self.mj.mjr_render(rect, self.scene, self.renderer)
        self.mj.mjr_readPixels(codes, depth, rect, self.renderer)
        self.scene.flags[flags.mjRND_SEGMENT] = self.scene.flags[flags.mjRND_IDCOLOR] = False
        index = codes @ np.array([1, 256, 65536], np.int32)
        return self._geoms()[index[::-1]], _metres(depth)[::-1]

    def _geoms(self) -> NDArray[np.int32]:
        """Return the geom of each segmentation index."""
        table = np.full(self.scene.ngeom + 2, -1, np.int32)
        geom_type = int(self.mj.mjtObj.mjOBJ_GEOM)
        for k in range(self.scene.ngeom):
            drawn = self.scene.geoms[k]
            if drawn.objtype == geom_type and drawn.segid >= 0:
                table[drawn.segid + 1] = drawn.objid
        return table

    def close(self) -> None:
        """Release the OpenGL resources."""
        if self.renderer is not None:
            self.context.make_current()
            self.renderer.free()
            self.context.free()
            self.renderer = None

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _metres(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert window depth (reversed: 1 near, 0 far) to m along the optical axis."""
    near, far = np.float32(NEAR_M), np.float32(FAR_M)
    return near * far / (near + depth * (far - near))
