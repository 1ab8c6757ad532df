"""Report files: an HTML page, or Markdown for a pull request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from perception.errors import ConfigError, OutputError
from perception.evaluation.plotting import need_matplotlib
from perception.evaluation.report.schema import EvaluationReport
from perception.files import write_problem, write_whole
from perception.path_guard import marked

PAGES = (".html", ".htm")
MARKDOWN = ".md"


_MARK = "<!-- perception.evaluate.report/1 -->\n"
_is_markdown = marked(end=_MARK.encode())
_is_page = marked(b"<!doctype html>", b'content="perception.evaluate.report/1"')


def is_report(path: Path) -> bool:
    """Return whether a file is one that `write_report_file` made."""
    return _is_markdown(path) if path.suffix.lower() == MARKDOWN else _is_page(path)


def check_report_files(paths: Sequence[Path]) -> None:
    """Check that each report file can be written, before the evaluation starts.

    Raises:
        ConfigError: A name ends in neither .html nor .md, or its folder cannot be written to.
        MissingExtraError: A page is wanted, and matplotlib is not installed.
    """
    errors = []
    for path in paths:
        if path.suffix.lower() not in (*PAGES, MARKDOWN):
            errors.append(f"--report: expected a name that ends in .html or .md, found '{path}'")
        elif not path.parent.is_dir():
            errors.append(f"--report: the folder of '{path}' is not there; make it first")
        elif not os.access(path.parent, os.W_OK):
            errors.append(f"--report: the folder of '{path}' cannot be written to; name another")
        elif path.is_dir():
            errors.append(f"--report: '{path}' is a folder; name a file")
    if errors:
        raise ConfigError(errors)
    if any(path.suffix.lower() in PAGES for path in paths):
        need_matplotlib("--report of a page")


def write_report_file(path: Path, report: EvaluationReport, logs: Iterable[Path] = ()) -> None:
    """Write the page, with the pictures of the worst moments from the logs, or the Markdown.

    Args:
        path: The file, `.html` or `.md`.
        report: The report.
        logs: Its logs, which the report names without the secrets of their URLs.

    Raises:
        OutputError: The file cannot be written; an earlier report in its place is unchanged.
    """
    from perception.evaluation.report.frame_pictures import moment_pictures
    from perception.evaluation.report.markdown import markdown
    from perception.evaluation.report.page import html_page

    if path.suffix.lower() == MARKDOWN:
        text = f"{markdown(report)}\n{_MARK}"
    else:
        text = html_page(report, moment_pictures(report.moments, logs=logs))
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {write_problem(path, error)}") from None
