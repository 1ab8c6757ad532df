"""The interface of commands and viewers: how to serve a replay, its account, and how viewers are found.

A viewer is a module of the entry-point group `perception.viewers`; `foxglove` has `serve_replay`, `rerun` has
`RerunViewer`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from ipaddress import ip_address
from typing import Any, Protocol

from perception.errors import MissingExtraError
from perception.extensions import extension_points

GROUP = "perception.viewers"
LOOPBACK, PORT = "127.0.0.1", 8765
_BUILT_IN = {  # other packages add theirs by entry point
    "rerun": "perception_plugins.viewers.rerun_live",
    "foxglove": "perception_plugins.viewers.live_replay",
}


class ReplayServer(Protocol):
    """A running server: its address, and that of the web app with it."""

    url: str

    @property
    def app_url(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Serving:
    """Where and how to serve a replay.

    Attributes:
        host, port: Where to listen; port 0: any free one.
        waits: Begin when a viewer connects; else at once.
        stays: Stay at the end, so that viewers can go back; else leave.
        started: Called with the server once it listens.
        ended: Called at each end of the log with the number of outputs of that pass.
        refused: Called with the reason when a connection is refused.
    """

    host: str = LOOPBACK
    port: int = PORT
    waits: bool = True
    stays: bool = True
    started: Callable[[Any], None] = lambda server: None
    ended: Callable[[int], None] = lambda outputs: None
    refused: Callable[[str], None] = lambda reason: None


@dataclass(slots=True)
class ServedRun:
    """The account of a served replay: outputs, errors of the plugin, seeks, and how often the end came."""

    outputs: int = 0
    errors: int = 0
    first_error: str = ""
    seeks: int = 0
    ends: int = 0
    warnings: list[str] = field(default_factory=list)


def load_viewer(name: str) -> Any:
    """Return the module of a viewer.

    Raises:
        PluginError: Packages name different viewers alike.
        MissingExtraError: It needs an extra that is not installed.
    """
    places = {point.name: point.value for point in extension_points(GROUP, _BUILT_IN).values()}
    try:
        return import_module(places[name])
    except ModuleNotFoundError as error:  # package and extra are called as the viewer
        if name in _BUILT_IN and (error.name or "").startswith(name):
            raise MissingExtraError(f"the viewer {name}", name) from error
        raise


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server on a host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
