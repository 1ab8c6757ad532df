"""The light condition that the metadata of a log state."""

from __future__ import annotations

import json

from perception.logs.readers import Log

_KEYS = ("light", "lighting", "time_of_day", "time")


def stated_light(log: Log) -> str:
    """Return the light condition in the log's metadata; `time` inside a scenario counts too. Empty: none."""
    for _, record in log.survey.metadata:
        metadata = dict(record)
        try:
            scenario = json.loads(metadata.get("scenario", "{}"))
        except ValueError:
            scenario = {}
        if isinstance(scenario, dict):
            metadata |= {key: value for key, value in scenario.items() if isinstance(value, str)}
        for key in _KEYS:
            word = metadata.get(key, "")
            if word and not word.replace(".", "").replace(":", "").isdigit():
                return str(word)[:40]
    return ""
