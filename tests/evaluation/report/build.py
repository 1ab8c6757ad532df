"""A whole report, with every section, in the words that are asked for."""

from __future__ import annotations

from typing import Any

from perception.evaluation.report.drawing_schema import (
    ControlTraceReport,
    DistanceBinReport,
    DistanceErrorReport,
    FiguresReport,
    MomentReport,
    SceneBoxReport,
    SceneControlReport,
    SceneReport,
)
from perception.evaluation.report.schema import DivergenceReport, EvaluationReport, GateReport, LogReport
from perception.evaluation.report.stress_schema import (
    FaultCurveReport,
    FaultPointReport,
    FaultsReport,
    StreamingReport,
    WorstFaultReport,
)
from perception.evaluation.report.value_schema import (
    DifferenceReport,
    IntervalReport,
    MetricReport,
    RulesReport,
    SliceReport,
    ValueReport,
)

HOSTILE = (
    "</title><script>alert(1)</script><img src=x onerror=\"alert('1')\">{{7*7}}](http://evil.example)|`@all`"
)
HEADS = ("class", "box", "distance", "control")


def value(number: float | None, unit: str = "", better: Any = "higher", sure: bool = True) -> ValueReport:
    known = number is not None and sure
    ends = (
        IntervalReport(low=(number or 0) * 0.9, high=(number or 0) * 1.1, std_error=0.02) if known else None
    )
    return ValueReport(
        value=number,
        support=120,
        unit=unit,
        better=better,
        undefined="" if number is not None else "too little truth",
        interval=ends,
    )


def metric(values: dict[str, ValueReport], **details: Any) -> MetricReport:
    return MetricReport(
        values=values, frames={"scored": 90, "invalid": 3, "no_truth": 0, "no_head": 0}, details=details
    )


def heads(classes: list[str], channel: str, scale: float = 1.0) -> dict[str, dict[str, MetricReport]]:
    """Scores of three heads; `scale` makes them worse."""
    recall = [place / 100 for place in range(101)]
    curves = {name: {"recall": recall, "precision": [1 - r * r for r in recall]} for name in classes}
    counts = [
        [50 if true == said else 3 for said in range(len(classes) + 1)] for true in range(len(classes) + 1)
    ]
    by_class = {
        f"{key}/{name}": value(scale * (0.9 - 0.2 * place))
        for place, name in enumerate(classes)
        for key in ("AP50", "precision", "recall", "F1")
    }
    bins = {"confidence": [0.1, 0.5, 0.9], "accuracy": [0.2, 0.45, 0.97], "size": [30, 30, 30]}
    errors = {
        f"{key}/{channel}": value(number, "1/m", "lower")
        for key, number in (("MAE", 0.01), ("MAE_mean", 0.1), ("MAE_persistence", 0.04), ("RMSE", 0.02))
    }
    errors |= {f"coverage80/{channel}": value(0.78, better=""), f"R2/{channel}": value(None)}
    return {
        "class": {
            "precision_recall": metric({"F1": value(0.8 * scale), **by_class}, curves=curves),
            "confusion": metric({}, labels=[*classes, "background"], matrix=counts, score=0.4),
            "detection_calibration": metric({"D-ECE": value(0.03, better="lower")}, bins=bins),
        },
        "box": {
            "mean_average_precision": metric({"mAP50": value(0.7 * scale), "mAP": value(0.5 * scale)}),
            "distance_errors": metric({"distance_abs": value(0.8 / scale, "m", "lower")}),
            "box_errors": metric({"box_coverage80": value(0.81, better="")}),
        },
        "control": {"control_errors": metric(errors)},
        "joint": {
            "joint": metric({"joint": value(0.6), "joint/boxes": value(0.5), "joint/distance": value(0.6)})
        },
    }


def moment(word: str, log: str, at_s: float = 3.25, camera: str = "/camera/image") -> MomentReport:
    kinds = ("found", "missed", "ignored", "hit", "false")
    boxes = [
        SceneBoxReport(
            kind=kind,  # type: ignore[arg-type]
            label=word,
            xyxy=[20.0 * place, 10, 20.0 * place + 15, 50],
            score=0.5 if kind in ("hit", "false") else None,
            distance_m=12.5,
        )
        for place, kind in enumerate(kinds)
    ]
    steer = SceneControlReport(name=word, unit="1/m", said=0.1, std=0.02, true=0.14)
    return MomentReport(
        log=log,
        at_s=at_s,
        log_time_ns=1,
        stamp_ns=1,
        error=0.6,
        what=f"1 missed, {word} +0.04",
        command=f"perception replay {log} --start 2.250 --end 4.250",
        scene=SceneReport(camera=camera, boxes=boxes, control=[steer]),
    )


def full(word: str = "person", log: str = "drive.mcap", logs: int = 1) -> EvaluationReport:
    """A report of everything. `word` is the name of a class, a channel, a topic and more."""
    classes, channel = [word, f"other {word}"], f"steer {word}"
    whole = heads(classes, channel)
    scores = dict.fromkeys(HEADS, 0.5)
    at_s = [place / 10 for place in range(200)]
    paths = [log if place == 0 else f"{place} {log}" for place in range(logs)]
    faults = [
        FaultCurveReport(
            fault=f"{word}.blur",
            sensor="camera",
            kind="blur",
            meaning=word,
            points=[
                FaultPointReport(severity=s, scores=scores, kept=dict.fromkeys(HEADS, 1 - s))
                for s in (0.2, 0.8)
            ],
        )
    ]
    return EvaluationReport(
        status="clean",
        rules=RulesReport(
            min_height_px=12,
            min_visible=0.3,
            min_support=10,
            family="laplace",
            max_detections=100,
            classes=classes,
        ),
        logs=[
            LogReport(
                log=path,
                outputs=None,
                frames=200,
                replay={
                    "status": "clean",
                    "ledger": {word: {"used": 200, "late": 1}},
                    "inputs": {word: {"present": 150, "absent": 50}},
                    "damage": [],
                    "log_seconds": 19.9,
                },
            )
            for path in paths
        ],
        heads=whole,
        ablation={
            "camera+range": whole,
            "camera": heads(classes, channel, 0.8),
            "range": heads(classes, channel, 0.3),
        },
        fault_ablation=FaultsReport(
            clean=scores,
            severities=[0.2, 0.8],
            seed=0,
            curves=faults,
            worst={"box": WorstFaultReport(fault=f"{word}.blur", kept=0.4)},
            replays=2,
            asked=100,
            recalled=20,
            seconds=3.0,
        ),
        streaming=[
            StreamingReport(
                latency_ms=ms,
                measured=ms == 50,
                truths=100,
                unanswered=1,
                processed=80,
                skipped=20,
                age_ms={"p50": ms + 40, "p99": ms + 90},
                scores=dict.fromkeys(HEADS, 0.5 - ms / 1000),
                heads={},
            )
            for ms in (0.0, 50.0, 100.0)
        ],
        slices=[
            SliceReport(
                by="class",
                part=word,
                head="class",
                metric="recall",
                better="higher",
                value=0.3,
                support=90,
                rest=0.7,
                rest_support=400,
                difference=DifferenceReport(
                    value=-0.4, low=-0.5, high=-0.2, p=0.0001, p_corrected=0.01, verdict="worse"
                ),
            )
        ],
        gates=[
            GateReport(
                require=f"class.AP50/{word} >= 0.95",
                name=f"class.AP50/{word}",
                value=0.9,
                judged=0.9,
                passed=False,
                why="0.9 is not at least 0.95",
            ),
            GateReport(
                require="box.mAP50 >= 0.5",
                name="box.mAP50",
                value=0.7,
                judged=0.7,
                passed=True,
                why="0.7 is at least 0.5",
            ),
        ],
        reference=[
            DivergenceReport(
                log=log,
                head="class",
                frames=200,
                diverged=2,
                at_s=1.0,
                stamp_ns=1,
                what=f"{word} is now other",
                command=f"perception replay {log} --start 0.000 --end 2.000",
            )
        ],
        figures=FiguresReport(
            cut=0.4,
            recall=[
                DistanceBinReport(label=name, from_m=m, to_m=m + 10, objects=60, found=found)
                for name in classes
                for m, found in ((0, 58), (10, 50), (20, 6))
            ],
            distance=[
                DistanceErrorReport(
                    from_m=m, to_m=m + 10, matches=50, mean_abs_m=0.3 + m / 50, p90_abs_m=1.0, bias_m=-0.1
                )
                for m in (0, 10)
            ],
            control=[
                ControlTraceReport(
                    log=path,
                    channel=channel,
                    unit="1/m",
                    at_s=at_s,
                    said=[t / 100 for t in at_s],
                    true=[0.1] * 200,
                )
                for path in paths
            ],
        ),
        moments=[moment(word, path, 3.25 + place) for path in paths for place in range(2)],
        run={
            "plugin": "fusion",
            "weights": word,
            "weights_sha256": "0123456789abcdef" * 4,
            "classes": "\n".join(classes),
        },
        warnings=[{"code": "x", "text": f"look at {word}", "count": 1, "log": log}],
        faults={word: word},
        seconds=12.0,
    )


def plain() -> EvaluationReport:
    """One log, nothing asked for beside it."""
    return full().model_copy(
        update={
            "ablation": None,
            "fault_ablation": None,
            "streaming": [],
            "slices": [],
            "gates": [],
            "reference": [],
            "warnings": [],
            "faults": {},
        }
    )
