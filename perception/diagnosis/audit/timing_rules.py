"""The audit's rules for the times of a topic: stamps, clocks, rates.

Clocks are judged against the reference sensor, not against arrival: sensors that share a simulated clock are
sound, whatever the recorder's clock shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from perception.autoconfig.alignment_advice import UNSTEADY_MS
from perception.config import Config
from perception.diagnosis.audit.audit_finding import HEADS, RESTS_ON, Finding, Severity
from perception.diagnosis.audit.log_contents import TopicContents
from perception.diagnosis.audit.topic_times import Delay, TopicTimes
from perception.text import plural

OFFSET_MS = 50.0  # cameras take their time; a difference below this is usual
SLOW_MS = 500.0  # a picture may take so long from the camera to the recorder
LEAST_STAMPS = 5  # from which the speed of a clock is told
AGE_MS = 3600e3  # a stamp further than this from where it should be is of another clock


def stamp_rules(topic: TopicContents, reference: TopicContents) -> Iterator[Finding]:
    """Yield stamps that go back, jump, or are of another clock than the rest."""
    steps = topic.stamps.stamp_steps_s()
    if not steps.size:
        return
    heads = RESTS_ON[topic.role]
    back = steps[steps < 0]
    if back.size:
        resets = int((back < -1).sum())
        effect = f"; {resets} of them by more than 1 s, where replay starts anew" if resets else ""
        if topic is reference and (late := topic.stamps.overtaken()):
            effect += f"; {plural(late, 'message')} until the stamps have caught up are late, and not used"
        count = plural(back.size, "time")
        text = f"stamps on {topic.name} go back {count}, by up to {-back.min():.3f} s{effect}"
        yield Finding("stamps_back", "warning", topic.name, text, heads)
    arrivals = topic.times.steps_s()
    jumps = steps[(steps > 1) & (steps > arrivals + 1) & (steps > 5 * np.median(np.abs(steps)))]
    if jumps.size:
        text = f"stamps on {topic.name} jump ahead {plural(jumps.size, 'time')}, by up to {jumps.max():.1f} s"
        yield Finding("stamps_jump", "warning", topic.name, text, heads)
    still = int((steps == 0).sum())
    if still:
        text = f"{plural(still, 'message')} on {topic.name} have the stamp of the one before"
        yield Finding("stamps_still", "note", topic.name, text)
    far = _far_stamps(topic, reference)
    if far:
        text = f"{plural(far, 'stamp')} on {topic.name} are hours away from the others: of another clock"
        yield Finding("stamps_foreign", "warning", topic.name, text, heads)


def _far_stamps(topic: TopicContents, reference: TopicContents) -> int:
    """Return how many stamps lie hours away from where the reference's clock puts them."""
    behind = topic.stamps.behind_ms(reference.stamps)
    if topic is reference:
        delays = topic.stamps.delays_ms()
        behind = delays - np.median(delays)
    return int((np.abs(behind) > AGE_MS).sum())


def clock_rules(topic: TopicContents, reference: TopicContents, config: Config) -> Iterator[Finding]:
    """Yield a clock or a delay that differs from the reference's.

    Where the reference's messages are those that come late (a camera behind a network), nobody can tell.
    """
    own = Delay.of(topic.stamps)
    behind = topic.stamps.behind_ms(reference.stamps)
    if own is None or not behind.size or topic is reference:
        return
    relative = Delay.of_values(behind)
    offset = relative.median_ms
    heads = RESTS_ON[topic.role]
    if abs(offset) > OFFSET_MS:
        side = "further from" if offset > 0 else "closer to"
        limit = _reach_ms(topic, config)
        text = (
            f"stamps on {topic.name} are {abs(offset):.0f} ms {side} their arrival than those on "
            f"{reference.name}: one path is slower, or the clocks differ"
        )
        if offset > limit + config.wait_ms:
            text += f"; beyond {limit:g} ms it often has nothing for a tick"
        elif abs(offset) > limit:
            text += "; if it is the clocks, it is taken together with what was measured at another moment"
        severity: Severity = "warning" if abs(offset) > limit else "note"
        if severity == "warning" and 0 <= own.median_ms < own.median_ms - offset < SLOW_MS:
            severity = "unjudged"
        yield Finding("clock_offset", severity, topic.name, text, heads)
    period = topic.times.period_s()
    jitter_ms = min(own.jitter_ms, relative.jitter_ms)  # that of the recorder's clock is not the topic's
    if period is not None and jitter_ms > max(500 * period, 20.0):
        text = (
            f"{topic.name} arrives with a jitter of {jitter_ms:.0f} ms, more than half its period of "
            f"{1000 * period:.0f} ms"
        )
        yield Finding("jitter", "note", topic.name, text, heads)


def clocks_apart_ms(sensors: Sequence[TopicContents], reference: TopicContents) -> dict[str, float]:
    """Return for each topic how far its stamps are behind those of the reference, where both are stamped."""
    behind = {topic.name: topic.stamps.behind_ms(reference.stamps) for topic in sensors}
    return {name: float(np.median(values)) for name, values in behind.items() if values.size}


def unsteady_clocks(sensors: Sequence[TopicContents], reference: TopicContents) -> dict[str, float]:
    """Return the topics whose stamps do not keep pace with arrivals, and how far these differ, ms.

    Where those of the reference and of another sensor change alike, it is the recorder's clock: of a log that
    was played slowly, and recorded again.
    """
    own = {topic.name: Delay.of(topic.stamps) for topic in sensors}
    others = [topic for topic in sensors if topic is not reference and topic.stamps.stamps]
    behind = {topic.name: topic.stamps.behind_ms(reference.stamps) for topic in others}
    beside = {name: Delay.of_values(values).jitter_ms for name, values in behind.items() if values.size}
    beside[reference.name] = min(beside.values(), default=0.0)
    jitters = {
        name: min(delay.jitter_ms, beside.get(name, delay.jitter_ms))
        for name, delay in own.items()
        if delay is not None
    }
    return {name: jitter_ms for name, jitter_ms in jitters.items() if jitter_ms > UNSTEADY_MS}


def _reach_ms(topic: TopicContents, config: Config) -> float:
    section = config.sensors.named[config.sensor_names()[topic.name]]
    if section.policy == "nearest":
        return section.tolerance_ms
    return section.max_age_ms


def unstamped_rules(sensors: Sequence[TopicContents]) -> Iterator[Finding]:
    """Yield sensors whose messages carry no stamp that can be used: arrival stands in."""
    known = [topic for topic in sensors if topic.times.count]
    if len(known) > 1 and all(topic.unstamped == topic.times.count for topic in known):
        problem = next((f" ({topic.stamp_problem})" for topic in known if topic.stamp_problem), "")
        text = (
            f"nothing is stamped{problem}: arrival stands in for every stamp, and how far apart in time the "
            "sensors measured is not known"
        )
        yield Finding("unstamped", "unjudged", "", text, HEADS)
        return
    for topic in known:
        if topic.unstamped:
            count = f"{topic.unstamped:,} of {plural(topic.times.count, 'message')}"
            problem = f" ({topic.stamp_problem})" if topic.stamp_problem else ""
            text = (
                f"{count} on {topic.name} carry no stamp that can be used{problem}: arrival stands in, and "
                "how much later than the measurement it is, is not known"
            )
            yield Finding("unstamped", "unjudged", topic.name, text, RESTS_ON[topic.role])


def epoch_rules(sensors: Sequence[TopicContents], reference: TopicContents) -> Iterator[Finding]:
    """Yield a clock of the sensors that is not the recorder's: of another epoch, or ahead of arrival.

    Sensors that agree with each other are sound. One alone has nothing that it could be compared with.
    """
    delay = Delay.of(reference.stamps)
    if delay is None:
        return
    others = [topic for topic in sensors if topic is not reference and topic.stamps.stamps]
    median_ms = delay.median_ms
    if abs(median_ms) > AGE_MS:
        text = "count from another time than arrivals (a simulated clock?)"
    elif median_ms < -OFFSET_MS:
        text = f"are {-median_ms:.0f} ms in the future: the sensor's clock is ahead of the recorder's"
    else:
        return
    if others:
        text += (
            "; that is harmless where the sensors agree with each other, which is what this audit compares"
        )
        yield Finding("clock_epoch", "note", reference.name, f"stamps on {reference.name} {text}")
    else:
        text += "; there is no other sensor to compare its clock with"
        heads = RESTS_ON[reference.role]
        yield Finding("clock_epoch", "unjudged", reference.name, f"stamps on {reference.name} {text}", heads)


def unit_rules(reference: TopicContents) -> Iterator[Finding]:
    """Yield log times that a recorder did not write in nanoseconds: stamps run faster by the unit."""
    times = reference.stamps
    if len(times.stamps) < LEAST_STAMPS:
        return
    arrived, stamped = (float(max(held) - min(held)) for held in (times.arrivals, times.stamps))
    steps = [float(np.median(np.abs(held))) for held in (times.steps_s(), times.stamp_steps_s())]
    for unit, factor in (("us", 1e3), ("ms", 1e6), ("s", 1e9)):
        # Stamps that jump once, as those of a machine that was started again, span as much by chance.
        jumped = steps[0] > 0 and not 0.5 < steps[1] / steps[0] / factor < 2
        if arrived > 0 and abs(stamped / arrived / factor - 1) < 0.1 and not jumped:
            text = (
                f"stamps on {reference.name} run {factor:,.0f} times as fast as log times, perhaps in "
                f"{unit}, where nanoseconds are expected: --start, --end, rates and gaps go by them"
            )
            yield Finding("log_time_unit", "warning", reference.name, text, HEADS)


def arrival_rules(topics: Sequence[tuple[str, TopicTimes]], reference: TopicContents) -> Iterator[Finding]:
    """Yield messages that are logged hours away from the reference: they stretch the log's span."""
    if not reference.times.count:
        return
    first, last = _main_span(reference.times)
    margin = round(AGE_MS * 1e6)
    for name, times in topics:
        arrivals = np.asarray(times.arrivals, dtype=np.int64).astype(np.float64)
        outside = arrivals[(arrivals < first - margin) | (arrivals > last + margin)]
        if outside.size:
            far = float(max(first - outside.min(), outside.max() - last)) / 1e9
            text = (
                f"the log has {plural(outside.size, 'message')} on {name} up to {_long(far)} away from those "
                f"on {reference.name}: it looks that long, and times are counted from its first message"
            )
            yield Finding("arrivals_far", "note", name, text)


def _main_span(times: TopicTimes) -> tuple[float, float]:
    """Return the first and the last arrival, ns, around the median one without a step of hours."""
    arrivals = np.asarray(times.arrivals, dtype=np.int64).astype(np.float64)
    breaks = np.flatnonzero(np.abs(np.diff(arrivals)) > AGE_MS * 1e6)
    middle = arrivals.size // 2
    start = int(breaks[breaks < middle].max()) + 1 if (breaks < middle).any() else 0
    end = int(breaks[breaks >= middle].min()) if (breaks >= middle).any() else arrivals.size - 1
    return float(arrivals[start]), float(arrivals[end])


def _long(seconds: float) -> str:
    for unit, size in (("years", 365.25 * 86400), ("days", 86400.0)):
        if seconds > 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.1f} hours"


def rate_rules(topic: TopicContents, reference: TopicContents) -> Iterator[Finding]:
    """Yield drop-outs, silent periods, a late start or an early end."""
    period, times = topic.times.period_s(), topic.times
    if period is None:
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
