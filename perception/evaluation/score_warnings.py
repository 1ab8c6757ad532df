"""Warnings about misleading scores: outputs of another log, unknown class names, missing truth."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from perception.align.truth.box_fit import BoxFit
from perception.autoconfig.class_words import class_mapping, mapping_text
from perception.evaluation.metrics import Result
from perception.logs import Log
from perception.pipeline.replay_summary import Warned
from perception.pipeline.sensor_warnings import grouped
from perception.sinks import RunInfo
from perception.types import RigIssue, RigIssueCode, TruthFrame
from perception.types.truth_frame import missing_warning


def other_log(run: RunInfo | None, log: Log) -> str:
    """Return a warning if outputs and truth come from different logs; else an empty text."""
    size = log.path.stat().st_size
    if run is None or run.input is None or run.input_bytes in (None, size):
        return ""
    return (
        f"the stored outputs were made from {run.input.name} of {run.input_bytes} bytes, and are scored "
        f"with the truth of {log.path.name} of {size} bytes"
    )


def foreign_words(predicted: Sequence[str], true: Collection[str]) -> str:
    """Return a warning if truth has classes that the plugin does not know; else an empty text.

    Args:
        predicted: The classes of the plugin; empty: unknown.
        true: The classes of truth.
    """
    foreign = sorted(set(true) - set(predicted))
    if not predicted or not foreign:
        return ""
    mapping = class_mapping(foreign, predicted) or {foreign[0]: "CLASS"}
    example = mapping_text({**mapping, **{word: word for word in sorted(set(true) & set(predicted))}})
    return (
        f"truth says {', '.join(foreign)}; the plugin knows only {', '.join(predicted)}: those boxes are "
        "all missed. Say in the configuration what is what (words that are not listed are dropped), "
        f"under truth: {example}"
    )


class MissingTruth:
    """Counts the frames whose configured truth is not known, by head and reason, and the boxes of others."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, RigIssueCode], int] = {}
        self._texts: dict[tuple[str, RigIssueCode], str] = {}
        self._box_frames = self._boxes = 0
        self.fit = BoxFit()
        """Whether boxes are in pixels of the pictures, as far as these are there."""

    def add(self, truth: TruthFrame) -> None:
        """Count one frame."""
        for head, issue in truth.missing.items():
            self.count(head, issue, 1)
        if truth.boxes is not None:
            self.count_boxes(1, len(truth.boxes))

    def count(self, head: str, issue: RigIssue, frames: int) -> None:
        """Count frames in which the truth of a head is not known."""
        self._counts[head, issue.code] = self._counts.get((head, issue.code), 0) + frames
        self._texts.setdefault((head, issue.code), issue.text)

    def count_boxes(self, frames: int, boxes: int) -> None:
        """Count frames in which boxes are known, and their boxes."""
        self._box_frames, self._boxes = self._box_frames + frames, self._boxes + boxes

    def merge(self, other: MissingTruth) -> None:
        """Add the counts of another log."""
        for key, count in other._counts.items():
            self._counts[key] = self._counts.get(key, 0) + count
            self._texts.setdefault(key, other._texts[key])
        self._box_frames, self._boxes = self._box_frames + other._box_frames, self._boxes + other._boxes
        self.fit.merge(other.fit)

    def warnings(self) -> Iterator[tuple[str, str, int]]:
        """Yield code, text and count of each reason, as the summary of a replay has them."""
        for (head, code), count in self._counts.items():
            yield *missing_warning(head, RigIssue(code, self._texts[head, code])), count

    def main_issue(self, head: str) -> RigIssue | None:
        """Return the most frequent reason of a head; None where its truth is not configured."""
        keys = [key for key in self._counts if key[0] == head]
        if not keys:
            return None
        key = max(keys, key=self._counts.__getitem__)
        return RigIssue(key[1], self._texts[key])

    def empty(self) -> Iterator[dict[str, Any]]:
        """Yield a warning where boxes are known in frames, and there are none."""
        if self._box_frames and not self._boxes:
            text = (
                f"none of {self._box_frames} frames with truth has a box in the image: there was no object, "
                "the labels are not in truth.classes, or the transforms do not lead to the camera's optical "
                "frame (x right, y down, z forward)"
            )
            yield {"code": "empty_truth", "text": text, "count": self._box_frames, "log": ""}

    def misfits(self) -> Iterator[dict[str, Any]]:
        """Yield a warning where boxes are not in pixels of the pictures: a perfect answer would miss them."""
        for count, text in self.fit.defects():
            yield {"code": "truth_outside", "text": text, "count": count, "log": ""}


def grouped_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the warnings of a report with those of one log and reason as one, for people."""
    for log in dict.fromkeys(row.get("log", "") for row in rows):
        of_log = [
            Warned(str(row.get("code", "")), str(row.get("text", "")), int(row.get("count") or 1))
            for row in rows
            if row.get("log", "") == log
        ]
        for warned in grouped(of_log):
            yield {"code": warned.code, "text": warned.text, "count": warned.count, "log": log}


def with_missing_truth(
    warnings: Sequence[dict[str, Any]], results: Sequence[Result], missing: MissingTruth
) -> list[dict[str, Any]]:
    """Return the warnings, and one for each kind of truth that no frame has, with the reason.

    What a replay warned of for that reason is then left out: it would say the same twice.
    """
    added, repeated = [*missing.empty(), *missing.misfits()], set()
    for metric, truth, option in (
        ("mean_average_precision", "boxes", "truth.boxes"),
        ("control_errors", "control", "truth.control"),
    ):
        frames = next((dict(result.frames) for result in results if result.metric == metric), {})
        if frames.get("no_truth") and not frames.get("scored") and not frames.get("invalid"):
            issue, cure = missing.main_issue(truth), f"; configure it in {option}"
            if issue is not None:
                cure = f": {issue.text}"
                repeated.add(missing_warning(truth, issue))
            text = f"no frame has truth of {truth}, so it is not scored{cure}"
            added.append({"code": "no_truth", "text": text, "count": frames["no_truth"], "log": ""})
    return [w for w in warnings if (w["code"], w["text"]) not in repeated] + added
