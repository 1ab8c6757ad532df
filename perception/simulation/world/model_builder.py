"""Conversion of a scene into a MuJoCo specification, object by object."""

from __future__ import annotations

from typing import Any

import numpy as np

from perception.geometry import Matrix
from perception.simulation.objects.shapes import Figure, Solid, ring_pieces
from perception.simulation.random_draws import random_stream
from perception.simulation.world.ground import paint_ground
from perception.simulation.world.scene import Building, Scene
from perception.simulation.world.textures import facade, sky_faces

TERRAIN_STEP_M = 1.0
WITHOUT_COLLISION = {"contype": 0, "conaffinity": 0}
RING_QUADS = ((0, 2, 3, 1), (4, 5, 7, 6), (1, 3, 7, 5), (0, 4, 6, 2))
"""Faces of a piece of a ring. Corners: y- (inner a, outer a, inner b, outer b), then y+ the same."""


class ModelBuilder:
    """Adds a scene to a specification and keeps the handles of what it added.

    `objects` holds figure, track id, body and (geom, solid) pairs; `actors` body and joints by name.
    """

    def __init__(self, mj: Any, spec: Any, scene: Scene, ground_px: int) -> None:
        self.mj, self.spec, self.scene, self.ground_px = mj, spec, scene, ground_px
        self.rng = random_stream(scene.seed, "walls")
        self.objects: list[tuple[Figure, str, Any, list[tuple[Any, Solid]]]] = []
        self.actors: list[tuple[Any, dict[str, Any]]] = []
        self.counts: dict[str, int] = {}
        self.meshes = 0
        self.facades: dict[tuple[str, int], str] = {}
        for name, specular, shininess, emission in (
            ("matte", 0.05, 0.1, 0.0),
            ("satin", 0.3, 0.4, 0.0),
            ("gloss", 0.7, 0.7, 0.0),
            ("glow", 0.2, 0.5, 0.9 if scene.conditions.lamps else 0.15),
        ):
            spec.add_material(name=name, specular=specular, shininess=shininess, emission=emission)

    def add_ground(self) -> None:
        """Add the textured terrain, and a plane below it that reaches to the horizon."""
        texture = paint_ground(self.scene, self.ground_px)
        self._add_texture("ground", texture)
        x0, x1, y0, y1 = self.scene.bounds
        columns, rows = int((x1 - x0) / TERRAIN_STEP_M) + 2, int((y1 - y0) / TERRAIN_STEP_M) + 2
        x, y = np.meshgrid(np.linspace(x0, x1, columns), np.linspace(y0, y1, rows))
        z = self.scene.terrain.height(x, y)
        vertices = np.stack([x, y, z], axis=2)
        uv = np.stack([(x - x0) / (x1 - x0), (y1 - y) / (y1 - y0)], axis=2)
        k = np.arange(rows * columns).reshape(rows, columns)
        quads = np.stack([k[:-1, :-1], k[:-1, 1:], k[1:, 1:], k[1:, :-1]], axis=2).reshape(-1, 4)
        faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        self._add_geom("MESH", meshname=self._add_mesh(vertices, faces, uv, smooth=True), material="ground")
        colour = texture[:40].reshape(-1, 3).mean(axis=0) / 255
        self._add_geom("PLANE", size=(400, 400, 10), pos=(0, 0, float(z.min()) - 1.0), rgba=(*colour, 1))

    def add_sky(self) -> None:
        """Add the sky box."""
        sky = self.scene.conditions
        faces = sky_faces(random_stream(self.scene.seed, "sky"), sky.zenith, sky.horizon, sky.clouds)
        texture = self.spec.add_texture(name="sky")
        texture.type = self.mj.mjtTexture.mjTEXTURE_SKYBOX
        texture.width, texture.height, texture.nchannel = faces.shape[2], faces.shape[1] * 6, 3
        texture.data = np.ascontiguousarray(faces).tobytes()

    def add_building(self, building: Building) -> None:
        """Add four textured walls and a roof."""
        length, depth, height = building.size_m
        solid = depth > 0.5  # a building or a container, not a wall: its walls hold whole bays of 3 m
        z = self.scene.terrain.height_at(building.x, building.y) - 0.6
        c, s = np.cos(building.yaw), np.sin(building.yaw)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (length / 2, depth / 2)
        corners = corners @ np.array([[c, s], [-s, c]]) + (building.x, building.y)
        vertices: list[tuple[float, ...]] = []
        uv: list[tuple[float, float]] = []
        top = z + height + 0.6
        for p, q in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            bays, storeys = float(np.linalg.norm(q - p)) / 3, height / 3
            if solid:
                bays, storeys = max(1.0, round(bays)), max(1.0, round(storeys))
            vertices += [(*p, z), (*q, z), (*q, top), (*p, top)]
            uv += [(0, storeys), (bays, storeys), (bays, 0), (0, 0)]
        faces = np.array([(k, k + a, k + a + 1) for k in (0, 4, 8, 12) for a in (1, 2)])
        mesh = self._add_mesh(np.array(vertices), faces, np.array(uv))
        self._add_geom("MESH", meshname=mesh, material=self._facade(building))
        overhang = 0.12 if solid else 0.04
        self._add_geom(
            "BOX",
            size=(length / 2 + overhang, depth / 2 + overhang, 0.08),
            pos=(building.x, building.y, top),
            quat=quaternion(building.yaw),
            rgba=(*building.roof, 1),
            material="matte",
        )

    def add_item(self, figure: Figure, x: float, y: float, yaw: float) -> None:
        """Add an object that does not move; people and scenery stand upright on slopes."""
        tilt = (0.0, 0.0) if figure.label in ("person", "") else self.scene.terrain.tilt(x, y, yaw)
        pos = (x, y, self.scene.terrain.height_at(x, y))
        self._add_figure(figure, self.spec.worldbody.add_body(pos=pos, quat=quaternion(yaw, *tilt)))

    def add_actor(self, figure: Figure) -> None:
        """Add an object that is moved from frame to frame."""
        body = self.spec.worldbody.add_body(mocap=True)
        self.actors.append((body, self._add_figure(figure, body)))

    def _add_figure(self, figure: Figure, body: Any) -> dict[str, Any]:
        """Add the solids of a figure to a body; return its joints by name."""
        name = figure.label or "scenery"
        self.counts[name] = self.counts.get(name, 0) + 1
        limbs, joints, pivots = {"": body}, {}, {"": np.zeros(3)}
        for joint in figure.joints:
            limb = limbs[joint.name] = body.add_body(pos=joint.pivot)
            joints[joint.name] = limb.add_joint(type=self.mj.mjtJoint.mjJNT_HINGE, axis=(0, 1, 0))
            pivots[joint.name] = np.asarray(joint.pivot)
        geoms = [(self._add_solid(s, limbs[s.joint], pivots[s.joint]), s) for s in figure.parts]
        self.objects.append((figure, f"{name}-{self.counts[name]}", body, geoms))
        return joints

    def _add_solid(self, solid: Solid, body: Any, pivot: Matrix) -> Any:
        shape: dict[str, Any] = {"size": (*solid.size, 0.0, 0.0)[:3]}
        kind = solid.shape.upper()
        if solid.shape in ("hull", "ring"):
            faces = None
            vertices = np.asarray(solid.points)
            if solid.shape == "ring":
                pieces = ring_pieces(solid.size)
                vertices, starts = np.concatenate(pieces), range(0, 8 * len(pieces), 8)
                triangles = [(q[0], *q[a : a + 2]) for q in RING_QUADS for a in (1, 2)]
                faces = np.concatenate([np.array(triangles) + start for start in starts])
            kind, shape = "MESH", {"meshname": self._add_mesh(vertices, faces)}
        placement = {"pos": np.asarray(solid.pos) - pivot, "quat": solid.quat}
        return self._add_geom(kind, body, rgba=(*solid.rgb, 1.0), material=solid.finish, **placement, **shape)

    def _add_geom(self, kind: str, body: Any = None, **options: Any) -> Any:
        """Add a geom to a body, by default the world; `kind` is the end of a name of MuJoCo's mjtGeom."""
        body = self.spec.worldbody if body is None else body
        kind = getattr(self.mj.mjtGeom, f"mjGEOM_{kind}")
        return body.add_geom(type=kind, **options, **WITHOUT_COLLISION)

    def _add_mesh(
        self, vertices: Matrix, faces: Matrix | None = None, uv: Matrix | None = None, smooth: bool = False
    ) -> str:
        """Add a mesh, without faces the convex hull of its vertices; return its name."""
        self.meshes += 1
        mesh = self.spec.add_mesh(name=f"mesh{self.meshes}")
        mesh.uservert = vertices.ravel()
        if faces is not None:
            mesh.userface = faces.ravel()
        if faces is not None and uv is not None:
            mesh.usertexcoord, mesh.userfacetexcoord = uv.ravel(), faces.ravel()
        mesh.smoothnormal = smooth
        mesh.inertia = self.mj.mjtMeshInertia.mjMESH_INERTIA_SHELL
        return str(mesh.name)

    def _add_texture(self, name: str, image: Any) -> None:
        """Add a texture and a material of the same name."""
        texture = self.spec.add_texture(name=name)
        texture.type = self.mj.mjtTexture.mjTEXTURE_2D
        texture.height, texture.width, texture.nchannel = image.shape
        texture.data = np.ascontiguousarray(image).tobytes()
        material = self.spec.add_material(name=name, specular=0.05, shininess=0.1)
        material.textures[self.mj.mjtTextureRole.mjTEXROLE_RGB] = name

    def _facade(self, building: Building) -> str:
        """Return a wall's material; walls of a surface share three, which saves memory and time."""
        key = (building.surface, int(self.rng.integers(3)))
        if key not in self.facades:
            self.facades[key] = f"{key[0]}-{key[1]}"
            self._add_texture(self.facades[key], facade(self.rng, building.surface, building.tint))
        return self.facades[key]


def quaternion(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> tuple[float, float, float, float]:
    """Return w, x, y, z of a rotation by yaw, then pitch (nose down positive), then roll (left up), rad."""
    (cy, cp, cr), (sy, sp, sr) = ((f(yaw / 2), f(pitch / 2), f(roll / 2)) for f in (np.cos, np.sin))
    return (
        float(cr * cp * cy + sr * sp * sy),
        float(sr * cp * cy - cr * sp * sy),
        float(cr * sp * cy + sr * cp * sy),
        float(cr * cp * sy - sr * sp * cy),
    )
