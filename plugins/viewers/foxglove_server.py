"""A server for Foxglove on this machine: viewers see a replay, and play, pause, seek and speed drive it.

It offers the time and the control of playback, nothing else: no files, no services, no parameters, and nobody
can publish. It listens on 127.0.0.1 unless told otherwise, and refuses pages of other sites (`origin_guard`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self
from urllib.parse import quote

import foxglove
from foxglove.websocket import (
    Capability,
    ChannelView,
    Client,
    PlaybackCommand,
    PlaybackControlRequest,
    PlaybackState,
    PlaybackStatus,
    ServerListener,
    StatusLevel,
    WebSocketServer,
)

from perception.errors import OutputError
from perception.pipeline.viewers import LOOPBACK, PORT
from perception.sinks import Level
from perception_plugins.viewers.foxglove_sink import ChannelWriter
from perception_plugins.viewers.origin_guard import SITES, OriginGuard, hidden_host
from perception_plugins.viewers.playback import Playback, PlayState

BACKLOG = 16_384
"""Messages that may wait for a viewer that reads too slowly; beyond it loses the oldest."""
_STATUS: dict[PlayState, PlaybackStatus] = {
    "waiting": PlaybackStatus.Paused,
    "playing": PlaybackStatus.Playing,
    "paused": PlaybackStatus.Paused,
    "ended": PlaybackStatus.Ended,
}
_LEVEL = {"info": StatusLevel.Info, "warning": StatusLevel.Warning, "error": StatusLevel.Error}


class PlaybackServer:
    """A running server. Closes on leaving a `with` block.

    Args:
        playback: What viewers control.
        name: Of the server, as viewers show it.
        host, port: Where to listen; port 0: any free one.
        refused: Called with a text for each connection that is refused.

    Raises:
        OutputError: It cannot listen there.
    """

    def __init__(
        self,
        playback: Playback,
        name: str,
        host: str = LOOPBACK,
        port: int = PORT,
        refused: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.playback = playback
        self._listener = _Listener(self)
        self._subscriptions = 0
        self._notes: dict[str, tuple[Level, str]] = {}
        self._context = foxglove.Context()
        self.writer = ChannelWriter(self._context)
        inner = hidden_host()
        self._server: WebSocketServer = foxglove.start_server(
            name=name,
            host=inner,
            port=0,
            capabilities=[Capability.Time, Capability.PlaybackControl],
            server_listener=self._listener,
            context=self._context,
            playback_time_range=(playback.start_ns, playback.end_ns),
            message_backlog_size=BACKLOG,
        )
        try:
            self._guard = OriginGuard(host, port, (inner, self._server.port), refused)
        except OSError as error:
            self._server.stop()
            text = f"cannot listen on {host} port {port}: {error}; name a free one with --serve-port"
            raise OutputError(text) from error
        self.url = f"ws://{f'[{host}]' if ':' in host else host}:{self._guard.port}"

    @property
    def app_url(self) -> str:
        """Return the address that opens the web app with this server."""
        return f"{SITES[0]}?ds=foxglove-websocket&ds.url={quote(self.url, safe='')}"

    @property
    def is_watched(self) -> bool:
        """Whether a viewer is subscribed to anything, or the replay waits for one."""
        return self._subscriptions > 0 or self.playback.state == "waiting"

    def shown(self, log_time_ns: int) -> None:
        """Tell viewers the time of the sample that they got."""
        if self.is_watched:
            self._server.broadcast_time(log_time_ns)

    def tell_state(self) -> None:
        """Tell viewers where playing stands."""
        self._server.broadcast_playback_state(self.state())

    def note(self, level: Level, text: str) -> None:
        """Show viewers, also those that come later, a text about the run as a whole."""
        self._notes.setdefault(f"note {len(self._notes)}", (level, text))
        self._tell_notes()

    def state(self, did_seek: bool = False, request_id: str | None = None) -> PlaybackState:
        """Return where playing stands; `request_id` is that of the request that it answers."""
        playback = self.playback
        speed = playback.speed if playback.speed is not None else 1.0
        return PlaybackState(_STATUS[playback.state], playback.now_ns, speed, did_seek, request_id)

    def subscribed(self, change: int) -> None:
        """Take note of a subscription (1), or of its end (-1)."""
        self._subscriptions += change
        if change > 0:
            self.playback.joined()
            self._tell_notes()

    def request(self, request: PlaybackControlRequest) -> PlaybackState:
        """Apply a playback request of a viewer, and return the new state."""
        play = request.playback_command == PlaybackCommand.Play
        sought = self.playback.ask(play, request.playback_speed, request.seek_time)
        return self.state(sought, request.request_id)

    def _tell_notes(self) -> None:
        for key, (level, text) in self._notes.items():
            self._server.publish_status(text, _LEVEL[level], key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.close()
        self._server.stop()


class _Listener(ServerListener):
    """The calls of the server's own threads."""

    def __init__(self, server: PlaybackServer) -> None:
        self._owner = server

    def on_subscribe(self, client: Client, channel: ChannelView) -> None:
        self._owner.subscribed(1)

    def on_unsubscribe(self, client: Client, channel: ChannelView) -> None:
        self._owner.subscribed(-1)

    def on_playback_control_request(
        self, playback_control_request: PlaybackControlRequest
    ) -> PlaybackState | None:
        return self._owner.request(playback_control_request)
