"""Truth messages by stamp; of scenes, what all messages up to a stamp have left in them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from perception.types import Cuboid, Cuboids, StatusReading, TruthBoxes

M = TypeVar("M", Cuboids | TruthBoxes, StatusReading)

MAX_ENTITIES = 65_536
"""Of one scene; the oldest leave."""

FAR_NS = 10_000_000_000
"""A message that is stamped further ahead does not say that those before it have come."""

MAX_FRAMES = 256
"""Names of frames of pictures that one topic is known to have boxes of."""


class TruthTrack(Generic[M]):
    """Messages by stamp."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.messages: list[M] = []

    def add(self, message: M) -> None:
        at = bisect_right(self.stamps, message.stamp_ns)
        self.stamps.insert(at, message.stamp_ns)
        self.messages.insert(at, message)

    def has_passed(self, stamp_ns: float) -> bool:
        """Return whether a message is stamped at or after a moment; one far after it is of another clock."""
        at = bisect_left(self.stamps, stamp_ns)
        return at < len(self.stamps) and self.stamps[at] <= stamp_ns + FAR_NS

    def away_ns(self, stamp_ns: int) -> int | None:
        """Return the difference to the nearest stamp; None where there is no message."""
        best = self._nearest(stamp_ns)
        return None if best is None else abs(self.stamps[best] - stamp_ns)

    def nearest(self, stamp_ns: int, tolerance_ns: float) -> M | None:
        """Return the message with the smallest difference, within the tolerance; ties to the older."""
        best = self._nearest(stamp_ns)
        if best is None or abs(self.stamps[best] - stamp_ns) > tolerance_ns:
            return None
        return self.messages[best]

    def latest(self, stamp_ns: int, oldest_ns: int) -> M | None:
        """Return the newest message stamped at or before `stamp_ns` and not before `oldest_ns`."""
        at = bisect_right(self.stamps, stamp_ns) - 1
        return self.messages[at] if at >= 0 and self.stamps[at] >= oldest_ns else None

    def forget_before(self, stamp_ns: int) -> None:
        count = bisect_left(self.stamps, stamp_ns)
        del self.stamps[:count], self.messages[:count]

    def _nearest(self, stamp_ns: int) -> int | None:
        after = bisect_left(self.stamps, stamp_ns)
        near = [i for i in (after - 1, after) if 0 <= i < len(self.stamps)]
        return min(near, key=lambda i: abs(self.stamps[i] - stamp_ns), default=None)


@dataclass(frozen=True, slots=True)
class _Entity:
    """One entity of a scene; `until_ns` None: it stays until it is replaced or deleted."""

    stamp_ns: int
    until_ns: int | None
    items: tuple[Cuboid, ...]


@dataclass(slots=True)
class _Scene:
    """Entities by id, oldest first."""

    entities: dict[str, _Entity] = field(default_factory=dict)

    def apply(self, message: Cuboids | TruthBoxes) -> None:
        """Make the changes of one message, if it makes any."""
        if not isinstance(message, Cuboids) or message.change is None:
            return
        for deletion in message.change.deletions:
            ids = list(self.entities) if deletion.id is None else [deletion.id]
            for name in ids:
                if name in self.entities and self.entities[name].stamp_ns < deletion.stamp_ns:
                    del self.entities[name]
        items: dict[str, list[Cuboid]] = {}
        for cuboid in message.items:
            items.setdefault(cuboid.entity_id, []).append(cuboid)
        for entity in message.change.entities:
            until_ns = entity.stamp_ns + entity.lifetime_ns if entity.lifetime_ns else None
            self.entities.pop(entity.id, None)
            self.entities[entity.id] = _Entity(entity.stamp_ns, until_ns, tuple(items.get(entity.id, ())))
        for name in list(self.entities)[: max(len(self.entities) - MAX_ENTITIES, 0)]:
            del self.entities[name]

    def items(self, stamp_ns: int) -> tuple[Cuboid, ...]:
        """Return the cuboids that are there at a moment."""
        there = [e for e in self.entities.values() if e.until_ns is None or e.until_ns > stamp_ns]
        return tuple(item for entity in there for item in entity.items)

    def lasting(self, stamp_ns: int) -> tuple[Cuboid, ...]:
        """Return the cuboids whose lifetime says that they are there at a moment, however old they are."""
        there = [e for e in self.entities.values() if e.until_ns is not None and e.until_ns > stamp_ns]
        return tuple(item for entity in there for item in entity.items)


class BoxTrack(TruthTrack[Cuboids | TruthBoxes]):
    """Messages of boxes. One that changes a scene is answered by the whole scene after its stamp.

    An entity stays until it is replaced or deleted, or its lifetime ends (foxglove.SceneEntity). Entities of
    messages that were forgotten stay, too. Where no message is near, those count whose lifetime covers the
    moment; one without a lifetime does not say that it was still looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames: set[str] = set()
        """The frames of the pictures that messages have boxes of."""
        self._before = _Scene()  # as the forgotten messages left it
        self._scene = _Scene()  # as the first `_applied` messages left it
        self._applied = 0
        self._forgotten: Cuboids | TruthBoxes | None = None  # the last one

    def add(self, message: Cuboids | TruthBoxes) -> None:
        if bisect_right(self.stamps, message.stamp_ns) < self._applied:
            self._restart()
        if isinstance(message, TruthBoxes) and len(self.frames) < MAX_FRAMES:
            self.frames.add(message.frame_id)
        super().add(message)

    def nearest(
        self, stamp_ns: int, tolerance_ns: float, frames: frozenset[str] | None = None
    ) -> Cuboids | TruthBoxes | None:
        """Return the message with the smallest difference, within the tolerance, with its whole scene.

        Args:
            stamp_ns: The moment.
            tolerance_ns: The largest difference.
            frames: The frames of pictures whose boxes count; None: of all. Cuboids always count.
        """
        message = (
            super().nearest(stamp_ns, tolerance_ns)
            if frames is None
            else self._nearest_in(frames, stamp_ns, tolerance_ns)
        )
        if message is None:
            return self._lasting(stamp_ns)
        if not isinstance(message, Cuboids) or message.change is None:
            return message
        first, end = (find(self.stamps, message.stamp_ns) for find in (bisect_left, bisect_right))
        self._apply_until(end)
        bad = [m for m in self.messages[first:end] if m.ignored]
        return replace(
            message,
            items=self._scene.items(message.stamp_ns),
            change=None,
            ignored=sum(m.ignored for m in bad),
            ignored_reason=bad[0].ignored_reason if bad else "",
        )

    def _nearest_in(
        self, frames: frozenset[str], stamp_ns: int, tolerance_ns: float
    ) -> Cuboids | TruthBoxes | None:
        """Return the nearest message within the tolerance that has cuboids, or boxes of one of the frames."""
        first = bisect_left(self.stamps, stamp_ns - tolerance_ns)
        end = bisect_right(self.stamps, stamp_ns + tolerance_ns)
        counted = [m for m in self.messages[first:end] if isinstance(m, Cuboids) or m.frame_id in frames]
        return min(counted, key=lambda message: abs(message.stamp_ns - stamp_ns), default=None)

    def _lasting(self, stamp_ns: int) -> Cuboids | None:
        """Return the last change before a moment, with what lasts until then; None where nothing does."""
        end = bisect_right(self.stamps, stamp_ns)
        message = self.messages[end - 1] if end else self._forgotten
        if not isinstance(message, Cuboids) or message.change is None or message.stamp_ns > stamp_ns:
            return None
        self._apply_until(end)
        items = self._scene.lasting(stamp_ns)
        return replace(message, items=items, change=None, ignored=0, ignored_reason="") if items else None

    def _apply_until(self, end: int) -> None:
        """Make the changes of the first `end` messages."""
        if end < self._applied:
            self._restart()
        for update in self.messages[self._applied : end]:
            self._scene.apply(update)
        self._applied = end

    def forget_before(self, stamp_ns: int) -> None:
        count = bisect_left(self.stamps, stamp_ns)
        for message in self.messages[:count]:
            self._before.apply(message)
            self._forgotten = message
        super().forget_before(stamp_ns)
        if count > self._applied:
            self._restart()
        else:
            self._applied -= count

    def _restart(self) -> None:
        self._scene, self._applied = _Scene(dict(self._before.entities)), 0
