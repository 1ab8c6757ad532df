"""An evaluation as people read it: one self-contained page, or Markdown for a pull request.

::

    report = evaluation.report()
    page = html_page(report, moment_pictures(report.moments))
"""

from perception.evaluation.report.markdown import markdown
from perception.evaluation.report.page import html_page
from perception.evaluation.report.pictures import Picture, Pictures, moment_pictures

__all__ = ["Picture", "Pictures", "html_page", "markdown", "moment_pictures"]
