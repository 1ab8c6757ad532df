"""Warnings about sensors: one for each as programs read them, and for people those of one reason together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from perception.autoconfig.alignment_advice import AlignmentProblem, problem_texts
from perception.pipeline.replay_summary import Warned
from perception.types import PLACED, RigIssue
from perception.types.placement import sensors_text

_ABOUT = re.compile(r"(\w+) \((.+)\)")
_ABSENT = re.compile(r"(.+)_mostly_absent")


def placing_warning(issue: RigIssue) -> tuple[str, str]:
    """Return code and text of the warning that returns are not placed, or with reserve."""
    effect = "are placed with reserve" if issue.code in PLACED else "are not placed in the image"
    about = f" ({issue.about})" if issue.about else ""
    return f"range_{issue.code}{about}", f"ranges {effect}: {issue.text}"


def grouped(warnings: Iterable[Warned]) -> list[Warned]:
    """Return warnings with those of one reason as one, which names all sensors and has the text of the first.

    A rig of six cameras and six scanners without transforms has 36 warnings, each for a pair of them.
    """
    groups: dict[str, list[tuple[str, Warned]]] = {}
    for place, warned in enumerate(warnings):
        if match := _ABOUT.fullmatch(warned.code):
            groups.setdefault(match[1], []).append((match[2], warned))
        elif match := _ABSENT.fullmatch(warned.code):
            groups.setdefault("mostly_absent", []).append((match[1], warned))
        else:
            groups[str(place)] = [("", warned)]
    lines: list[Warned] = []
    for code, members in groups.items():
        if len(members) == 1:
            lines.append(members[0][1])
        elif code == "mostly_absent":
            texts = problem_texts(AlignmentProblem(sensor, warned.text) for sensor, warned in members)
            lines += [Warned(code, text) for text in texts]
        else:
            lines.append(_joined(code, members))
    return lines


def _joined(code: str, members: Sequence[tuple[str, Warned]]) -> Warned:
    """Return one warning for several with the same code, each with what it is about."""
    texts = [warned.text.replace(f"{about}: ", "", 1) for about, warned in members]
    effect, _, reason = texts[0].partition(": ")
    first = ": " if len(set(texts)) == 1 else "; the first: "
    sensors = sensors_text(about for about, _ in members)
    count = max(warned.count for _, warned in members)
    return Warned(code, f"{effect} ({sensors}){first}{reason}", count, members[0][1].of_samples)
