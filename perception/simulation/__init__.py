"""A simulated world: seeded multi-sensor logs with exact truth. Drawing needs the extra `sim`."""

from perception.simulation.batch import Order, generate_many, terminable
from perception.simulation.generate import generate
from perception.simulation.scenario import Failure, Scenario, Timing, Timings, load_scenario, parse_scenario

__all__ = [
    "Failure",
    "Order",
    "Scenario",
    "Timing",
    "Timings",
    "generate",
    "generate_many",
    "load_scenario",
    "parse_scenario",
    "terminable",
]
