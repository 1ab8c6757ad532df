"""The interface of a transport of ROS: it carries serialised messages under their type names."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import NamedTuple, Protocol

from perception.types import Schema


class Qos(NamedTuple):
    """The part of the quality of service that sensor drivers and viewers differ in."""

    reliable: bool
    transient_local: bool = False
    depth: int = 10


SENSOR = Qos(reliable=False)
"""As drivers publish; a subscription of it gets what reliable and best-effort publishers send."""
LATCHED = Qos(reliable=True, transient_local=True, depth=100)
"""As static transforms are published: a late subscriber gets them too."""
OUTPUT = Qos(reliable=True)
"""Subscribers of either reliability match."""


class Arrived(NamedTuple):
    """A message that came.

    Attributes:
        topic: Its topic, with the leading slash.
        type_name: Its type, as `sensor_msgs/msg/Image`.
        data: Its bytes.
        publish_ns: When it was sent, where the transport says; else None.
        schema: Its definition, where the transport carries it (ROS 1).
    """

    topic: str
    type_name: str
    data: bytes
    publish_ns: int | None = None
    schema: Schema | None = None


Deliver = Callable[[Arrived], None]
Publish = Callable[[bytes], None]


class Transport(Protocol):
    """A connection to the other nodes. Deliveries come from threads of its own."""

    notes: Notes

    def subscribe(self, topic: str, qos: Qos, deliver: Deliver) -> None:
        """Ask for a topic, whatever its type is."""

    def publisher(self, topic: str, type_name: str, qos: Qos) -> Publish:
        """Announce a topic, and return the function that publishes serialised messages on it."""

    def close(self) -> None:
        """End deliveries and disconnect."""


class Notes:
    """What a node cannot use, or has lost, in words for who looks: by subject, the last text of each.

    Args:
        log: Called with each new text.

    Attributes:
        on_lost: Called with a topic and a number of messages that were sent and never came.
    """

    def __init__(self, log: Callable[[str], None] | None = None) -> None:
        self.on_lost: Callable[[str, int], None] = lambda topic, count: None
        self._log = log
        self._lock = Lock()
        self._texts: dict[str, str] = {}

    def say(self, subject: str, text: str) -> None:
        """State something about a subject (a topic); an empty text: it is well again."""
        with self._lock:
            is_new = self._texts.get(subject, "") != text
            if text:
                self._texts[subject] = text
            else:
                self._texts.pop(subject, None)
        if is_new and text and self._log is not None:
            self._log(f"{subject}: {text}")

    @property
    def texts(self) -> dict[str, str]:
        """Subject -> text."""
        with self._lock:
            return dict(self._texts)
