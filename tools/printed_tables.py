"""Tables that fit the width of the terminal: numbers are never cut, what is too wide continues below."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from textwrap import wrap

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from perception.text import visible_line
from perception_tools.printing import make_console

Cells = Sequence[str | Text]


class NameCell:
    """A name in a table: whole where there is room, else shortened in the middle, never on two lines."""

    def __init__(self, name: str) -> None:
        self._name = visible_line(name)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = cell_len(self._name)
        return Measurement(min(width, _NARROW_WORDS, options.max_width), min(width, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shortened(self._name, options.max_width), no_wrap=True)


def shortened(name: str, width: int) -> str:
    """Return a name that takes at most `width` cells: its start and its end, with `...` between."""
    if cell_len(name) <= width:
        return name
    kept = max(width - 3, 0)
    end = "".join(reversed(set_cell_size("".join(reversed(name)), kept - kept // 2)))
    return f"{set_cell_size(name, kept // 2)}...{end}"[: max(width, 1)]


PIPED_WIDTH = 80
"""The width where the output is no terminal and `COLUMNS` does not say one."""

_NARROW_WORDS = 28
"""The width that a column of words keeps at least where a table does not fit; longer words are folded."""


def table_console() -> Console:
    """Return the console that reports are printed on."""
    console = make_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    return console


def plain_table(columns: Sequence[str], rows: Iterable[Cells] = (), left: Collection[int] = (0,)) -> Table:
    """Return a table of some rows, to which others can be added; cells are folded where there is no room.

    Args:
        columns: Their names.
        rows: The cells of each row.
        left: The columns of words, by index, which are aligned left.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def print_words(console: Console, columns: Sequence[str], rows: Sequence[Cells]) -> None:
    """Print a table of words, which are never broken: where it does not fit, a paragraph for each row.

    Args:
        console: Where to print it.
        columns: The names of the columns.
        rows: The cells of each row; the first names it.
    """
    of_columns = list(zip(columns, *rows, strict=True))
    widths = [
        max(cell_len(word) for cell in cells for word in (str(cell).split() or [""])) for cells in of_columns
    ]
    room = console.width - 2 - 3 * (len(columns) - 1) - sum(widths)
    if room < 0:
        for row in rows:
            facts = [f"{head} {cell}" for head, cell in zip(columns[1:], row[1:], strict=True) if str(cell)]
            text = f"{row[0]}: {'; '.join(facts)}"
            for line in wrap(text, console.width, break_long_words=False, break_on_hyphens=False):
                console.print(Text(line), soft_wrap=True)
        return
    table = plain_table(columns, rows, left=range(len(columns)))
    for column, cells, least in zip(table.columns, of_columns, widths, strict=True):
        column.width = min(max(map(_width, cells)), least + room)
        room -= column.width - least
    console.print(table)


def show_table(
    console: Console,
    head: Sequence[str],
    rows: Sequence[Cells | None],
    *,
    title: str = "",
    words: Collection[int] = (0,),
    dense: bool = False,
) -> None:
    """Print a table.

    Args:
        console: Where to print it.
        head: The names of the columns.
        rows: The cells of each row; None: a gap between rows.
        title: The title above it.
        words: The columns of words, by index: they are folded where there is no room, and repeated where the
            columns of numbers continue below.
        dense: Less space between columns.
    """
    cells = [row for row in rows if row is not None]
    widths = [max(map(_width, column), default=0) for column in zip(head, *cells, strict=True)]
    gap = 2 if dense else 3
    for shown, limits in _parts(widths, words, console.width - 2 + gap, gap):
        table = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        table.pad_edge, table.padding = False, (0, 1, 0, 0) if dense else (0, 1)
        for index in shown:
            if index in words:
                table.add_column(head[index], overflow="fold", max_width=limits[index])
            else:
                table.add_column(head[index], justify="right", no_wrap=True, min_width=limits[index])
        for row in rows:
            if row is None:
                table.add_section()
            else:
                table.add_row(*(_shown(row[index]) for index in shown))
        console.print(table)
        title = ""


def _parts(
    widths: Sequence[int], words: Collection[int], room: int, gap: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the columns of each table, by index, and the widths of all columns."""
    limits = list(widths)
    if sum(widths) + gap * len(widths) > room:
        others = sum(width for index, width in enumerate(widths) if index not in words)
        share = (room - others - gap * len(widths)) // max(len(words), 1)
        most = max(_NARROW_WORDS, share)
        limits = [min(w, most) if index in words else w for index, w in enumerate(widths)]
    left = room - sum(limits[index] + gap for index in words)
    numbers = [index for index in range(len(widths)) if index not in words]
    part: list[int] = []
    for index in numbers:
        if part and sum(limits[i] + gap for i in [*part, index]) > left:
            yield sorted([*words, *part]), limits
            part = []
        part.append(index)
    yield sorted([*words, *part]), limits


def _shown(cell: str | Text) -> str | Text | NameCell:
    return NameCell(cell) if isinstance(cell, str) and cell.startswith("/") else cell


def _width(cell: str | Text) -> int:
    return cell.cell_len if isinstance(cell, Text) else cell_len(cell)
