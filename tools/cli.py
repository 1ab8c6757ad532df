"""The command line: the commands, and the handling of their errors. Exit codes are in `exit_codes`."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

import perception
from perception.codec_messages import silence_codecs
from perception.errors import ConfigError, NoPluginError, OutputError, PerceptionError, PluginError
from perception.interrupts import ENDING_SIGNALS, Interrupted
from perception.text import visible_line
from perception_tools.bug_report import bug_text, show_traceback
from perception_tools.command_table import CommandTable, flags_take_nothing
from perception_tools.damaged_installation import damage_text
from perception_tools.exit_codes import exit_code, json_status, note_signal, with_exit_code
from perception_tools.printing import degrade_text, say
from perception_tools.standard_output import (
    discard_stdout,
    open_closed_streams,
    pipe_has_gone,
    print_json,
    reader_has_gone,
    reserve_stdout,
)
from perception_tools.usage import config_text, usage_text

if TYPE_CHECKING:
    from perception.types import Status


class Commands(TyperGroup):
    """The group of the commands. An interrupt becomes typer's Abort, which `run` reports.

    A SystemExit from within a command is of an extension; those of typer itself (completion) come outside.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = CommandTable()

    def invoke(self, ctx: Any) -> Any:  # the context is of the click that typer brings, or uses
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None
        except SystemExit as error:
            if reader_has_gone(error):
                raise
            raise PluginError(f"an extension called sys.exit({error.code!r})") from error


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
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"perception {perception.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; anywhere in the command line.")
    ] = False,
) -> None:
    """Replay recorded sensor logs through a camera, range and status fusion model."""


@cache
def _root() -> Any:  # a command of the click that typer brings, or uses
    """Return the group of all commands."""
    root = get_command(app)
    flags_take_nothing(root)
    return root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    given, handler = list(sys.argv[1:] if arguments is None else arguments), Interrupts()
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # nohup ignores SIGHUP
            signal.signal(number, handler)
    atexit.register(_keep_exit_code)
    open_closed_streams()
    _refuse_to_vanish()
    degrade_text()
    if "--debug" not in given:
        silence_codecs()
    if "--debug" not in given and not sys.warnoptions:
        warnings.simplefilter("ignore")  # those of libraries: they are for developers
    if "--json" in given and not {"-h", "--help"} & set(given):
        reserve_stdout()
    sys.exit(run(given))


def _keep_exit_code() -> None:
    """Ignore further signals: the command is done. Python takes the handlers away while it finalizes, so
    that a second Ctrl-C would end the process without the exit code of what it did."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


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
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = _root()(arguments, standalone_mode=False, prog_name="perception")
        if sys.stdout is not None:  # None if the caller closed it, as with `>&-`
            sys.stdout.flush()
        return code if isinstance(code, int) else exit_code("clean")
    except BaseException as error:
        if debug and not isinstance(error, SystemExit):
            show_traceback(error)
        return _report(error, arguments)


def _report(error: BaseException, arguments: list[str]) -> int:
    """Report the error that ended a command, and return its exit code."""
    try:
        raise error
    except ConfigError as wrong:
        return _fail(arguments, config_text(wrong, _root(), arguments), "usage")
    except NoPluginError:
        return _fail(arguments, visible_line(str(error)), "usage")
    except OutputError as lost:  # a line for each file
        if pipe_has_gone(lost):
            discard_stdout()
            return exit_code("clean")
        return _fail(arguments, str(error), "failed")
    except PerceptionError:
        return _fail(arguments, visible_line(str(error)), "failed")
    except (KeyboardInterrupt, typer.Abort):
        return _fail(arguments, "interrupted", "interrupted")
    except SystemExit as left:
        if reader_has_gone(left):
            discard_stdout()
            return exit_code("clean")
        sys.stdout.flush()  # typer printed a script for shell completion, or what completes a word
        return left.code if isinstance(left.code, int) else exit_code("clean")
    except OSError as failure:
        if reader_has_gone(failure):
            discard_stdout()
            return exit_code("clean")
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:  # its disk is full: what is buffered would fail again at exit
            discard_stdout()
        place = failure.filename or _missing_folder()
        where = visible_line(f": {place}") if place else ""
        return _fail(arguments, f"{failure.strerror or type(failure).__name__}{where}", "failed")
    except MemoryError:
        return _fail(arguments, "out of memory", "failed")
    except Exception:
        # Errors of usage have no public base class in every version of typer; all of them format their text.
        if not hasattr(error, "format_message"):
            return _fail(arguments, damage_text(error) or bug_text(error, arguments), "failed")
        if type(error).__name__ == "NoArgsIsHelpError":  # its text is the help
            say(*str(error.format_message()).splitlines())
            return exit_code("usage")
        return _fail(arguments, usage_text(error, _root(), arguments), "usage")


def _missing_folder() -> str:
    """Return what is to be said of the current folder where it is gone: such an error names no file."""
    try:
        os.getcwd()
    except OSError:
        return "the current folder, which was removed"
    return ""


def _fail(arguments: list[str], text: str, status: Status) -> int:
    from perception.remote.url_secrets import without_secrets

    code, text = exit_code(status), without_secrets(text)
    if "--json" in arguments:
        command = next((a for a in arguments if not a.startswith("-")), "perception")
        document = {"schema": f"perception.{command}/1", "status": json_status(status), "error": text}
        try:
            print_json(with_exit_code(document, status))
            return code
        except OSError:  # stdout itself cannot be written, as on a full disk: then stderr says it
            discard_stdout()
    with suppress(OSError):  # the terminal may be closed
        say(*(text if status == "interrupted" else f"error: {text}").splitlines(), stderr=True)
    return code


if __name__ == "__main__":
    main()
