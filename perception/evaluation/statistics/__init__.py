"""How sure a number is: blocks of correlated frames, drawn again; intervals, p-values, Holm's correction.

::

    correlation = autocorrelation(errors_by_log)
    blocks = Blocks(stamps_by_log, max(2.0, correlation.time * period_s))
    draws = Draws(blocks, count=1000, seed=0)
    by_block = draws.blocks @ sums / (draws.blocks @ counts)  # any statistic, once a row
    spread = Spread(value, blocks, by_block, by_log, missed=correlation.missed(frames_in_a_block))
    spread.interval(0.95), spread.p_value()

Numpy only; knows neither outputs nor truth.
"""

from perception.evaluation.statistics.autocorrelation import Autocorrelation, autocorrelation
from perception.evaluation.statistics.blocks import FEWEST_BLOCKS, FEWEST_LOGS, Blocks, Draws
from perception.evaluation.statistics.holm import holm
from perception.evaluation.statistics.spread import Interval, Spread
from perception.evaluation.statistics.student import student_quantile, student_tail

__all__ = [
    "FEWEST_BLOCKS",
    "FEWEST_LOGS",
    "Autocorrelation",
    "Blocks",
    "Draws",
    "Interval",
    "Spread",
    "autocorrelation",
    "holm",
    "student_quantile",
    "student_tail",
]
