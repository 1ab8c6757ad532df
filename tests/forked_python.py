"""Python programs in forks of one process that has imported what takes long.

Each is a process of its own, with its own arguments, environment, folder, streams and signals, that pays no
start of Python and no imports. What depends on the start itself (encodings, what is imported) has a server
with the environment wanted, or starts Python.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Self

COMMAND = "import sys; from perception_tools.cli import main; main(sys.argv[1:])"
"""The program of `perception`."""

IMPORTS = (
    "perception.diagnosis.audit",
    "perception.diagnosis.conformance",
    "perception.diagnosis.monitor",
    "perception.evaluation",
    "perception.logs.mcap.examine",
    "perception.logs.mcap.reader",
    "perception.pipeline",
    "perception.sinks",
    "perception_tools.cli",
    "perception_tools.evaluate.command",
    "perception_tools.info.command",
    "perception_tools.plugin.command",
    "perception_tools.replay.command",
)
"""Modules that the server imports before it forks. None of them imports torch, which takes as long again."""

ROOT = Path(__file__).resolve().parent.parent
PIPE = subprocess.PIPE
CLOSED = -9
"""A stream that the caller has closed, as with `>&-`."""


class ForkedPython:
    """The server, and what starts programs in it."""

    def __init__(self, imports: tuple[str, ...] = IMPORTS, **environment: str) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = f"from tests.forked_python import _serve; _serve({theirs.fileno()}, {imports!r})"
        self._server = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._started: list[ForkedProgram] = []

    def start(
        self,
        *arguments: str | Path,
        program: str = COMMAND,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = PIPE,
        stderr: int = PIPE,
        start_new_session: bool = False,
        encoding: str = "utf-8",
    ) -> ForkedProgram:
        """Start a program: by default, `perception` with these arguments.

        `env` is added to the environment of the tests. A stream is a descriptor, `PIPE` or `CLOSED`.
        """
        mine, status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours: list[IO[str] | None] = []
        theirs: list[int | None] = []
        made = [status.fileno()]
        for stream in (stdin, stdout, stderr):
            reader = None
            if stream == PIPE:
                end, stream = os.pipe()
                reader = os.fdopen(end, encoding=encoding)
                made.append(stream)
            elif stream == subprocess.DEVNULL:
                stream = os.open(os.devnull, os.O_RDWR)
                made.append(stream)
            ours.append(reader)
            theirs.append(None if stream == CLOSED else stream)
        request = {
            "program": program,
            "arguments": [os.fsencode(argument).decode("latin-1") for argument in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": {**os.environ, **(env or {})},
            "open": [stream is not None for stream in theirs],
            "session": start_new_session,
        }
        sent = [status.fileno(), *(stream for stream in theirs if stream is not None)]
        socket.send_fds(self._channel, [json.dumps(request).encode()], sent)
        status.detach()
        for descriptor in made:
            os.close(descriptor)
        started = ForkedProgram(mine, ours[1], ours[2])
        self._started.append(started)
        return started

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; the arguments are those of `start`."""
        started = self.start(*arguments, **options)
        out, err = started.communicate(120)
        return subprocess.CompletedProcess(arguments, started.wait(), out, err)

    def close(self) -> None:
        for started in self._started:
            started.kill()
        self._channel.close()
        self._server.wait(60)


class ForkedProgram:
    """A running program, with the part of `subprocess.Popen` that tests use. The output is text."""

    def __init__(self, status: socket.socket, stdout: IO[str] | None, stderr: IO[str] | None) -> None:
        self._status = status
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        self.pid = int(status.recv(64) or 0)
        assert self.pid, "the server has ended"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the program if it is still running, and let its streams go."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    def poll(self) -> int | None:
        """Return the exit code of the program if it has ended."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        """Return the exit code of the program, negative for the signal that killed it."""
        if self.returncode is None:
            self._status.settimeout(timeout)
            self.returncode = int(self._status.recv(64))
            self._status.close()
        return self.returncode

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """Return the rest of stdout and stderr when the program has ended."""

        def rest(stream: IO[str] | None) -> str:
            if stream is None or stream.closed:
                return ""
            with stream:
                return stream.read()

        with ThreadPoolExecutor(2) as readers:
            texts = [readers.submit(rest, stream) for stream in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)  # which ends the readers, too
                raise
        return texts[0].result(), texts[1].result()


# --- in the server ---------------------------------------------------------------------------------------


def _serve(number: int, imports: tuple[str, ...]) -> None:
    """Start a program for each request, until the tests end. In the program, this function returns."""
    for name in imports:
        __import__(name)
    channel = socket.socket(fileno=number)
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, 1 << 20, 4)
        if not request:
            break
        if os.fork() == 0:
            channel.close()
            _watch(json.loads(request), descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        while _reaped(os.WNOHANG):
            pass
    while _reaped(0):
        pass


def _reaped(how: int) -> bool:
    try:
        return os.waitpid(-1, how)[0] != 0
    except ChildProcessError:
        return False


def _watch(request: dict[str, Any], descriptors: list[int]) -> None:
    """Start the program as a child, and report its number and how it ended."""
    child = os.fork()
    if child == 0:
        _become(request, descriptors)
        return
    status = socket.socket(fileno=descriptors[0])
    for descriptor in descriptors[1:]:
        os.close(descriptor)
    status.send(str(child).encode())
    status.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
    os._exit(0)


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Run the program, as Python does after its start."""
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[1:1] = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.argv = ["-c", *(os.fsdecode(argument.encode("latin-1")) for argument in request["arguments"])]
    os.close(descriptors.pop(0))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        if not request["open"][number]:
            os.close(number)
            stream = None
        else:
            os.dup2(descriptors[0], number)
            os.close(descriptors.pop(0))
            mode = "r" if name == "stdin" else "w"
            buffering = 1 if name == "stderr" else -1
            stream = open(number, mode, buffering, old.encoding, old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    exec(request["program"], {"__name__": "__main__"})
