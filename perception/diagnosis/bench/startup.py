"""The time from the start of a process to the first output of a replay, by phase."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perception.config import to_yaml
from perception.diagnosis.bench.measured_setup import MeasuredSetup
from perception.errors import PluginError

_CHILD = (
    "import sys, time; began = time.time(); from perception.diagnosis.bench.startup import measure; "
    "measure(began, *sys.argv[1:])"
)


@dataclass(frozen=True, slots=True)
class StartUp:
    """The consecutive phases of a start, in seconds of wall time.

    Attributes:
        python: Until the interpreter runs the first line.
        imports: Of this project and of the libraries it uses, those of the backend among them.
        load: Reading the log's index and the weights.
        compile: The rest of opening the plugin: lowering, compiling or loading a cached compilation, and
            the inference that warms it up.
        first_output: Reading to the first tick, preparing, computing and writing.
        torch: Whether torch was imported.
    """

    python: float
    imports: float
    load: float
    compile: float
    first_output: float
    torch: bool

    @property
    def total(self) -> float:
        return self.python + self.imports + self.load + self.compile + self.first_output


def start_up(setup: MeasuredSetup) -> StartUp:
    """Measure one start in a new process.

    Raises:
        PluginError: The process failed; the text gives its last line.
    """
    request = {
        "log": str(setup.log),
        "config": to_yaml(setup.config),
        "device": setup.device,
        "weights": None if setup.weights is None else str(setup.weights),
    }
    command = [sys.executable, "-c", _CHILD, repr(time.time()), json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        lines = done.stderr.strip().splitlines()
        raise PluginError(f"the start could not be measured: {lines[-1] if lines else 'no message'}")
    return StartUp(**json.loads(done.stdout.splitlines()[-1]))


def measure(began: float, started: str, text: str) -> None:
    """Replay up to the first output and write the times to stdout as JSON; runs in the new process."""
    from perception.config import parse_config
    from perception.config.safe_yaml import parse_yaml
    from perception.diagnosis.bench.kept_plugins import kept
    from perception.logs import open_log
    from perception.pipeline import ReplayOptions, context_of, replay
    from perception.plugin import load_plugin
    from perception.sinks import McapSink

    request = json.loads(text)
    config = parse_config(parse_yaml(request["config"]))
    plugin = kept(load_plugin(config.plugin.name))
    imported = time.time()
    first = _First()
    with open_log(Path(request["log"])) as log:
        indexed = time.time()
        with _imports() as inside:
            plugin.open(context_of(config, request["device"]))
        opened = time.time()
        load = _load_s(request["weights"])
        again = time.time()
        options = ReplayOptions(device=request["device"], observer=first)
        replay(log, config, plugin, [McapSink(Path("/dev/null"))], options)
    load = min(load, opened - indexed - inside.seconds)
    start = StartUp(
        python=began - float(started),
        imports=imported - began + inside.seconds,
        load=indexed - imported + load,
        compile=opened - indexed - inside.seconds - load,
        first_output=first.at - again,
        torch="torch" in sys.modules,
    )
    sys.stdout.write(json.dumps(asdict(start)) + "\n")


class _First:
    """An observer that ends a run at its first output."""

    at = float("nan")

    def before(self, sample: object) -> None:
        """Do nothing."""

    def after(self, progress: object) -> None:
        self.at = time.time()
        raise KeyboardInterrupt


class _Inside:
    seconds = 0.0


@contextmanager
def _imports() -> Iterator[_Inside]:
    """Measure the time that imports inside the block take."""
    real, inside, depth = builtins.__import__, _Inside(), 0

    def timed(*arguments: Any, **named: Any) -> Any:
        nonlocal depth
        began, depth = time.time(), depth + 1
        try:
            return real(*arguments, **named)
        finally:
            depth -= 1
            if depth == 0:
                inside.seconds += time.time() - began

    builtins.__import__ = timed
    try:
        yield inside
    finally:
        builtins.__import__ = real


def _load_s(weights: str | None) -> float:
    """Return the seconds that reading the weights again takes: into a model with torch, else as bytes."""
    began = time.time()
    if weights is not None and "torch" in sys.modules:
        from perception.models.checkpoint import load_checkpoint

        load_checkpoint(Path(weights))
    elif weights is not None:
        Path(weights).read_bytes()
    return time.time() - began
