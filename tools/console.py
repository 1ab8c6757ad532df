"""The console of all tables and progress bars: control characters in what it prints are escaped."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

from perception.text import visible_line


class VisibleConsole(Console):
    """A console that escapes control characters in every text it renders, also in the cells of tables.

    Line ends are escaped too: several lines are printed one by one. Styles are added after that, so colours
    work.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render text with its control characters escaped, and anything else as `Console` does."""
        if isinstance(renderable, str):
            renderable = visible_line(renderable)
        elif isinstance(renderable, Text) and visible_line(renderable.plain) != renderable.plain:
            renderable = _visible_text(renderable)
        return super().render(renderable, options)


def _visible_text(text: Text) -> Text:
    """Return the text escaped, its spans moved along."""
    parts = [visible_line(character) for character in text.plain]
    places = list(accumulate(map(len, parts), initial=0))
    shown = text.blank_copy("".join(parts))
    shown.spans = [Span(places[span.start], places[span.end], span.style) for span in text.spans]
    return shown
