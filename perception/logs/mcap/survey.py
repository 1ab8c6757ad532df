"""The survey of an MCAP log: from message indexes where they are sound, else by reading."""

from __future__ import annotations

from types import MappingProxyType

from perception.logs.damage import Damage
from perception.logs.mcap.blocks import (
    DataBlock,
    Tally,
    load,
    partial_damage,
    salvage,
    tally_places,
    whole_damage,
)
from perception.logs.mcap.contents import Contents, channels_by_topic, discover, topic_of
from perception.logs.mcap.message_index import read_index
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken
from perception.logs.survey import Survey, TopicSurvey


def survey_log(source: Source, contents: Contents, profile: str, library: str) -> Survey:
    """Return the survey: from message indexes where they are sound, else by reading."""
    damage = contents.damage()
    sums = _sums(source, contents, damage)
    statistics = contents.summary.statistics
    if statistics is not None and not damage:
        claimed = {channel_id: n for channel_id, n in statistics.channel_message_counts.items() if n}
        if claimed != {channel_id: span.messages for channel_id, span in sums.items()}:
            for block in contents.blocks:  # index and statistics disagree: the log must be read
                block.tally = _load_tally(source, block, contents, damage)
            sums = _sums(source, contents, damage)
    discover(source, contents, set(sums))
    topics: dict[str, TopicSurvey] = {}
    for channel_id, span in sorted(sums.items()):
        topic = topic_of(contents, channel_id)
        old = topics.get(topic, TopicSurvey(0, span.first_ns, span.last_ns))
        topics[topic] = TopicSurvey(
            old.count + span.messages, min(old.first_ns, span.first_ns), max(old.last_ns, span.last_ns)
        )
    return Survey(
        topics=MappingProxyType(topics),
        channels=channels_by_topic(contents),
        start_ns=min((topic.first_ns for topic in topics.values()), default=None),
        end_ns=max((topic.last_ns for topic in topics.values()), default=None),
        indexed=contents.summary.indexed,
        compression=tuple(sorted({block.compression or "none" for block in contents.blocks})),
        metadata=tuple((name, MappingProxyType(values)) for name, values in contents.metadata),
        attachments=tuple(contents.attachments),
        profile=profile,
        library=library,
        size_bytes=source.size,
        damage=tuple(damage),
    )


def _sums(source: Source, contents: Contents, damage: list[Damage]) -> Tally:
    sums: Tally = {}
    for block in contents.blocks:
        if block.tally is None and (indexed := read_index(source, block)) is not None:
            block.tally = indexed
        if block.tally is None:
            block.tally = _load_tally(source, block, contents, damage)
        for channel_id, span in block.tally.items():
            old = sums.get(channel_id)
            sums[channel_id] = old.plus(*span) if old else span
    return sums


def _load_tally(source: Source, block: DataBlock, contents: Contents, damage: list[Damage]) -> Tally:
    try:
        loaded = load(source, block, contents.registry)
    except Broken as broken:
        block.broken = True
        _know_others(source, contents)
        indexed = read_index(source, block)
        lost = sum(span.messages for span in indexed.values()) if indexed is not None else None
        damage.append(whole_damage(block, str(broken), lost))
        headers = salvage(broken, block, contents.registry)
        return tally_places(headers) if indexed is None else indexed
    if loaded.problem:
        _know_others(source, contents)
        loaded = load(source, block, contents.registry)
        damage.append(partial_damage(block, loaded, None))
    return tally_places(loaded.places + ([loaded.torn] if loaded.torn else []))


def _know_others(source: Source, contents: Contents) -> None:
    """Declare the channels of the blocks counted so far: salvaging a damaged block needs them."""
    discover(source, contents, {i for other in contents.blocks for i in other.tally or ()})
