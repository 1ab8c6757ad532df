"""Messages over a pair of pipes arrive whole; a process that stops in the middle of one is not waited for."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Thread

import pytest

from perception.pipeline.isolation.wire import Wire


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire, Connection]]:
    """Both ends of an exchange, and the pipe into the first."""
    (here, into_here), (there, into_there) = Pipe(duplex=False), Pipe(duplex=False)
    one, other = Wire(here, into_there), Wire(there, into_here)
    yield one, other, into_here
    one.close()
    other.close()


def test_messages_of_any_size_arrive_in_order(ends: tuple[Wire, Wire, Connection]) -> None:
    one, other, _ = ends
    messages = [b"", b"a", bytes(range(256)) * 4000, b"end"]  # the third is larger than a pipe holds
    sender = Thread(target=lambda: [other.send(message) for message in messages])
    sender.start()
    assert [one.receive(10.0) for _ in messages] == messages
    sender.join()
    assert not one.poll(0)


def test_half_a_message_is_not_waited_for_and_may_still_be_completed(
    ends: tuple[Wire, Wire, Connection],
) -> None:
    one, _, pipe = ends
    os.write(pipe.fileno(), struct.pack("<Q", 6) + b"abc")
    assert one.poll(1.0)
    with pytest.raises(TimeoutError):
        one.receive(0.05)
    os.write(pipe.fileno(), b"def")
    assert one.receive(1.0) == b"abcdef"


def test_a_closed_pipe_is_the_end(ends: tuple[Wire, Wire, Connection]) -> None:
    one, other, _ = ends
    other.close()
    with pytest.raises(EOFError):
        one.receive(1.0)
