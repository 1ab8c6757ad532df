"""The choice of the base frame, in which positions are stated: by name, else the root of the camera's rig."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from perception.autoconfig.first_messages import first_decoded, first_frame, first_of
from perception.config import CameraConfig, Config
from perception.geometry import TransformTree
from perception.logs import Log
from perception.types import CameraInfo, FrameTransforms

NAMES = ("base_link", "base_footprint", "base_frame", "base", "vehicle", "ego_vehicle", "ego", "body")
"""Frames of a vehicle by the last part of their names, the usual one first (REP 105)."""
_MESSAGES = 50  # of each topic of transforms: a frame that moves has moved by then


class BaseFrame(NamedTuple):
    """A base frame, or None, and the reason in words."""

    frame: str | None
    reason: str


class FirstFrames(NamedTuple):
    """The transforms at the beginning of a log, and which frames move in their parents."""

    tree: TransformTree
    moving: frozenset[str]

    def rigid_root(self, frame: str) -> str:
        """Return the topmost frame that a frame is rigidly connected to through its ancestors."""
        seen = {frame}
        while frame in self.tree.edges and frame not in self.moving:
            parent = self.tree.edges[frame][0]
            if parent in seen:
                break
            seen.add(parent)
            frame = parent
        return frame

    def named_base(self, frame: str) -> str | None:
        """Return the frame of the vehicle that carries a frame, by name: the nearest above, else beside."""
        connected = sorted(
            f for f in self.tree.frames() if self.tree.target_from_source(f, frame) is not None
        )
        for candidates in (self.ancestors(frame), connected):
            named = [(NAMES.index(_last(f)), i, f) for i, f in enumerate(candidates) if _last(f) in NAMES]
            if named:
                return min(named)[2]
        return None

    def ancestors(self, frame: str) -> list[str]:
        """Return a frame and what it hangs from, the nearest first."""
        chain = [frame]
        while frame in self.tree.edges and self.tree.edges[frame][0] not in chain:
            frame = self.tree.edges[frame][0]
            chain.append(frame)
        return chain


def with_base_frame(log: Log, config: Config) -> tuple[Config, list[str]]:
    """Return the configuration with its base frame, found where it is not configured, and the reason."""
    cameras, reference = config.sensors.cameras, config.reference_camera
    if reference is None:
        return config, []
    if config.base_frame is not None:
        return config, [f"base frame: {config.base_frame}, in which positions are stated, as configured"]
    topics = dict.fromkeys(topic for camera in cameras.values() for topic in camera.transforms)
    found = find_base_frame(log, cameras[reference], tuple(topics))
    return config.model_copy(update={"base_frame": found.frame}), [found.reason]


def find_base_frame(log: Log, camera: CameraConfig, transforms: tuple[str, ...]) -> BaseFrame:
    """Return the frame of the vehicle that carries a camera, by its camera info and topics of transforms.

    The nearest frame above the camera's with a usual name; else one beside it that transforms connect; else
    the topmost frame that is rigidly connected with the camera.
    """
    cure = "name one in base_frame, and the topics of its transforms in sensors.camera.transforms"
    if camera.calibration is None:
        return BaseFrame(None, "base frame: none, positions are not stated: there is no camera info")
    info = first_of(log, camera.calibration, CameraInfo)
    own = (info.frame_id if info is not None else "") or first_frame(log, camera.topic, "camera")
    if not own:
        text = "neither the camera info nor the pictures name a frame"
        return BaseFrame(None, f"base frame: none, positions are not stated: {text}")
    frames = first_frames(log, transforms)
    if (frame := frames.named_base(own)) is not None:
        return BaseFrame(frame, f"base frame: {frame}, in which positions are stated, by its name")
    root = frames.rigid_root(own)
    if root == own:
        text = f"no transforms place the camera's frame {own} on a vehicle; {cure}"
        return BaseFrame(None, f"base frame: none, positions are not stated: {text}")
    text = f"in which positions are stated: the root of the camera's rig, as no frame is called {NAMES[0]}"
    return BaseFrame(root, f"base frame: {root}, {text} (another: base_frame)")


def first_frames(log: Log, topics: Iterable[str]) -> FirstFrames:
    """Return the frames of the first messages of some topics."""
    edges: dict[str, tuple[str, np.ndarray]] = {}
    moving: set[str] = set()
    for topic in topics:
        for message in first_decoded(log, topic, count=_MESSAGES):
            if not isinstance(message, FrameTransforms):
                continue
            for child, (parent, pose) in message.edges.items():
                before = edges.get(child, (parent, pose))
                if before[0] != parent or not np.allclose(before[1], pose, atol=1e-9):
                    moving.add(child)
                edges[child] = (parent, pose)
    return FirstFrames(TransformTree(edges), frozenset(moving))


def _last(frame: str) -> str:
    """Return the last part of a frame's name, without the namespace of its robot."""
    return frame.rsplit("/", 1)[-1]
