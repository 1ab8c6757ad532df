"""Faults that are injected into the messages of a log on their way to the aligner.

Replay and evaluation share this definition. A fault changes the messages of a sensor in arrival order, as if
it had been recorded. Every draw is keyed by the seed, the topic and the times of the message, and not by the
order of calls: the same seed gives the same faults at any rate and after any seek::

    plan = parse_plan(["camera.blackout=0.3,seed=1", "range.latency=0.5"])
    injector = Injector(plan, config.roles())
    for message in messages:
        for decoded in injector.push(message):
            ...

`KINDS` documents the severity of each fault.
"""

from __future__ import annotations

from perception.config.fault_plan import KINDS, Fault, FaultPlan, fault_names, parse_plan, plan_errors
from perception.pipeline.faults.injector import Injector, check_truth_stays, inject

__all__ = [
    "KINDS",
    "Fault",
    "FaultPlan",
    "Injector",
    "check_truth_stays",
    "fault_names",
    "inject",
    "parse_plan",
    "plan_errors",
]
