"""The survey of an MCAP log, from the tallies of its blocks."""

from __future__ import annotations

from types import MappingProxyType

from perception.logs.damage import Damage
from perception.logs.mcap.accounting import index_of_damaged
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
from perception.logs.mcap.limits import Budget
from perception.logs.mcap.source import Source
from perception.logs.mcap.unpack import Broken
from perception.logs.survey import Survey, TopicSurvey


def survey_log(source: Source, contents: Contents, profile: str, library: str) -> Survey:
    """Return the survey of a log whose contents are settled."""
    damage, budget = contents.damage(), Budget(source.size)
    sums: Tally = dict(contents.tally or {})
    for block in contents.blocks:
        tally = _damaged(source, block, contents, damage, budget) if block.bad else block.tally
        for key, span in {} if contents.tally else (tally or {}).items():
            old = sums.get(key)
            sums[key] = old.plus(*span) if old else span
    discover(source, contents, set(sums), budget)
    topics: dict[str, TopicSurvey] = {}
    for key, span in sorted(sums.items()):
        topic = topic_of(contents, key)
        old_topic = topics.get(topic, TopicSurvey(0, span.first_ns, span.last_ns))
        topics[topic] = TopicSurvey(
            old_topic.count + span.messages,
            min(old_topic.first_ns, span.first_ns),
            max(old_topic.last_ns, span.last_ns),
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


def _damaged(
    source: Source, block: DataBlock, contents: Contents, damage: list[Damage], budget: Budget
) -> Tally:
    """Return the messages of a damaged block that can be counted, and add its damage."""
    try:
        loaded = load(source, block, contents.registry, budget)
    except Broken as broken:
        headers = tally_places(salvage(broken, block, contents.registry, budget))
        indexed = index_of_damaged(source, block)
        lost = None if indexed is None else sum(span.messages for span in indexed.values())
        damage.append(whole_damage(block, str(broken), lost))
        return headers if indexed is None else indexed
    damage.append(partial_damage(block, loaded, None))
    return tally_places(loaded.places + ([loaded.torn] if loaded.torn else []))
