"""The loop of a host: messages in, aligner, plugin, outputs; the code of replay in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Self

from perception.align.ledger import Ledger
from perception.config import Config, Role
from perception.diagnosis.monitor import MonitorSink
from perception.errors import ConfigError
from perception.pipeline import ReplayOptions, Runner
from perception.pipeline.digest import ContentDigest, OutputDigest
from perception.pipeline.host_job import HostHealth, HostSummary
from perception.pipeline.opened_plugin import close_plugin, context_of, describe_plugin, start_plugin
from perception.pipeline.run_record import receipt_of, run_info
from perception.plugin import Plugin
from perception.plugin.failures import failure_text
from perception.sinks import RunInfo, Sink
from perception.types import Channel, Message
from perception_plugins.hosts.arrivals import Arrivals
from perception_plugins.hosts.health import HealthReport
from perception_plugins.hosts.live_source import LiveSource
from perception_plugins.hosts.outcomes import HostFrame, Outcomes
from perception_plugins.hosts.recording import HostRecording
from perception_plugins.hosts.warm_up import warm_up

QUEUE = 3
OTHER_QUEUE, RIG_QUEUE = 64, 512
"""How many messages of other sensors, and of status and rig, may wait: they are small, or cost little."""
END_S = 5.0
"""How long the loop may take to end; a plugin that hangs is left behind then."""


class HostLoop:
    """Runs a plugin on messages that arrive, until it is stopped::

        with HostLoop(config, plugin, publish) as loop:
            loop.feed(channel, data)             # from any thread
            loop.health()                        # about once a second

    A thread of its own aligns, runs the plugin and calls `publish`. Each tick gives the output that a replay
    of the same messages gives, bit for bit, `record`ed ones included.

    Args:
        config: Complete: a host finds nothing in a log. `host_config` reads it.
        plugin: Not open; opened and closed by the thread.
        publish: Called with each output, in order, by the thread. What it raises is counted.
        clock: Returns the arrival time in ns; None: `feed` and `tell_time` state it (simulated time).
        record: Where to write inputs and outputs; not open.
        device: `cpu` or `cuda`.
        queue: How many messages of the reference and of a camera may wait for the plugin; older ones are
            dropped, and counted.
        host: The name of the host.
        notes: What of the configuration is not used, for the health and the account.

    Raises:
        ConfigError: The configuration cannot be that of a host.
    """

    def __init__(
        self,
        config: Config,
        plugin: Plugin,
        publish: Callable[[HostFrame], None],
        clock: Callable[[], int] | None = time.time_ns,
        record: HostRecording | None = None,
        device: str = "cpu",
        queue: int = QUEUE,
        host: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        _check(config)
        self.config = config
        self._plugin = plugin
        self._record = record
        self._options = ReplayOptions(device=device)
        self._host = host
        self._notes = tuple(notes)
        self.arrivals = Arrivals(_depths(config, queue), clock)
        self._ledger, self._content, self._digest = Ledger(), ContentDigest(), OutputDigest()
        self._source = LiveSource(config, self.arrivals, self._ledger, self._took)
        self._monitor = MonitorSink(plugin, record.add_values if record is not None else None)
        self._outcomes = Outcomes(config, self._source.came_s, publish, self._monitor)
        sinks: list[Sink] = [self._outcomes, self._digest]
        self._sinks = [*sinks, *([record] if record is not None else []), self._monitor]
        self._runner = Runner(
            plugin,
            self._sinks,
            ledger=self._ledger,
            observer=self._outcomes,
            control_camera=config.control_camera,
        )
        self._outcomes.tally = self._runner.tally
        self._description: dict[str, str] = {}
        self._opened, self._ended = Event(), Event()
        self._failure: BaseException | None = None
        self._began_s = time.monotonic()
        self._thread = Thread(target=self._run, name="host loop", daemon=True)

    @property
    def description(self) -> Mapping[str, str]:
        """Return how the open plugin describes itself; empty before it is open."""
        return self._description

    @property
    def topics(self) -> Mapping[str, Role]:
        """Return the topics to listen to, with their roles."""
        return self.config.roles()

    def feed(
        self, channel: Channel, data: bytes, publish_ns: int | None = None, received_ns: int | None = None
    ) -> None:
        """Add a message; from any thread. It returns at once.

        Args:
            channel: Topic, encoding and schema, as of a log; one object for each stream.
            data: The bytes of the message, as a log has them.
            publish_ns: When it was sent, where the stack says.
            received_ns: When it arrived, for a host without a clock of its own.
        """
        self.arrivals.put(channel, data, publish_ns, received_ns)

    def tell_time(self, now_ns: int) -> None:
        """Move the clock of a host without one of its own (`/clock`)."""
        self.arrivals.tell_time(now_ns)

    def start(self) -> None:
        """Open the plugin and the recording, and begin.

        Raises:
            PerceptionError: One of them does not open.
        """
        self._thread.start()
        while not self._opened.wait(0.2) and not self._ended.wait(0):  # so that a signal is heard
            pass
        if not self._opened.is_set() and self._failure is not None:
            raise self._failure

    def stop(self, wait_s: float = END_S) -> None:
        """Give the waiting messages to the plugin, close what is open and end; within `wait_s`."""
        self.arrivals.stop()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        if self._thread.is_alive() and self._record is not None:
            self._record.close()  # the plugin hangs: what was recorded is kept

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def failed(self) -> bool:
        """Return whether the loop has ended by an error of its own."""
        return self._ended.is_set() and self._failure is not None

    def health(self) -> HostHealth:
        """Return the state of the host; from any thread."""
        return self._report().health()

    def summary(self) -> HostSummary:
        """Return the account, once the host is stopped."""
        failure = "" if self._failure is None else failure_text(self._failure)
        if self._thread.is_alive():
            is_open = self._opened.is_set()
            failure = "the plugin hung at the end" if is_open else "the plugin was still being opened"
            failure += ", and was left behind"
        run = {"plugin": self._plugin.manifest.name, **self._description}
        return self._report().summary(self._ledger, run, failure)

    def _report(self) -> HealthReport:
        return HealthReport(
            self.config,
            self.arrivals,
            self._source.undecodable,
            self._outcomes,
            self._plugin,
            self._record,
            self._failure,
            self._began_s,
            self._host,
            self._notes,
        )

    def _took(self, message: Message) -> None:
        if self._record is not None:
            self._content.add(message)
            self._record.copy(message)

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        run: RunInfo | None = None
        try:
            context = context_of(self.config, self._options.device)
            start_plugin(self._plugin, context)
            warm_up(self._plugin, context)
            self._description = describe_plugin(self._plugin)
            run = run_info(None, self.config, self._plugin, self._description, self._options)
            for sink in self._sinks:
                sink.open(run)
            self._began_s = time.monotonic()
            self._opened.set()
            self._runner.run(self._source.samples())
        except BaseException as error:  # whatever it is: the host says so, and is not taken down by a thread
            self._failure = error
        finally:
            self._finish(run)
            self._ended.set()

    def _finish(self, run: RunInfo | None) -> None:
        for topic, account in self.arrivals.topics.items():
            self._ledger.add(topic, "dropped_live", account.dropped)
        self._ledger.finish()
        try:
            if self._record is not None and run is not None and self._opened.is_set():
                self._sign(self._record, run)
            if self._record is not None:
                self._record.close()
            close_plugin(self._plugin)
        except BaseException as error:
            self._failure = self._failure or error

    def _sign(self, record: HostRecording, run: RunInfo) -> None:
        if self._source.end_ns is not None:
            record.end(self._source.end_ns)
        tally = self._runner.tally
        ended = "whole" if self._failure is None else "failed"
        seed, digest = self.config.engine.seed, self._digest.hexdigest()
        record.sign(
            receipt_of(run, self._options, seed, ended, self._content, digest, tally.frames, tally.errors)
        )


def _check(config: Config) -> None:
    errors = []
    if not config.sensors.named:
        errors.append("sensors: missing; a host has no log to find them in (`perception info LOG --yaml`)")
    if config.faults:
        errors.append("faults: a host injects none; leave them out, or use `perception replay`")
    if errors:
        raise ConfigError(errors)


def _depths(config: Config, queue: int) -> dict[str, int]:
    """Return for each topic how many messages of it may wait."""
    depths = dict.fromkeys(config.roles(), RIG_QUEUE)
    for name, section in config.sensors.named.items():
        if name == config.reference or section.kind == "camera":
            depths[section.topic] = queue
        elif section.kind == "range":
            depths[section.topic] = OTHER_QUEUE
    return depths
