"""The times of a log: where its sensors start, from which seconds count."""

from __future__ import annotations

from itertools import islice, pairwise

from perception.config import Config
from perception.logs import Log, Query
from perception.logs.sparing import arrival_times

STRAY_NS = 86_400_000_000_000
"""Messages that come a day or more before the next are from before the recorder's clock was set."""

MOST_STRAYS = 64


def sensor_start_ns(log: Log, config: Config) -> int:
    """Return the log time of the first sensor message, from which `--start` and `--end` count seconds.

    A static transform that was logged at time 0, or hours before, does not count; nor do messages of a sensor
    that come a day before the next one.
    """
    sections = config.sensors.named.values()
    topics = frozenset(section.topic for section in sections if section.topic in log.survey.topics)
    if not topics:
        return log.survey.start_ns or 0
    first_ns = min(log.survey.topics[topic].first_ns for topic in topics)
    arrivals = arrival_times(log, topics, MOST_STRAYS)
    if arrivals is None:
        stream = log.messages(Query(topics, first_ns))
        arrivals = [message.log_time_ns for message in islice(stream, MOST_STRAYS)]
    late = [later for earlier, later in pairwise(arrivals) if later - earlier > STRAY_NS]
    return late[-1] if late and arrivals[-1] != late[-1] else first_ns


def strays(log: Log, config: Config) -> dict[str, int]:
    """Return the topics with messages a day or more before the sensors start, and when, in log time."""
    start_ns = sensor_start_ns(log, config)
    return {
        topic: survey.first_ns
        for topic, survey in sorted(log.survey.topics.items())
        if start_ns - survey.first_ns > STRAY_NS
    }
