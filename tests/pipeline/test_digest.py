"""The hash over outputs: the same for the same outputs, another where an output says anything else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from perception.pipeline.digest import OutputDigest
from perception.types import Control, ControlChannel, Detection, Detections, Output, Tick, absent_sample

TICK = Tick(3, "reference", 1_000, 1_007)
COV = ((0.5, 0.1, 0.2), (0.1, 0.6, 0.3), (0.2, 0.3, 0.7))
CAR = Detection(
    "car", 0.75, (1.0, 2.0, 3.0, 4.0), (0.1, 0.2, 0.3, 0.4), 12.5, 0.5, 1.0, "t1", (12.0, 1.5, 0.5), COV, ""
)
OUTPUT = Output(
    TICK,
    Detections(True, ("camera", "range"), "", (CAR, replace(CAR, label="van", score=0.5)), "base_link"),
    Control(True, ("status",), "", (ControlChannel("curvature", "1/m", 0.01, 0.002),)),
    {"input_range": "far"},
    {"lane": Control(True, ("camera",), "", (ControlChannel("offset", "m", 0.25, 0.05),))},
)


def digest(*outputs: Output) -> str:
    found = OutputDigest()
    for output in outputs:
        found.write(absent_sample(output.tick, ""), output)
    return found.hexdigest()


def changed(value: Any) -> Iterator[Any]:
    """The value with each one thing in it changed, however deep."""
    if is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            if not (isinstance(value, Tick) and f.name == "index"):
                yield from (replace(value, **{f.name: other}) for other in changed(getattr(value, f.name)))
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from ((*value[:place], other, *value[place + 1 :]) for other in changed(item))
        if not value or not isinstance(value[0], float):
            yield (*value, *(value[:1] or ("more",)))
    elif isinstance(value, dict):
        if value:
            yield {**value, "more": next(iter(value.values()))}
        yield from ({**value, key: other} for key, item in value.items() for other in changed(item))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, str):
        yield "substitute" if value == "reference" else value + "!"
    else:
        yield value + 1 if isinstance(value, int) else math.nextafter(value, math.inf)
        yield -value


def test_whatever_else_an_output_says_gives_another_hash() -> None:
    others = [*changed(OUTPUT), replace(OUTPUT, detections=None), replace(OUTPUT, control=None)]
    assert len(others) > 70
    hashes = [digest(other) for other in others]
    assert digest(OUTPUT) not in hashes
    assert len(set(hashes)) == len(others)


def test_equal_outputs_have_the_same_hash_wherever_the_run_began() -> None:
    assert digest(OUTPUT) == digest(replace(OUTPUT, tick=replace(TICK, index=99)))


def test_the_order_and_the_number_of_outputs_count() -> None:
    other = replace(OUTPUT, tick=Tick(4, "reference", 2_000, 2_007))
    assert len({digest(OUTPUT), digest(OUTPUT, other), digest(other, OUTPUT), digest(OUTPUT, OUTPUT)}) == 4
