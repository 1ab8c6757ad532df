"""The report of results that are known: every section says what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perception.training.ablation import StudyOptions, summary
from perception.training.ablation.study_plan import WEIGHTS, budget, runs_of
from perception.training.ablation.study_plots import draw_study
from perception.training.ablation.study_report import RunResult, report
from perception.training.ablation.study_text import markdown
from perception.training.balancing.options import METHODS
from perception.types import LOSSES
from tests.training.conftest import small_config


def scores(**values: float) -> dict[str, float]:
    found = {f"loss/{head}": 1.0 for head in LOSSES}
    found |= {"class_AP": 0.5, "box_IoU": 0.6, "distance_err": 0.1, "mAP50": 0.4, "mAP": 0.2, "joint": 0.5}
    found |= {"MAE/curvature": 0.01, "MAE_persistence/curvature": 0.02}
    found |= {"MAE/acceleration": 0.9, "MAE_persistence/acceleration": 0.6}
    return found | {key.replace("__", "/"): value for key, value in values.items()}


def result(name: str, seed: int, found: dict[str, float], error: str = "") -> RunResult:
    return RunResult(name, seed, LOSSES, 10, 40, 2.0, 0.5, found, error)


@pytest.fixture
def found() -> dict[str, Any]:
    config = small_config(Path("a.mcap"), Path("cache"), Path("out"))
    options = StudyOptions(Path("s"), steps=10, seeds=3)
    results = []
    for seed in range(3):
        noise = 0.001 * seed
        results.append(result("joint", seed, scores()))
        for head in LOSSES:
            # Alone boxes learn better, control worse, the others the same.
            loss = {"box": 0.7 + noise, "control": 1.3 - noise}.get(head, 1.0)
            results.append(result(f"alone-{head}", seed, scores(**{f"loss__{head}": loss})))
        for method in METHODS:
            changed = {"pcgrad": 0.5 + noise, "nash": 0.3 - noise}.get(method, 0.4)
            failed = method == "mgda"
            if method != "static":
                what = {} if failed else scores(mAP50=changed)
                results.append(result(f"method-{method}", seed, what, "the loss is lost" if failed else ""))
    for weight in WEIGHTS:
        if weight != 1:
            box = 0.6 - 0.01 * weight
            results.append(
                result(f"control-{weight:g}", 0, scores(box_IoU=box, MAE__curvature=0.01 / weight))
            )
    planned = budget(runs_of(config, options))
    assert planned["runs"] == len(results)
    return report(config, options, planned, results)


def test_each_head_gets_the_change_it_had(found: dict[str, Any]) -> None:
    verdicts = {head: about["loss"]["verdict"] for head, about in found["heads"].items()}
    assert verdicts == {
        "class": "cannot tell",
        "box": "worse",
        "distance": "cannot tell",
        "control": "better",
    }
    box = found["heads"]["box"]["loss"]
    assert box["change"]["median"] == pytest.approx(1.0 - 0.701)
    assert box["before"]["values"] == pytest.approx([0.7, 0.701, 0.702])
    control = found["heads"]["control"]["score"]
    assert control["name"] == "control_err"
    assert control["after"]["median"] == pytest.approx((0.01 / 0.02 + 0.9 / 0.6) / 2)


def test_the_table_of_methods_skips_none_and_names_failures(found: dict[str, Any]) -> None:
    rows = {row["method"]: row for row in found["balancing"]}
    assert list(rows) == list(METHODS)
    assert rows["static"]["run"] == "joint"
    assert rows["static"]["against_static"] == {}
    assert rows["pcgrad"]["against_static"]["mAP50"] == "better"
    assert rows["nash"]["against_static"]["mAP50"] == "worse"
    assert rows["upgrad"]["against_static"]["mAP50"] == "cannot tell"
    assert rows["mgda"]["scores"] == {}
    assert rows["mgda"]["errors"] == ["the loss is lost"] * 3


def test_the_sweep_marks_what_no_other_point_beats(found: dict[str, Any]) -> None:
    points = {p["weight"]: p for p in found["pareto"]["points"]}
    assert list(points) == list(WEIGHTS)
    assert {weight for weight, p in points.items() if p["front"]} == {1.0, 3.0, 10.0}


def test_the_cost_is_that_of_all_runs(found: dict[str, Any]) -> None:
    count = 3 * (1 + len(LOSSES) + len(METHODS) - 1) + len(WEIGHTS) - 1
    assert found["cost"]["all"] == {
        "steps": 10 * count,
        "samples": 40 * count,
        "cpu_s": 2.0 * count,
        "scoring_cpu_s": 0.5 * count,
    }
    assert len(found["cost"]["runs"]) == count


def test_words_say_it_in_80_columns_and_in_tables(found: dict[str, Any]) -> None:
    text = summary(found)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "worse together" in next(line for line in text.splitlines() if line.startswith("  box"))
    assert (
        "0.401+" in next(line for line in text.splitlines() if line.startswith("  pcgrad"))
        or "0.501+" in text
    )
    whole = markdown(found)
    assert "| box | loss | 0.701 (0.700 to 0.702) | 1.000 (1.000 to 1.000) |" in whole
    assert "mgda failed: the loss is lost" in whole
    assert all(len(row.split("|")) == len(head.split("|")) for head, row in _tables(whole))


def test_the_drawings_are_the_same_bytes_each_time(found: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw_study({"pareto": found["pareto"]}, tmp_path / name)
    (drawn,) = (tmp_path / "one").iterdir()
    assert drawn.name == "pareto.svg"
    assert drawn.read_bytes() == (tmp_path / "two" / "pareto.svg").read_bytes()
    assert b"box_IoU (up is better)" in drawn.read_bytes()


def _tables(text: str) -> list[tuple[str, str]]:
    """Head and row of every row of every table."""
    found, head = [], ""
    for line in text.splitlines():
        if line.startswith("|"):
            head = head or line
            found.append((head, line))
        else:
            head = ""
    return found
