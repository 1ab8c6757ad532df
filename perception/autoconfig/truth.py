"""Which topics are the truth. It is for training and metrics, never an input."""

from __future__ import annotations

from typing import Any

from perception.autoconfig import names, peek
from perception.autoconfig.draft import Draft, best


def choose_truth(draft: Draft) -> None:
    truth: dict[str, Any] = {}
    topics = draft.of_kind("truth_boxes")
    boxes = best(
        topics, lambda topic: (names.says_truth(topic), draft.schema(topic) == "perception.Detections")
    )
    if len(boxes) == 1:
        truth["boxes"] = boxes[0]
        draft.reasons.append(f"truth: {boxes[0]} ({draft.schema(boxes[0])}), for metrics only")
    elif boxes:
        draft.warnings.append(f"truth.boxes: not chosen among {', '.join(boxes)}")
    control = list(draft.of_kind("truth_control"))
    control += [topic for topic in draft.of_kind("status") if names.says_control(topic)]
    fields = {topic: peek.fields(draft.log, topic, "truth_control") for topic in control}
    wanted = ("curvature", "acceleration")
    found = {t: [name for name in wanted if name in fields[t]] for t in control}
    fullest = best([t for t in control if found[t]], lambda t: (len(found[t]), names.says_truth(t)))
    if len(fullest) == 1:
        truth["control"] = fullest[0]
        if len(found[fullest[0]]) < len(wanted):
            truth["control_fields"] = {name: name for name in found[fullest[0]]}
        draft.reasons.append(f"truth: {fullest[0]} ({', '.join(found[fullest[0]])}), for metrics only")
    elif fullest:
        draft.warnings.append(f"truth.control: not chosen among {', '.join(fullest)}")
    if truth:
        draft.data["truth"] = truth
