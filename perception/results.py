"""What a notebook gets back: tables of rows, a sample with its output, the result of a replay."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from perception.pipeline import Summary
from perception.types import Detection, Detections, Output, Sample
from perception.types.table import Table


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
    """

    summary: Summary
    outputs: tuple[Output, ...] = field(repr=False)

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
