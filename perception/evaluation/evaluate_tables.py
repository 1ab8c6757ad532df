"""The evaluation of recordings from their tables alone: the same report as from the logs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from perception.errors import ConfigError
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.evaluation import Evaluation
from perception.evaluation.gate_names import check_classes
from perception.evaluation.gates import judge
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.slices.slice_definitions import STATUS, check_status_fields
from perception.evaluation.worst_frames import replay_command
from perception.sinks.tables import TablesFolder
from perception.sinks.tables.stored import StoredRecording, stored_recordings


def evaluate_tables(place: str | Path, options: EvaluateOptions | None = None) -> EvaluationReport:
    """Score the recordings of a folder of tables, in the order of the paths of their logs.

    The report is that of `evaluate_logs` over those logs, but for wall-clock time. Recordings that no run has
    finished are left out with a warning, and the status is then `loss`.

    Args:
        place: The folder, or its URL.
        options: How to evaluate; those that need the logs are not used.

    Raises:
        ConfigError: The options need logs, or do not fit each other.
        LogError: The folder has no recording, or a table cannot be read.
    """
    options = options or EvaluateOptions()
    if errors := options.errors_of_tables():
        raise ConfigError(errors)
    recordings, left_out = stored_recordings(TablesFolder(place))
    _check_slices(recordings, options)
    words = {recording.row["log"]: shlex.split(recording.row["replay_options"]) for recording in recordings}
    evaluation = Evaluation(options, lambda moment: replay_command(moment, words[moment.log]))
    for spans in _joined(recordings):
        recording = spans[0]
        gates = [gate.name for gate in options.gates]
        check_classes(gates, recording.run.classes, recording.config.truth.classes.values())
        first_ns = partial(int, recording.row["sensor_start_ns"])
        evaluation.score_tables(spans, options.span(first_ns))
    for text in left_out:
        evaluation.warn("not_whole", text, str(place))
    if _lacks_brightness(recordings, options):
        text = "tables hold no pictures, so frames are not compared by brightness; evaluate the logs for that"
        evaluation.warn("no_brightness", text, str(place))
    report = evaluation.report()
    if left_out and report.status == "clean":
        report = report.model_copy(update={"status": "loss"})
    return judge(report, options.gates, options.strict)


def _joined(recordings: Sequence[StoredRecording]) -> list[list[StoredRecording]]:
    """Return the recordings, those together that are spans of one log which follow each other."""
    joined: list[list[StoredRecording]] = []
    for recording in recordings:
        row, before = recording.row, joined[-1][-1].row if joined else {}
        of_one = all(before.get(name) == row[name] for name in ("log_path", "log_bytes", "config"))
        if of_one and row["start_ns"] is not None and before["end_ns"] == row["start_ns"]:
            joined[-1].append(recording)
        else:
            joined.append([recording])
    return joined


def _check_slices(recordings: Sequence[StoredRecording], options: EvaluateOptions) -> None:
    if any(kind.startswith(STATUS) for kind in options.slices):
        fields = {name for recording in recordings for name in recording.status_channels()}
        check_status_fields(options.slices, sorted(fields))


def _lacks_brightness(recordings: Sequence[StoredRecording], options: EvaluateOptions) -> bool:
    return "light" in options.slices and any(not recording.row["light"] for recording in recordings)
