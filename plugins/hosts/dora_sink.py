"""A sink for dora that writes what a host publishes: `python -m perception_plugins.hosts.dora_sink OUT`.

A line for each event: the name of the input, its metadata, and its values with every digit.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, TextIO


def write_events(node: Any, file: TextIO) -> int:
    """Write the events of a node until its inputs are closed; return their number."""
    count = 0
    while (event := node.next()) is not None and event["type"] != "STOP":
        if event["type"] != "INPUT":
            continue
        metadata = {key: value for key, value in event["metadata"].items() if key != "timestamp"}
        row = {"input": event["id"], **metadata, "values": event["value"].to_pylist()}
        print(json.dumps(row), file=file, flush=True)
        count += 1
    return count


def main() -> None:
    """Run the node."""
    parser = argparse.ArgumentParser(description="Write what a host publishes as JSON lines.")
    parser.add_argument("path", type=Path)
    given = parser.parse_args()
    from dora import Node

    with given.path.open("w", encoding="utf-8") as file:
        count = write_events(Node(), file)
    print(f"{count} events written to {given.path}", file=sys.stderr)


if __name__ == "__main__":
    main()
