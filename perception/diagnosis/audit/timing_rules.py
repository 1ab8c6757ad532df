"""The audit's rules for the times of a topic: stamps, clocks, rates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from perception.config import Config
from perception.diagnosis.audit.audit_finding import RESTS_ON, Finding, Severity, plural
from perception.diagnosis.audit.log_contents import TopicContents
from perception.diagnosis.audit.topic_times import Delay
from perception.types import SENSORS

OFFSET_MS = 50.0  # cameras take their time; a difference below this is usual
AGE_MS = 3600e3  # a stamp further than this from its arrival is of another clock


def stamp_rules(topic: TopicContents) -> Iterator[Finding]:
    """Yield stamps that go back, jump, or are of another clock."""
    steps = topic.times.stamp_steps_s()
    period = topic.times.period_s()
    if not steps.size or period is None or topic.role not in SENSORS:
        return
    heads = RESTS_ON[topic.role]
    back = steps[steps < 0]
    if back.size:
        resets = int((back < -1).sum())
        effect = f"; {resets} of them by more than 1 s, where replay starts anew" if resets else ""
        count = plural(back.size, "time")
        text = f"stamps on {topic.name} go back {count}, by up to {-back.min():.3f} s{effect}"
        yield Finding("stamps_back", "warning", topic.name, text, heads)
    arrivals = topic.times.steps_s()
    jumps = steps[(steps > 1) & (steps > arrivals + 1)]
    if jumps.size:
        text = f"stamps on {topic.name} jump ahead {plural(jumps.size, 'time')}, by up to {jumps.max():.1f} s"
        yield Finding("stamps_jump", "warning", topic.name, text, heads)
    still = int((steps == 0).sum())
    if still:
        text = f"{plural(still, 'message')} on {topic.name} have the stamp of the one before"
        yield Finding("stamps_still", "note", topic.name, text)
    far = np.abs(topic.times.delays_ms()) > AGE_MS
    if far.any():
        count = plural(int(far.sum()), "stamp")
        text = f"{count} on {topic.name} are hours away from the arrival: of another clock"
        yield Finding("stamps_foreign", "warning", topic.name, text, heads)


def clock_rules(topic: TopicContents, reference: TopicContents, config: Config) -> Iterator[Finding]:
    """Yield a clock or a delay that differs from the reference's."""
    own, theirs = Delay.of(topic.times), Delay.of(reference.times)
    if own is None or theirs is None or topic.role not in SENSORS or topic is reference:
        return
    offset = own.median_ms - theirs.median_ms
    heads = RESTS_ON[topic.role]
    if abs(offset) > OFFSET_MS:
        side = "further from" if offset > 0 else "closer to"
        limit = _reach_ms(topic, config)
        text = (
            f"stamps on {topic.name} are {abs(offset):.0f} ms {side} their arrival than those on "
            f"{reference.name}: one path is slower, or the clocks differ"
        )
        if abs(offset) > limit:
            text += f"; beyond {limit:g} ms it often has nothing for a tick"
        yield Finding("clock_offset", "warning" if abs(offset) > limit else "note", topic.name, text, heads)
    period = topic.times.period_s()
    if period is not None and own.jitter_ms > max(500 * period, 20.0):
        text = (
            f"{topic.name} arrives after {own.median_ms:.0f} ms, with a jitter of {own.jitter_ms:.0f} ms, "
            f"more than half its period of {1000 * period:.0f} ms"
        )
        yield Finding("jitter", "note", topic.name, text, heads)


def _reach_ms(topic: TopicContents, config: Config) -> float:
    section = getattr(config.sensors, topic.role)
    nearest = getattr(section, "policy", "") == "nearest"
    return float(section.tolerance_ms if nearest else section.max_age_ms)


def rate_rules(topic: TopicContents, reference: TopicContents) -> Iterator[Finding]:
    """Yield drop-outs, silent periods, a late start or an early end."""
    period, times = topic.times.period_s(), topic.times
    if topic.role not in SENSORS or period is None:
        return
    heads = RESTS_ON[topic.role]
    steps = times.steps_s()
    silent = steps[(steps > 1) & (steps > 5 * period)]
    if silent.size:
        longest, at = times.largest_gap() or (0.0, 0)
        where = (at - reference.times.arrivals[0]) / 1e9 if reference.times.count else 0.0
        count = plural(silent.size, "time")
        text = f"{topic.name} is silent {count} for more than 1 s, {longest:.1f} s from {where:.1f} s on"
        yield Finding("silent", "warning", topic.name, text, heads)
    gaps, lost = times.dropouts()
    if gaps:
        share = lost / (lost + times.count)
        text = (
            f"{topic.name} at {1 / period:.1f} Hz leaves out about {plural(lost, 'message')} "
            f"in {plural(gaps, 'gap')} ({share:.1%})"
        )
        severity: Severity = "warning" if share > 0.02 else "note"
        yield Finding("dropouts", severity, topic.name, text, heads)
    if topic is not reference and reference.times.count:
        late = (times.arrivals[0] - reference.times.arrivals[0]) / 1e9
        early = (reference.times.arrivals[-1] - times.arrivals[-1]) / 1e9
        for seconds, verb, side in ((late, "starts", "after"), (early, "ends", "before")):
            if seconds > max(1.0, 5 * period):
                text = f"{topic.name} {verb} {seconds:.1f} s {side} {reference.name}"
                yield Finding("short", "warning", topic.name, text, heads)
