"""A stand-in for `rclpy`: the documented interface that the node uses, over a bus in memory.

It follows docs.ros2.org's reference of rclpy: keyword names, serialised messages with `raw=True`, publishers
that take bytes, quality of service that must match, parameters that are declared once.
"""

from __future__ import annotations

import enum
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from types import ModuleType
from typing import Any

import pytest


class ReliabilityPolicy(enum.IntEnum):
    RELIABLE = 1
    BEST_EFFORT = 2


class DurabilityPolicy(enum.IntEnum):
    TRANSIENT_LOCAL = 1
    VOLATILE = 2


class HistoryPolicy(enum.IntEnum):
    KEEP_LAST = 1


@dataclass(frozen=True)
class QoSProfile:
    history: HistoryPolicy = HistoryPolicy.KEEP_LAST
    depth: int = 10
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE


@dataclass(frozen=True)
class Endpoint:
    topic_type: str
    qos_profile: QoSProfile


@dataclass
class Value:
    value: Any


@dataclass
class Subscription:
    kind: str
    topic: str
    callback: Callable[[bytes], None]
    profile: QoSProfile


@dataclass
class Bus:
    """What the robot does: it advertises and sends, and keeps what the node publishes."""

    endpoints: dict[str, list[Endpoint]] = field(default_factory=dict)
    latched: dict[str, bytes] = field(default_factory=dict)
    published: list[tuple[str, bytes]] = field(default_factory=list)
    deliveries: queue.SimpleQueue[tuple[Subscription, bytes]] = field(default_factory=queue.SimpleQueue)
    subscriptions: list[Subscription] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    ended: Event = field(default_factory=Event)

    def advertise(self, topic: str, kind: str, profile: QoSProfile) -> None:
        self.endpoints.setdefault(topic, []).append(Endpoint(kind, profile))

    def send(self, topic: str, data: bytes) -> None:
        (endpoint,) = self.endpoints[topic]
        if endpoint.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
            self.latched[topic] = data
        for subscription in self.subscriptions:
            if subscription.topic == topic and matches(subscription, endpoint):
                self.deliveries.put((subscription, data))


def matches(subscription: Subscription, endpoint: Endpoint) -> bool:
    """Return whether what is asked for is offered: a larger number is less."""
    asked, offered = subscription.profile, endpoint.qos_profile
    return (
        subscription.kind == endpoint.topic_type
        and asked.reliability >= offered.reliability
        and asked.durability >= offered.durability
    )


class Publisher:
    def __init__(self, bus: Bus, topic: str) -> None:
        self._bus, self._topic = bus, topic

    def publish(self, msg: bytes) -> None:
        assert isinstance(msg, bytes)
        self._bus.published.append((self._topic, msg))


class Logger:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def warning(self, message: str) -> None:
        self._bus.logged.append(message)

    error = warning


class Node:
    def __init__(self, bus: Bus, node_name: str, parameters: dict[str, Any]) -> None:
        self.bus, self._name, self._given = bus, node_name, parameters
        self._declared: dict[str, Any] = {"use_sim_time": parameters.get("use_sim_time", False)}
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def get_name(self) -> str:
        return self._name

    def get_logger(self) -> Logger:
        return Logger(self.bus)

    def declare_parameter(self, name: str, value: Any) -> Value:
        assert name not in self._declared, "declared twice"
        self._declared[name] = self._given.get(name, value)
        assert isinstance(self._declared[name], type(value)), "a parameter keeps its type"
        return Value(self._declared[name])

    def has_parameter(self, name: str) -> bool:
        return name in self._declared

    def get_parameter(self, name: str) -> Value:
        return Value(self._declared[name])

    def create_timer(self, timer_period_sec: float, callback: Callable[[], None]) -> object:
        self.timers.append((timer_period_sec, callback))
        return callback

    def get_publishers_info_by_topic(self, topic_name: str) -> list[Endpoint]:
        return list(self.bus.endpoints.get(topic_name, ()))

    def create_publisher(self, msg_type: type, topic: str, qos_profile: QoSProfile) -> Publisher:
        assert isinstance(qos_profile, QoSProfile)
        return Publisher(self.bus, topic)

    def create_subscription(
        self,
        msg_type: type,
        topic: str,
        callback: Callable[[bytes], None],
        qos_profile: QoSProfile,
        *,
        raw: bool = False,
    ) -> Subscription:
        assert raw, "messages are objects otherwise"
        subscription = Subscription(msg_type.__name__, topic, callback, qos_profile)
        self.bus.subscriptions.append(subscription)
        for endpoint in self.bus.endpoints[topic]:
            durable = qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            if matches(subscription, endpoint) and durable and topic in self.bus.latched:
                self.bus.deliveries.put((subscription, self.bus.latched[topic]))
        return subscription

    def destroy_subscription(self, subscription: Subscription) -> bool:
        self.bus.subscriptions.remove(subscription)
        return True


def install(monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], packages: set[str]) -> Bus:
    """Put the stand-in in place of `rclpy` and of message packages; return the bus."""
    import sys

    bus = Bus()
    module, qos = ModuleType("rclpy"), ModuleType("rclpy.qos")
    module.init = lambda *, args=None, domain_id=None: None
    module.ok = lambda: not bus.ended.is_set()
    module.shutdown = bus.ended.set
    module.create_node = lambda node_name, *, namespace=None: Node(bus, node_name, parameters)
    module.spin = _spin
    for name in ("QoSProfile", "ReliabilityPolicy", "DurabilityPolicy", "HistoryPolicy"):
        setattr(qos, name, globals()[name])
    monkeypatch.setitem(sys.modules, "rclpy", module)
    monkeypatch.setitem(sys.modules, "rclpy.qos", qos)
    for package in packages:
        messages = ModuleType(f"{package}.msg")
        messages.__getattr__ = lambda name, package=package: type(f"{package}/msg/{name}", (), {})
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, f"{package}.msg", messages)
    return bus


def _spin(node: Node) -> None:
    due = {index: 0.0 for index, _ in enumerate(node.timers)}
    while not node.bus.ended.is_set():
        for index, (period_s, callback) in enumerate(node.timers):
            if time.monotonic() >= due[index]:
                due[index] = time.monotonic() + period_s
                callback()
        try:
            subscription, data = node.bus.deliveries.get(timeout=0.02)
        except queue.Empty:
            continue
        if subscription in node.bus.subscriptions:
            subscription.callback(data)
