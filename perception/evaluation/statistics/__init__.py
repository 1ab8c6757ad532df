"""Block bootstrap of correlated frames: intervals, p-values, Holm's correction.

::

    correlation = autocorrelation(errors_by_log)
    blocks = Blocks(stamps_by_log, max(2.0, correlation.time * period_s))
    draws = Draws(blocks, count=1000, seed=0)
    by_block = draws.blocks @ sums / (draws.blocks @ counts)  # any statistic, once a row
    spread = BootstrapSpread(value, blocks, by_block, by_log, missed=correlation.missed(frames_in_a_block))
    spread.interval(0.95), spread.p_value()

Needs numpy only; it knows neither outputs nor truth.
"""

from perception.evaluation.statistics.autocorrelation import Autocorrelation, autocorrelation
from perception.evaluation.statistics.blocks import FEWEST_BLOCKS, FEWEST_LOGS, Blocks, Draws
from perception.evaluation.statistics.bootstrap_spread import BootstrapSpread, Interval
from perception.evaluation.statistics.significance import holm, student_quantile, student_tail

__all__ = [
    "FEWEST_BLOCKS",
    "FEWEST_LOGS",
    "Autocorrelation",
    "Blocks",
    "BootstrapSpread",
    "Draws",
    "Interval",
    "autocorrelation",
    "holm",
    "student_quantile",
    "student_tail",
]
