"""Plugins for hosts on loopback: one that does nothing, and one that fails when the speed says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perception.plugin import Manifest, Plugin, Prepared, register_plugin
from perception.types import Control, Detections, Output
from tests.pipeline.isolation.moody_plugin import MANIFEST as MOODY
from tests.pipeline.isolation.moody_plugin import MoodyPlugin

NOTHING = replace(MOODY, name="nothing", factory="tests.plugins.hosts.loopback.plugins:NothingPlugin")


class NothingPlugin(Plugin):
    """Answers at once, with no box."""

    def __init__(self, manifest: Manifest = NOTHING) -> None:
        self.manifest = manifest

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return [_answer(item) for item in prepared]


def _answer(item: Prepared) -> Output:
    based_on = tuple(source.name for source in item.sample.inputs if source.present)
    none = Control(False, error="this plugin gives no control")
    error = "" if based_on else "no input is present"
    return Output(item.sample.tick, Detections(bool(based_on), based_on, error), none)


def register() -> None:
    """Make the plugins known in this process."""
    register_plugin(NOTHING, NothingPlugin)
    register_plugin(MOODY, MoodyPlugin)
