"""The stamps of each configured sensor: in which unit they are read, or that arrival stands in for them.

A bare number near the arrival is read as it comes (`perception.logs.decoding.stamps`). One of another clock
tells its unit by its rate: over the first messages it grows by as much as arrival does, in one unit only.
Stamps that stand still, or are coarser than the messages come, do not say when each was measured. Those of
another clock than the recorder's are near no tick, where other sensors have the recorder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median_low

from perception.autoconfig.first_messages import first_messages
from perception.autoconfig.other_clocks import other_clocks
from perception.autoconfig.shared_stamps import shared_stamps
from perception.config import Config, Role, SensorConfig, StampConfig
from perception.logs import Log, bare_times, decode
from perception.logs.decoding.stamps import UNIT_NS
from perception.types import Decoded, Message, Undecodable
from perception.types.stamp_rule import StampRule, TimeUnit

_FIRST = 16  # messages that are looked at
_COARSE_NS = 1_000_000_000  # by which stamps of whole seconds are off, at most
_NEAR_NS = 86_400_000_000_000  # clocks that differ by more have nothing to do with each other


@dataclass(slots=True)
class StampNotes:
    """The reasons for the chosen units of stamps, and the warnings about stamps, as lines for the user."""

    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def with_stamp_units(log: Log, config: Config) -> tuple[Config, StampNotes]:
    """Return the configuration with the unit of stamps that tell it by their rate, and the notes."""
    notes, roles, stamps = StampNotes(), config.roles(), config.stamps()
    sections = config.sensors.named
    firsts = {
        name: _FirstStamps.of(log, roles[section.topic], section.topic, stamps.get(section.topic))
        for name, section in sections.items()
    }
    firsts = {name: first for name, first in firsts.items() if first.decoded}
    if firsts and not any(first.stamped or first.problem for first in firsts.values()):
        topics = ", ".join(first.topic for first in firsts.values())
        notes.warnings.append(f"no message on {topics} carries a stamp: arrival stands in for all of them")
        return config, notes
    reference = firsts.get(config.reference)
    offset_ns = 0 if reference is None else reference.offset_ns
    shared = {
        name: text
        for name, first in firsts.items()
        if not first.configured and (text := shared_stamps(log, roles[first.topic], first.topic)) is not None
    }
    clocks = _other_clocks(log, config, [first for name, first in firsts.items() if name not in shared])
    clock_ns = next(
        (firsts[n].offset_ns for n in (config.reference, *firsts) if n in firsts and n not in shared), 0
    )
    changes: dict[str, SensorConfig] = {}
    for name, first in firsts.items():
        rule = stamps.get(first.topic)
        if rule is not None and rule.arrival:
            notes.reasons.append(f"{name}: arrival stands in for its stamps, as configured")
            continue
        stamp: StampConfig | None
        if name in shared:
            stamp = _arrival(shared[name], f"sensors.{name}.stamp: ", first, clock_ns, notes)
        elif first.topic in clocks and rule is None:
            stamp = _stands_in(clocks[first.topic], f"sensors.{name}.stamp: ", notes)
        else:
            unit = _note(name, first, offset_ns, notes)
            stamp = None if unit is None else StampConfig(field=first.field, unit=unit)
        if stamp is not None:
            changes[name] = sections[name].model_copy(update={"stamp": stamp})
    if changes:
        config = config.model_copy(update={"sensors": config.sensors.replaced(changes)})
    return _with_truth(log, config, clock_ns, notes), notes


def _with_truth(log: Log, config: Config, clock_ns: int, notes: StampNotes) -> Config:
    """Return the configuration with arrival for topics of truth whose stamps do not tell messages apart."""
    roles, known = config.roles(), config.stamps()
    shared = {
        topic: text
        for topic in config.truth.topics
        if topic not in known and (text := shared_stamps(log, roles[topic], topic)) is not None
    }
    stamps = dict(config.truth.stamps)
    for topic, text in shared.items():
        first = _FirstStamps.of(log, roles[topic], topic, None)
        stamp = _arrival(text, f"truth.stamps: {{{topic}: ", first, clock_ns, notes, "}")
        stamps |= {} if stamp is None else {topic: stamp}
    return config.model_copy(update={"truth": config.truth.model_copy(update={"stamps": stamps})})


def _arrival(
    text: str, key: str, first: _FirstStamps, clock_ns: int, notes: StampNotes, end: str = ""
) -> StampConfig | None:
    """Add the warning of stamps that do not tell messages apart; return arrival, if it may stand in.

    Where a topic has the clock of the other sensors, and these are not on that of the recorder (a log that
    was played, and recorded again), arrival is further from them than its stamps are.

    Args:
        text: The beginning of the warning.
        key: Where the user decides it, before the value; `end` is behind it.
        first: The first messages of the topic.
        clock_ns: How far the clock of the other sensors is ahead of arrival.
        notes: Takes the warning.
    """
    if abs(clock_ns) > _COARSE_NS and abs(first.offset_ns - clock_ns) <= 2 * _COARSE_NS:
        notes.warnings.append(
            f"{text}; arrival cannot stand in, as the clock of the sensors is {abs(clock_ns) / 1e9:,.0f} s "
            "from the log's: correct them"
        )
        return None
    return _stands_in(text, key, notes, end)


def _stands_in(text: str, key: str, notes: StampNotes, end: str = "") -> StampConfig:
    """Add the warning that arrival stands in for stamps; return it. The arguments are those of `_arrival`."""
    notes.warnings.append(
        f"{text}: arrival stands in for them; to use them all the same, set {key}{{source: message}}{end}"
    )
    return StampConfig(source="arrival")


def _other_clocks(log: Log, config: Config, firsts: Sequence[_FirstStamps]) -> dict[str, str]:
    """Return the topics whose clock is not the recorder's, with the beginning of a warning."""
    roles, stamps = config.roles(), config.stamps()
    ahead_ns = {first.topic: first.offset_ns for first in firsts if first.stamped}
    truth = (_FirstStamps.of(log, roles[topic], topic, stamps.get(topic)) for topic in config.truth.topics)
    reference = config.sensors.named[config.reference].topic
    return other_clocks(log, ahead_ns, roles, reference, (first.offset_ns for first in truth))


@dataclass(frozen=True, slots=True)
class _FirstStamps:
    """The first messages of a sensor, and the bare number that may be their time (`field` empty: none)."""

    topic: str
    raw: Sequence[Message]
    decoded: Sequence[Decoded]
    field: str
    numbers: Sequence[float]
    has_time: bool  # whether a field is there for it, set or not
    configured: bool

    @classmethod
    def of(cls, log: Log, role: Role, topic: str, rule: StampRule | None) -> _FirstStamps:
        pairs = [(message, decode(message, role, rule)) for message in first_messages(log, topic, _FIRST)]
        kept = [(message, decoded) for message, decoded in pairs if not isinstance(decoded, Undecodable)]
        times = [bare_times(message) for message, _ in kept]
        names = list(times[0]) if times else []
        shared = next((name for name in names if all(t.get(name) for t in times)), "")
        numbers = [t[shared] or 0.0 for t in times] if shared else []
        raw, decoded = [message for message, _ in kept], [message for _, message in kept]
        return cls(topic, raw, decoded, shared, numbers, bool(names), rule is not None)

    @property
    def stamped(self) -> int:
        # A table whose time begins with 0 has no stamp there, and needs none.
        return sum(
            message.stamped or message.stamp_ns == message.log_time_ns == 0 for message in self.decoded
        )

    @property
    def problem(self) -> str:
        """Why the first message that is not stamped is not, where it carries a time."""
        return next((message.stamp_problem for message in self.decoded if message.stamp_problem), "")

    @property
    def offset_ns(self) -> int:
        """Return by how much the sensor's clock is ahead of arrival, in the median; 0 without a stamp."""
        offsets = [m.stamp_ns - m.log_time_ns for m in self.decoded if m.stamped]
        return median_low(offsets) if offsets else 0

    def unit_by_rate(self) -> TimeUnit | None:
        """Return the unit in which the number grows as arrival does; None where none does."""
        arrivals = [message.log_time_ns for message in self.raw]
        if len(self.numbers) < 3 or any(b < a for a, b in pairwise(self.numbers)):
            return None
        grown, passed_ns = self.numbers[-1] - self.numbers[0], arrivals[-1] - arrivals[0]
        if grown <= 0 or passed_ns <= 0:
            return None
        return next((unit for unit, ns in UNIT_NS.items() if 0.5 < grown * ns / passed_ns < 2), None)


def _note(name: str, first: _FirstStamps, offset_ns: int, notes: StampNotes) -> TimeUnit | None:
    """Add the notes on one sensor; return the unit to configure."""
    count = len(first.decoded)
    if first.stamped == count:
        if first.field and not first.configured:
            stamp_ns, number = first.decoded[0].stamp_ns, first.numbers[0]
            read_as = min(UNIT_NS, key=lambda u: abs(number * UNIT_NS[u] - stamp_ns))
            notes.reasons.append(f"{name}: its stamps are {first.field}, in {read_as}")
        return None
    share = "" if not first.stamped else f"{count - first.stamped} of {count} "
    key = f"sensors.{name}.stamp"
    if not first.problem:
        text = f"{share}messages on {first.topic} carry no stamp: arrival stands in"
        (notes.warnings if first.has_time else notes.reasons).append(text)
        return None
    unit = None if first.configured or not first.field else first.unit_by_rate()
    if unit is None:
        where = f"{{field: {first.field or 'PATH'}, unit: s, ms, us or ns}}"
        notes.warnings.append(
            f"arrival stands in for the stamp of {share}messages on {first.topic} ({first.problem}); "
            f"say what it is under {key}: {where}"
        )
        return None
    ahead_ns = first.numbers[0] * UNIT_NS[unit] - first.raw[0].log_time_ns
    if min(abs(ahead_ns), abs(ahead_ns - offset_ns)) <= _NEAR_NS:
        notes.reasons.append(f"{name}: its stamps are {first.field}, in {unit}, as it grows with arrival")
        return unit
    notes.warnings.append(
        f"arrival stands in for the stamps of {first.topic}: {first.field} grows in {unit}, but its clock is "
        f"{abs(ahead_ns) / 3.6e12:,.0f} h from the log's; if the other sensors have it, too, set {key}: "
        f"{{field: {first.field}, unit: {unit}}}"
    )
    return None
