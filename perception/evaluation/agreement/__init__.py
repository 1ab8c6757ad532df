"""Was this output log made by what it says? The run is done again and compared, output by output."""

from __future__ import annotations

from perception.evaluation.agreement.rerun import EXIT_CODES, Verification, find_input, verify
from perception.evaluation.agreement.runs import Comparison, Difference, HeadComparison, Tolerances

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
