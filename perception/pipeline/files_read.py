"""The files that a run reads, for `perception.path_guard.check_paths`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from perception.config import Config
from perception.errors import PerceptionError
from perception.logs.joined_path import parts_of
from perception.path_guard import Read
from perception.plugin import own_weights
from perception.plugin.discovery import plugin_folder


def files_read(logs: Iterable[Path], config: Config, source: str | Path | None = None) -> list[Read]:
    """Return the logs, the configuration, the weights, the plugin's files and those that its options name.

    Args:
        logs: The logs.
        config: The configuration, with the plugin and the checkpoint that are used.
        source: The file of the configuration.
    """
    plugin = config.plugin
    reads = [Read("the log", part) for log in logs for part in parts_of(log)]
    reads += [Read("the configuration", Path(source))] if source is not None else []
    reads += [Read("the checkpoint", plugin.checkpoint)] if plugin.checkpoint is not None else []
    texts = (value for value in plugin.options.values() if isinstance(value, str | Path) and str(value))
    reads += [Read("a file of the plugin's options", Path(text)) for text in texts]
    with suppress(PerceptionError, OSError):  # it does not load, which is reported where it is loaded
        reads.append(Read("the plugin", plugin_folder(plugin.name)))
        weights = own_weights(plugin.name)
        reads += [Read("the plugin's weights", weights)] if weights is not None else []
    return reads
