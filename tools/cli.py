"""The command line: the commands, and the handling of their errors. Exit codes are in `exit_codes`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

from perception.errors import ConfigError, NoPluginError, PerceptionError
from perception.interrupts import ENDING_SIGNALS, Interrupted
from perception_tools.bench import command as bench
from perception_tools.compare import command as compare
from perception_tools.evaluate import command as evaluate
from perception_tools.exit_codes import exit_code, json_status, note_signal, with_exit_code
from perception_tools.export import command as export
from perception_tools.info import command as info
from perception_tools.plugin import command as plugin
from perception_tools.printing import say
from perception_tools.replay import command as replay
from perception_tools.standard_output import discard_stdout, print_json, reader_has_gone, reserve_stdout
from perception_tools.study import command as study
from perception_tools.synthesize import command as synthesize
from perception_tools.train import command as train
from perception_tools.verify import command as verify

if TYPE_CHECKING:
    from perception.types import Status


class Commands(TyperGroup):
    """The group of the commands. An interrupt becomes typer's Abort, which `run` reports."""

    def invoke(self, ctx: Any) -> Any:  # the context is of the click that typer brings, or uses
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None


_leave_at_once = os._exit


class Interrupts:
    """The handler of Ctrl-C, SIGTERM and SIGHUP. The first ends the command cleanly: outputs are closed, the
    summary is printed.

    The second only prints a line: an exception would break what threads still compute. The third exits at
    once; flushed outputs are readable.
    """

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, number: int, frame: object) -> None:
        self._count += 1
        if self._count == 1:
            note_signal(number)
            raise Interrupted(number)
        if self._count > 2:
            _leave_at_once(exit_code("interrupted"))
        with suppress(OSError):  # no print: it may be in the middle of one
            os.write(2, b"still closing; once more leaves at once\n")


app = typer.Typer(
    name="perception",
    cls=Commands,
    help="Replay recorded sensor logs through a camera, range and status fusion model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("replay")(replay.replay)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("verify")(verify.verify)
app.command("bench")(bench.bench)
app.command("export")(export.export)
app.command("info")(info.info)
app.command("synthesize")(synthesize.synthesize)
app.command("train")(train.train)
app.command("study")(study.study)
app.add_typer(plugin.app, name="plugin")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    given, handler = list(sys.argv[1:] if arguments is None else arguments), Interrupts()
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # nohup ignores SIGHUP
            signal.signal(number, handler)
    _refuse_to_vanish()
    if "--json" in given and not {"-h", "--help"} & set(given):
        reserve_stdout()
    sys.exit(run(given))


def _refuse_to_vanish() -> None:
    """Let `os._exit` raise SystemExit in this process: a plugin that calls it fails like any other, instead
    of ending the command with an exit code of its choice. Processes forked from it leave as they want."""
    process = os.getpid()

    def leave_visibly(status: int) -> NoReturn:
        if os.getpid() != process:
            _leave_at_once(status)
        raise SystemExit(f"os._exit({status}) was called")

    os._exit = leave_visibly


def run(arguments: list[str]) -> int:
    """Run one command; report an error as one line (or one JSON object) and an exit code."""
    try:
        code = app(arguments, standalone_mode=False)
        if sys.stdout is not None:  # None if the caller closed it, as with `>&-`
            sys.stdout.flush()
        return code if isinstance(code, int) else exit_code("clean")
    except (ConfigError, NoPluginError) as error:
        return _fail(arguments, str(error), "usage")
    except PerceptionError as error:
        return _fail(arguments, str(error), "failed")
    except (KeyboardInterrupt, typer.Abort):
        return _fail(arguments, "interrupted", "interrupted")
    except SystemExit as error:
        if not reader_has_gone(error):
            return _fail(arguments, f"an extension called sys.exit({error.code!r})", "failed")
        discard_stdout()
        return exit_code("clean")
    except OSError as error:
        if reader_has_gone(error):
            discard_stdout()
            return exit_code("clean")
        where = f": {error.filename}" if error.filename else ""
        return _fail(arguments, f"{error.strerror or type(error).__name__}{where}", "failed")
    except MemoryError:
        return _fail(arguments, "out of memory", "failed")
    except Exception as error:
        # Errors of usage have no public base class in every version of typer; all of them format their text.
        if not hasattr(error, "format_message"):
            raise
        text = str(error.format_message())
        if type(error).__name__ == "NoArgsIsHelpError":  # its text is the help
            say(text)
            return exit_code("usage")
        return _fail(arguments, f"{text} (see `perception --help`)", "usage")


def _fail(arguments: list[str], text: str, status: Status) -> int:
    code = exit_code(status)
    if "--json" in arguments:
        command = next((a for a in arguments if not a.startswith("-")), "perception")
        document = {"schema": f"perception.{command}/1", "status": json_status(status), "error": text}
        try:
            print_json(with_exit_code(document, status))
            return code
        except OSError:  # stdout itself cannot be written, as on a full disk: then stderr says it
            discard_stdout()
    with suppress(OSError):  # the terminal may be closed
        say(text if status == "interrupted" else f"error: {text}", stderr=True)
    return code


if __name__ == "__main__":
    main()
