"""A simulated world: seeded multi-sensor logs with exact truth. Needs the extra `sim`."""

from perception.synthetic.generate import generate
from perception.synthetic.scenario import Failure, Scenario, Timing, Timings, load_scenario, parse_scenario

__all__ = ["Failure", "Scenario", "Timing", "Timings", "generate", "load_scenario", "parse_scenario"]
