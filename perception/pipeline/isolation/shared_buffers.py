"""Objects from one process to another: the arrays in shared memory, the rest as a pickle.

Pickle protocol 5 with buffers out of band (PEP 574). A piece of shared memory is used again when nothing in
the receiving process holds an array of it, so a plugin may keep what it was given.
"""

from __future__ import annotations

import io
import pickle
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import numpy as np

from perception.types import (
    CameraFrame,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Input,
    Output,
    RangeScan,
    Rig,
    Sample,
    StatusWindow,
    Tick,
)

LEAST_SHARED = 4096
"""Smaller buffers travel in the pickle."""
LEAST_PIECE = 1 << 20
MOST_PIECES = 64
_ALIGNED = 64


class Parcel(NamedTuple):
    """A pickled object: its buffers lie in a piece of shared memory at (start, length)."""

    data: bytes
    piece: str
    places: tuple[tuple[int, int], ...]


def packed(value: object) -> bytes:
    """Return a pickle of a call or a reply, its arrays included."""
    data = io.BytesIO()
    pickler = pickle.Pickler(data, protocol=5)
    pickler.dispatch_table = _REDUCERS
    pickler.dump(value)
    return data.getvalue()


class BufferSender:
    """Packs objects for another process. Used by one thread at a time."""

    def __init__(self) -> None:
        self._pieces: dict[str, SharedMemory] = {}
        self._free: list[str] = []

    def pack(self, value: object) -> Parcel:
        """Return a parcel; its shared memory is in use until `release`."""
        buffers: list[pickle.PickleBuffer] = []
        data = io.BytesIO()
        pickler = pickle.Pickler(data, protocol=5, buffer_callback=partial(_keeps_small, buffers))
        pickler.dispatch_table = _REDUCERS
        pickler.dump(value)
        raws = [buffer.raw() for buffer in buffers]
        starts, size = [], 0
        for raw in raws:
            starts.append(size)
            size += -(-raw.nbytes // _ALIGNED) * _ALIGNED
        places = tuple((start, raw.nbytes) for start, raw in zip(starts, raws, strict=True))
        if not places:
            return Parcel(data.getvalue(), "", ())
        name, memory = self._piece(size)
        for (start, length), raw in zip(places, raws, strict=True):
            memory[start : start + length] = raw
        return Parcel(data.getvalue(), name, places)

    def release(self, names: Sequence[str]) -> None:
        """Note pieces that nothing in the other process holds any more."""
        self._free += [name for name in names if name in self._pieces]

    def close(self) -> None:
        """Free all shared memory."""
        for piece in self._pieces.values():
            with suppress(OSError, BufferError):
                piece.close()
            with suppress(OSError):
                piece.unlink()
        self._pieces.clear()
        self._free.clear()

    def _piece(self, size: int) -> tuple[str, memoryview]:
        """Return a free piece of at least that size."""
        for name in reversed(self._free):  # the one used last is in the caches
            if self._pieces[name].size >= size:
                self._free.remove(name)
                return name, _memory(self._pieces[name])
        if len(self._pieces) >= MOST_PIECES:
            raise MemoryError(f"the plugin keeps the arrays of {MOST_PIECES} samples, and no more are shared")
        piece = SharedMemory(create=True, size=max(LEAST_PIECE, 1 << (size - 1).bit_length()))
        self._pieces[piece.name] = piece
        return piece.name, _memory(piece)


class BufferReceiver:
    """Unpacks parcels in the other process, without a copy of their arrays."""

    def __init__(self) -> None:
        self._pieces: dict[str, SharedMemory] = {}
        self._released: list[str] = []

    def unpack(self, parcel: Parcel) -> Any:
        """Return the object of a parcel."""
        if not parcel.places:
            return pickle.loads(parcel.data)  # from the parent process, which is this program
        if parcel.piece not in self._pieces:
            self._pieces[parcel.piece] = SharedMemory(parcel.piece)
        memory = np.frombuffer(_memory(self._pieces[parcel.piece]), np.uint8)
        weakref.finalize(memory, self._released.append, parcel.piece)  # every array of it holds `memory`
        buffers = [memory[start : start + length] for start, length in parcel.places]
        return pickle.loads(parcel.data, buffers=buffers)

    def released(self) -> list[str]:
        """Return the pieces that nothing holds any more, each once."""
        names, self._released[:] = list(self._released), []
        return names


def _memory(piece: SharedMemory) -> memoryview:
    assert piece.buf is not None  # it is not closed
    return piece.buf


def _keeps_small(taken: list[pickle.PickleBuffer], buffer: pickle.PickleBuffer) -> bool:
    """Take a buffer out of band, if it is large; return whether it stays in the pickle."""
    if buffer.raw().nbytes < LEAST_SHARED:
        return True
    taken.append(buffer)
    return False


def _by_fields(kind: type, **replaced: Any) -> Callable[[Any], tuple[type, tuple[Any, ...]]]:
    """Return how to pickle a dataclass: by the call that makes it, which is faster than its state."""
    names = tuple(field.name for field in fields(kind))
    return lambda value: (kind, tuple(replaced.get(name, getattr(value, name)) for name in names))


_FRAME_FIELDS = tuple(field.name for field in fields(CameraFrame))


def _reduced_frame(value: CameraFrame) -> tuple[Any, tuple[Any, ...]]:
    values = {name: getattr(value, name) for name in _FRAME_FIELDS}
    data = pickle.PickleBuffer(value.data)
    return _frame, tuple({**values, "data": data, "source": b""}.values())


def _frame(*values: Any) -> CameraFrame:
    frame = dict(zip(_FRAME_FIELDS, values, strict=True))
    data = memoryview(frame["data"]).toreadonly()
    return CameraFrame(**{**frame, "data": data if data.nbytes >= LEAST_SHARED else bytes(data)})


_REDUCERS: dict[type, Callable[[Any], Any]] = {
    CameraFrame: _reduced_frame,
    RangeScan: _by_fields(RangeScan, source=b""),
    Input: _by_fields(Input, entries=()),
    **{kind: _by_fields(kind) for kind in (Sample, Tick, StatusWindow, Rig)},
    **{kind: _by_fields(kind) for kind in (Output, Detections, Detection, Control, ControlChannel)},
    memoryview: lambda view: (bytes, (bytes(view),)),
}
"""How to pickle what samples and outputs are made of; what only the aligner needs is left out."""
