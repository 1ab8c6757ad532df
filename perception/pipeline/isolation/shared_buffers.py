"""Samples from one process to another: pixels and points in shared memory, the rest as a pickle.

Pickle protocol 5 with buffers out of band (PEP 574). A piece of shared memory is used again when nothing in
the receiving process holds an array of it, so a plugin may keep what it was given.
"""

from __future__ import annotations

import os
import pickle
import weakref
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from typing import NamedTuple

import numpy as np

from perception.pipeline.isolation.plain_values import (
    LEAST_SHARED,
    KnownRigs,
    SentRigs,
    sample_of,
    sample_values,
)
from perception.types import Sample

LEAST_PIECE = 1 << 20
MOST_PIECES = 64
_ALIGNED = 64


class Parcel(NamedTuple):
    """A pickled sample: its buffers lie in a piece of shared memory at (start, length)."""

    data: bytes
    piece: str
    places: tuple[tuple[int, int], ...]


class BufferSender:
    """Packs samples for another process. Used by one thread at a time."""

    def __init__(self) -> None:
        self._pieces: dict[str, SharedMemory] = {}
        self._free: list[str] = []
        self._rigs = SentRigs()

    def pack(self, sample: Sample) -> Parcel:
        """Return a parcel; its shared memory is in use until `release`."""
        buffers: list[pickle.PickleBuffer] = []

        def keeps(buffer: pickle.PickleBuffer) -> bool:
            """Take a buffer out of band, if it is large; return whether it stays in the pickle."""
            if buffer.raw().nbytes < LEAST_SHARED:
                return True
            buffers.append(buffer)
            return False

        try:
            data = pickle.dumps(sample_values(sample, self._rigs), 5, buffer_callback=keeps)
            if not buffers:
                return Parcel(data, "", ())
            raws = [buffer.raw() for buffer in buffers]
            places, size = [], 0
            for raw in raws:
                places.append((size, raw.nbytes))
                size += -(-raw.nbytes // _ALIGNED) * _ALIGNED
            try:
                name, memory = self._piece(size)
            except OSError:  # no shared memory, or it is full, as that of a container may be: by the pipe
                self._rigs.clear()
                return Parcel(pickle.dumps(sample_values(sample, self._rigs), 5), "", ())
        except BaseException:
            self._rigs.clear()  # they were not sent
            raise
        for (start, length), raw in zip(places, raws, strict=True):
            memory[start : start + length] = raw
        return Parcel(data, name, tuple(places))

    def release(self, names: Sequence[str]) -> None:
        """Note pieces that nothing in the other process holds any more."""
        self._free += [name for name in names if name in self._pieces]

    def close(self) -> None:
        """Free all shared memory; the other process has ended."""
        self._rigs.clear()
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
        try:
            _take_pages(piece)
        except OSError:
            piece.close()
            piece.unlink()
            raise
        self._pieces[piece.name] = piece
        return piece.name, _memory(piece)


class BufferReceiver:
    """Unpacks parcels in the other process, without a copy of their arrays."""

    def __init__(self) -> None:
        self._pieces: dict[str, SharedMemory] = {}
        self._held: dict[int, tuple[weakref.ref[np.ndarray], str]] = {}
        self._released: list[str] = []
        self._rigs = KnownRigs()

    def unpack(self, parcel: Parcel) -> Sample:
        """Return the sample of a parcel."""
        buffers = self._buffers(parcel) if parcel.places else ()
        # the pickle comes from the parent process, which is this program
        return sample_of(pickle.loads(parcel.data, buffers=buffers), self._rigs)

    def released(self) -> list[str]:
        """Return the pieces that nothing holds any more, each once."""
        names, self._released[:] = list(self._released), []
        return names

    def close(self) -> None:
        """Let go of all shared memory, as far as nothing holds it."""
        for piece in self._pieces.values():
            with suppress(BufferError):
                piece.close()
        self._pieces.clear()

    def _buffers(self, parcel: Parcel) -> list[np.ndarray]:
        if parcel.piece not in self._pieces:
            self._pieces[parcel.piece] = SharedMemory(parcel.piece)
        memory = np.frombuffer(_memory(self._pieces[parcel.piece]), np.uint8)
        held = weakref.ref(memory, self._let_go)  # every array of it holds `memory`
        self._held[id(held)] = held, parcel.piece
        return [memory[start : start + length] for start, length in parcel.places]

    def _let_go(self, reference: weakref.ref[np.ndarray]) -> None:
        self._released.append(self._held.pop(id(reference))[1])


def _take_pages(piece: SharedMemory) -> None:
    """Take the pages of a piece: writing to one that is not there ends the process by SIGBUS.

    Raises:
        OSError: There are too few.
    """
    handle: int = getattr(piece, "_fd", -1)
    if handle >= 0 and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, piece.size)


def _memory(piece: SharedMemory) -> memoryview:
    assert piece.buf is not None  # it is not closed
    return piece.buf
