"""Wrappers of the measured plugin: kept open between runs, or with its model replaced by a constant."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from perception.errors import PluginError
from perception.plugin import Context, Infers, Plugin, Prepared, TimesItsDevice
from perception.types import Output, Reset, Sample


class KeptOpen(Plugin):
    """A plugin that the first run opens and that stays open for later runs. `release` closes it."""

    def __init__(self, plugin: Plugin) -> None:
        self.inner, self.manifest = plugin, plugin.manifest
        self._open = False

    def open(self, context: Context) -> None:
        if self._open:
            self.inner.reset(Reset("another run"))
        else:
            self.inner.open(context)
            self._open = True

    def prepare(self, sample: Sample) -> Prepared:
        return self.inner.prepare(sample)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return self.inner.step(prepared)

    def reset(self, reason: Reset) -> None:
        self.inner.reset(reason)

    def close(self) -> None:
        """Do nothing: the next run needs the open plugin."""

    def release(self) -> None:
        self._open = False
        self.inner.close()

    def describe(self) -> Mapping[str, str]:
        return self.inner.describe()

    def device_s(self) -> float:
        return self.inner.device_s() if isinstance(self.inner, TimesItsDevice) else 0.0


class KeptOpenInfers(KeptOpen):
    """`KeptOpen` for a plugin that offers `infer`."""

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        assert isinstance(self.inner, Infers)
        return self.inner.infer(prepared)


class Constant(KeptOpenInfers):
    """A plugin whose model is replaced by its first answer, to measure everything but the model.

    Raises:
        PluginError: The plugin computes in `step`, where its model cannot be separated from the rest.
    """

    def __init__(self, plugin: Plugin) -> None:
        if not isinstance(plugin, Infers):
            raise PluginError(
                f"plugin '{plugin.manifest.name}' offers no `infer`: its model cannot be left out"
            )
        super().__init__(plugin)
        self._lock = threading.Lock()
        self._answer: object = None

    def infer(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        with self._lock:
            if self._answer is None:
                self._answer = super().infer(prepared[:1])[0].payload
        return [replace(item, payload=self._answer) for item in prepared]

    def describe(self) -> Mapping[str, str]:
        return {**super().describe(), "backend": "constant"}  # which nothing is waited for


def kept(plugin: Plugin, constant: bool = False) -> KeptOpen:
    """Wrap a plugin so that it can be run several times."""
    if constant:
        return Constant(plugin)
    return KeptOpenInfers(plugin) if isinstance(plugin, Infers) else KeptOpen(plugin)
