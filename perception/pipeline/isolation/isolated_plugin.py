"""A plugin in a process of its own, which is started again where it crashes, hangs or leaks."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from perception.errors import PluginError
from perception.pipeline.isolation.plugin_process import MOST_PREPARED, Stepped, run_plugin, stepped_outputs
from perception.pipeline.isolation.shared_buffers import BufferSender
from perception.pipeline.isolation.wire import Wire
from perception.plugin import Context, Manifest, Plugin, Prepared
from perception.types import Output, Reset, Sample

OPEN_S = 300.0
"""How long a plugin may take to open."""
FIRST_S = 30.0
"""How long the first call of each method may take: some plugins warm up in it."""
CLOSE_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""The pause before a plugin is started again; doubled each time, until it has run for `SOUND_S`."""
SOUND_S = 60.0
LOOK_S = 0.5
"""How often its memory is looked at."""

State = Literal["closed", "opening", "running", "restarting"]


@dataclass(frozen=True, slots=True)
class IsolationLimits:
    """What a plugin in a process of its own may take.

    Attributes:
        answer_s: For one call; a plugin that takes longer is ended and started again.
        memory_mb: Resident memory; None: half of the machine's.
    """

    answer_s: float = 2.0
    memory_mb: int | None = None

    @property
    def memory_bytes(self) -> int:
        """Return the limit of the memory, bytes."""
        if self.memory_mb is not None:
            return self.memory_mb << 20
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


class IsolatedPlugin(Plugin):
    """Runs a plugin in a process of its own; its outputs are those of the plugin in this process.

    Pixels and points go by shared memory. A call that fails raises PluginError, so that a runner makes its
    output invalid and goes on. A process that has died, does not answer in time or holds too much memory is
    started again in the background; until it is open, calls fail at once.

    Attributes:
        state: `running`, `restarting` or, before and after, `opening` and `closed`.
        restarts: How often the process was started again.

    Args:
        manifest: Of the plugin; its factory makes the plugin in the other process.
        limits: What it may take.
        in_order: Samples are prepared in order, by one thread: with batches of one, the other process then
            steps each sample as soon as it is prepared, and answers once for both.
    """

    def __init__(
        self, manifest: Manifest, limits: IsolationLimits | None = None, in_order: bool = False
    ) -> None:
        self.manifest = manifest
        self.state: State = "closed"
        self.restarts = 0
        self._limits = limits or IsolationLimits()
        self._in_order = in_order
        self._stepped: dict[int, Stepped] = {}
        self._lock = RLock()
        self._keys = count()
        self._buffers = BufferSender()
        self._context: Context | None = None
        self._process: Any = None
        self._wire: Wire | None = None
        self._answered: set[str] = set()
        self._why = ""
        self._due_s = self._opened_s = self._looked_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    # --- the contract ----------------------------------------------------------------------------

    def open(self, context: Context) -> None:
        self._context = context
        with self._lock:
            self._start("opening")
            self.manifest = self._receive("opening", OPEN_S)
            self.state, self._opened_s = "running", time.monotonic()

    def prepare(self, sample: Sample) -> Prepared:
        key = next(self._keys)
        with self._lock:
            self._check_running()
            parcel = tuple(self._buffers.pack(sample))
            absent, answer = self._call("prepare", (key, parcel, self._steps_at_once))
            if answer is not None:
                values, problem = answer
                self._stepped[key] = Stepped(stepped_outputs(values), problem)
            if len(self._stepped) > MOST_PREPARED:  # the host has given up the oldest
                del self._stepped[next(iter(self._stepped))]
        return Prepared(sample.with_absent(absent), key)

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """Compute what can be computed before `step`, where the plugin offers it."""
        if self._context is None or self._context.batch > 1:  # else it was done with `prepare`
            with self._lock:
                self._check_running()
                self._call("infer", [item.payload for item in prepared])
        return list(prepared)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        keys = [item.payload for item in prepared]
        with self._lock:
            if not all(key in self._stepped for key in keys):
                self._check_running()
                return stepped_outputs(self._call("step", keys))
            answers = [self._stepped.pop(key) for key in keys]
        if problem := next((answer.problem for answer in answers if answer.problem), ""):
            raise PluginError(problem)
        return [output for answer in answers for output in answer.outputs]

    def reset(self, reason: Reset) -> None:
        with self._lock:
            if self.state == "running":  # one that is started again remembers nothing
                self._call("reset", reason)

    def describe(self) -> Mapping[str, str]:
        with self._lock:
            described: Mapping[str, str] = self._call("describe")
        return {**described, "isolated": "true"}

    def output_stats(self) -> Mapping[str, Any] | None:
        """Return what the plugin knows of its outputs (`KnowsItsOutputs`)."""
        with self._lock:
            stats: Mapping[str, Any] | None = self._call("output_stats")
        return stats

    def input_profile(self) -> tuple[Any, Mapping[str, Any]] | None:
        """Return what the plugin knows of its inputs (`KnowsItsInputs`)."""
        with self._lock:
            profile: tuple[Any, Mapping[str, Any]] | None = self._call("input_profile")
        return profile

    def close(self) -> None:
        with self._lock:
            problem = ""
            if self.state == "running":
                try:
                    self._send("close")
                    self._receive("closing", CLOSE_S)
                except PluginError as error:
                    problem = str(error)
            self._end()
            self._buffers.close()
            self.state = "closed"
        if problem:
            raise PluginError(problem)

    # --- the process -----------------------------------------------------------------------------

    @property
    def _steps_at_once(self) -> bool:
        return self._in_order and self._context is not None and self._context.batch == 1

    def _start(self, state: State) -> None:
        context = get_context("spawn")
        answers, calls = context.Pipe(duplex=False), context.Pipe(duplex=False)
        self._wire = Wire(answers[0], calls[1])
        name = f"plugin {self.manifest.name}"
        others = calls[0], answers[1]
        self._process = context.Process(
            target=run_plugin, args=(*others, self.manifest), name=name, daemon=True
        )
        self._process.start()
        for other in others:
            other.close()
        self._answered.clear()
        self.state, self._due_s = state, time.monotonic() + OPEN_S
        self._send("open", self._context)

    def _check_running(self) -> None:
        """Raise unless the plugin runs; start it again where its pause is over."""
        if self.state == "running":
            self._look_at_memory()
        if self.state == "restarting":
            self._go_on_restarting()
        if self.state != "running":
            raise PluginError(f"the plugin is being started again: {self._why}")

    def _go_on_restarting(self) -> None:
        now_s = time.monotonic()
        if self._process is None:
            if now_s >= self._due_s:
                self.restarts += 1
                self._buffers.close()
                self._start("restarting")
            return
        if self._wire is not None and self._wire.poll(0):
            with suppress(PluginError):
                self._receive("opening", CLOSE_S)  # it has begun to answer
                self.state, self._opened_s = "running", now_s
        elif now_s > self._due_s:
            self._give_up(f"it did not open within {OPEN_S:.0f} s")

    def _call(self, method: str, argument: Any = None) -> Any:
        self._send(method, argument)
        wait_s = self._limits.answer_s if method in self._answered else max(self._limits.answer_s, FIRST_S)
        value = self._receive(method, wait_s)
        self._answered.add(method)
        return value

    def _send(self, method: str, argument: Any = None) -> None:
        assert self._wire is not None
        with suppress(OSError):  # it has died: `_receive` says so
            self._wire.send(pickle.dumps((method, argument), 5))

    def _receive(self, method: str, wait_s: float) -> Any:
        """Return the answer to the last call.

        Raises:
            PluginError: The plugin raised, does not answer in time, or has died; the latter two end it.
        """
        assert self._wire is not None
        try:
            value, problem, released = pickle.loads(self._wire.receive(wait_s))  # from our own process
        except TimeoutError:
            raise self._give_up(f"no answer to {method} within {wait_s:g} s") from None
        except (EOFError, OSError):
            self._process.join(1.0)
            raise self._give_up(_death(self._process.exitcode)) from None
        self._buffers.release(released)
        if problem:
            if method == "opening":
                raise self._give_up(problem)
            raise PluginError(problem)
        return value

    def _give_up(self, why: str) -> PluginError:
        """End the process, and have it started again after a pause; return the error for the caller."""
        now_s = time.monotonic()
        if self.state == "running" and now_s - self._opened_s > SOUND_S:
            self._pause_s = FIRST_PAUSE_S
        self._end()
        self.state, self._why = "restarting", why
        self._due_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return PluginError(f"the process of the plugin was ended: {why}")

    def _end(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._process is not None:
            if self.state != "closed":
                self._process.join(0.0 if self.state != "running" else 0.05)
            if self._process.is_alive():
                self._process.kill()
            self._process.join()
        self._wire = self._process = None

    def _look_at_memory(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        held, limit = _resident_bytes(self._process.pid), self._limits.memory_bytes
        if held > limit:
            self._give_up(f"it holds {held >> 20} MiB, allowed are {limit >> 20}")


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"it died of {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


def _resident_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 where the system does not say, as outside Linux."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
