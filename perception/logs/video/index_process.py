"""The program that lists the packets of video files, in a process of its own.

It is started as a script and imports nothing of this package: PyAV and numpy alone. Standard input holds
requests: the length of a path, the path. Standard output holds an answer for each: the length of a JSON
object, the object, and where it has `packets`, so many rows of `ROW` and then `spooled` bytes of packets.

Of MP4 files the rows say where each packet lies in the file. Other containers wrap packets in ways of their
own: theirs are sent, and the rows say where each lies among them.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any

import numpy as np

try:
    import resource
except ImportError:  # where there are no limits of processes
    resource = None  # type: ignore[assignment]

LENGTH = struct.Struct("<Q")
ROW = np.dtype([("pts", "<i8"), ("position", "<i8"), ("size", "<i8"), ("key", "?")])
CPU_S = 10
MEMORY_BYTES = 2 << 30
MOST_PACKETS = 4_000_000
MOST_SPOOLED = 1 << 30


def main() -> None:
    """Answer requests until the input ends."""
    import av

    av.logging.set_level(av.logging.PANIC)
    if resource is not None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        bound = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write among the answers
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        path = os.fsdecode(source.read(LENGTH.unpack(head)[0]))
        _allow(path)
        try:
            about, rows, spooled = _index(av, path)
        except Exception as error:
            text = getattr(error, "strerror", None) or str(error)
            about, rows, spooled = {"error": text[:300]}, np.zeros(0, ROW), b""
        text = json.dumps({**about, "packets": len(rows), "spooled": len(spooled)}).encode()
        sink.write(LENGTH.pack(len(text)) + text + rows.tobytes())
        sink.write(spooled)
        sink.flush()


def _allow(path: str) -> None:
    """End this process once one file has taken too much time of a processor."""
    if resource is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = CPU_S + os.path.getsize(path) // (32 << 20) if os.path.exists(path) else CPU_S
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime + seconds) + 1, hard))


def _index(av: Any, path: str) -> tuple[dict[str, Any], Any, bytes]:
    with av.open(path, mode="r") as container:
        if not container.streams.video:
            raise ValueError("no video in it")
        stream = container.streams.video[0]
        context = stream.codec_context
        in_place = "mp4" in container.format.name.split(",")
        packets = _packets(container, stream, spool=not in_place)
        rows = np.array([row for row, _ in packets], ROW)
        # The average of a raw stream is the 25 Hz of its reader, whatever its parameters say.
        rate = stream.guessed_rate or stream.average_rate or 25
        about = {
            "format": container.format.name,
            "codec": getattr(context.codec, "canonical_name", context.name),
            "extradata": (context.extradata or b"").hex(),
            "size": [context.width, context.height],
            "time_base": [stream.time_base.numerator, stream.time_base.denominator],
            "rate": [rate.numerator, rate.denominator] if hasattr(rate, "numerator") else [int(rate), 1],
            "states_rate": bool(context.framerate),
            "created": str(container.metadata.get("creation_time", ""))[:40],
            "streams": len(container.streams),
        }
        return about, rows, b"".join(data for _, data in packets)


def _packets(container: Any, stream: Any, spool: bool) -> list[tuple[tuple[int, int, int, bool], bytes]]:
    packets: list[tuple[tuple[int, int, int, bool], bytes]] = []
    spooled = 0
    missing = np.iinfo(np.int64).min
    for packet in container.demux(stream):
        if not packet.size:
            continue
        time = packet.pts if packet.pts is not None else missing
        position = spooled if spool else packet.pos if packet.pos is not None else -1
        packets.append(((time, position, packet.size, packet.is_keyframe), bytes(packet) if spool else b""))
        spooled += packet.size
        if len(packets) > MOST_PACKETS or (spool and spooled > MOST_SPOOLED):
            raise ValueError(
                f"more than {MOST_PACKETS} packets, or {MOST_SPOOLED} bytes of a video that is no MP4"
            )
    return packets


if __name__ == "__main__":
    main()
