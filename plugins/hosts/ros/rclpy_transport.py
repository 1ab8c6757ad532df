"""ROS 2 by `rclpy`, for those who have ROS installed: what its documentation guarantees, and no more.

Used of rclpy: `create_subscription(..., raw=True)`, whose callback gets the serialised message, and
`Publisher.publish(bytes)`; `get_publishers_info_by_topic`, for the type and quality of service of a topic;
`QoSProfile`; timers, loggers and parameters of a node; `init`, `ok`, `spin`, `shutdown`.
"""

from __future__ import annotations

import time
from importlib import import_module
from threading import Thread
from typing import Any

from perception_plugins.hosts.ros.transport import Arrived, Deliver, Notes, Publish, Qos

LOOK_S = 0.5
"""How often topics are looked for whose publishers are not there yet."""
_READER_DEPTH = 64


class RclpyTransport:
    """A node of `rclpy`, spun by a thread of its own.

    A topic is subscribed to once a publisher of it is there: so its type and what it offers are known.

    Args:
        node: A `rclpy.node.Node`.
        notes: Gets what cannot be used.
    """

    def __init__(self, node: Any, notes: Notes | None = None) -> None:
        import rclpy

        self.notes = notes or Notes()
        self._rclpy, self._node = rclpy, node
        self._wanted: dict[str, tuple[Qos, Deliver]] = {}
        self._subscriptions: dict[tuple[str, str], tuple[tuple[bool, bool], Any]] = {}
        self._timer = node.create_timer(LOOK_S, self._look)
        self._thread = Thread(target=self._spin, name="rclpy", daemon=True)
        self._thread.start()

    def subscribe(self, topic: str, qos: Qos, deliver: Deliver) -> None:
        """Ask for a topic, whatever its type is."""
        self._wanted[topic] = qos, deliver

    def publisher(self, topic: str, type_name: str, qos: Qos) -> Publish:
        """Announce a topic; without the type's package the function that is returned does nothing."""
        kind = _message_class(type_name)
        if kind is None:
            package = type_name.split("/")[0]
            debian = f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
            self.notes.say(
                topic, f"is not published: the package {package} is missing (apt install {debian})"
            )
            return lambda data: None
        publisher = self._node.create_publisher(
            kind, topic, _profile((qos.reliable, qos.transient_local), qos.depth)
        )

        def publish(data: bytes) -> None:
            publisher.publish(data)

        return publish

    def wait(self, seconds: float) -> bool:
        """Wait; return whether ROS goes on."""
        due_s = time.monotonic() + seconds
        while self._rclpy.ok() and (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.2))
        return bool(self._rclpy.ok())

    def close(self) -> None:
        """End deliveries and leave ROS."""
        if self._rclpy.ok():
            self._rclpy.shutdown()
        self._thread.join(5.0)

    def _spin(self) -> None:
        try:
            self._rclpy.spin(self._node)
        except Exception as error:  # a shutdown in the middle raises, differently in each version
            if self._rclpy.ok():
                self.notes.say("rclpy", f"no messages come any more: {type(error).__name__}: {error}")

    def _look(self) -> None:
        """Subscribe to the topics whose publishers have come."""
        for topic, (qos, deliver) in tuple(self._wanted.items()):
            offers: dict[str, list[tuple[bool, bool]]] = {}
            for publisher in self._node.get_publishers_info_by_topic(topic):
                offers.setdefault(publisher.topic_type, []).append(_offered(publisher.qos_profile, qos))
            for type_name, offered in offers.items():
                reliable, durable = (all(each) for each in zip(*offered, strict=True))
                self._subscribe(topic, type_name, (reliable, durable), deliver)

    def _subscribe(self, topic: str, type_name: str, offer: tuple[bool, bool], deliver: Deliver) -> None:
        """Subscribe under a type, or again where publishers offer less than the first did."""
        known = self._subscriptions.get((topic, type_name))
        if known is not None and known[0] == offer:
            return
        kind = _message_class(type_name)
        if kind is None:
            self.notes.say(
                topic, f"the package of {type_name} is not installed here; its messages are not used"
            )
            return
        if known is not None:
            self._node.destroy_subscription(known[1])

        def take(data: bytes) -> None:
            deliver(Arrived(topic, type_name, bytes(data)))

        subscription = self._node.create_subscription(
            kind, topic, take, _profile(offer, _READER_DEPTH), raw=True
        )
        self._subscriptions[topic, type_name] = offer, subscription


def _message_class(type_name: str) -> Any:
    """Return the class of a message; None where its package is not installed."""
    package, group, name = type_name.split("/")
    try:
        return getattr(import_module(f"{package}.{group}"), name)
    except (ImportError, AttributeError):
        return None


def _offered(profile: Any, asked: Qos) -> tuple[bool, bool]:
    """Return what to ask a publisher for: reliability and history, where it offers them."""
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    durable = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL and asked.transient_local
    return profile.reliability == ReliabilityPolicy.RELIABLE, durable


def _profile(offer: tuple[bool, bool], depth: int) -> Any:
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    reliable, durable = offer
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if durable else DurabilityPolicy.VOLATILE,
    )
