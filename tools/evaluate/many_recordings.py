"""`perception evaluate LOG... --output-dir DIR`: replays recordings as a batch, then scores their outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from perception.errors import LogError
from perception.types.status import worst
from perception_tools.batch_options import replay_jobs, run_many
from perception_tools.evaluate.options import EvaluateArguments

if TYPE_CHECKING:
    from perception.evaluation import EvaluateOptions, EvaluationReport
    from perception.pipeline.batch import BatchResult
    from perception.types import Status


class ReplayedBatch(NamedTuple):
    """Replayed recordings: the logs that have outputs, and the options that score these."""

    result: BatchResult
    logs: list[Path]
    options: EvaluateOptions

    def add_to(self, report: EvaluationReport) -> EvaluationReport:
        """Return the report with a warning for each recording that is not scored, and the worst status."""
        lacking = [log for log in self.result.logs if log.error and log.log not in set(self.logs)]
        warnings: list[dict[str, Any]] = [
            {
                "code": "not_scored",
                "text": f"{log.log} is not scored: {log.error}",
                "count": 1,
                "log": str(log.log),
            }
            for log in lacking
        ]
        status = self.result.status
        worse = {"usage": "failed"}.get(status, status)
        update: dict[str, Any] = {"warnings": [*report.warnings, *warnings]}
        update["seconds"] = round(report.seconds + self.result.seconds, 3)
        return report.model_copy(update=update | ({"status": worse} if lacking else {}))

    def outcome(self, report: EvaluationReport) -> Status:
        """Return the worst of the report's outcome and the statuses of the recordings."""
        return worst(report.outcome, self.result.status)


def replay_recordings_first(given: EvaluateArguments, options: EvaluateOptions) -> ReplayedBatch:
    """Replay the recordings into the folder of their outputs; those that are done are not replayed again.

    Raises:
        LogError: None could be replayed.
        PerceptionError: As `run_batch` does.
    """
    from perception.diagnosis.monitor import MonitorSink
    from perception.evaluation.match_rows import MatchRows
    from perception.logs.joined_path import as_one
    from perception.pipeline.batch import LogResult, joined_account
    from perception.pipeline.batch.receipts import DONE
    from perception.pipeline.replay_job import ReplayJob
    from perception.pipeline.tables import TablesPlace

    like = ReplayJob(
        log=Path(),
        config=given.config,
        overrides=options.overrides,
        device=given.device.value,
        start=given.start,
        end=given.end,
        tables=None if options.tables is None else TablesPlace(options.tables, matches=MatchRows),
        monitor=MonitorSink,  # as `replay` does: one takes up what the other has done
    )
    gpus = int(given.device == "cuda")
    result = run_many(replay_jobs(like, given.logs or [], given), given, gpus)
    spans: dict[Path, list[LogResult]] = {}
    for log in result.logs:
        spans.setdefault(log.log, []).append(log)
    done = {log: parts for log, parts in spans.items() if all(part.status in DONE for part in parts)}
    if not done:
        errors = "; ".join(f"{log.log}: {log.error}" for log in result.logs[:3])
        raise LogError(f"expected recordings to score, none could be replayed: {errors or 'none is given'}")
    scoring = replace(
        options,
        tables=None,
        outputs=tuple(as_one([part.written[0] for part in parts]) for parts in done.values()),
        accounts=tuple(joined_account([part.summary or {} for part in parts]) for parts in done.values()),
    )
    return ReplayedBatch(result, list(done), scoring)
