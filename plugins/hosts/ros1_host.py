"""`perception host ros1`: a node of ROS 1, by `rospy`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from perception.pipeline.host_job import HostHealth, HostJob, HostSummary
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.node import node_settings, serve_node
from perception_plugins.hosts.ros.rospy_transport import RospyTransport
from perception_plugins.hosts.ros.settings import NODE_KEYS
from perception_plugins.hosts.ros.transport import Notes


def serve(job: HostJob, report: Callable[[HostHealth], None]) -> HostSummary:
    """Run the node until ROS or an interrupt ends it. Time is simulated where `/use_sim_time` is set.

    Raises:
        PerceptionError: It cannot begin; also where `rospy` or a master is missing.
    """
    settings = node_settings(job, NODE_KEYS)
    types = MessageTypes("ros1", settings.definitions)
    transport = RospyTransport(types, settings.node, Notes())
    if "use_sim_time" not in job.options:
        settings = replace(settings, use_sim_time=transport.simulated_time())
    return serve_node(job, "ros1", types, settings, lambda: transport, report, transport.wait)
