"""The receipt of a run: what is known only at its end, written beside the outputs to verify them by.

`RunInfo` says at the head of an output log what makes the outputs; it is there even where the writer is
killed. The receipt adds the hashes: of the configuration, of what was read of the input, and of the outputs.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from perception.messages import Message
from perception.sinks.base import RunInfo

if TYPE_CHECKING:
    from perception.pipeline.replay import ReplayOptions

HASHED_BYTES = 64 << 20
"""Input files up to this size are hashed as a whole, too: that takes less than 0.1 s."""


class ContentDigest:
    """A hash over the messages that a run read, taken while it reads them: no file is read twice.

    It does not depend on how the file is laid out: a copy with other chunks or compression has the same.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.messages = 0

    def add(self, message: Message) -> None:
        """Take in one message: topic, times and payload."""
        head = f"{message.topic}\0{message.log_time_ns}\0{message.publish_time_ns}\0{len(message.data)}\0"
        self._hash.update(head.encode())
        self._hash.update(message.data)
        self.messages += 1

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def receipt_of(
    run: RunInfo,
    options: ReplayOptions,
    seed: int,
    ended: str,
    content: ContentDigest | None,
    outputs_sha256: str,
    frames: int,
) -> dict[str, str]:
    """The receipt as a flat record; what is not known is left out.

    Keys: `ended` (`whole`, `interrupted`, `failed`), `frames`, `outputs_sha256`, `messages` and
    `messages_sha256` (what was read of the configured topics), `input_sha256` (of the file, up to
    `HASHED_BYTES`), `config_sha256`, `weights_sha256`, `seed`, `faults`, `on_error`, `rate`, `live_drop`,
    `python`, `machine`.
    """
    rate = options.rate
    record = {
        "ended": ended,
        "frames": str(frames),
        "outputs_sha256": outputs_sha256,
        "messages": "" if content is None else str(content.messages),
        "messages_sha256": "" if content is None else content.hexdigest(),
        "input_sha256": file_sha256(run.input),
        "config_sha256": hashlib.sha256(run.config.encode()).hexdigest(),
        "weights_sha256": run.weights_sha256,
        "seed": str(seed),
        "faults": "\n".join(run.faults),
        "on_error": options.on_error,
        "rate": "" if rate is None else repr(rate),
        "live_drop": "true" if options.live_drop else "",
        "python": platform.python_version(),
        "machine": this_machine(),
    }
    return {key: text for key, text in record.items() if text}


def this_machine() -> str:
    """The kind of machine this is: `Linux x86_64`."""
    return f"{platform.system()} {platform.machine()}"


def file_sha256(path: Path | None, most: int = HASHED_BYTES) -> str:
    """The hash of a file; empty for one that is larger than `most` bytes or cannot be read."""
    try:
        if path is None or path.stat().st_size > most:
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
