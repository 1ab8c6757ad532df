"""Was this output log made by what it says? The run is done again and compared, output by output."""

from __future__ import annotations

from perception.verification.compare import Comparison, Difference, HeadComparison, Tolerances
from perception.verification.rerun import EXIT_CODES, Verification, find_input, verify

__all__ = [
    "EXIT_CODES",
    "Comparison",
    "Difference",
    "HeadComparison",
    "Tolerances",
    "Verification",
    "find_input",
    "verify",
]
