"""Measures what a host adds to a message: `python -m tests.plugins.hosts.loopback.bench STACK...`.

A 70 kB JPEG goes to the host, whose plugin does nothing, and half a period later to a node that does nothing,
written over the library of the stack; the difference of the medians is what the host adds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tests.plugins.hosts.loopback.peers import STACKS
from tests.plugins.hosts.loopback.stacks import loopback, run_dora

PLUGIN = {"name": "nothing"}


def phases(frames: int, hz: float) -> list[dict[str, Any]]:
    ready = {"name": "ready", "frames": 300, "hz": 5.0, "null": True, "until_heard": True}
    settle = {"name": "settle", "frames": 20, "hz": hz, "null": True}
    return [ready, settle, {"name": "measured", "frames": frames, "hz": hz, "null": True}]


def measure(stack: str, folder: Path, frames: int, hz: float, host: list[str]) -> dict[str, Any]:
    """Return the latencies through the host and through the node that does nothing, ms."""
    config = {"sensors": ["camera"], "plugin": PLUGIN}
    if stack == "dora":
        account, text = run_dora(folder, phases(frames, hz), host, **config)
    else:
        with loopback(stack, folder, **config) as robot:
            process = robot.start_host(*host)
            robot.start_null_node()
            for phase in phases(frames, hz):
                robot.run(**phase)
            account = robot.account()
            text = process.end() + "".join(process.err)
    first = account["stamps"]["measured"][0]
    row: dict[str, Any] = {"stack": stack}
    for name in ("host", "null"):
        times = [ms for stamp, ms in account["latency_ms"][name].items() if int(stamp) >= first]
        if not times:
            raise SystemExit(f"{stack}: no answer of {name}: {text}")
        row |= {name: round(median(times), 3), f"{name}_p90": round(sorted(times)[len(times) * 9 // 10], 3)}
        row[f"{name}_frames"] = len(times)
    return row | {"added": round(row["host"] - row["null"], 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stacks", nargs="*", default=STACKS)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--hz", type=float, default=20.0)
    parser.add_argument("--isolate", action="store_true")
    given = parser.parse_args()
    for stack in given.stacks:
        with tempfile.TemporaryDirectory() as folder:
            host = ["--isolate"] if given.isolate else []
            print(json.dumps(measure(stack, Path(folder), given.frames, given.hz, host)), flush=True)


if __name__ == "__main__":
    main()
