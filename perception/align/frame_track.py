"""The frames of the rig over time: poses as they arrive, and the transforms of a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from perception.geometry import Matrix, TransformTree
from perception.geometry.pose_history import PoseHistory, poses_at
from perception.types import FrameTransforms, RigIssue

MAX_FRAMES = 65_536
"""More frames than that are not remembered."""


class FrameTrack:
    """Keeps the poses of frames in their parents, in bounded memory; all cameras of a rig share one.

    A frame that moves has the pose of the moment (`perception.geometry.pose_history`); those of `tf_static`
    never move: the last one counts. Only what was added takes part: a live program and a replay see the same.
    """

    def __init__(self) -> None:
        self._frames: dict[str, PoseHistory] = {}
        self._moving: set[str] = set()
        self._tree = TransformTree()
        self._stale = False  # whether frames have changed since the tree was made

    def begin_anew(self) -> None:
        """Forget times: time was broken. What was known last holds until more is known."""
        for history in self._frames.values():
            history.settle(history.latest())
        self._moving.clear()
        self._stale = True

    def moves(self, frames: Iterable[str] | None = None) -> bool:
        """Return whether any of these frames moves; None: of all."""
        return bool(self._moving if frames is None else self._moving.intersection(frames))

    def learn(self, message: FrameTransforms) -> None:
        """Add transforms."""
        static = message.topic.endswith("tf_static")
        for item in message.items:
            history = self._frames.get(item.child)
            if history is None or history.parent != item.parent:
                if history is None and len(self._frames) >= MAX_FRAMES:
                    continue
                history = self._frames[item.child] = PoseHistory(item.parent)
                self._moving.discard(item.child)
            if static:
                changed = history.settle(item.parent_from_child)
            else:
                changed = history.add(item.stamp_ns, item.parent_from_child, message.log_time_ns)
            if changed and not (history.moves and item.child in self._moving):
                self._stale = True
                (self._moving.add if history.moves else self._moving.discard)(item.child)

    def tree_at(self, stamp_ns: int) -> TransformTree:
        """Return the transforms of a moment; the same object where nothing has changed."""
        if self._stale:
            self._stale = False
            self._tree = TransformTree(self._edges_at(self._frames, stamp_ns))
        if not self._moving:
            return self._tree
        return self._tree.updated(self._edges_at(self._moving, stamp_ns))

    def _edges_at(self, children: Iterable[str], stamp_ns: int) -> dict[str, tuple[str, Matrix]]:
        histories = {child: self._frames[child] for child in children}
        poses = poses_at([history.at(stamp_ns) for history in histories.values()])
        return {
            child: (history.parent, pose)
            for (child, history), pose in zip(histories.items(), poses, strict=True)
        }

    def chain(self, frame: str) -> Iterator[str]:
        """Yield a frame and its ancestors that have a parent, as far as no cycle begins."""
        seen = set()
        while frame in self._frames and frame not in seen:
            seen.add(frame)
            yield frame
            frame = self._frames[frame].parent

    def fixed_from(self, chain: list[str], stamp_ns: int) -> Matrix:
        """Return the pose of the first frame of a chain in the parent of its last one."""
        fixed_from_first = np.eye(4)
        for _, parent_from_frame in self._edges_at(chain, stamp_ns).values():
            fixed_from_first = parent_from_frame @ fixed_from_first
        return fixed_from_first

    def held_between(self, one: str, other: str, stamp_ns: int) -> RigIssue | None:
        """Return a note where the pose of one frame in another is one that was held for long."""
        chains = list(self.chain(one)), list(self.chain(other))
        shared = set(chains[0]) & set(chains[1])
        issues = (self.held([frame for frame in chain if frame not in shared], stamp_ns) for chain in chains)
        return next((issue for issue in issues if issue is not None), None)

    def held(self, chain: list[str], stamp_ns: int) -> RigIssue | None:
        """Return a note where a frame of a chain moves and its pose is older than can be continued."""
        for frame in chain:
            held_ns = self._frames[frame].at(stamp_ns).held_ns if frame in self._moving else 0
            if held_ns:
                pose = f"the pose of {frame!r}, which moves in {self._frames[frame].parent!r}"
                text = f"{pose}, is known only {held_ns / 1e6:.0f} ms away, and is held"
                return RigIssue("held_transform", text)
        return None
