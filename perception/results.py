"""What a notebook gets back: tables of rows, a sample with its output, the result of a replay."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from perception.align.ledger import Ledger
from perception.config import Config
from perception.config.config_file import to_yaml
from perception.logs import open_log
from perception.pipeline import Span, Summary
from perception.pipeline.log_source import LogSource
from perception.pipeline.viewers import load_viewer
from perception.sinks import RunInfo, Sink
from perception.types import Detection, Detections, Output, Sample
from perception.types.table import Table


class ReplayedPart(NamedTuple):
    """What was replayed: the log, the complete configuration, and the part."""

    log: Path
    config: Config
    span: Span


class Answer(NamedTuple):
    """A sample and what the plugin said of it; in a notebook, the picture with its boxes."""

    sample: Sample
    output: Output

    def draw(self) -> Any:
        """Return the camera's picture with boxes, returns and control drawn on it, uint8 RGB [H, W, 3]."""
        from perception.sinks import draw

        return draw(self.sample, self.output)

    def _repr_html_(self) -> str:
        import cv2

        _, encoded = cv2.imencode(".jpg", self.draw()[..., ::-1])
        data = b64encode(encoded.tobytes()).decode()
        return f'<img alt="sample {self.sample.tick.index}" src="data:image/jpeg;base64,{data}">'


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay gave.

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
        path, config, span = self.source
        outputs = {(output.tick.stamp_ns, output.tick.log_time_ns): output for output in self.outputs}
        with open_log(path) as log:
            sink.open(RunInfo(input=log.path, config=to_yaml(config)))
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
            ]
        )

    @property
    def detections(self) -> Table:
        """One row for each detection: tick, label, score, box in pixels of the image, distance, position.

        `x_m`, `y_m`, `z_m` are in `position_frame`, with the covariance `cov_xx_m2`, `cov_xy_m2`, ...; where
        they are None, `position_unknown` has the code of the reason.
        """
        return Table([row for output in self.outputs for row in _detection_rows(output)])

    @property
    def control(self) -> Table:
        """One row for each tick with valid control: a column for each channel and its standard deviation."""
        return Table(
            [_control_row(output) for output in self.outputs if output.control and output.control.valid]
        )

    def _repr_html_(self) -> str:
        return self.summary._repr_html_()


def _detection_rows(output: Output) -> Iterator[dict[str, Any]]:
    for item in output.detections.items if output.detections is not None else ():
        x1, y1, x2, y2 = item.xyxy
        yield {
            "tick": output.tick.index,
            "stamp_ns": output.tick.stamp_ns,
            "label": item.label,
            "score": item.score,
            "x1": x1,
            "y1": y1,
            "x2": x2,
            "y2": y2,
            "distance_m": item.distance_m,
            "distance_std_m": item.distance_std_m,
            "visible": item.visible,
            **_position_columns(output.detections, item),
        }


def _position_columns(head: Detections | None, item: Detection) -> dict[str, Any]:
    position, cov = item.position_m or (None,) * 3, item.position_cov_m2
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    return {
        **{f"{axis}_m": value for axis, value in zip("xyz", position, strict=True)},
        **{f"cov_{'xyz'[i]}{'xyz'[j]}_m2": None if cov is None else cov[i][j] for i, j in pairs},
        "position_frame": "" if head is None else head.position_frame,
        "position_unknown": item.position_unknown,
    }


def _control_row(output: Output) -> dict[str, Any]:
    assert output.control is not None
    row: dict[str, Any] = {"tick": output.tick.index, "stamp_ns": output.tick.stamp_ns}
    for channel in output.control.channels:
        row |= {channel.name: channel.value, f"{channel.name}_std": channel.std}
    return row
