"""Long recordings in spans: replays of parts whose outputs, one after the other, are those of the whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from perception.autoconfig import complete_config
from perception.autoconfig.log_times import sensor_start_ns
from perception.errors import ConfigError, PerceptionError
from perception.logs import open_log
from perception.pipeline.batch.replay_recording import ReplayRecording
from perception.pipeline.log_source import Span
from perception.pipeline.span import parse_span

MOST_SPANS = 9_999
_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}


def parse_length(text: str) -> float:
    """Return the seconds of a length of time: `30s`, `10min`, `1h`.

    Raises:
        ConfigError: It is not of that form, or not more than 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text.strip())
    if match is None or not float(match[1]):
        raise ConfigError([f"--split: expected a length of time, as 30s, 10min or 1h, found '{text}'"])
    return float(match[1]) * _UNITS_S[match[2]]


def in_spans(recordings: Sequence[ReplayRecording], length_s: float) -> list[ReplayRecording]:
    """Return the replays of the spans of each recording that is longer than one.

    Spans are counted from the first sensor message, or from where the replay is to start. A recording that
    cannot be opened or configured stays whole: its replay says why.

    Raises:
        ConfigError: A recording would have more than `MOST_SPANS`.
    """
    return [part for recording in recordings for part in _spans(recording, length_s)]


def _spans(recording: ReplayRecording, length_s: float) -> list[ReplayRecording]:
    job = recording.job
    try:
        with open_log(job.log) as log:
            config = complete_config(log, job.config, job.overrides).config
            whole = parse_span(log, config, job.start, job.end)
            first_ns = whole.start_ns if whole.start_ns is not None else sensor_start_ns(log, config)
            last_ns = whole.end_ns if whole.end_ns is not None else (log.survey.end_ns or first_ns) + 1
    except (PerceptionError, OSError):
        return [recording]
    step_ns = round(length_s * 1e9)
    count = -(-(last_ns - first_ns) // step_ns)
    if count > MOST_SPANS:
        text = f"--split: expected at most {MOST_SPANS} spans, found {count}; name a longer one: {job.log}"
        raise ConfigError([text])
    if count <= 1:
        return [recording]
    starts = [first_ns + number * step_ns for number in range(1, count)]
    spans = [Span(*pair) for pair in zip([whole.start_ns, *starts], [*starts, whole.end_ns], strict=True)]
    return [
        replace(recording, span=span, part=f".{number:04d}", split_s=length_s)
        for number, span in enumerate(spans)
    ]


def joined_account(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the account of a recording from those of its spans: status, frames, errors and warnings.

    All else is that of the first span.
    """
    if len(documents) == 1:
        return dict(documents[0])
    frames = sum(document["frames"] for document in documents)
    warnings: dict[tuple[str, str], dict[str, Any]] = {}
    for document in documents:
        for row in document["warnings"]:
            if row["code"] == "no_frames" and frames:
                continue  # nothing was recorded in one span
            known = warnings.setdefault((row["code"], row["text"]), {**row, "count": 0})
            known["count"] += row["count"]
    return {
        **documents[0],
        "status": "loss" if any(document["status"] == "loss" for document in documents) else "clean",
        "frames": frames,
        "errors": sum(document["errors"] for document in documents),
        "warnings": list(warnings.values()),
    }
