"""The process of an isolated plugin: takes calls from a pipe, answers each."""

from __future__ import annotations

import os
import pickle
import signal
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any, NamedTuple

from perception.codec_messages import silence_codecs
from perception.pipeline.isolation.plain_values import output_of, output_values
from perception.pipeline.isolation.shared_buffers import BufferReceiver, Parcel
from perception.pipeline.isolation.wire import Wire
from perception.plugin import Infers, KnowsItsInputs, KnowsItsOutputs, Manifest, Plugin, Prepared
from perception.plugin.failures import failure_text
from perception.types import Absent, Output, Sample

MOST_PREPARED = 256
"""Samples that are prepared and not stepped; the host has given up the older ones."""


class Stepped(NamedTuple):
    """The outputs of a plugin for one sample, or the text of the error that it raised."""

    outputs: Sequence[Output]
    problem: str = ""


def run_plugin(reader: Connection, writer: Connection, manifest: Manifest) -> None:
    """Serve calls until the pipe closes. The plugin is made by the factory of its manifest."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are for the host, which closes the plugin
        signal.signal(number, lambda *_: None)  # a program that the plugin starts is ended by them
    silence_codecs()
    with suppress(OSError):
        os.dup2(2, 1)  # what plugins print goes to stderr
    Thread(target=_end_with_parent, daemon=True).start()
    wire = Wire(reader, writer)
    server = _PluginServer(manifest)
    method = ""
    with suppress(EOFError, OSError):
        while method != "close":
            method, argument = pickle.loads(wire.receive())  # from the host, which is this program
            wire.send(server.answer(method, argument))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(os.EX_UNAVAILABLE)  # nobody reads it


class _PluginServer:
    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._plugin: Plugin | None = None
        self._infers: Infers | None = None
        self._one_at_a_time = False
        self._buffers = BufferReceiver()
        self._prepared: OrderedDict[int, Prepared] = OrderedDict()

    def answer(self, method: str, argument: Any) -> bytes:
        """Return the answer to a call: its value, what the plugin raised, and the shared memory that is free
        again. Nothing that the plugin raises, or returns, ends the process."""
        value, problem = None, ""
        try:
            value = getattr(self, f"_{method}")(argument)
        except BaseException as error:
            problem = failure_text(error)
        try:
            return pickle.dumps((value, problem, self._buffers.released()), 5)
        except Exception as error:  # its class and text depend on the version of Python
            problem = f"what it gave cannot be sent to the host by pickle: {failure_text(error)}"
            return pickle.dumps((None, problem, self._buffers.released()), 5)

    @property
    def _opened(self) -> Plugin:
        assert self._plugin is not None, "it is not open"
        return self._plugin

    def _open(self, context: Any) -> Manifest:
        module, _, attribute = self._manifest.factory.partition(":")
        self._plugin = getattr(import_module(module), attribute)(self._manifest)
        self._opened.open(context)
        self._infers = self._plugin if isinstance(self._plugin, Infers) else None
        self._one_at_a_time = context.batch == 1
        return self._opened.manifest

    def _describe(self, _: None) -> Mapping[str, str]:
        return {str(key): str(value) for key, value in self._opened.describe().items()}

    def _output_stats(self, _: None) -> Any:
        return self._plugin.output_stats() if isinstance(self._plugin, KnowsItsOutputs) else None

    def _input_profile(self, _: None) -> Any:
        return self._plugin.input_profile() if isinstance(self._plugin, KnowsItsInputs) else None

    def _prepare(self, argument: tuple[int, Parcel, bool]) -> tuple[Mapping[str, Absent], Any]:
        """Prepare a sample, compute where the batch is one, and step it where that is asked for.

        Returns:
            What the plugin found unusable, and what `step` answered: the outputs, or the text of an error.
        """
        key, parcel, at_once = argument
        sample = self._buffers.unpack(Parcel(*parcel))
        prepared = self._opened.prepare(sample)
        if not isinstance(prepared, Prepared):
            raise TypeError(f"prepare returned {type(prepared).__name__}, expected Prepared")
        self._prepared[key] = prepared
        if self._one_at_a_time:  # one exchange less between the processes
            self._infer([key])
        while len(self._prepared) > MOST_PREPARED:
            self._prepared.popitem(last=False)
        absent = {} if prepared.sample is sample else _found_absent(sample, prepared.sample)
        return absent, self._step_at_once(key) if at_once else None

    def _step_at_once(self, key: int) -> tuple[Any, str]:
        try:
            return self._step([key]), ""
        except BaseException as error:
            return [], failure_text(error)

    def _infer(self, keys: list[int]) -> None:
        if self._infers is not None:
            inferred = list(self._infers.infer([self._prepared[key] for key in keys]))
            if len(inferred) != len(keys):
                raise ValueError(f"infer returned {len(inferred)} samples for {len(keys)}")
            self._prepared.update(zip(keys, inferred, strict=True))

    def _step(self, keys: list[int]) -> Any:
        prepared = [self._prepared.pop(key) for key in keys]
        return [output_values(output) for output in self._opened.step(prepared)]

    def _reset(self, reason: Any) -> None:
        self._opened.reset(reason)

    def _close(self, _: None) -> None:
        if self._plugin is not None:
            self._plugin.close()


def _found_absent(sample: Sample, after: Sample) -> dict[str, Absent]:
    """Return the inputs of a sample that are absent afterwards."""
    absences = {source.name: source.absence for source in after.sensors}
    return {
        source.name: absence
        for source in sample.sensors
        if source.present and (absence := absences[source.name]) is not None
    }


def stepped_outputs(values: Any) -> list[Output]:
    """Return the outputs that `step` answered."""
    return [output_of(*entry) for entry in values]
