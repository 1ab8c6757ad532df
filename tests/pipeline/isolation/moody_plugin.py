"""A plugin that crashes, hangs or leaks when the speed of the status says so."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from perception.plugin import Prepared
from perception.types import Output
from tests.pipeline.memory_plugin import MANIFEST as LIKE
from tests.pipeline.memory_plugin import MemoryPlugin

MANIFEST = LIKE.__class__(
    **{
        **{name: getattr(LIKE, name) for name in LIKE.__dataclass_fields__},
        "name": "moody",
        "factory": "tests.pipeline.isolation.moody_plugin:MoodyPlugin",
        "preroll_s": 0.0,
    }
)
CRASH, HANG, LEAK, RAISE, EXIT, UNSENDABLE = 101.0, 102.0, 103.0, 104.0, 105.0, 106.0


class MoodyPlugin(MemoryPlugin):
    """Sound, but for some speeds."""

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        speed = prepared[0].payload[2]
        if speed == CRASH:
            os.abort()
        if speed == HANG:
            time.sleep(60)
        if speed == LEAK:
            self._held = b"\1" * (400 << 20)
        if speed == RAISE:
            raise ValueError("as asked")
        if speed == UNSENDABLE:
            return [lambda: None]  # type: ignore[list-item]
        if speed == EXIT:
            raise SystemExit(0)
        return super().step(prepared)
