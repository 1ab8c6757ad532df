"""The text of `perception plugin`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from perception.installation import pip_install
from perception_tools.printing import make_console

if TYPE_CHECKING:
    from perception.diagnosis.conformance import Check
    from perception.plugin import Installed


def print_listing(installed: list[Installed]) -> None:
    """Print a table of the installed plugins, with descriptions and errors below."""
    from rich.text import Text

    from perception_tools.printed_tables import print_words

    console = make_console()
    if not installed:
        console.print(
            "No plugins are installed. One is a package with an entry point in 'perception.plugins'."
        )
        return
    rows: list[tuple[str | Text, ...]] = []
    for item in installed:
        source = Text(f"{item.distribution} {item.version}".strip())
        manifest = item.manifest
        if manifest is None:
            rows.append((Text(item.name), source, Text("unusable", style="red"), "", "", ""))
            continue
        memory = "all" if manifest.preroll_s is None else f"{manifest.preroll_s:g} s"
        inputs, heads = ", ".join(manifest.inputs), ", ".join(manifest.heads)
        rows.append((Text(item.name), source, inputs, heads, memory, str(manifest.max_batch)))
    print_words(console, ("plugin", "from", "inputs", "heads", "memory", "batch"), rows)
    for item in installed:
        if item.manifest is not None and item.manifest.description:
            console.print(Text(f"{item.name}: {item.manifest.description}"), soft_wrap=True)
        if item.error:
            console.print(Text(f"unusable: {item.error}", style="red"), soft_wrap=True)


def print_checks(name: str, checks: list[Check]) -> None:
    """Print a line for each point of the contract, with advice for those that fail."""
    from rich.text import Text

    console = make_console()
    for check in checks:
        mark = Text("ok  ", style="green") if check.passed else Text("FAIL", style="bold red")
        console.print(mark, Text(check.name))
        if not check.passed:
            console.print(Text(f"       found: {check.violation}"), soft_wrap=True)
            console.print(Text(f"       to do: {check.advice}"), soft_wrap=True)
    kept = sum(check.passed for check in checks)
    tail = "; it keeps the contract" if kept == len(checks) else ""
    console.print(f"{name}: {kept} of {len(checks)} points hold{tail}")


def print_new(root: Path, name: str, written: list[Path]) -> None:
    """Print the files of a new plugin and what to do with them."""
    console = make_console()
    for path in written:
        console.print(f"written: {path}", soft_wrap=True)
    file, folder = shlex.quote(str(root / name / "core.py")), shlex.quote(str(root))
    console.print(f"try it: perception plugin try {file} drive.mcap", soft_wrap=True)
    install = pip_install(f"-e {folder}")
    console.print(f"install it: {install}; perception plugin check {name}", soft_wrap=True)


def print_note(note: str) -> None:
    """Print a line about what was assumed of a plugin, if anything was."""
    if note:
        make_console().print(note, soft_wrap=True)
