"""Gates: what is required holds, or the exit code is 4 and the reason is named."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from perception.errors import ConfigError
from perception.evaluation.gates import judge, junit_xml, parse_gates
from perception.evaluation.metrics import Result, Rules
from perception.evaluation.report.schema import DivergenceReport, EvaluationReport
from perception.evaluation.report.value_schema import (
    BlocksReport,
    IntervalReport,
    MetricReport,
    ResamplingReport,
    ValueReport,
)


class Counting:
    """A metric of another package."""

    name, head = "counting", "mine"

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def update(self, output: object, truth: object) -> None: ...

    def merge(self, other: Counting) -> None: ...

    def compute(self) -> Result:
        return Result(self.name, self.head, {})


def report(**changes: object) -> EvaluationReport:
    values = {
        "mAP50": ValueReport(
            value=0.8, support=99, interval=IntervalReport(low=0.7, high=0.9, std_error=0.05)
        ),
        "IoU": ValueReport(value=0.6, support=99),
        "mAP75": ValueReport(value=None, support=3, undefined="3 truth boxes of one class; 10 are needed"),
    }
    off = ValueReport(value=0.1, support=50, interval=IntervalReport(low=0.05, high=0.2, std_error=0.04))
    heads = {
        "box": {"mean_average_precision": MetricReport(values=values, frames={}, details={})},
        "control": {"control_errors": MetricReport(values={"MAE/curvature": off}, frames={}, details={})},
        "joint": {"joint": MetricReport(values={"joint": values["IoU"]}, frames={}, details={})},
    }
    told = BlocksReport(blocks=12, block_s=2, correlation_s=1)
    known = ResamplingReport(level=0.95, draws=100, seed=0, logs=1, stages=["blocks"], heads={"box": told})
    return EvaluationReport(status="clean", heads=heads, resampling=known).model_copy(update=changes)


@pytest.mark.parametrize(
    ("text", "strict", "passed"),
    [
        ("box.mAP50 >= 0.8", False, True),
        ("box.map50>=0.8", False, True),
        ("box.mAP50 > 0.8", False, False),
        ("box.mAP50 >= 0.75", True, False),
        ("box.mAP50 >= 0.7", True, True),
        ("control.MAE/curvature <= 0.15", False, True),
        ("control.MAE/curvature < 0.15", True, False),
        ("control.MAE/curvature < 0.25", True, True),
        ("joint > 0.5", False, True),
        ("box.IoU >= 0.1", True, False),
        ("box.mAP75 >= 0", False, False),
        ("box.mAP75 <= 1", True, False),
    ],
)
def test_a_gate_holds_or_fails(text: str, strict: bool, passed: bool) -> None:
    judged = judge(report(), parse_gates([text]), strict)
    assert judged.gates[0].passed is passed
    assert judged.outcome == judged.status == ("clean" if passed else "gate_failed")


def test_the_reason_is_said() -> None:
    texts = ["box.mAP50 >= 0.9", "box.mAP75 > 0", "box.IoU > 0"]
    judged = judge(report(), parse_gates(texts), strict=True).gates
    assert judged[0].why == "0.7 (lower end of 0.8) is not at least 0.9"
    assert judged[1].why == "undefined: 3 truth boxes of one class; 10 are needed"
    assert judged[2].why == "0.6 has no interval to be strict by: too few draws gave a number"
    few = BlocksReport(blocks=3, block_s=2, correlation_s=1, no_interval="3 blocks of 2 s; 10 are needed")
    none = report().resampling.model_copy(update={"heads": {"box": few}})
    again = judge(report(resampling=none), parse_gates(["box.IoU > 0"]), strict=True).gates[0]
    assert again.why.endswith("3 blocks of 2 s; 10 are needed")


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_failed_keeps_its_own_status(status: str) -> None:
    judged = judge(report(status=status), parse_gates(["box.mAP50 > 0.99"]))
    assert judged.outcome == status
    assert judge(report(status="loss"), parse_gates(["box.mAP50 > 0.99"])).outcome == "gate_failed"
    assert judge(report(status="loss"), parse_gates(["box.mAP50 > 0.1"])).outcome == "loss"


def test_all_that_is_wrong_is_named_before_the_run_with_the_nearest_name() -> None:
    wrong = ["box.mAP55 >= 0.8", "boxs.mAP > 0", "box.mAP = 1", "box.mAP > high", "control.MEA/x < 1"]
    wrong.append("control.MAE < 1")
    with pytest.raises(ConfigError) as error:
        parse_gates(wrong)
    faults = error.value.errors
    assert len(faults) == 6
    assert "'control.MAE' is said for each part alone; name one, as control.MAE/curvature" in faults[5]
    assert "'box.mAP55'; did you mean box.mAP" in faults[0]
    assert "There are box.mAP50, box.mAP75, box.mAP" in faults[0]
    assert "no value is called 'boxs.mAP'; did you mean box.mAP" in faults[1]
    assert "found 'box.mAP = 1'" in faults[2]
    assert "did you mean control.MAE" in faults[4]


def test_a_class_that_no_log_has_fails_and_is_named_after_the_run() -> None:
    judged = judge(report(), parse_gates(["control.MAE/curvatur < 1", "box.mAP50 > 0.1"]))
    assert judged.outcome == "gate_failed"
    assert [gate.passed for gate in judged.gates] == [False, True]
    assert "'control.MAE/curvatur'; did you mean control.MAE/curvature" in judged.gates[0].why


def test_a_head_of_another_package_may_have_gates() -> None:
    mine = {
        "mine": {
            "counting": MetricReport(values={"count": ValueReport(value=3, support=3)}, frames={}, details={})
        }
    }
    guest = Counting(Rules())
    judged = judge(report(heads=mine), parse_gates(["mine.count >= 3"], [guest]))
    assert judged.gates[0].passed
    with pytest.raises(ConfigError, match="The heads are class, box, control, timing, joint, mine"):
        parse_gates(["my.count >= 3"], [guest])


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("a.b", ""),
        ("mAP50", "box.mAP50"),
        ("boxs.mAP75", "box.mAP75"),
        ("distance_rel", "box.distance_rel"),
    ],
)
def test_a_name_of_no_head_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"no value is called '{name}'") as error:
        parse_gates([f"{name} >= 0.8"])
    assert near in error.value.errors[0].partition("did you mean ")[2]


def test_junit_says_the_same() -> None:
    judged = judge(report(), parse_gates(["box.mAP50 >= 0.7", "box.IoU >= 0.9"]))
    rows = [
        DivergenceReport(log="a.mcap", head="box", frames=9, diverged=0),
        DivergenceReport(log="a.mcap", head="control", frames=9, diverged=2, what="<off> & away"),
    ]
    root = ET.fromstring(junit_xml(judged.model_copy(update={"reference": rows})))
    suite = root.find("testsuite")
    assert (root.get("tests"), root.get("failures")) == ("4", "2")
    assert suite.get("failures") == "2"
    failed = [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]
    assert failed == ["box.IoU >= 0.9", "a.mcap control"]
    assert "<off> & away" in suite.findall("testcase")[3].find("failure").get("message")


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_junit_of_an_evaluation_that_did_not_finish_has_an_error(status: str) -> None:
    """A build server looks at the file alone: gates that hold on the first minute must not pass a build."""
    whole = report()
    part = whole.model_copy(update={"status": status, "error": "no space left"})
    for judged, errors in ((part, 1), (whole, 0)):
        root = ET.fromstring(junit_xml(judge(judged, parse_gates(["box.mAP50 >= 0.7"]))))
        suite = root.find("testsuite")
        assert (root.get("tests"), root.get("failures"), root.get("errors")) == (
            str(1 + errors),
            "0",
            str(errors),
        )
        assert suite.get("errors") == str(errors)
        found = [case.find("error") for case in suite.iter("testcase") if case.find("error") is not None]
        assert len(found) == errors
        assert not errors or (found[0].text, status in found[0].get("message")) == ("no space left", True)
