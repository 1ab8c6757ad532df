"""The exceptions that this package raises.

::

    PerceptionError
    ├── LogError             a file that cannot be read as a log
    ├── ConfigError          a wrong configuration; all errors at once in `.errors`
    ├── PluginError          a plugin that does not load, or violates the contract
    │   └── NoPluginError    no plugin of that name is installed
    ├── CheckpointError      weights that cannot be loaded, or do not fit
    ├── TrainingError        a training run that cannot go on
    ├── MissingExtraError    an optional dependency that is not installed; names the extra
    └── OutputError          an output that cannot be written

Every message says what was expected, what was found, and what to do. Damage *inside* a readable log is not an
exception: it is reported beside the messages (`perception.logs.Damage`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perception.installation import install_command
from perception.remote.url_secrets import without_secrets
from perception.text import plural, visible_line


class PerceptionError(Exception):
    """The base of all errors that this library raises on purpose. They can be pickled. Their
    text hides passwords and signatures of URLs."""

    def __str__(self) -> str:
        return without_secrets(super().__str__())

    def __reduce__(self) -> tuple[Callable[..., PerceptionError], tuple[Any, ...], dict[str, Any]]:
        # By default an exception is rebuilt from its message, and some constructors take other arguments.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(kind: type[PerceptionError], args: tuple[Any, ...]) -> PerceptionError:
    return kind.__new__(kind, *args)


class LogError(PerceptionError):
    """A file cannot be read as a log at all."""


class ConfigError(PerceptionError):
    """A configuration is wrong.

    Args:
        errors: One line for each error, each starting with its path (`sensors.range.topic: ...`). Line ends
            in them, as names from files may have them, are escaped.
        source: The file the configuration came from, if any.
        paste: A configuration as YAML for the user to start from, if there is one.
        head: The first line; by default the number of errors in the configuration.
    """

    def __init__(self, errors: Sequence[str], source: str = "", paste: str = "", head: str = "") -> None:
        self.errors = tuple(map(visible_line, errors))
        self.source = source
        self.paste = paste
        head = head or f"{plural(len(self.errors), 'error')} in the configuration"
        text = "\n  ".join([f"{head}{f' {source}' if source else ''}:", *self.errors])
        super().__init__(f"{text}\n\n{paste}" if paste else text)


class PluginError(PerceptionError):
    """A plugin does not load, or violates the contract."""


class NoPluginError(PluginError):
    """No plugin of that name is installed. The command line takes it for wrong usage."""


class CheckpointError(PerceptionError):
    """A checkpoint cannot be loaded, or does not fit its use."""


class TrainingError(PerceptionError):
    """A training run cannot continue. The training so far is kept."""


class MissingExtraError(PerceptionError):
    """An optional dependency is needed and not installed.

    Args:
        what: The use that needs it ("reading Parquet").
        extra: The extra that brings it. The message names the command that installs it here.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs the extra '{extra}': {install_command(extra)}")


class OutputError(PerceptionError):
    """An output cannot be written."""
