"""Feeding a host loop from a log: on the clock of the log, or on that of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from perception.autoconfig import complete_config
from perception.config import Config
from perception.logs import Query, open_log
from perception.types import Message
from perception_plugins.hosts.loop import HostLoop


def config_of(path: Path) -> Config:
    """The complete configuration of a log, as a robot's file would have it."""
    with open_log(path) as log:
        config = complete_config(log).config
    from perception.config.schema import TruthConfig

    return config.model_copy(update={"truth": TruthConfig()})


def messages_of(path: Path, config: Config) -> Iterator[Message]:
    with open_log(path) as log:
        yield from log.messages(Query(frozenset(config.roles())))


def feed_as_recorded(loop: HostLoop, messages: Iterable[Message]) -> None:
    """Give the messages with the arrivals that they have in the log, to a loop without a clock of its own."""
    for message in messages:
        loop.feed(message.channel, message.data, message.publish_time_ns, message.log_time_ns)
