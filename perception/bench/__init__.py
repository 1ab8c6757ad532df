"""How fast this machine replays a log, from disk to written outputs, and what limits it."""

from perception.bench.make_log import make_log
from perception.bench.measure import BenchOptions, bench
from perception.bench.report import Rate, Report, Variant
from perception.bench.startup import StartUp

__all__ = ["BenchOptions", "Rate", "Report", "StartUp", "Variant", "bench", "make_log"]
