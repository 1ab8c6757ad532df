"""The published schema: what it promises stays, and every report keeps to it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from perception.evaluation import SCHEMA, EvaluateOptions, Evaluation, EvaluationReport, json_schema
from perception.evaluation.metrics import Rules, Suite
from perception.evaluation.report.value_schema import by_head
from perception_tools.exit_codes import schema_with_exit_code
from tests.evaluation.metrics.build import random_frames
from tests.evaluation.report.build import full, metric, value

GOLDEN = Path(__file__).parent / "evaluate-1.schema.json"


def promises(schema: dict, path: str = "") -> set[str]:
    """Every property of a JSON Schema with its type, as lines that can be compared."""
    found = set()
    for name, part in schema.get("properties", {}).items():
        kind = {
            key: value for key, value in part.items() if key in ("type", "anyOf", "$ref", "const", "enum")
        }
        found.add(f"{path}.{name}: {json.dumps(kind, sort_keys=True)}")
    for name, part in schema.get("$defs", {}).items():
        found |= promises(part, name)
    return found


def test_nothing_that_was_published_goes_or_changes() -> None:
    """A field may be added: then write the new schema here. Anything else needs a new version."""
    assert promises(json.loads(GOLDEN.read_text())) <= promises(schema_with_exit_code(json_schema()))
    assert SCHEMA == "perception.evaluate/1"


def without_descriptions(part: Any) -> Any:
    """Return a schema without its texts; a property may have the name `description` too."""
    if isinstance(part, dict):
        return {
            key: without_descriptions(value)
            for key, value in part.items()
            if key != "description" or not isinstance(value, str)
        }
    return [without_descriptions(each) for each in part] if isinstance(part, list) else part


def test_the_published_schema_is_up_to_date() -> None:
    """Except for its descriptions: those may be improved at any time."""
    published = without_descriptions(json.loads(GOLDEN.read_text()))
    assert published == without_descriptions(schema_with_exit_code(json_schema()))


def test_a_report_survives_json() -> None:
    suite = Suite(Rules(min_support=2))
    for output, truth in random_frames(np.random.default_rng(0), 20):
        suite.update(output, truth)
    report = EvaluationReport(status="clean", heads=by_head(suite.compute()))
    text = json.dumps(report.to_json(), allow_nan=False)
    assert EvaluationReport.model_validate_json(text) == report
    assert json.loads(text)["schema"] == SCHEMA


def test_undefined_is_null_with_its_reason_and_never_nan() -> None:
    found = Evaluation(EvaluateOptions()).report().to_json()
    value = found["heads"]["box"]["mean_average_precision"]["values"]["mAP"]
    assert value["value"] is None
    assert value["undefined"] == "0 truth boxes of one class; 10 are needed"

    def numbers(part: object) -> list[float]:
        if isinstance(part, dict):
            return [n for inner in part.values() for n in numbers(inner)]
        if isinstance(part, list):
            return [n for inner in part for n in numbers(inner)]
        return [part] if isinstance(part, float) else []

    assert all(math.isfinite(number) for number in numbers(found))


def test_an_error_of_the_command_line_keeps_to_the_schema() -> None:
    predicted = {"schema": SCHEMA, "status": "failed", "exit_code": 1, "error": "not a log"}
    assert EvaluationReport.model_validate(predicted).error == "not a log"


def test_a_notebook_shows_values_of_every_head_and_leaves_none_out() -> None:
    report = full()
    shown = report._repr_html_()
    for head in report.heads:
        first = min((name for name in report.values() if name.startswith(f"{head}.")), key=lambda n: "/" in n)
        assert f"<td>{first}</td>" in shown
    bare = EvaluationReport(status="clean", heads={"box": {"m": metric({"IoU": value(None)})}})
    assert "undefined: " in bare._repr_html_()
