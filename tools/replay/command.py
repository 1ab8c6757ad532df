"""`perception replay LOG...`: replays logs through a plugin to output logs, a video and a summary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perception_tools.command_arguments import takes
from perception_tools.exit_codes import with_exit_code
from perception_tools.printing import say
from perception_tools.replay.options import ReplayArguments
from perception_tools.standard_output import answering, print_json

if TYPE_CHECKING:
    from perception.pipeline.replay_job import ReplayJob


@takes(ReplayArguments)
def replay(given: ReplayArguments) -> None:
    """Replay logs through a plugin: boxes, distances, control, and an account of every message."""
    job = given.job()
    if given.serve:
        from perception_tools.replay.serve import serve

        serve(job, given)
    elif given.several:
        _replay_many(job, given)
    else:
        _replay_one(job, given)


def _replay_one(job: ReplayJob, arguments: ReplayArguments) -> None:
    from perception.pipeline.replay_job import check_backend, run_job
    from perception_tools.replay.progress import observer
    from perception_tools.replay.text import show
    from perception_tools.replay.viewing import viewing

    if arguments.check is not None:
        verdict, description = check_backend(job, arguments.check)
        say(f"check of {description['backend']} {description['precision']}: {verdict}", stderr=True)
        if not verdict.passed:
            _refuse(verdict, arguments.as_json)
    with viewing(arguments.view) as viewer:
        job = replace(job, sinks=viewer.sinks(), keeps_summary=arguments.as_json)
        summary = run_job(job, lambda log, span: observer(log, span, arguments.step))
        with answering(summary.status):
            if arguments.as_json:
                document = with_exit_code(summary.to_json(), summary.status)
                print_json({**document, "written": [str(path) for path in job.written]})
            else:
                show(summary, job.written)
            if summary.status != "interrupted":
                viewer.hold()


def _refuse(verdict: object, as_json: bool) -> None:
    """Leave where the engine's answers are not those of the reference: nothing is replayed."""
    document = {"schema": "perception.replay/1", "status": "gate_failed", "error": f"--check: {verdict}"}
    with answering("gate_failed"):
        if as_json:
            print_json(with_exit_code(document, "gate_failed"))


def _replay_many(like: ReplayJob, arguments: ReplayArguments) -> None:
    from perception_tools.batch_options import replay_jobs, run_many
    from perception_tools.replay.text import batch_document, show_batch

    gpus = int(arguments.device == "cuda")
    result = run_many(replay_jobs(like, arguments.logs, arguments), arguments, gpus)
    document = batch_document(result)
    with answering(result.status):
        if arguments.as_json:
            print_json(document)
        else:
            show_batch(document)
