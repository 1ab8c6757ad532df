"""`perception evaluate --report`: a page for people, or Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perception.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from perception.evaluation import EvaluationReport

KINDS = (".html", ".htm", ".md")


def check_reports(paths: Sequence[Path]) -> None:
    """Before hours of replay: that each file can be written, and as what.

    Raises:
        ConfigError: The name says neither HTML nor Markdown, or its folder is not there.
    """
    wrong = []
    for path in paths:
        if path.suffix.lower() not in KINDS:
            wrong.append(f"--report: expected a name that ends in .html or .md, found '{path}'")
        elif not path.parent.is_dir():
            wrong.append(f"--report: the folder of '{path}' is not there; make it first")
        elif path.is_dir():
            wrong.append(f"--report: '{path}' is a folder; name a file")
    if wrong:
        raise ConfigError(wrong)


def write_reports(paths: Sequence[Path], report: EvaluationReport) -> None:
    """Write each file.

    Raises:
        OutputError: One cannot be written.
    """
    from perception.evaluation.report.frame_pictures import moment_pictures
    from perception.evaluation.report.markdown import markdown
    from perception.evaluation.report.page import html_page

    for path in paths:
        if path.suffix.lower() == ".md":
            text = markdown(report)
        else:
            text = html_page(report, moment_pictures(report.moments))
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
