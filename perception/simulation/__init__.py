"""Simulation of seeded multi-sensor logs with exact truth. Rendering needs the extra `sim`."""

from perception.simulation.generation.batch_generator import Order, generate_many, terminable
from perception.simulation.generation.log_generator import generate, is_simulated
from perception.simulation.scenario import Failure, Scenario, Timing, Timings, load_scenario, parse_scenario

__all__ = [
    "Failure",
    "Order",
    "Scenario",
    "Timing",
    "Timings",
    "generate",
    "generate_many",
    "is_simulated",
    "load_scenario",
    "parse_scenario",
    "terminable",
]
