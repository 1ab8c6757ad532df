"""The protocol of a sink, and the choice of a sink for a file.

A sink is found by the entry-point group `perception.sinks`: the name of an entry point is a file suffix
without its dot, and it names a class that is made from a path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from perception.errors import MissingExtraError, OutputError
from perception.extensions import extension_points
from perception.files import same_file
from perception.sinks.run_info import RunInfo
from perception.types import Message, Output, Sample, TruthFrame

GROUP = "perception.sinks"
Level = Literal["info", "warning", "error"]
"""How much a remark matters."""
_BUILT_IN = {  # other packages add theirs by entry point
    "mcap": "perception.sinks.mcap_sink:McapSink",
    "jsonl": "perception.sinks.jsonl_sink:JsonlSink",
    "mp4": "perception.sinks.video:VideoSink",
    "webm": "perception.sinks.video:VideoSink",
    "rrd": "perception_plugins.viewers.rerun_sink:RerunSink",
    "foxglove-layout": "perception_plugins.viewers.foxglove_layout:LayoutSink",
}
_NO_FORMAT = ("", "outputs")
"""Suffixes that name no format: the file is an output log (`/dev/stdout`, `drive.outputs`)."""


class Sink(Protocol):
    """A destination of the outputs of one run, in order.

    `open` once, `write` for each output, `close` once, also after an error. Every method raises
    `OutputError` in one line where nothing can be written.
    """

    def open(self, run: RunInfo) -> None:
        """Open the file."""

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        """Write the output of one sample; truth where it is known; wall-clock milliseconds by stage."""

    def close(self) -> None:
        """Finish the file. May be called twice, and without `open`."""


class OutputSink(Sink):
    """The base of sinks that hold no file: `open` and `close` do nothing."""

    def open(self, run: RunInfo) -> None:
        return None

    def close(self) -> None:
        return None


@runtime_checkable
class TakesReceipt(Protocol):
    """A sink that also keeps values known only at the end of a run."""

    def sign(self, receipt: Mapping[str, str]) -> None:
        """Write the receipt of the run (`perception.pipeline.run_record`). Called once, before `close`."""


@runtime_checkable
class TakesInputs(Protocol):
    """A sink that also copies input messages."""

    def copy(self, message: Message) -> None:
        """Copy an input message as it is. Messages come in order of arrival."""


@runtime_checkable
class TakesValues(Protocol):
    """A sink that also keeps named values beside an output: of the monitor, or errors of an evaluation."""

    def add_values(self, topic: str, output: Output, rows: Sequence[tuple[str, str, float]]) -> None:
        """Write values (name, unit, value) beside an output that was written."""


@runtime_checkable
class TakesRemarks(Protocol):
    """A sink that also shows texts about a moment: lost messages, warnings, the doubts of the monitor."""

    def add_remark(self, level: Level, subject: str, text: str, log_time_ns: int, stamp_ns: int) -> None:
        """Show a text about a subject (a topic, a sensor, a head) at a moment."""


@runtime_checkable
class ShowsMoments(Protocol):
    """A sink that begins at the worst moments of an evaluation."""

    def show_moments(self, moments: Callable[[], Sequence[tuple[int, int, str]]]) -> None:
        """Take what gives the moments, worst first, once the run is over: log time, stamp, and a text."""


@runtime_checkable
class ShowsOneCamera(Protocol):
    """A sink that shows the picture of one camera: of several that of the reference camera by default."""

    def show_camera(self, name: str) -> None:
        """Show the picture of another camera from now on."""


def ignores_truth(sink: Sink) -> bool:
    """Return whether a sink never reads the truth: its own class (not a base of it) says `ignores_truth`.

    Where all sinks of a replay do, the boxes of the truth are not placed in the image, which costs more than
    the model (19 ms for 70 cuboids).
    """
    return bool(vars(type(sink)).get("ignores_truth", False))


def to_values(sinks: Sequence[Sink]) -> Callable[..., None] | None:
    """Return a function that gives values to each sink that takes them; None where none does."""
    return _to_each([sink.add_values for sink in sinks if isinstance(sink, TakesValues)])


def to_remarks(sinks: Sequence[Sink]) -> Callable[..., None] | None:
    """Return a function that gives remarks to each sink that takes them; None where none does."""
    return _to_each([sink.add_remark for sink in sinks if isinstance(sink, TakesRemarks)])


def _to_each(functions: Sequence[Callable[..., None]]) -> Callable[..., None] | None:
    if len(functions) < 2:
        return functions[0] if functions else None

    def call(*arguments: object) -> None:
        for function in functions:
            function(*arguments)

    return call


def refuse_input(path: Path, run: RunInfo) -> None:
    """Check that `path` may be written to.

    Raises:
        OutputError: It is the log that is being read (under any name), or a folder, or has no folder.
    """
    if run.input is not None and same_file(path, run.input):
        raise OutputError(f"the output would replace the log that is being read, name another file: {path}")
    if path.is_dir():
        raise OutputError(f"expected a file to write, found a folder: {path}")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist, make it first: {path}")


def own_files(sink: Sink) -> Callable[[Path], bool] | None:
    """Return the function by which a sink recognises its own files (`is_ours`); None where it has none."""
    is_ours: Callable[[Path], bool] | None = getattr(sink, "is_ours", None)
    return is_ours


def make_sink(path: Path, suffix: str | None = None) -> Sink:
    """Return the sink that writes a file, not opened yet.

    Args:
        path: The file to write. Its suffix chooses the sink; without one, and for `.outputs`, MCAP.
        suffix: The suffix to choose by, in place of the path's own.

    Raises:
        OutputError: No sink has that suffix, or the sink does not load.
        PluginError: Packages have different sinks for a suffix.
        MissingExtraError: It needs an extra that is not installed.
    """
    points = extension_points(GROUP, _BUILT_IN)
    name = (suffix or path.suffix).lower().lstrip(".")
    point = points.get("mcap" if name in _NO_FORMAT else name)
    if point is None:
        known = ", ".join(f".{each}" for each in sorted(points))
        raise OutputError(f"no sink writes .{name} files; expected one of {known}, found: {path}")
    try:
        sink: Sink = point.load()(path)
    except (OutputError, MissingExtraError):
        raise
    except Exception as error:
        cause = f"{point.value}: {type(error).__name__}: {error}"
        raise OutputError(f"the sink '{point.name}' does not load: {cause}; uninstall or mend it") from error
    return sink
