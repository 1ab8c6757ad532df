"""Chromium, asked over its pipe (https://chromedevtools.github.io/devtools-protocol/) what a page does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from time import monotonic
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    "--remote-debugging-pipe",
)
WAIT_S = 90.0


class Browser:
    """Sends commands to one page and keeps the events that come back."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._rest = b""
        self._last = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._last:
                assert "error" not in found, found["error"]
                return dict(found["result"])

    def open(self, address: str) -> None:
        """Go there and wait until all of it is loaded."""
        before = len(self.events)
        self.ask("Page.navigate", url=address)
        while not any(one["method"] == "Page.loadEventFired" for one in self.events[before:]):
            self._next()

    def value(self, expression: str) -> Any:
        """What an expression is on the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def of(self, *methods: str) -> list[dict[str, Any]]:
        return [one["params"] for one in self.events if one["method"] in methods]

    def _next(self) -> dict[str, Any]:
        end = monotonic() + WAIT_S
        while b"\0" not in self._rest:
            ready, _, _ = select([self._read], [], [], max(end - monotonic(), 0.0))
            assert ready, f"Chromium said nothing within {WAIT_S:.0f} s"
            part = os.read(self._read, 1 << 20)
            assert part, "Chromium went away"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        if "method" in found:
            self.events.append(found)
        return found


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in this folder."""
    assert CHROMIUM is not None
    (to_read, to_write), (from_read, from_write) = os.pipe(), os.pipe()
    words = ["bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}', CHROMIUM, *FLAGS]
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [*words, f"--user-data-dir={folder / 'profile'}"],
            pass_fds=(to_read, from_write),
            stdout=log,
            stderr=log,
        )
        os.close(to_read)
        os.close(from_write)
        try:
            yield Browser(to_write, from_read)
        finally:
            process.terminate()
            process.wait(20)
            os.close(to_write)
            os.close(from_read)
