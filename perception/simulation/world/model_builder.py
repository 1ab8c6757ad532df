"""Puts a scene into a MuJoCo specification, thing by thing."""

from __future__ import annotations

from typing import Any

import numpy as np

from perception.geometry import Matrix
from perception.simulation.objects.shapes import Figure, Solid, ring_pieces
from perception.simulation.scenario import stream
from perception.simulation.world.ground import paint_ground
from perception.simulation.world.scene import Building, Scene
from perception.simulation.world.textures import facade, sky_faces

TERRAIN_STEP_M = 1.0


class Builder:
    """Adds a scene to a specification, and remembers what became of it."""

    def __init__(self, mj: Any, spec: Any, scene: Scene, ground_px: int) -> None:
        self.mj, self.spec, self.scene, self.ground_px = mj, spec, scene, ground_px
        self.rng = stream(scene.seed, "walls")
        self.things: list[tuple[Figure, str, Any, list[tuple[Any, Solid]]]] = []
        self.actors: list[tuple[Any, dict[str, Any]]] = []
        self.counts: dict[str, int] = {}
        self.meshes = 0
        self.facades: dict[tuple[str, int], str] = {}
        for name, specular, shininess, emission in (
            ("matte", 0.05, 0.1, 0.0),
            ("satin", 0.3, 0.4, 0.0),
            ("gloss", 0.7, 0.7, 0.0),
            ("glow", 0.2, 0.5, 0.9 if scene.look.lamps else 0.15),
        ):
            spec.add_material(name=name, specular=specular, shininess=shininess, emission=emission)

    def ground(self) -> None:
        texture = paint_ground(self.scene, self.ground_px)
        self._texture("ground", texture)
        x0, x1, y0, y1 = self.scene.bounds
        columns, rows = int((x1 - x0) / TERRAIN_STEP_M) + 2, int((y1 - y0) / TERRAIN_STEP_M) + 2
        x, y = np.meshgrid(np.linspace(x0, x1, columns), np.linspace(y0, y1, rows))
        z = self.scene.terrain.height(x, y)
        vertices = np.stack([x, y, z], axis=2).reshape(-1, 3)
        uv = np.stack([(x - x0) / (x1 - x0), (y1 - y) / (y1 - y0)], axis=2).reshape(-1, 2)
        k = np.arange(rows * columns).reshape(rows, columns)
        a, b, c, d = k[:-1, :-1].ravel(), k[:-1, 1:].ravel(), k[1:, 1:].ravel(), k[1:, :-1].ravel()
        faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
        mesh = self._mesh("ground", vertices, faces, uv, smooth=True)
        self._geom(self.spec.worldbody, mesh, "ground")
        colour = texture[:40].reshape(-1, 3).mean(axis=0) / 255
        self.spec.worldbody.add_geom(
            type=self.mj.mjtGeom.mjGEOM_PLANE,
            size=(400, 400, 10),
            pos=(0, 0, float(z.min()) - 1.0),
            rgba=(*colour, 1),
            contype=0,
            conaffinity=0,
        )

    def sky(self) -> None:
        look = self.scene.look
        faces = sky_faces(stream(self.scene.seed, "sky"), look.zenith, look.horizon, look.clouds)
        texture = self.spec.add_texture(name="sky")
        texture.type = self.mj.mjtTexture.mjTEXTURE_SKYBOX
        texture.width, texture.height, texture.nchannel = faces.shape[2], faces.shape[1] * 6, 3
        texture.data = np.ascontiguousarray(faces).tobytes()

    def block(self, block: Building) -> None:
        length, depth, height = block.size_m
        z = self.scene.terrain.height_at(block.x, block.y) - 0.6
        c, s = np.cos(block.yaw), np.sin(block.yaw)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (length / 2, depth / 2)
        corners = corners @ np.array([[c, s], [-s, c]]) + (block.x, block.y)
        vertices: list[tuple[float, ...]] = []
        uv: list[tuple[float, float]] = []
        faces: list[tuple[int, int, int]] = []
        for k in range(4):
            p, q = corners[k], corners[(k + 1) % 4]
            width = (
                max(1.0, round(float(np.linalg.norm(q - p)) / 3))
                if depth > 0.5
                else float(np.linalg.norm(q - p)) / 3
            )
            up = max(1.0, round(height / 3)) if depth > 0.5 else height / 3
            base = len(vertices)
            vertices += [(*p, z), (*q, z), (*q, z + height + 0.6), (*p, z + height + 0.6)]
            uv += [(0, up), (width, up), (width, 0), (0, 0)]
            faces += [(base, base + 1, base + 2), (base, base + 2, base + 3)]
        mesh = self._mesh(None, np.array(vertices), np.array(faces), np.array(uv))
        self._geom(self.spec.worldbody, mesh, self._facade(block))
        over = 0.12 if depth > 0.5 else 0.04
        self.spec.worldbody.add_geom(
            type=self.mj.mjtGeom.mjGEOM_BOX,
            size=(length / 2 + over, depth / 2 + over, 0.08),
            pos=(block.x, block.y, z + height + 0.6),
            quat=(np.cos(block.yaw / 2), 0, 0, np.sin(block.yaw / 2)),
            rgba=(*block.roof, 1),
            material="matte",
            contype=0,
            conaffinity=0,
        )

    def item(self, figure: Figure, x: float, y: float, yaw: float) -> None:
        pitch, roll = self.scene.terrain.tilt(x, y, yaw)
        if figure.label in ("person", ""):
            pitch = roll = 0.0
        body = self.spec.worldbody.add_body(
            pos=(x, y, self.scene.terrain.height_at(x, y)), quat=quaternion(yaw, pitch, roll)
        )
        self._figure(figure, body)

    def actor(self, figure: Figure) -> None:
        body = self.spec.worldbody.add_body(mocap=True)
        self.actors.append((body, self._figure(figure, body)))

    def _figure(self, figure: Figure, body: Any) -> dict[str, Any]:
        name = figure.label or "scenery"
        self.counts[name] = self.counts.get(name, 0) + 1
        limbs, joints = {"": body}, {}
        for joint in figure.joints:
            limb = body.add_body(pos=joint.pivot)
            joints[joint.name] = limb.add_joint(type=self.mj.mjtJoint.mjJNT_HINGE, axis=(0, 1, 0))
            limbs[joint.name] = limb
        pivots = {j.name: np.asarray(j.pivot) for j in figure.joints}
        geoms = [
            (self._part(part, limbs[part.joint], pivots.get(part.joint, np.zeros(3))), part)
            for part in figure.parts
        ]
        self.things.append((figure, f"{name}-{self.counts[name]}", body, geoms))
        return joints

    def _part(self, part: Solid, body: Any, pivot: Matrix) -> Any:
        pos = np.asarray(part.pos) - pivot
        common = {
            "rgba": (*part.rgb, 1.0),
            "material": part.finish,
            "contype": 0,
            "conaffinity": 0,
            "pos": pos,
            "quat": part.quat,
        }
        if part.shape == "hull":
            mesh = self._hull(np.asarray(part.points))
            return body.add_geom(type=self.mj.mjtGeom.mjGEOM_MESH, meshname=mesh, **common)
        if part.shape == "ring":
            vertices, faces = _ring_mesh(part.size)
            mesh = self._mesh(None, vertices, faces, None)
            return body.add_geom(type=self.mj.mjtGeom.mjGEOM_MESH, meshname=mesh, **common)
        kind = {
            "box": self.mj.mjtGeom.mjGEOM_BOX,
            "cylinder": self.mj.mjtGeom.mjGEOM_CYLINDER,
            "capsule": self.mj.mjtGeom.mjGEOM_CAPSULE,
            "ellipsoid": self.mj.mjtGeom.mjGEOM_ELLIPSOID,
        }[part.shape]
        size = (*part.size, 0.0, 0.0)[:3]
        return body.add_geom(type=kind, size=size, **common)

    def _geom(self, body: Any, mesh: str, material: str) -> Any:
        return body.add_geom(
            type=self.mj.mjtGeom.mjGEOM_MESH, meshname=mesh, material=material, contype=0, conaffinity=0
        )

    def _hull(self, points: Matrix) -> str:
        mesh = self.spec.add_mesh(name=self._mesh_name())
        mesh.uservert = points.ravel()
        mesh.inertia = self.mj.mjtMeshInertia.mjMESH_INERTIA_SHELL
        return str(mesh.name)

    def _mesh(
        self, name: str | None, vertices: Matrix, faces: Any, uv: Matrix | None, smooth: bool = False
    ) -> str:
        mesh = self.spec.add_mesh(name=name or self._mesh_name())
        mesh.uservert, mesh.userface = vertices.ravel(), faces.ravel()
        if uv is not None:
            mesh.usertexcoord = uv.ravel()
            mesh.userfacetexcoord = faces.ravel()
        mesh.smoothnormal = smooth
        mesh.inertia = self.mj.mjtMeshInertia.mjMESH_INERTIA_SHELL
        return str(mesh.name)

    def _mesh_name(self) -> str:
        self.meshes += 1
        return f"mesh{self.meshes}"

    def _texture(self, name: str, image: Any) -> None:
        texture = self.spec.add_texture(name=name)
        texture.type = self.mj.mjtTexture.mjTEXTURE_2D
        texture.height, texture.width, texture.nchannel = image.shape
        texture.data = np.ascontiguousarray(image).tobytes()
        material = self.spec.add_material(name=name, specular=0.05, shininess=0.1)
        material.textures[self.mj.mjtTextureRole.mjTEXROLE_RGB] = name

    def _facade(self, block: Building) -> str:
        """Walls of one kind share a few textures: each is memory and time."""
        key = (block.surface, int(self.rng.integers(3)))
        if key not in self.facades:
            name = f"{key[0]}-{key[1]}"
            self._texture(name, facade(self.rng, block.surface, block.tint))
            self.facades[key] = name
        return self.facades[key]


def quaternion(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> tuple[float, float, float, float]:
    """w, x, y, z of a turn by yaw, then pitch (nose down positive), then roll (left side up positive)."""
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw / 2),
        np.sin(yaw / 2),
        np.cos(pitch / 2),
        np.sin(pitch / 2),
        np.cos(roll / 2),
        np.sin(roll / 2),
    )
    return (
        float(cr * cp * cy + sr * sp * sy),
        float(sr * cp * cy - cr * sp * sy),
        float(cr * sp * cy + sr * cp * sy),
        float(cr * cp * sy - sr * sp * cy),
    )


def _ring_mesh(size: tuple[float, ...]) -> tuple[Matrix, Any]:
    vertices: list[Matrix] = []
    faces: list[tuple[int, int, int]] = []
    for piece in ring_pieces(size):
        # Corners: y- (inner a, outer a, inner b, outer b), then y+ the same.
        base = len(vertices)
        vertices += list(piece)
        quads = [(0, 2, 3, 1), (4, 5, 7, 6), (1, 3, 7, 5), (0, 4, 6, 2)]
        for p, q, r, s in quads:
            faces += [(base + p, base + q, base + r), (base + p, base + r, base + s)]
    return np.array(vertices), np.array(faces)
