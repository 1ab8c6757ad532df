"""What is done to a frame before its turn comes: prepared, and its answers computed, by any thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from perception.pipeline.times import Spent
from perception.plugin import Infers, Plugin, Prepared


@dataclass(slots=True)
class Frame:
    """One sample on its way through the plugin.

    Attributes:
        prepared: The sample as it came, until the plugin has prepared it.
        problem: Why the plugin gives nothing for it; empty: it does.
        spent: The times so far.
    """

    prepared: Prepared
    spent: Spent
    problem: str = ""


@dataclass(slots=True)
class Group:
    """Frames of one batch. `warm`: the plugin must see them, the sinks must not."""

    warm: bool = False
    frames: list[Frame] = field(default_factory=list)

    @property
    def ready(self) -> list[Frame]:
        """Those that nothing has happened to."""
        return [frame for frame in self.frames if not frame.problem]


class Carrier:
    """Prepares the frames of a group and computes their answers. Safe to call from several threads."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._infers = plugin if isinstance(plugin, Infers) else None

    def carry(self, group: Group) -> Group:
        """The same group, prepared. What the plugin raises is noted in the frames it concerns."""
        for frame in group.frames:
            with frame.spent.on("prepare"):
                self._prepare(frame)
        if self._infers is not None and group.ready:
            self._infer(self._infers, group.ready)
        return group

    def _prepare(self, frame: Frame) -> None:
        try:
            prepared = self._plugin.prepare(frame.prepared.sample)
            if not isinstance(prepared, Prepared):
                raise TypeError(f"prepare returned {type(prepared).__name__}, expected Prepared")
            frame.prepared = prepared
        except Exception as error:
            frame.problem = in_one_line(error)

    def _infer(self, plugin: Infers, ready: Sequence[Frame]) -> None:
        whole = ready[0].spent.fresh()
        with whole.on("infer"):
            try:
                found = list(plugin.infer([frame.prepared for frame in ready]))
                if len(found) != len(ready):
                    raise ValueError(f"infer returned {len(found)} samples for {len(ready)}")
                for frame, prepared in zip(ready, found, strict=True):
                    if not isinstance(prepared, Prepared):
                        raise TypeError(f"infer returned {type(prepared).__name__}, expected Prepared")
                    frame.prepared = prepared
            except Exception as error:
                for frame in ready:
                    frame.problem = in_one_line(error)
        for frame in ready:
            frame.spent.add(whole, 1 / len(ready))


def in_one_line(error: Exception) -> str:
    """An exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
