"""`perception plugin list` and `plugin check`: what is installed, and whether it keeps the contract."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.errors import LogError
from perception_tools.exit_codes import leave, with_exit_code

if TYPE_CHECKING:
    from perception.diagnosis.conformance import Check
    from perception.plugin import Context, Installed
    from perception.types import Sample, Status

SAMPLES = 20
"""Samples that are taken from a log."""

app = typer.Typer(help="Installed plugins, and whether they keep the contract.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the installed plugins, without importing any of them."""
    from perception.plugin import list_plugins  # here and below: `perception --help` loads no numpy

    found = list_plugins()
    if as_json:
        print(json.dumps(_listing(found), indent=2, ensure_ascii=False))
    else:
        _print_listing(found)


def _listing(found: list[Installed]) -> dict[str, object]:
    plugins = []
    for item in found:
        manifest = item.manifest
        plugins.append(
            {
                "name": item.name,
                "distribution": item.distribution,
                "version": item.version,
                "fault": item.error,
                "inputs": list(manifest.inputs) if manifest else [],
                "heads": list(manifest.heads) if manifest else [],
                "preroll_s": manifest.preroll_s if manifest else None,
                "max_batch": manifest.max_batch if manifest else None,
                "description": manifest.description if manifest else "",
            }
        )
    status = "failed" if any(item.error for item in found) else "clean"
    document = {"schema": "perception.plugin_list/1", "status": status, "plugins": plugins}
    return with_exit_code(document, "clean")


def _print_listing(found: list[Installed]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    if not found:
        console.print(
            "No plugins are installed. One is a package with an entry point in 'perception.plugins'."
        )
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("plugin", "from", "inputs", "heads", "memory", "batch"):
        table.add_column(column, overflow="fold")
    for item in found:
        source = Text(f"{item.distribution} {item.version}".strip())
        manifest = item.manifest
        if manifest is None:
            table.add_row(Text(item.name), source, Text("unusable", style="red"), "", "", "")
            continue
        memory = "all" if manifest.preroll_s is None else f"{manifest.preroll_s:g} s"
        inputs, heads = ", ".join(manifest.inputs), ", ".join(manifest.heads)
        table.add_row(Text(item.name), source, inputs, heads, memory, str(manifest.max_batch))
    console.print(table)
    for item in found:
        if item.manifest is not None and item.manifest.description:
            console.print(Text(f"{item.name}: {item.manifest.description}"), soft_wrap=True)
        if item.error:
            console.print(Text(f"unusable: {item.error}", style="red"), soft_wrap=True)


@app.command("check")
def check_command(
    name: Annotated[str, typer.Argument(help="The plugin's name, as `plugin list` shows it.")],
    log: Annotated[Path | None, typer.Option("--log", help="Take the samples from this log.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The configuration for that log.")] = None,
    as_json: Json = False,
) -> None:
    """Try the plugin contract on an installed plugin. Exit code 1 when a point of it fails."""
    from perception.diagnosis.conformance import check_plugin

    samples, context = _from_log(log, config) if log is not None else (None, None)
    checks = check_plugin(name, samples, context)
    status: Status = "clean" if all(check.passed for check in checks) else "failed"
    if as_json:
        _print_json(name, checks, status)
    else:
        _print_checks(name, checks)
    leave(status)


def _from_log(path: Path, config_path: Path | None) -> tuple[list[Sample], Context]:
    """The first samples of a log, and the context that its configuration makes."""
    from perception.align import align
    from perception.autoconfig import complete_config
    from perception.logs import Query, open_log
    from perception.pipeline import context_of

    with open_log(path) as log:
        config = complete_config(log, config_path).config
        messages = log.messages(Query(topics=frozenset(config.roles())))
        samples = list(islice(align(messages, config), SAMPLES))
    if not samples:
        raise LogError(f"no sample could be made from the log, so nothing can be checked: {path}")
    return samples, context_of(config, "cpu")


def _print_json(name: str, checks: list[Check], status: Status) -> None:
    report = {
        "schema": "perception.plugin_check/1",
        "status": status,
        "plugin": name,
        "checks": [
            {"name": c.name, "passed": c.passed, "fault": c.violation, "advice": c.advice} for c in checks
        ],
    }
    print(json.dumps(with_exit_code(report, status), indent=2, ensure_ascii=False))


def _print_checks(name: str, checks: list[Check]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    for check in checks:
        mark = Text("ok  ", style="green") if check.passed else Text("FAIL", style="bold red")
        console.print(mark, Text(check.name))
        if not check.passed:
            console.print(Text(f"       found: {check.violation}"), soft_wrap=True)
            console.print(Text(f"       to do: {check.advice}"), soft_wrap=True)
    kept = sum(check.passed for check in checks)
    tail = "; it keeps the contract" if kept == len(checks) else ""
    console.print(f"{name}: {kept} of {len(checks)} points hold{tail}")
