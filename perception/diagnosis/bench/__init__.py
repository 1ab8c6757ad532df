"""The benchmark: the rate at which this machine replays a log, from disk to written outputs, by stage."""

from perception.diagnosis.bench.bench_report import BenchReport, Rate, Variant
from perception.diagnosis.bench.make_log import make_log
from perception.diagnosis.bench.measure import BenchOptions, bench
from perception.diagnosis.bench.rig_speed import RigSpeed, rig_speed
from perception.diagnosis.bench.startup import StartUp
from perception.diagnosis.bench.viewer_cost import ViewerCost, viewer_cost

__all__ = [
    "BenchOptions",
    "BenchReport",
    "Rate",
    "RigSpeed",
    "StartUp",
    "Variant",
    "ViewerCost",
    "bench",
    "make_log",
    "rig_speed",
    "viewer_cost",
]
