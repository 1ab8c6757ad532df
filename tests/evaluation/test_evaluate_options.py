"""The options of an evaluation: what fits what, and the part of a log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from perception.autoconfig import Overrides
from perception.evaluation import EvaluateOptions, parse_gates, parse_slices
from perception.pipeline import ReplayOptions, Span

STORED = (Path("stored.mcap"),)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"slices": "distance"}, "--slices: expected names as .* found 'distance'"),
        ({"slices": ("distance", "nonsense")}, "--slices: .*'nonsense'"),
        ({"slices": ("status:",)}, "--slices"),
        ({"gates": ("box.mAP50 >= 0.8",)}, "--require: expected gates as parse_gates"),
        ({"ablate": "nonsense"}, "--ablate: expected sensors, each or faults, found 'nonsense'"),
        ({"outputs": STORED, "overrides": Overrides("street")}, "--plugin: needs a replay"),
        ({"outputs": STORED, "overrides": Overrides(checkpoint=Path("w"))}, "--checkpoint: needs a replay"),
        ({"outputs": STORED, "overrides": Overrides(options={"a": 1})}, "--option: needs a replay"),
        (
            {"outputs": STORED, "overrides": Overrides(engine={"backend": "onnx"})},
            "--backend: needs a replay",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(options: dict[str, Any], expected: str) -> None:
    errors = EvaluateOptions(**options).errors(["a.mcap"])
    assert len(errors) == 1
    assert re.match(expected, errors[0])


def test_what_fits_has_no_errors() -> None:
    gates = tuple(parse_gates(["box.mAP50 >= 0.8"]))
    options = EvaluateOptions(slices=(*parse_slices("all"), "status:speed"), gates=gates)
    assert options.errors(["a.mcap", "b.mcap"]) == []
    # what a batch has replayed with these values
    batch = EvaluateOptions(outputs=STORED, accounts=({},), overrides=Overrides("street"))
    assert batch.errors(["a.mcap"]) == []


def test_a_log_that_is_named_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mcap").touch()
    (tmp_path / "same.mcap").symlink_to("a.mcap")
    for again in ("a.mcap", tmp_path / "a.mcap", "same.mcap"):
        errors = EvaluateOptions().errors(["a.mcap", again, "b.mcap"])
        assert errors == [f"LOG: named twice, and would count twice; name it once: {again}"]


def test_the_part_is_that_of_start_and_end_else_that_of_the_replay() -> None:
    options = EvaluateOptions(replay=ReplayOptions(span=Span(5, 7)))
    assert options.span(lambda: 100) == Span(5, 7)
    assert EvaluateOptions(end=2.0, replay=options.replay).span(lambda: 100) == Span(None, 2_000_000_100)
