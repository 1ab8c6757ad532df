"""Faults put into a log on its way to the aligner: what a robot meets when a cable shakes loose.

One definition serves replay and evaluation. A fault changes the messages of a sensor in arrival order,
between the log and the aligner; ledger, alignment and plugin meet it as if it had been recorded. Every draw
is keyed by the seed, the topic and the message's own times, never by the order of calls: the same seed gives
the same faults at any rate, after any seek::

    plan = parse_plan(["camera.blackout=0.3,seed=1", "range.latency=0.5"])
    injector = Injector(plan, config.roles())
    for message in messages:
        for decoded in injector.push(message):
            ...

What each fault's severity means stands in `KINDS`.
"""

from __future__ import annotations

from perception.config.fault_plan import KINDS, Fault, FaultPlan, fault_names, parse_plan, plan_faults
from perception.pipeline.faults.stream import Injector, inject

__all__ = ["KINDS", "Fault", "FaultPlan", "Injector", "fault_names", "inject", "parse_plan", "plan_faults"]
