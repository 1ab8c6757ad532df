"""The columns that metrics count are the same, whether they come from outputs or from tables."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.evaluation import stored_columns
from perception.evaluation.metrics.frame_columns import columns_of
from perception.evaluation.score_warnings import MissingTruth
from perception.evaluation.stored_columns import stored_parts
from perception.pipeline.log_source import WHOLE, Span
from perception.sinks.tables import TablesFolder
from perception.sinks.tables.stored import stored_recordings
from tests.sinks.build import output_of, sample_of, tick_of, truth_of
from tests.sinks.tables.test_tables_sink import Rows, several_cameras, write


def values_of(part: Any) -> Any:
    """Return columns as plain values, with details of every detection; NaN equals NaN."""
    if is_dataclass(part):
        return {field.name: values_of(getattr(part, field.name)) for field in fields(part)}
    if callable(part):
        return None
    return np.asarray(part).astype(str).tolist()


@given(rows=st.lists(several_cameras(), min_size=1, max_size=5), ticks=st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_columns_of_tables_are_those_of_the_outputs(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, ticks: int
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    numbered = [(tick_of(k), row) for k, row in enumerate(rows)]
    rows = [
        (replace(s, tick=tick), replace(o, tick=tick, extra={}), replace(t, stamp_ns=tick.stamp_ns, extra={}))
        for tick, (s, o, t) in numbered
    ]
    write(folder, rows)
    (recording,), _ = stored_recordings(TablesFolder(folder))
    frames, missing, stored = list(recording.frames()), MissingTruth(), MissingTruth()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_columns, "TICKS", ticks)
        parts = list(stored_parts(recording, WHOLE))
    assert [part.ticks for part in parts] == [min(ticks, len(rows) - k) for k in range(0, len(rows), ticks)]
    for part in parts:
        own, frames = frames[: len(part.columns.state)], frames[len(part.columns.state) :]
        pairs = [(frame.output, frame.truth) for frame in own]
        expected = columns_of(pairs)
        assert values_of(part.columns) == values_of(expected)
        assert part.of_reference == [frame.of_reference for frame in own]
        every = np.arange(len(expected.detections.frame))
        details = [columns.detections.details(every) for columns in (part.columns, expected)]
        assert np.array_equal(*details, equal_nan=True)
        boxes = [box for _, truth in pairs for box in truth.boxes or ()]
        assert part.true_labels == {box.label for box in boxes if box.label}
        assert (part.box_frames, part.boxes) == (sum(t.boxes is not None for _, t in pairs), len(boxes))
        for _, truth in pairs:
            missing.add(truth)
        for head, issue, count in part.missing:
            stored.count(head, issue, count)
        assert part.stages_ms["total"].tolist() == [3.5] * part.ticks
    assert not frames
    assert list(stored.warnings()) == list(missing.warnings())


def test_a_part_has_the_ticks_of_the_span_alone(tmp_path: Any) -> None:
    write(tmp_path, [(sample_of(k), output_of(k), truth_of(k)) for k in range(6)])
    (recording,), _ = stored_recordings(TablesFolder(tmp_path))
    span = Span(tick_of(2).log_time_ns, tick_of(4).log_time_ns)
    (part,) = stored_parts(recording, span)
    own = [frame for frame in recording.frames() if span.holds(frame.output.tick.log_time_ns)]
    assert part.ticks == len(own)
    assert 0 < part.ticks < 6
    assert values_of(part.columns) == values_of(columns_of([(f.output, f.truth) for f in own]))
