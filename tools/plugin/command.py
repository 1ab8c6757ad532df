"""`perception plugin`: list, check, new, try."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.errors import LogError
from perception.remote import log_path
from perception_tools.command_arguments import OneLog
from perception_tools.exit_codes import with_exit_code
from perception_tools.plugin.text import print_checks, print_listing, print_new, print_note
from perception_tools.shared_options import PluginOptions, plugin_options
from perception_tools.standard_output import answering, print_json
from perception_tools.usage import epilog

if TYPE_CHECKING:
    from perception.diagnosis.conformance import Check
    from perception.plugin import Context, Installed
    from perception.types import Sample, Status

SAMPLES = 20
"""The number of samples that are taken from a log."""

app = typer.Typer(
    help="Installed plugins, and whether they keep the contract.", no_args_is_help=True, add_completion=False
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list", epilog=epilog("plugin list"))
def list_command(as_json: Json = False) -> None:
    """List the installed plugins, without importing any of them."""
    from perception.plugin import list_plugins  # here and below: `perception --help` loads no numpy

    installed = list_plugins()
    if as_json:
        print_json(_listing(installed))
    else:
        print_listing(installed)


def _listing(installed: list[Installed]) -> dict[str, object]:
    plugins = []
    for item in installed:
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
    status = "failed" if any(item.error for item in installed) else "clean"
    document = {"schema": "perception.plugin_list/1", "status": status, "plugins": plugins}
    return with_exit_code(document, "clean")


@app.command("check", epilog=epilog("plugin check"))
def check_command(
    name: Annotated[str, typer.Argument(help="The plugin's name, as `plugin list` shows it.")],
    log: Annotated[
        Path | None,
        typer.Option("--log", parser=log_path, help="Take the samples from this log: a path or a URL."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The configuration for that log.")] = None,
    as_json: Json = False,
) -> None:
    """Try the plugin contract on an installed plugin. Exit code 1 when a point of it fails."""
    from perception.diagnosis.conformance import check_plugin

    samples, context = _from_log(log, config) if log is not None else (None, None)
    checks = check_plugin(name, samples, context)
    status: Status = "clean" if all(check.passed for check in checks) else "failed"
    with answering(status):
        if as_json:
            print_json(with_exit_code(_report(name, checks, status), status))
        else:
            print_checks(name, checks)


@app.command("new", epilog=epilog("plugin new"))
def new_command(
    name: Annotated[str, typer.Argument(help="The name of the plugin and of its package.")],
    folder: Annotated[Path, typer.Option(help="Where the folder NAME goes.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write the package of a plugin that works, to start from: manifest, class, test, README."""
    from perception_tools.plugin.new_plugin import write_plugin

    written = write_plugin(name, folder)
    if as_json:
        document = {"schema": "perception.plugin_new/1", "status": "clean", "plugin": name}
        print_json(with_exit_code({**document, "written": [str(path) for path in written]}, "clean"))
    else:
        print_new(folder / name, name, written)


@app.command("try", epilog=epilog("plugin try"))
def try_command(
    plugin: Annotated[str, typer.Argument(metavar="FILE.py:CLASS", help="The class of a plugin, in a file.")],
    log: OneLog,
    config: Annotated[Path | None, typer.Option(help="The configuration. Default: found by schema.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights for it.")] = None,
    option: PluginOptions = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the outputs: .mcap, .jsonl, .mp4 or .webm.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Seconds of the log.")] = None,
    as_json: Json = False,
) -> None:
    """Replay a log through a class, without a package. Outputs are checked as those of any plugin."""
    from perception_tools.plugin.try_plugin import try_plugin

    summary, note = try_plugin(plugin, log, config, checkpoint, plugin_options(option or []), output, end)
    with answering(summary.status):
        if as_json:
            print_json(with_exit_code({**summary.to_json(), "note": note}, summary.status))
        else:
            from perception_tools.replay.text import show

            show(summary, [output] if output is not None else [])
            print_note(note)


def _from_log(path: Path, config_path: Path | None) -> tuple[list[Sample], Context]:
    """Return the first samples of a log, as a replay makes them, and the context of its configuration."""
    from perception.align.ledger import Ledger
    from perception.autoconfig import complete_config
    from perception.logs import open_log
    from perception.pipeline import context_of
    from perception.pipeline.log_source import LogSource

    with open_log(path) as log:
        config = complete_config(log, config_path).config
        samples = list(islice(LogSource(log, config, Ledger()).samples(), SAMPLES))
    if not samples:
        raise LogError(f"no sample could be made from the log, so nothing can be checked: {path}")
    return samples, context_of(config, "cpu")


def _report(name: str, checks: list[Check], status: Status) -> dict[str, object]:
    return {
        "schema": "perception.plugin_check/1",
        "status": status,
        "plugin": name,
        "checks": [
            {"name": c.name, "passed": c.passed, "fault": c.violation, "advice": c.advice} for c in checks
        ],
    }
