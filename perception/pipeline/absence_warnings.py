"""Warnings at the end of a run about sensors that hardly took part in it, with the cure."""

from __future__ import annotations

from perception.autoconfig.alignment import AlignmentSimulation
from perception.autoconfig.alignment_advice import AlignmentProblem, absence_cure
from perception.config import Config
from perception.config.fault_plan import parse_plan
from perception.logs import Log
from perception.pipeline.log_source import Span
from perception.pipeline.replay_summary import Warned
from perception.pipeline.tally import Tally


def absence_warnings(log: Log, config: Config, span: Span, tally: Tally) -> list[Warned]:
    """Return a warning for each configured sensor that is absent in most ticks.

    The cure comes from a simulation of the alignment, which is made only where a sensor is missing. With
    injected faults there is none to name.
    """
    warnings: list[Warned] = []
    mostly = {n: sum(codes.values()) for n, codes in tally.absences.items()}
    mostly = {name: absent for name, absent in mostly.items() if 2 * absent > tally.frames}
    if not mostly:
        return warnings
    faulted = bool(parse_plan(config.faults, sensors=config.sensor_kinds()))
    simulation = AlignmentSimulation(log, config, span.start_ns, span.end_ns)
    report = simulation.run(config)
    for name, absent in mostly.items():
        code = max(tally.absences[name], key=lambda code: tally.absences[name][code])
        cure = "" if faulted else absence_cure(simulation, config, report, name)
        reason = cure or tally.absence_texts[name, code]
        problem = AlignmentProblem(name, f"{name} absent in {absent} of {tally.frames} ticks: {reason}")
        warnings.append(Warned(problem.code, problem.text))
    return warnings
