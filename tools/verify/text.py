"""The text of `perception verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perception_tools.printing import say

if TYPE_CHECKING:
    from perception.evaluation.agreement.comparison import Difference
    from perception.evaluation.agreement.verification import Verification


def show(verification: Verification, log: Path) -> None:
    """Print the verdict and first difference of each head, and notes on changes since the first run."""
    verdicts = {
        "equal": "equal bit for bit",
        "within_tolerance": "equal within tolerance",
        "diverged": "diverges",
    }
    complete = "" if verification.complete else "incomplete; what is there: "
    say(f"{complete}{verdicts[verification.verdict]}: {verification.stored} outputs, made again from {log}")
    if verification.comparison.ticks is not None:
        say(f"  ticks: {_place(verification, verification.comparison.ticks)}")
    for name, head in verification.heads.items():
        say(f"  {name:8}{verdicts[head.verdict]}; {head.equal} of {head.frames} bit-equal")
        if head.verdict != "equal" and head.largest:
            largest = ", ".join(f"{key} {value:.3g}" for key, value in head.largest.items())
            say(f"          largest differences: {largest}")
        first = head.first or head.first_unequal
        if first is not None:
            say(f"          first {_place(verification, first)}")
    for topic, row in sorted(verification.topics.items()):
        if row.first is not None:
            say(f"  {topic}: {row.equal} of {row.stored} equal; first {_place(verification, row.first)}")
    for text in verification.receipt.contradictions:
        say(f"not so: {text}")
    for text in verification.receipt.unproven:
        say(f"not proven: {text}")
    for note in verification.notes:
        say(f"note: {note}")


def _place(verification: Verification, where: Difference) -> str:
    return f"at {(where.log_time_ns - verification.start_ns) / 1e9:.3f} s ({where.log_time_ns}): {where.what}"
