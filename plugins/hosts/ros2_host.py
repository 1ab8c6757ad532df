"""`perception host ros2`: a ROS 2 node over Zenoh or DDS, which need no ROS installation, or over `rclpy`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from perception.errors import PerceptionError
from perception.installation import install_command
from perception.pipeline.host_job import HostHealth, HostJob, HostSummary
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.node import node_settings, serve_node
from perception_plugins.hosts.ros.settings import ROS2_KEYS, RosSettings
from perception_plugins.hosts.ros.transport import Notes, Transport


def serve(job: HostJob, report: Callable[[HostHealth], None]) -> HostSummary:
    """Run the node until an interrupt ends it.

    Raises:
        PerceptionError: It cannot begin; also where the extra `ros2` is not installed.
    """
    settings = node_settings(job, ROS2_KEYS)
    if settings.transport == "rclpy":
        from perception_plugins.hosts.rclpy_node import serve_job

        return serve_job(job, settings, report)
    types = MessageTypes("cdr", settings.definitions)

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return True

    def report_where(health: HostHealth) -> None:
        report(replace(health, listens=f"{settings.transport}, domain {settings.domain}"))

    return serve_node(job, "ros2", types, settings, lambda: connect(types, settings), report_where, wait)


def connect(types: MessageTypes, settings: RosSettings) -> Transport:
    """Return the transport of a node, connected. Raises PerceptionError."""
    try:
        if settings.transport == "zenoh":
            from perception_plugins.hosts.ros.zenoh_transport import ZenohTransport

            endpoints = settings.connect, settings.listen
            hashes = settings.type_hashes
            return ZenohTransport(types, settings.node, settings.domain, *endpoints, hashes, Notes())
        from perception_plugins.hosts.ros.dds_transport import DdsTransport

        return DdsTransport(types, settings.node, settings.domain, not settings.type_hashes, Notes())
    except ImportError as error:
        raise PerceptionError(
            f"this host needs the extra `ros2`: {install_command('ros2')} ({error})"
        ) from None
