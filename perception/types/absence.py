"""Why an input is absent from a sample: a code for programs, a text for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AbsenceCode = Literal[
    "not_configured",
    "silent",
    "stale",
    "out_of_tolerance",
    "late",
    "invalid",
    "undecodable",
    "unusable",
]
"""==================  ==================================================================
not_configured      the configuration has no such sensor
silent              no message was received, or none for too long
stale               the newest message is older than `max_age_ms`
out_of_tolerance    the nearest message is further away than `tolerance_ms`
late                the last message came after the ticks that could have used it
invalid             the message holds none of the configured fields as a finite number
undecodable         the message, or its picture, does not decode; the ledger counts it as that
unusable            a plugin or an evaluation made the input absent
==================  =================================================================="""


@dataclass(frozen=True, slots=True)
class Absent:
    """The reason why an input is absent.

    Attributes:
        code: The reason; programs compare this.
        text: The reason in words, with its figures; programs do not read it.
    """

    code: AbsenceCode
    text: str

    @classmethod
    def with_detail(cls, code: AbsenceCode, detail: str) -> Absent:
        """Return an absence whose text is the code in words and a detail (`stale: 250 ms old`)."""
        return cls(code, f"{code.replace('_', ' ')}: {detail}")
