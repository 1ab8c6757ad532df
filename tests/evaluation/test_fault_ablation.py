"""Faults in an evaluation: curves for each head, and what was computed only once."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.errors import ConfigError
from perception.evaluation import (
    EvaluateOptions,
    Evaluation,
    EvaluationReport,
    FaultAblation,
    MemoisedPlugin,
    parse_fault_names,
)
from perception.evaluation.metric_sink import MetricSink
from perception.evaluation.metrics import Rules, Suite
from perception.logs import open_log
from perception.pipeline import replay
from perception.pipeline.faults import fault_names
from tests.evaluation.oracle import Oracle, Truth
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.pipeline.test_replay import Collected
from tests.small_logs import SmallLog

RULES = Rules(min_support=5)
FAULTS = ("camera.loss", "camera.blur", "range.dropout", "status.silence")


@pytest.fixture(scope="module")
def ablated(street: Path, truth: Truth) -> tuple[EvaluationReport, Oracle]:
    """The report of an evaluation under faults, and the plugin that was asked."""
    evaluation, oracle = Evaluation(EvaluateOptions(rules=RULES)), Oracle(truth)
    ablation = FaultAblation(evaluation.rules_of, FAULTS, (0.3, 1.0), seed=1)
    plugin = MemoisedPlugin(lambda: oracle)
    with open_log(street) as log:
        config = complete_config(log).config
        evaluation.replay(log, config, lambda: plugin)
        assert ablation.run(log, config, plugin)
    plugin.release()
    report = evaluation.report()
    return report.model_copy(update={"fault_ablation": ablation.report(report)}), oracle


def test_each_head_has_a_curve_under_each_fault(ablated: tuple[EvaluationReport, Oracle]) -> None:
    found = ablated[0].fault_ablation
    assert found is not None
    curves = {curve.fault: curve.points for curve in found.curves}
    assert list(curves) == list(FAULTS)
    assert all([p.severity for p in points] == [0.3, 1.0] for points in curves.values())
    # The oracle sees nothing without a camera image, whatever is in it; boxes are off without the others.
    assert curves["camera.loss"][1].kept["box"] == 0.0
    assert 0.4 < curves["camera.loss"][0].kept["box"] < 0.9
    assert curves["camera.blur"][1].kept == pytest.approx({"class": 1, "box": 1, "distance": 1, "control": 1})
    assert curves["status.silence"][1].kept["box"] < curves["status.silence"][0].kept["box"] < 1
    assert curves["status.silence"][1].kept["control"] < 1
    assert found.worst["box"].fault == "camera.loss"
    assert found.worst["box"].kept == pytest.approx(sum(p.kept["box"] for p in curves["camera.loss"]) / 2)
    assert "never arrives" in found.curves[0].meaning


def test_what_no_fault_touched_is_not_computed_again(ablated: tuple[EvaluationReport, Oracle]) -> None:
    found, oracle = ablated[0].fault_ablation, ablated[1]
    assert found.replays == 8
    assert found.recalled > 0.1 * (found.asked + found.recalled)
    assert oracle.calls["open"] == 1
    assert oracle.calls["prepare"] == found.asked + ablated[0].logs[0].frames


def test_recalled_answers_are_those_of_an_own_replay(street: Path, truth: Truth) -> None:
    with open_log(street) as log:
        config = complete_config(log).config.model_copy(
            update={"faults": ("camera.loss=0.4", "status.silence=0.3")}
        )
        plugin, alone, again = MemoisedPlugin(lambda: Oracle(truth)), Collected(), Collected()
        replay(log, config.model_copy(update={"faults": ()}), plugin, [])
        replay(log, config, plugin, [again])
        replay(log, config, Oracle(truth), [alone])
    assert again.outputs == alone.outputs
    assert plugin.recalled > 0


def test_a_plugin_that_remembers_is_asked_each_time(street: Path) -> None:
    with open_log(street) as log:
        config = complete_config(log).config
        inner = MemoryPlugin()
        plugin, first, second = MemoisedPlugin(lambda: inner), Collected(), Collected()
        replay(log, config, plugin, [first])
        replay(log, config, plugin, [second])
        plugin.release()
    assert plugin.recalled == 0
    assert second.outputs == first.outputs
    assert inner.events == ["open cpu", "reset another replay", "close"]


def test_the_scores_under_a_fault_are_those_of_an_evaluation_with_it(
    ablated: tuple[EvaluationReport, Oracle], street: Path, truth: Truth
) -> None:
    report, _ = ablated
    suites: list[Suite] = []
    sink = MetricSink(
        lambda run: (
            suites.append(Suite(Rules(min_support=5, family="gaussian", classes=run.classes))) or suites[0]
        )
    )
    with open_log(street) as log:
        config = complete_config(log).config.model_copy(update={"faults": ("status.silence=0.3,seed=1",)})
        replay(log, config, Oracle(truth), [sink])
    joint = suites[0].compute()[-1].values
    found = next(c for c in report.fault_ablation.curves if c.fault == "status.silence").points[0]
    assert found.scores["box"] == pytest.approx(joint["joint/boxes"].value)
    assert found.scores["control"] == pytest.approx(joint["joint/control"].value)


def test_faults_are_chosen_by_name_or_sensor() -> None:
    assert parse_fault_names(None) == tuple(fault_names())
    assert parse_fault_names("status") == tuple(n for n in fault_names() if n.startswith("status."))
    assert parse_fault_names("camera.blur,range.bias,camera.blur") == ("camera.blur", "range.bias")
    assert parse_fault_names("all.loss") == ("camera.loss", "range.loss", "status.loss")
    with pytest.raises(ConfigError, match="did you mean"):
        parse_fault_names("camera.blurr")


def test_faults_of_a_kind_are_those_of_all_its_sensors_whatever_their_names(tmp_path: Path) -> None:
    rig = SmallLog().control().image("/a/image", frame="a").image("/b/image", frame="b").status()
    evaluation, plugin = Evaluation(EvaluateOptions(rules=RULES)), MemoisedPlugin(MemoryPlugin)
    ablation = FaultAblation(evaluation.rules_of, ("camera.loss", "range.loss", "status.loss"), (1.0,))
    with open_log(rig.write(tmp_path / "rig.mcap")) as log:
        config = complete_config(log).config
        assert config.sensors.camera is None  # they are called a and b
        evaluation.replay(log, config, lambda: plugin)
        assert ablation.run(log, config, plugin)
    plugin.release()
    found = ablation.report(evaluation.report())
    assert [curve.fault for curve in found.curves] == ["camera.loss", "status.loss"]
