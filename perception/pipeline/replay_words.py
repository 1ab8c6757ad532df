"""The options of the command that replays a log as a run did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perception.autoconfig import Overrides


def replay_words(source: Path | None, overrides: Overrides) -> list[str]:
    """Return the command-line options of a replay with a configuration file and what replaces its values."""
    named = [("--config", source), ("--plugin", overrides.plugin), ("--checkpoint", overrides.checkpoint)]
    named += [(f"--{key}", value) for key, value in overrides.engine.items()]
    words = [word for option, value in named if value is not None for word in (option, str(value))]
    words += [word for text in _plugin_options(overrides.options) for word in ("--option", text)]
    return words + [word for fault in overrides.faults for word in ("--fault", fault)]


def _plugin_options(options: Mapping[str, Any], section: str = "") -> list[str]:
    texts: list[str] = []
    for key, value in options.items():
        if isinstance(value, Mapping):
            texts += _plugin_options(value, f"{section}{key}.")
        else:
            texts.append(f"{section}{key}={_yaml(value)}")
    return texts


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
