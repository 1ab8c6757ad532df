"""ROS 1 by `rospy`: messages come as `AnyMsg` and are published as bytes, so none is converted twice.

Reference: the connection headers of TCPROS (type, md5sum, message_definition). `cv_bridge` is not needed.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

from perception.errors import PerceptionError
from perception.types import Schema
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.transport import Arrived, Deliver, Notes, Publish, Qos

DEBIAN = Path("/usr/lib/python3/dist-packages")
"""Where Debian and Ubuntu install the packages `python3-rospy`, `python3-rosbag`, ..."""
_SOCKET_BYTES = 1 << 24  # read at once: rospy falls behind large pictures with its default of 64 KiB

_MASTER, _MASTER_S = "ROS master", 1.0


class RospyTransport:
    """A node of ROS 1.

    Args:
        types: The message types of ROS 1.
        node: The node's name.
        notes: Gets what cannot be used.

    Raises:
        PerceptionError: `rospy` is not there, or no master is.
    """

    def __init__(self, types: MessageTypes, node: str = "perception", notes: Notes | None = None) -> None:
        self.notes = notes or Notes()
        self._types = types
        self._subscribers: list[Any] = []
        self._publishers: list[Any] = []
        _require_rospy()
        import rosgraph
        import rospy

        self._rospy = rospy
        if not rosgraph.is_master_online():
            uri = os.environ.get("ROS_MASTER_URI", "http://localhost:11311")
            raise PerceptionError(f"no ROS master answers at {uri}; start `roscore`, or set ROS_MASTER_URI")
        rospy.init_node(node.replace("/", "_"), disable_signals=True)
        self._master = rosgraph.Master(rospy.get_name())
        pid = self._master.getPid
        Thread(target=self._watch_master, args=(pid, pid()), daemon=True).start()

    def simulated_time(self) -> bool:
        """Return whether the parameter `/use_sim_time` is set."""
        return bool(self._rospy.get_param("/use_sim_time", False))

    def wait(self, seconds: float) -> bool:
        """Wait; return whether the node goes on."""
        due_s = time.monotonic() + seconds
        while not self._rospy.is_shutdown() and (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.2))
        return not self._rospy.is_shutdown()

    def _watch_master(self, master_pid: Callable[[], int], first: int) -> None:
        """Announce the node anew when another master has taken the place of the first. In a thread: a machine
        that is gone may answer nothing for minutes. A master that does not answer disturbs nobody who is
        connected."""
        while self.wait(_MASTER_S):
            with suppress(Exception):  # of sockets, HTTP and XML-RPC: the next turn tries again
                if (pid := master_pid()) != first:
                    self._announce()
                    first = pid
                    self.notes.say(
                        _MASTER, "it was started again; the topics of this node were announced anew"
                    )

    def _announce(self) -> None:
        """Register all topics at the master, and connect to the publishers that it knows already, as it does
        itself for those that come later (the slave API of ROS 1)."""
        from xmlrpc.client import ServerProxy

        uri = self._rospy.get_node_uri()
        for publisher in list(self._publishers):
            self._master.registerPublisher(publisher.resolved_name, publisher.type, uri)
        for subscriber in list(self._subscribers):
            known = self._master.registerSubscriber(subscriber.resolved_name, subscriber.type, uri)
            ServerProxy(uri).publisherUpdate("/master", subscriber.resolved_name, known)

    def subscribe(self, topic: str, qos: Qos, deliver: Deliver) -> None:
        """Ask for a topic, whatever its type is. A latched message comes to every subscriber."""

        def take(message: Any) -> None:
            arrived = _arrived(topic, message)
            if arrived is None:
                self.notes.say(
                    topic, "a publisher does not state the type of its messages; they are not used"
                )
            else:
                deliver(arrived)

        any_message = self._rospy.AnyMsg
        self._subscribers.append(
            self._rospy.Subscriber(topic, any_message, take, buff_size=_SOCKET_BYTES, tcp_nodelay=True)
        )

    def publisher(self, topic: str, type_name: str, qos: Qos) -> Publish:
        """Announce a topic; the function that is returned publishes serialised messages on it."""
        kind = _message_class(self._types, type_name)
        publisher = self._rospy.Publisher(
            topic, kind, queue_size=qos.depth, latch=qos.transient_local, tcp_nodelay=True
        )
        self._publishers.append(publisher)

        def publish(data: bytes) -> None:
            publisher.publish(kind(data))

        return publish

    def close(self) -> None:
        """End deliveries and leave the master."""
        for entity in (*self._subscribers, *self._publishers):
            entity.unregister()
        self._rospy.signal_shutdown("the host has ended")


def _require_rospy() -> None:
    """Raise PerceptionError where `rospy` cannot be imported; say how it can."""
    if find_spec("rospy") is not None:
        return
    if (DEBIAN / "rospy").is_dir():
        import sysconfig

        path = Path(sysconfig.get_path("purelib")) / "debian_ros.pth"
        raise PerceptionError(
            f"rospy is installed in {DEBIAN}, which this Python does not look into; make it visible behind "
            f"this environment's own packages: echo {DEBIAN} > {shlex.quote(str(path))}"
        )
    raise PerceptionError(
        "this host needs rospy: apt-get install python3-rospy python3-rosbag, then run it again for the "
        "next step"
    )


def _arrived(topic: str, message: Any) -> Arrived | None:
    """Return a message of `rospy.AnyMsg`, with the definition that its publisher states."""
    stated = getattr(message, "_connection_header", None) or {}
    name = stated.get("type", "")
    if name.count("/") != 1 or name == "*":
        return None
    package, short = name.split("/")
    text = stated.get("message_definition", "")
    schema = Schema(name, "ros1msg", text.encode()) if text.strip() else None
    return Arrived(topic, f"{package}/msg/{short}", _bytes_of(message), None, schema)


def _bytes_of(message: Any) -> bytes:
    """Return the bytes of a message. Those of `/clock`, which it hears itself, rospy gives out decoded."""
    data = getattr(message, "_buff", None)
    if data is None:
        buffer = BytesIO()
        message.serialize(buffer)
        data = buffer.getvalue()
    return bytes(data)


def _message_class(types: MessageTypes, type_name: str) -> Any:
    """Return a class of messages that are bytes, as `rospy` publishes them under a type."""
    import genpy

    schema = types.schema(type_name)

    class RospyMessage(genpy.Message):  # type: ignore[misc]
        __slots__ = ("data",)
        _type, _md5sum = schema.name, types.md5(type_name)
        _full_text = schema.data.decode()
        _has_header = False  # its sequence number is ours
        _slot_types = ("string",)

        def __init__(self, data: bytes = b"") -> None:
            self.data = data

        def serialize(self, buffer: BytesIO) -> None:
            buffer.write(self.data)

        def deserialize(self, data: bytes) -> RospyMessage:
            self.data = data
            return self

    return RospyMessage
