"""`perception replay LOG --serve`: a live server for Foxglove, and what it says on the terminal."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from perception_tools.exit_codes import with_exit_code
from perception_tools.printing import say
from perception_tools.standard_output import answering, print_json

if TYPE_CHECKING:
    from perception.pipeline.replay_job import ReplayJob
    from perception.pipeline.viewers import ReplayServer, ServedRun
    from perception.types import Status
    from perception_tools.replay.options import ReplayArguments


def serve(job: ReplayJob, arguments: ReplayArguments) -> None:
    """Serve a replay until Ctrl-C."""
    from perception.pipeline.viewers import Serving, is_loopback, load_viewer

    host, waits = arguments.serve_host, arguments.rate is None
    if not is_loopback(host):
        say(
            f"warning: whoever reaches {host} port {arguments.serve_port} sees this log and can play, pause "
            "and seek, without a password and unencrypted; leave out --serve-host for this machine alone",
            stderr=True,
        )
    begun_s = time.monotonic()

    def started(server: ReplayServer) -> None:
        say(f"serving at {server.url}: open it in Foxglove, or {server.app_url}", stderr=True)
        say(f"{'begins when a viewer connects; ' if waits else ''}Ctrl-C ends", stderr=True)

    def ended(outputs: int) -> None:
        seconds = time.monotonic() - begun_s
        say(f"played to the end: {outputs} outputs, {seconds:.1f} s after the start", stderr=True)

    def refused(reason: str) -> None:
        say(f"warning: refused a connection: {reason}; use Foxglove or a page of this machine", stderr=True)

    serving = Serving(host, arguments.serve_port, waits, started=started, ended=ended, refused=refused)
    account: ServedRun = load_viewer("foxglove").serve_replay(job, serving)
    status = status_of(account)
    with answering(status):
        if arguments.as_json:
            document = {"schema": "perception.serve/1", "status": status, **asdict(account)}
            print_json(with_exit_code(document, status))
        else:
            _show(account)


def status_of(account: ServedRun) -> Status:
    """Return `clean`, or `loss` where the plugin failed on a sample."""
    return "loss" if account.errors else "clean"


def _show(account: ServedRun) -> None:
    say(f"served {account.outputs} outputs, {account.seeks} seeks")
    if account.errors:
        say(f"{account.errors} errors of the plugin, the first: {account.first_error}")
    for text in account.warnings:
        say(f"warning: {text}")
