"""The host for dora: a node with inputs for the sensors, and outputs detections, control, health and ack."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from threading import Event, Lock, Thread
from typing import Any

from perception.errors import ConfigError, PluginError
from perception.installation import install_command
from perception.pipeline.host_job import HostHealth, HostJob, HostSummary
from perception_plugins.hosts.dora_messages import DoraInputs, NumberedEvents
from perception_plugins.hosts.opening import open_loop
from perception_plugins.hosts.outcomes import HostFrame
from perception_plugins.hosts.serving import serve as serve_loop

ACK_S = 0.002
"""How often to look whether the loop has taken messages, while it has not taken all."""
LOSSLESS_QUEUE = 100_000
"""Messages that may wait where a source states arrivals: it waits for `ack`, so that none is lost."""


def serve(job: HostJob, report: Callable[[HostHealth], None]) -> HostSummary:
    """Run the node until dora stops it or all its inputs are closed; see `perception.pipeline.host_job.Host`.

    The option `clock` is `node` (arrivals are read from this machine's clock) or `messages` (sources state
    them in `log_time_ns`, as a replay does).
    """
    unknown = set(job.options) - {"clock"}
    clock = job.options.get("clock", "node")
    if unknown or clock not in ("node", "messages"):
        raise ConfigError([f"--set: expected clock=node or clock=messages, found {dict(job.options)}"])
    return _Node(job, stated=clock == "messages").serve(report)


class _Node:
    """A node of dora: one thread waits for events, that of the loop sends outputs, that of `serve` the rest.

    `Node.next` waits without a timeout: where one ends, dora 1.1.0 loses the events that come at that moment.
    """

    def __init__(self, job: HostJob, stated: bool) -> None:
        self._sending, self._woken = Lock(), Event()
        if stated:
            job = replace(job, queue=LOSSLESS_QUEUE)
        self._loop = open_loop(job, "dora", self._send_frame, None if stated else time.time_ns)
        self._inputs = DoraInputs(self._loop.config)
        self._join: Callable[[], Any]
        self._node: Any = None
        self._sends: frozenset[str] = frozenset()
        self._order = NumberedEvents()
        self._acknowledged = -1
        self._ended = False

    def serve(self, report: Callable[[HostHealth], None]) -> HostSummary:
        self._load()
        summary = serve_loop(self._loop, self._wait, self._publish_health, report, self._connect)
        self._ended = True
        self._acknowledge()
        return summary

    def _load(self) -> None:
        """Import dora, which takes a while, before the dataflow begins."""
        try:
            import dora
            import pyarrow as pa
        except ImportError as error:
            text = f"the host dora needs dora-rs; install it: {install_command('dora')}"
            raise PluginError(text) from error
        pa.array([0])  # looks for pandas, which takes seconds
        import_module("perception_plugins.hosts.dora_outputs")
        self._join = dora.Node

    def _connect(self) -> None:
        """Join the dataflow, and check the inputs that it gives this node."""
        try:
            self._node = self._join()
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0]
            text = f"expected to be a node of a dataflow that `dora run` or `dora start` runs: {first}"
            raise PluginError(f"{text}; see docs/hosts.md") from None
        config = self._node.node_config()
        self._sends = frozenset(config.get("outputs", ()))
        inputs = list(config.get("inputs", {}))
        if errors := self._inputs.unknown(inputs):
            raise ConfigError(errors, head="the dataflow gives this node inputs that it does not know")
        for topic in self._inputs.missing(inputs):
            self._node.log_warn(f"{topic} is configured, and no input of this node brings it")
        Thread(target=self._read, name="dora events", daemon=True).start()

    def _read(self) -> None:
        """Feed the loop until dora stops the node, or its inputs are closed."""
        while not self._ended:
            event = self._node.next()
            if event is None or event["type"] == "STOP":
                break
            if event["type"] != "INPUT":
                continue
            before = self._order.next
            for taken in self._order.take(event):
                message = self._inputs.message(taken)
                if message.lost:
                    self._loop.arrivals.note_lost(message.channel.topic, message.lost)
                self._loop.feed(*message[:4])
            if self._order.next == before:
                self._acknowledged = -1  # one is missing, or came again: say again how many have come
            if self._order.next is not None:
                self._woken.set()
        self._ended = True
        self._woken.set()

    def _wait(self, seconds: float) -> bool:
        """Acknowledge messages for a while; False: the dataflow has ended."""
        until_s = time.monotonic() + seconds
        while not self._ended:
            left_s = until_s - time.monotonic()
            if self._order.next is not None and self._order.next > self._acknowledged:
                left_s = min(left_s, ACK_S)
            self._woken.wait(max(left_s, 1e-4))
            self._woken.clear()
            self._acknowledge()
            if time.monotonic() >= until_s:
                break
        return not self._ended

    def _send_frame(self, frame: HostFrame) -> None:
        from perception_plugins.hosts.dora_outputs import outputs_of

        for output in outputs_of(frame):
            self._send(*output)

    def _acknowledge(self) -> None:
        """Say how many messages the loop has taken of a source that numbers them."""
        import pyarrow as pa

        if self._order.next is None:
            return
        done = self._order.next - self._loop.arrivals.waiting
        if done > self._acknowledged:
            self._acknowledged = done
            self._send("ack", pa.array([done]), {})

    def _publish_health(self, health: HostHealth) -> None:
        from perception_plugins.hosts.dora_outputs import health_output

        self._send(*health_output(health))

    def _send(self, output_id: str, data: Any, metadata: Any) -> None:
        if output_id in self._sends:
            with self._sending:
                self._node.send_output(output_id, data, dict(metadata))
