"""Rules about videos: what they are, where their key frames are, and which pictures are lost."""

from __future__ import annotations

from collections.abc import Iterator

from perception.diagnosis.audit.audit_finding import RESTS_ON, Finding
from perception.logs.video.stage import VideoStage
from perception.text import plural

FAR_APART_NS = 10_000_000_000
"""Key frames further apart than this cost much: a lost packet, and a seek."""


def video_rules(stage: VideoStage) -> Iterator[Finding]:
    """Yield what is known of each video that was decoded."""
    heads = RESTS_ON["camera"]
    for topic, facts in stage.facts.items():
        yield Finding("video", "note", topic, f"{topic} is video: {facts.text}")
        if not facts.keys:
            packets = plural(facts.packets, "packet")
            text = f"{topic} has no key frame: none of its {packets} can be decoded"
            yield Finding("no_key_frame", "error", topic, text, heads)
        elif facts.first_key:
            early = plural(facts.first_key, "packet")
            text = f"{topic} begins {early} before its first key frame: they are lost"
            yield Finding("late_key_frame", "error", topic, text, heads)
        if facts.longest_ns > FAR_APART_NS:
            text = (
                f"{topic} has key frames up to {facts.longest_ns / 1e9:.0f} s apart: so much is lost with "
                "one packet, and read before a seek; set the encoder to one a second"
            )
            yield Finding("rare_key_frames", "note", topic, text)
    for (topic, code), (count, text) in stage.losses.items():
        yield Finding(
            f"video_{code}", "error", topic, f"{plural(count, 'picture')} on {topic}: {text}", heads
        )
