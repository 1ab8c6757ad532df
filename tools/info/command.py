"""`perception info LOG`: shows the content, configuration and errors of a log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.errors import ConfigError, LogError
from perception.remote import begin_to_open, is_remote
from perception_tools.command_arguments import OneLog
from perception_tools.exit_codes import with_exit_code
from perception_tools.info.log_info import LogInfo
from perception_tools.printing import say
from perception_tools.shared_options import AsOne
from perception_tools.standard_output import answering, print_json

if TYPE_CHECKING:
    from perception.autoconfig import ConfigChoice
    from perception.autoconfig.alignment import AlignmentReport
    from perception.autoconfig.alignment_advice import AlignmentProblem
    from perception.autoconfig.class_words import ClassWords
    from perception.config import Config
    from perception.diagnosis.audit import Audit, TopicTimes
    from perception.logs import Damage, Log

READ_BYTES = 256 << 20
"""The size above which a log is read for gaps and damage only with `--audit`."""


def info(
    log: OneLog,
    as_one: AsOne = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Check this configuration against the log.")
    ] = None,
    with_audit: Annotated[
        bool, typer.Option("--audit", help="Look for what makes heads unreliable. Exit code 3: damage found.")
    ] = False,
    metadata: Annotated[
        bool, typer.Option("--metadata", help="Show what the recorder wrote beside the messages.")
    ] = False,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print only the configuration, for --config.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a log holds, and what replay would take from it and why."""
    if not as_one:
        begin_to_open(log)  # the server answers while modules are imported
    from perception.config import load_config, to_yaml  # here and below: `perception --help` loads no numpy
    from perception.logs import open_log

    with open_log([log] if as_one else log) as opened:
        base = load_config(config) if config is not None else None
        choice, problem = _choose(opened, base, config)
        if yaml:
            if choice is None:
                raise problem or LogError(f"nothing to configure: {log}")
            say(*to_yaml(choice.config).splitlines())
            return
        if problem is not None and base is not None:
            raise problem
        report = None
        if with_audit and choice is not None:
            from perception.diagnosis.audit import TrainedInputs, audit

            report = audit(opened, choice.config, TrainedInputs.of(choice.config))
        times, damage = _times(opened, report, with_audit)
        alignment, problems, words = _simulated(opened, choice)
        facts = LogInfo(
            opened, choice, problem, report, times, damage, with_audit, alignment, problems, words, metadata
        )
        with answering(facts.status):
            if as_json:
                print_json(with_exit_code(facts.to_json(), facts.status))
            else:
                from perception_tools.info.text import show

                show(facts)


def _choose(
    log: Log, base: Config | None, source: Path | None
) -> tuple[ConfigChoice | None, ConfigError | LogError | None]:
    """Return the configuration that replay would use, or the reason why there is none."""
    from perception.autoconfig import complete_config

    try:
        return complete_config(log, base, source=source), None
    except (ConfigError, LogError) as error:
        return None, error


def _simulated(
    log: Log, choice: ConfigChoice | None
) -> tuple[AlignmentReport | None, list[AlignmentProblem], ClassWords | None]:
    """Return the simulated alignment, the mostly absent sensors, and the class words of the truth."""
    from perception.autoconfig.alignment import AlignmentSimulation
    from perception.autoconfig.alignment_advice import absence_problems
    from perception.autoconfig.class_words import ClassWords

    if choice is None:
        return None, [], None
    simulation = AlignmentSimulation(log, choice.config)
    problems = absence_problems(simulation, choice.config)
    return simulation.run(choice.config), problems, ClassWords.of(log, choice.config)


def _times(log: Log, report: Audit | None, with_audit: bool) -> tuple[dict[str, TopicTimes], list[Damage]]:
    """Return the arrival times by topic, and the known damage."""
    if report is not None:
        return report.times, list(report.damage)
    if with_audit or (log.survey.size_bytes <= READ_BYTES and not is_remote(log.path)):
        from perception.diagnosis.audit.topic_times import survey_times

        return survey_times(log)
    return {}, list(log.survey.damage)
