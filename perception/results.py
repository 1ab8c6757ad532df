"""The results that a notebook gets: tables of rows, a sample with its output, the result of a replay."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from perception.align.ledger import Ledger
from perception.config import Config
from perception.logs import open_log
from perception.pipeline import Span, Summary
from perception.pipeline.log_source import LogSource
from perception.pipeline.viewers import load_viewer
from perception.sinks import RunInfo, Sink
from perception.types import Detection, Output, Sample
from perception.types.table import Table


class ReplayedPart(NamedTuple):
    """The input of a replay: its log, complete configuration and part, and the record of the run."""

    log: Path
    config: Config
    span: Span
    run: RunInfo


class _SampleOutput(NamedTuple):
    sample: Sample
    output: Output


class Answer(_SampleOutput):
    """A sample and what the plugin said of it; in a notebook, the picture with its boxes.

    Attributes:
        run: The record of the run, whose classes choose the colours; None: it is not known.
    """

    run: RunInfo | None = None

    def draw(self) -> Any:
        """Return the camera's picture with boxes, returns and control drawn on it, uint8 RGB [H, W, 3]."""
        from perception.sinks import draw

        return draw(self.sample, self.output, run=self.run)

    def _repr_html_(self) -> str:
        import cv2

        _, encoded = cv2.imencode(".jpg", self.draw()[..., ::-1])
        data = b64encode(encoded.tobytes()).decode()
        return f'<img alt="sample {self.sample.tick.index}" src="data:image/jpeg;base64,{data}">'


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of a replay.

    Attributes:
        summary: The account of the run: status, frames, latencies, ledger, warnings.
        outputs: The output of each tick, in order.
        source: What was replayed.
    """

    summary: Summary
    outputs: tuple[Output, ...] = field(repr=False)
    source: ReplayedPart | None = field(default=None, repr=False, compare=False)

    def show(self, window: bool | None = None) -> Any:
        """Show the run in the Rerun viewer (extra `rerun`), and return the viewer.

        The samples are read from the log again; the outputs are these. In a notebook without a display the
        viewer is a frame below the cell.

        Args:
            window: Open a window; None: where there is a display, else serve the web viewer on 127.0.0.1.

        Raises:
            MissingExtraError: The extra is not installed.
            LogError: The log can no longer be read.
            OutputError: The viewer does not start.
        """
        viewer = load_viewer("rerun").RerunViewer(window)
        self.write_to(viewer.sink())
        return viewer

    def write_to(self, sink: Sink) -> None:
        """Write the outputs to a sink, with the samples read from the log again.

        Raises:
            ValueError: The result is not of a replay of a log.
        """
        if self.source is None:
            raise ValueError(
                "this result does not know its log; expected one that perception.replay returned"
            )
        path, config, span, run = self.source
        outputs = {(output.tick.stamp_ns, output.tick.log_time_ns): output for output in self.outputs}
        with open_log(path) as log:
            sink.open(run)
            try:
                for sample in LogSource(log, config, Ledger(), span).samples():
                    output = outputs.get((sample.tick.stamp_ns, sample.tick.log_time_ns))
                    if output is not None:
                        sink.write(sample, output)
            finally:
                sink.close()

    @property
    def ledger(self) -> Table:
        """Messages by topic and row of the ledger: columns topic, row, messages."""
        return Table(
            [
                {"topic": topic, "row": row, "messages": count}
                for topic, rows in self.summary.ledger.items()
                for row, count in rows.items()
            ],
            ("topic", "row", "messages"),
        )

    @property
    def detections(self) -> Table:
        """One row for each detection: tick, camera, label, score, box in pixels, distance, position.

        `camera` is the name in the configuration; of several cameras each has its rows. `x_m`, `y_m`, `z_m`
        are in `position_frame`, with the covariance `cov_xx_m2`, `cov_xy_m2`, ...; where they are None,
        `position_unknown` has the code of the reason.
        """
        only = "" if self.source is None else self.source.config.reference_camera or ""
        rows = [row for output in self.outputs for row in _detection_rows(output, only)]
        return Table(rows, _DETECTION_COLUMNS)

    @property
    def control(self) -> Table:
        """One row for each tick with valid control: a column for each channel and its standard deviation."""
        rows = [_control_row(output) for output in self.outputs if output.control and output.control.valid]
        return Table(rows, None if rows else ("tick", "stamp_ns"))

    def _repr_html_(self) -> str:
        return self.summary._repr_html_()


_PAIRS = [(i, j) for i in range(3) for j in range(i, 3)]
_DETECTION_COLUMNS = (
    *("tick", "stamp_ns", "camera", "label", "score", "x1", "y1", "x2", "y2"),
    *("distance_m", "distance_std_m", "visible", "x_m", "y_m", "z_m"),
    *(f"cov_{'xyz'[i]}{'xyz'[j]}_m2" for i, j in _PAIRS),
    *("position_frame", "position_unknown"),
)


def _detection_rows(output: Output, only: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one output, camera by camera.

    Args:
        only: The name of the camera, where there is only one.
    """
    of_one = {} if output.detections is None else {only: output.detections}
    for camera, head in (output.cameras or of_one).items():
        for item in head.items:
            values = (
                *(output.tick.index, output.tick.stamp_ns, camera, item.label, item.score, *item.xyxy),
                *(item.distance_m, item.distance_std_m, item.visible),
                *_position(item),
                *(head.position_frame, item.position_unknown),
            )
            yield dict(zip(_DETECTION_COLUMNS, values, strict=True))


def _position(item: Detection) -> tuple[float | None, ...]:
    """Return the position and the upper triangle of its covariance, None where it is unknown."""
    position, cov = item.position_m or (None,) * 3, item.position_cov_m2
    return (*position, *(None if cov is None else cov[i][j] for i, j in _PAIRS))


def _control_row(output: Output) -> dict[str, Any]:
    assert output.control is not None
    row: dict[str, Any] = {"tick": output.tick.index, "stamp_ns": output.tick.stamp_ns}
    for channel in output.control.channels:
        row |= {channel.name: channel.value, f"{channel.name}_std": channel.std}
    return row
