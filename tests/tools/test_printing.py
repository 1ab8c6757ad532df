"""What commands print: control characters of files are shown, never sent to the terminal."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from perception_tools.console import VisibleConsole
from perception_tools.printing import say

HOSTILE = "a\x1b]0;owned\x1b[2J\x9b31m[bold]:smile:"
SHOWN = "a\\u001b]0;owned\\u001b[2J\\u009b31m[bold]:smile:"
ROOT = Path(__file__).resolve().parents[2]


def printed(*what: object, terminal: bool = False) -> str:
    out = io.StringIO()
    console = VisibleConsole(
        file=out,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
        no_color=False,
        width=200,
        markup=False,
        emoji=False,
    )
    console.print(*what)
    return out.getvalue()


def table() -> Table:
    cells = Table(HOSTILE, HOSTILE)
    cells.add_row(HOSTILE, Text(HOSTILE, style="red"))
    return cells


@pytest.mark.parametrize("what", [HOSTILE, Text(HOSTILE), Text("x ").append(HOSTILE, style="red"), table()])
def test_a_console_escapes_what_it_prints(what: object) -> None:
    text = printed(what)
    assert SHOWN[:7] in text  # a narrow cell may fold or shorten it
    assert not {"\x1b", "\x9b"} & set(text)


def test_styles_work_in_a_terminal_and_only_they() -> None:
    text = printed(Text(HOSTILE, style="red"), terminal=True)
    assert text == f"\x1b[31m{SHOWN}\x1b[0m\n"


def test_a_progress_bar_escapes_its_texts() -> None:
    out = io.StringIO()
    console = VisibleConsole(file=out, force_terminal=True, width=200, markup=False, emoji=False)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bar:
        bar.add_task(HOSTILE)
    assert SHOWN[:7] in out.getvalue()
    assert "\x1b]0" not in out.getvalue()


def test_lines_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say(HOSTILE, stderr=True)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


def test_commands_print_through_this_module_alone() -> None:
    """Another `print` or `Console` would let control characters through."""
    allowed = {"printing.py", "console.py", "standard_output.py"}
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "tools").rglob("*.py"))
        if path.name not in allowed
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("print", "Console")
    ]
    assert calls == []
