"""Names of the recordings of a batch: each its own, the same for the same logs, whatever their order."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from perception.errors import ConfigError
from perception.logs.joined_path import named_log
from perception.remote import is_remote


def recording_names(
    logs: Sequence[Path], is_taken: Callable[[str, Path], bool] = lambda name, log: False
) -> list[str]:
    """Return the name of each recording.

    It is called after the log (`run` for `run.mcap`). Logs that would share a name get a longer one: their
    path below the folder that all logs share (`x_run`), that with its suffix (`x_run.mcap`), or with a hash
    of the whole path. Names that differ only in the case of letters count as the same.

    Args:
        logs: The logs.
        is_taken: Called with a name and a log; returns whether the name is that of another log.

    Raises:
        ConfigError: A log is named twice.
    """
    resolved = [log.resolve() for log in logs]
    if twice := [named_log(log) for log, times in Counter(resolved).items() if times > 1]:
        raise ConfigError([f"a log is named twice: {', '.join(twice)}"])
    local = [log.parent for log in resolved if not is_remote(log)]
    shared = Path(os.path.commonpath(local)) if local else Path()
    ladders = [_names(log, shared) for log in resolved]
    steps = [0] * len(logs)
    while True:
        names = [ladder[step] for ladder, step in zip(ladders, steps, strict=True)]
        times = Counter(name.casefold() for name in names)
        longer = [
            k
            for k, name in enumerate(names)
            if steps[k] + 1 < len(ladders[k]) and (times[name.casefold()] > 1 or is_taken(name, logs[k]))
        ]
        if not longer:
            return names
        for k in longer:
            steps[k] += 1


def _names(log: Path, shared: Path) -> tuple[str, ...]:
    """Return the names that a recording may have, shortest first; the last one belongs to this path alone."""
    parts = re.split(r"[/:?&=*]+", named_log(log)) if is_remote(log) else log.relative_to(shared).parts
    below = "_".join(parts)
    digest = hashlib.sha256(os.fsencode(log)).hexdigest()[:12]
    return log.stem, below.removesuffix(log.suffix), below, f"{below}-{digest}"
