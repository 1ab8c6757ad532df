"""The report as one HTML file without scripts or external references.

`page.html.jinja` lays it out and `page.css` styles it; what is in it comes from `tables`, `charts`,
`highlights` and `frame_drawing`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from perception.evaluation.plotting import need_matplotlib
from perception.evaluation.report import (
    charts,
    highlights,
    log_tables,
    stress_highlights,
    stress_tables,
    tables,
)
from perception.evaluation.report.display_text import file_name, percent, short
from perception.evaluation.report.frame_drawing import drawing, frame_words
from perception.evaluation.report.frame_pictures import Pictures
from perception.evaluation.report.headline import headline
from perception.evaluation.report.schema import EvaluationReport
from perception.text import listed, plural, visible

if TYPE_CHECKING:
    from jinja2 import Template

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
"""The content security policy: the browser loads nothing from outside the file."""
SECTIONS = (
    ("moments", "Worst moments", "", ""),
    ("classes", "Classes", "", ""),
    ("distance", "Distance", "", ""),
    ("calibration", "Calibration", "", ""),
    ("control", "Control", "", ""),
    ("slices", "Parts", "Parts of the data held against the rest", "--slices all"),
    ("sensors", "Sensors", "What each sensor is worth", "--ablate sensors"),
    ("faults", "Faults", "What is left when sensors fail", "--ablate faults"),
    ("latency", "Latency", "Scores that count the latency", "--latency-ms curve"),
    ("logs", "Logs", "", ""),
    ("numbers", "All numbers", "", ""),
    ("made", "Run", "", ""),
)
"""Anchor and name of each section, in order; a description of its content, and the option that adds it."""


def html_page(report: EvaluationReport, pictures: Pictures | None = None) -> str:
    """Return a report as one self-contained HTML file.

    Args:
        pictures: The pictures of the report's moments, from `moment_pictures`.

    Raises:
        MissingExtraError: matplotlib or Jinja is not installed.
    """
    need_matplotlib("a report as a page")
    data = _sections(report, pictures or {})
    html = _template().render(
        report=report,
        title=title(report),
        subtitle=subtitle(report),
        policy=POLICY,
        style=_style(),
        headline=headline(report),
        overall=tables.overall(report),
        highlights=highlights.all_highlights(report),
        sections=data,
        shown=[(place, name) for place, name, _, _ in SECTIONS if data.get(place)],
        absent=[(text, option) for place, _, text, option in SECTIONS if text and not data.get(place)],
    )
    return html.lstrip()


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    def finalize(value: object) -> object:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        autoescape=True, finalize=finalize, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["file_name"] = file_name
    text = files("perception.evaluation.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


@cache
def _style() -> Markup:
    """Return the style sheet without its comments."""
    text = files("perception.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    return Markup(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))


def _sections(report: EvaluationReport, pictures: Pictures) -> dict[str, Any]:
    """Return the content of each section; empty where the report has no data for it."""
    return {
        "moments": [
            (moment, drawing(moment.scene, pictures.get(place)), frame_words(moment.scene))
            for place, moment in enumerate(report.moments)
        ],
        "pictures": bool(pictures),
        "faulted": any("--fault" in moment.command for moment in report.moments),
        "classes": _unless_empty(
            table=tables.classes(report),
            charts=list(charts.precision_recall(report)),
            confusion=tables.confusion(report),
            confused=getattr(highlights.confused(report), "text", "Confusion"),
            cut=short(_score(report), 2),
        ),
        "distance": _cards(*charts.recall(report), charts.distance(report)),
        "calibration": _cards(charts.reliability(report), charts.coverage(report)),
        "control": _control(report),
        "slices": _slices(report),
        "sensors": {"table": table, "highlight": stress_highlights.sensors(report)}
        if (table := stress_tables.sensors(report))
        else None,
        "faults": _faults(report),
        "latency": {
            "table": stress_tables.streaming(report),
            "charts": _cards(charts.latency(report.streaming)),
        }
        if report.streaming
        else None,
        "logs": {
            "table": table,
            "ledger": log_tables.ledger(report),
            "warnings": log_tables.warnings(report),
        }
        if (table := log_tables.logs(report))
        else None,
        "numbers": [
            (head, table)
            for head, metrics in report.heads.items()
            if (table := tables.head_values(head, metrics)) is not None
        ],
        "method": method(report),
        "made": {name: text.replace("\n", ", ") for name, text in report.run.items()},
    }


def _unless_empty(**parts: Any) -> dict[str, Any] | None:
    return parts if parts["table"] or parts["charts"] or parts["confusion"] else None


def _cards(*cards: charts.Card | None) -> list[charts.Card]:
    return [card for card in cards if card is not None]


def _score(report: EvaluationReport) -> float | None:
    metric = report.heads.get("class", {}).get("confusion")
    return None if metric is None else metric.details.get("score")


def _control(report: EvaluationReport) -> dict[str, Any] | None:
    table = tables.control(report)
    channels = [
        (getattr(highlights.control(report, channel), "text", channel), cards)
        for channel in highlights.channels(report)
        if (cards := charts.traces(report, channel))
    ]
    return {"table": table, "channels": channels} if table else None


def _slices(report: EvaluationReport) -> dict[str, Any] | None:
    if not report.slices:
        return None
    verdicts = [part.difference.verdict for part in report.slices]
    return {
        "table": tables.slices(report.slices),
        "significant": tables.significant_slices(report.slices),
        "chart": charts.slices(report),
        "compared": highlights.compared(report.slices),
        "worse": verdicts.count("worse"),
        "better": verdicts.count("better"),
        "more": len(verdicts) - tables.MOST_SLICES,
    }


def _faults(report: EvaluationReport) -> dict[str, Any] | None:
    ablation = report.fault_ablation
    if ablation is None or not ablation.curves:
        return None
    return {
        "highlight": stress_highlights.faults(report),
        "worst": stress_tables.worst_faults(ablation),
        "legend": charts.fault_legend(ablation),
        "charts": charts.faults(ablation),
        "table": stress_tables.faults(ablation),
    }


def method(report: EvaluationReport) -> str:
    """Return sentences on how the intervals were computed, and on the scoring rules."""
    lines, resampling, rules = [], report.resampling, report.rules
    if resampling is not None:
        known = [blocks for blocks in resampling.heads.values() if not blocks.no_interval]
        if known:
            lengths = " and ".join(sorted({short(blocks.block_s) for blocks in known}))
            drawn = f"{resampling.logs} logs and then blocks" if "logs" in resampling.stages else "blocks"
            lines.append(
                f"Intervals: {percent(resampling.level)}, {resampling.draws} draws of {drawn} of {lengths} s."
            )
        reasons = dict.fromkeys(b.no_interval for b in resampling.heads.values() if b.no_interval)
        for reason in reasons:
            heads = [head for head, blocks in resampling.heads.items() if blocks.no_interval == reason]
            lines.append(f"No intervals for {', '.join(heads)}: {reason}.")
    if rules is not None:
        lines.append(
            f"Truth below {short(rules.min_height_px)} px or less than {percent(rules.min_visible)} visible "
            f"does not count; values that rest on less than {rules.min_support} are undefined."
        )
    return " ".join(lines)


def title(report: EvaluationReport) -> str:
    """Return the title: the names of the plugin and its weights."""
    plugin, weights = report.run.get("plugin", ""), report.run.get("weights", "")
    named = " ".join(part for part in (plugin, file_name(weights) if weights else "") if part)
    return f"Evaluation of {named}" if named else "Evaluation"


def subtitle(report: EvaluationReport) -> str:
    """Return the subtitle: the logs, and the backend and device of the run."""
    names, run = [file_name(log.log) for log in report.logs], report.run
    parts = [_counted(names, sum(log.frames for log in report.logs))] if names else []
    parts += [run[name] for name in ("backend", "precision", "device") if run.get(name)]
    if run.get("weights_sha256"):
        parts.append(f"weights {run['weights_sha256'][:12]}")
    return " \u00b7 ".join(parts)


def _counted(names: Sequence[str], frames: int) -> str:
    return f"{frames} frames of {plural(len(names), 'log')}: {listed(names, 5)}"
