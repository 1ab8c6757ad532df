"""The receipt of a run: what is known only at its end, written beside the outputs to verify them by.

`RunInfo` says at the head of an output log what makes the outputs; it is there even where the writer is
killed. The receipt adds the hashes: of the configuration, of what was read of the input, and of the outputs.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from perception.files import file_sha256
from perception.pipeline.digest import ContentDigest
from perception.pipeline.options import ReplayOptions
from perception.sinks import RunInfo

HASHED_BYTES = 64 << 20
"""Input files up to this size are hashed as a whole, too: that takes less than 0.1 s."""


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
        "input_sha256": recorded_sha256(run.input),
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


def recorded_sha256(path: Path | None, most: int = HASHED_BYTES) -> str:
    """The hash of a file; empty for one that is larger than `most` bytes or cannot be read."""
    try:
        return "" if path is None or path.stat().st_size > most else file_sha256(path)
    except OSError:
        return ""
