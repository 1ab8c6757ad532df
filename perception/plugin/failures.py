"""Failures of a plugin: any exception that its code raises, `sys.exit` included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from perception.errors import PerceptionError, PluginError
from perception.interrupts import is_interrupt


def failure_text(error: BaseException) -> str:
    """Return an exception of a plugin on one line. An interrupt by the user is raised again."""
    if is_interrupt(error):
        raise error
    try:
        text = " ".join(str(error).split())
    except Exception:  # the plugin's own exception may fail to describe itself
        text = ""
    return f"{type(error).__name__}: {text}".rstrip(": ")[:500]


@contextmanager
def plugin_code(failure: str) -> Iterator[None]:
    """Run code of a plugin: whatever it raises becomes a PluginError.

    Args:
        failure: Begins the text of the error: "plugin 'mine' did not open".

    Raises:
        PluginError: The plugin failed. Errors of this package pass as they are.
    """
    try:
        yield
    except PerceptionError:
        raise
    except BaseException as error:
        raise PluginError(f"{failure}: {failure_text(error)}") from error
