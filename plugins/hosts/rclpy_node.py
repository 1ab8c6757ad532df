"""The executable `perception_node` of the ROS 2 package `perception_ros`: a node by `rclpy`.

It does what `perception host ros2` does; its settings are parameters, as a launch file gives them. Without a
workspace, `perception host ros2 --set transport=rclpy` is the same node.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perception.autoconfig import Overrides
from perception.errors import ConfigError, PerceptionError
from perception.pipeline.host_job import HostHealth, HostJob, HostSummary
from perception_plugins.hosts.ros.message_types import MessageTypes
from perception_plugins.hosts.ros.node import node_settings, serve_node
from perception_plugins.hosts.ros.rclpy_transport import RclpyTransport
from perception_plugins.hosts.ros.settings import NODE_KEYS, RosSettings
from perception_plugins.hosts.ros.transport import Notes

PARAMETERS: Mapping[str, Any] = {
    "config": "",
    "record": "",
    "plugin": "",
    "checkpoint": "",
    "device": "auto",
    "queue": 3,
    "isolate": False,
    "answer_s": 2.0,
    "control": "twist",
    "wheelbase_m": 0.0,
    "definitions": "",
}
"""Parameters with their defaults; `config` is required, an empty text or 0.0 is none."""


def main(args: list[str] | None = None) -> int:
    """Run the node until ROS ends it; return an exit status."""
    import rclpy

    rclpy.init(args=args)
    node = rclpy.create_node("perception")
    try:
        summary = serve(node)
    except PerceptionError as error:
        node.get_logger().error(str(error))
        return 2 if isinstance(error, ConfigError) else 1
    finally:
        if rclpy.ok():
            rclpy.shutdown()
    return 1 if summary.status == "failed" else 0


def serve(node: Any) -> HostSummary:
    """Run the host on a node.

    Args:
        node: A `rclpy.node.Node`, with parameters.

    Raises:
        PerceptionError: It cannot begin.
    """
    values = {name: node.declare_parameter(name, default).value for name, default in PARAMETERS.items()}
    job = job_of(values, node.get_name(), _simulated_time(node))
    return _serve_on(node, job, node_settings(job, NODE_KEYS), _Log(node.get_logger()))


def serve_job(job: HostJob, settings: RosSettings, report: Callable[[HostHealth], None]) -> HostSummary:
    """Run the host of `perception host ros2 --set transport=rclpy`, on a node of its own.

    Raises:
        PerceptionError: It cannot begin; also where no ROS is sourced.
    """
    try:
        import rclpy
    except ImportError as error:
        raise PerceptionError(
            f"transport=rclpy needs a ROS 2 installation that is sourced, in the Python that it is made for "
            f"({error}): source /opt/ros/$ROS_DISTRO/setup.bash; transport=dds and transport=zenoh need none"
        ) from None
    rclpy.init(**({"domain_id": settings.domain} if "domain" in job.options else {}))
    try:
        namespace, _, name = settings.node.rpartition("/")
        node = rclpy.create_node(name, namespace=f"/{namespace}")
        return _serve_on(node, job, settings, report)
    finally:
        if rclpy.ok():
            rclpy.shutdown()


def _serve_on(
    node: Any, job: HostJob, settings: RosSettings, report: Callable[[HostHealth], None]
) -> HostSummary:
    transport = RclpyTransport(node, Notes())
    types = MessageTypes("cdr", settings.definitions)
    return serve_node(job, "ros2", types, settings, lambda: transport, report, transport.wait)


def job_of(values: Mapping[str, Any], node: str, use_sim_time: bool) -> HostJob:
    """Return the job that parameters describe. Raises ConfigError without `config`."""
    if not values["config"]:
        raise ConfigError(
            ["config: missing; expected the path of the YAML file"], head="parameters of the node"
        )
    options = {"node": node, "control": str(values["control"]), "use_sim_time": str(use_sim_time).lower()}
    options |= {key: str(values[key]) for key in ("wheelbase_m", "definitions") if values[key]}
    checkpoint = Path(values["checkpoint"]) if values["checkpoint"] else None
    return HostJob(
        config=Path(values["config"]),
        overrides=Overrides(values["plugin"] or None, checkpoint),
        device=values["device"],
        record=Path(values["record"]) if values["record"] else None,
        queue=int(values["queue"]),
        isolate=bool(values["isolate"]),
        answer_s=float(values["answer_s"]),
        options=options,
    )


def _simulated_time(node: Any) -> bool:
    """Return the parameter that every node of rclpy declares by itself."""
    if not node.has_parameter("use_sim_time"):
        return False
    return bool(node.get_parameter("use_sim_time").value)


class _Log:
    """Logs each problem when it begins."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._problems: frozenset[str] = frozenset()

    def __call__(self, health: HostHealth) -> None:
        problems = frozenset(_kind(text) for text in health.problems)
        for text in health.problems:
            if _kind(text) not in self._problems:
                self._logger.warning(text)
        self._problems = problems


def _kind(text: str) -> str:
    return "".join(letter for letter in text if not letter.isdigit())


if __name__ == "__main__":
    sys.exit(main())
