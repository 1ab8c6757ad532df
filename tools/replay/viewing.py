"""`--view`: the Rerun viewer beside a replay or an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from perception.sinks import Sink
from perception_tools.printing import say


class Viewing:
    """The viewer of a command; without one, nothing is shown."""

    def __init__(self, viewer: Any = None) -> None:
        self._viewer = viewer

    def sinks(self) -> tuple[Sink, ...]:
        """Return the sink that streams the next run to the viewer."""
        return () if self._viewer is None else (self._viewer.sink(),)

    def hold(self) -> None:
        """Keep a viewer for browsers up until Ctrl-C; a window stays by itself. Say where it was closed."""
        if self._viewer is not None and not self._viewer.is_alive:
            say("the viewer was closed: the run went on without it", stderr=True)
            return
        if self._viewer is not None and not self._viewer.is_window:
            say(f"watch at {self._viewer.address}; Ctrl-C ends", stderr=True)
            with suppress(KeyboardInterrupt):
                self._viewer.wait()


@contextmanager
def viewing(wanted: bool) -> Iterator[Viewing]:
    """Start the viewer where it is wanted.

    Raises:
        MissingExtraError: The extra `rerun` is not installed.
        OutputError: The viewer does not start.
    """
    if not wanted:
        yield Viewing()
        return
    from perception.pipeline.viewers import load_viewer

    viewer = load_viewer("rerun").RerunViewer()
    if not viewer.is_window:
        say(f"watch at {viewer.address}", stderr=True)
    try:
        yield Viewing(viewer)
    finally:
        if not viewer.is_window:
            viewer.close()
