"""Interruptions of the program by a signal, and how they differ from what a plugin raises."""

from __future__ import annotations

import signal
import threading
from types import FrameType

ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a program to end: Ctrl-C, a service manager or batch system, a closed terminal."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to end. Whatever handles Ctrl-C handles it.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def is_interrupt(error: BaseException) -> bool:
    """Return whether the user or the system asked the program to end, as opposed to a plugin that raised.

    A bare KeyboardInterrupt is taken for the user's where Python's own handler of Ctrl-C is at work, which
    raises the same in the main thread. `perception` on the command line has a handler of its own.
    """
    if isinstance(error, Interrupted):
        return True
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def raise_on_signals() -> None:
    """Let SIGTERM and SIGHUP raise `Interrupted` in this process; a signal that is ignored stays ignored.

    For worker processes: by default these signals end a process at once, with its files not closed.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    for number in ENDING_SIGNALS:
        if number != signal.SIGINT and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
