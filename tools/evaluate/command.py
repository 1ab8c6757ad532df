"""`perception evaluate LOG...`: scores a plugin's outputs by head and by sensor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from perception.errors import OutputError
from perception.files import write_problem
from perception_tools.batch_options import find_recordings
from perception_tools.command_arguments import takes
from perception_tools.evaluate.options import EvaluateArguments
from perception_tools.exit_codes import schema_with_exit_code, with_exit_code
from perception_tools.printing import say
from perception_tools.standard_output import answering, print_json

if TYPE_CHECKING:
    from perception.evaluation import EvaluateOptions, EvaluationReport
    from perception_tools.replay.viewing import Viewing


@takes(EvaluateArguments)
def evaluate(given: EvaluateArguments) -> None:
    """Replay logs once and score every head against their truth; or score outputs that were stored."""
    if given.schema:
        from perception.evaluation import json_schema

        print_json(schema_with_exit_code(json_schema()))
        return
    given.logs = find_recordings(given.logs or [], given.output_dir, given.as_one)
    options = given.options()

    from perception_tools.replay.viewing import viewing

    with viewing(given.view) as viewer:
        _evaluate(given, with_viewers(options, given.rerun, viewer), viewer)


def with_viewers(options: EvaluateOptions, rerun: Path | None, viewer: Viewing) -> EvaluateOptions:
    """Return the options with sinks for a recording and for a viewer."""
    from perception.sinks import make_sink

    files = () if rerun is None else (make_sink(rerun, "rrd"),)
    return replace(options, sinks=lambda log: [*files, *viewer.sinks()])


def _evaluate(given: EvaluateArguments, options: EvaluateOptions, viewer: Viewing) -> None:
    """Evaluate, and give the answer of the command."""
    from perception.evaluation import evaluate_logs, evaluate_tables
    from perception.evaluation.report.report_files import check_report_files
    from perception_tools.evaluate.many_recordings import replay_recordings_first
    from perception_tools.replay.progress import observer

    check_report_files(given.report or [])
    _check_paths(given, options)
    on_fault = _print_fault if sys.stderr.isatty() else lambda fault: None
    batch = replay_recordings_first(given, options) if given.output_dir is not None else None
    logs = (given.logs or []) if batch is None else batch.logs
    if given.tables is not None and not given.logs:
        report = evaluate_tables(given.tables, options)
    else:
        report = evaluate_logs(
            logs,
            given.config,
            options if batch is None else batch.options,
            watch=lambda log, span: observer(log, span, step=False),
            on_fault=on_fault,
        )
    outcome = report.outcome
    if batch is not None:
        report, outcome = batch.add_to(report), batch.outcome(report)
    failure = _write_files(given, report, logs)
    if failure is not None and given.as_json:
        raise failure
    with answering("failed" if failure is not None else outcome):
        if given.as_json:
            document = with_exit_code(report.to_json(), outcome)
            for log in document["logs"]:
                if log["replay"] is not None:  # a document of its own
                    log["replay"] = with_exit_code(log["replay"], log["replay"]["status"])
            print_json(document)
        else:
            from perception_tools.evaluate.text import show

            show(report)
        if failure is not None:  # a full disk costs the file, and not the scores
            raise failure
        viewer.hold()


def _write_files(
    given: EvaluateArguments, report: EvaluationReport, logs: Sequence[Path]
) -> OutputError | None:
    """Write the gates and the reports, all that can be; return the first error."""
    from perception.evaluation import junit_xml
    from perception.evaluation.report.report_files import write_report_file

    failures: list[OutputError] = []
    if given.junit is not None:
        try:
            given.junit.write_bytes(junit_xml(report))
        except OSError as error:
            problem = write_problem(given.junit, error)
            failures.append(OutputError(f"cannot write {given.junit}: {problem}"))
    for path in given.report or []:
        try:
            write_report_file(path, report, logs)
        except OutputError as error:
            failures.append(error)
    return failures[0] if failures else None


def _check_paths(arguments: EvaluateArguments, options: EvaluateOptions) -> None:
    from perception.evaluation.evaluate_files import evaluation_files
    from perception.evaluation.gates import is_junit
    from perception.evaluation.report.report_files import is_report
    from perception.path_guard import Write, check_paths
    from perception.pipeline.tables import check_tables
    from perception.sinks import make_sink, own_files

    reads, outputs = evaluation_files(arguments.logs or [], arguments.config, options)
    writes = [Write("--report", path, is_report) for path in arguments.report or []]
    writes += [Write("--junit", arguments.junit, is_junit)] if arguments.junit is not None else []
    writes += outputs
    if arguments.rerun is not None:
        writes.append(Write("--rerun", arguments.rerun, own_files(make_sink(arguments.rerun, "rrd"))))
    check_paths(reads, writes, force=arguments.force)
    if arguments.logs:
        check_tables(options.tables, reads)


def _print_fault(fault: str) -> None:
    say(f"  {fault}", stderr=True)
