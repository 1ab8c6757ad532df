"""The page: one file, without a script and without an address outside itself."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from perception.evaluation.report import sections, summary
from perception.evaluation.report.frame_pictures import Pictures
from perception.evaluation.report.markup import Markup, Part, join, tag
from perception.evaluation.report.number_text import file_name
from perception.evaluation.report.schema import EvaluationReport

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
"""The browser itself refuses whatever is not in the file."""


def html_page(report: EvaluationReport, pictures: Pictures | None = None) -> str:
    """A report for people, as one HTML file that opens offline.

    Args:
        pictures: Of the report's moments, as `moment_pictures` reads them.
    """
    made = [(one, one.make(report, pictures or {})) for one in sections.SECTIONS]
    shown = [(one, drawn) for one, drawn in made if drawn is not None]
    places = [one.place for one, _ in shown]
    missing = [one.how for one, drawn in made if drawn is None and one.how]
    links = [tag("li", tag("a", one.name, href=f"#{one.place}")) for one, _ in shown]
    body = join(
        [
            tag(
                "header",
                tag("h1", title(report)),
                tag("p", subtitle(report), class_="sub"),
                summary.verdict(report),
                summary.tiles(report),
                tag("nav", tag("ul", links), aria_label="Sections") if links else None,
            ),
            tag("main", summary.stands_out(report, places), [drawn for _, drawn in shown], _absent(missing)),
            tag("footer", f"perception evaluate, {report.schema_}. This file needs nothing but itself."),
        ]
    )
    return f"<!doctype html>\n{tag('html', _head(report), tag('body', body), lang='en')}\n"


def _head(report: EvaluationReport) -> Markup:
    metas: list[Part] = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
    ]
    return tag("head", metas, tag("title", title(report)), tag("style", _style()))


@cache
def _style() -> Markup:
    """The style sheet, without its comments."""
    text = files("perception.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
    return Markup(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))


def _absent(missing: list[str]) -> Markup | None:
    """One line on how to get each section that is not here."""
    if not missing:
        return None
    items = []
    for how in missing:
        what, _, option = how.rpartition(": ")
        items.append(tag("li", f"{what}: add ", tag("code", option)))
    return summary.section("absent", "Not in this report", tag("ul", items, class_="plain"))


def title(report: EvaluationReport) -> str:
    """What was evaluated."""
    plugin, weights = report.run.get("plugin", ""), report.run.get("weights", "")
    named = " ".join(part for part in (plugin, file_name(weights) if weights else "") if part)
    return f"Evaluation of {named}" if named else "Evaluation"


def subtitle(report: EvaluationReport) -> str:
    """On what, and how."""
    frames = sum(log.frames for log in report.logs)
    names = [file_name(log.log) for log in report.logs]
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    parts = (
        [f"{frames} frames of {len(names)} log{'s' if len(names) != 1 else ''}: {listed}"] if names else []
    )
    run = report.run
    parts += [run[name] for name in ("backend", "precision", "device") if run.get(name)]
    if run.get("weights_sha256"):
        parts.append(f"weights {run['weights_sha256'][:12]}")
    return " \u00b7 ".join(parts)
