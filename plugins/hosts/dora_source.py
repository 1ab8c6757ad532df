"""A source for dora that replays a log: `python -m perception_plugins.hosts.dora_source LOG`.

Each output of the node carries the topic of its name (`camera_image`: `/camera/image`). A source that ends
while its messages are under way loses them, so this one waits for the output `ack` of the host.
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

from perception.logs import Query, open_log
from perception.remote import log_path
from perception.types import Channel, Message

WINDOW = 16
"""Messages that may be under way."""
AGAIN_S = 0.5
"""Messages that are not acknowledged for so long are sent again."""


class ReplaySource:
    """Sends the messages of a log, each with its times and schema, until each is acknowledged.

    dora loses messages where a receiver, or its machine, is too busy. So messages are numbered, the host
    takes them in order, and those after the last acknowledged one are sent again.

    Args:
        node: Of dora.
        rate: As a multiple of the recording's; None: as soon as they are acknowledged.
        wait_s: How long to wait for an acknowledgement before it is an error.
    """

    def __init__(self, node: Any, rate: float | None = None, wait_s: float = 60.0) -> None:
        self._node = node
        self._rate = rate
        self._wait_s = wait_s
        self._names = frozenset(node.node_config()["outputs"])
        self._sent = self._acknowledged = 0
        self._under_way: deque[tuple[str, Message, int]] = deque()
        self.sent_again = 0
        self._metadata: dict[int, tuple[Channel, dict[str, Any]]] = {}
        self._began: tuple[float, int] | None = None
        self._stopped = False
        Thread(target=self._read, name="acknowledgements", daemon=True).start()

    def send_log(self, path: Path) -> int:
        """Send the messages of the outputs' topics; return their number, once all are acknowledged.

        Raises:
            TimeoutError: The host acknowledges nothing.
        """
        with open_log(path) as log:
            topics = {topic: topic.strip("/").replace("/", "_") for topic in log.channels}
            wanted = {topic: name for topic, name in topics.items() if name in self._names}
            if missing := self._names - set(wanted.values()):
                raise ValueError(f"the log has no topic for the outputs {', '.join(sorted(missing))}")
            for message in log.messages(Query(frozenset(wanted))):
                self._pace(message.log_time_ns)
                self._under_way.append((wanted[message.topic], message, self._sent))
                self._send(*self._under_way[-1])
                self._sent += 1
                self._await(self._sent - WINDOW)
        self._await(self._sent)
        return self._sent

    def _send(self, name: str, message: Message, number: int) -> None:
        import numpy as np
        import pyarrow as pa

        times = {"log_time_ns": message.log_time_ns, "publish_time_ns": message.publish_time_ns}
        numbers = {"number": number, "oldest": self._acknowledged}
        metadata = {**self._schema(message.channel), **times, **numbers}
        self._node.send_output(name, pa.array(np.frombuffer(message.data, np.uint8)), metadata)

    def _schema(self, channel: Channel) -> Mapping[str, Any]:
        known = self._metadata.get(id(channel))
        if known is None:
            schema = channel.schema
            metadata = {"message_encoding": channel.encoding, "schema": schema.name if schema else ""}
            if schema is not None:
                metadata["schema_encoding"] = schema.encoding
                metadata["schema_data"] = base64.b64encode(schema.data).decode()
            known = self._metadata[id(channel)] = channel, metadata
        return known[1]

    def _pace(self, log_time_ns: int) -> None:
        if self._rate is None:
            return
        began_s, first_ns = self._began = self._began or (time.monotonic(), log_time_ns)
        time.sleep(max(began_s + (log_time_ns - first_ns) / 1e9 / self._rate - time.monotonic(), 0.0))

    def _await(self, count: int) -> None:
        """Wait until so many messages are acknowledged; send again what is not."""
        before, heard_s = self._acknowledged, time.monotonic()
        again_s = heard_s + AGAIN_S
        while self._acknowledged < count and not self._stopped:
            now_s = time.monotonic()
            if self._acknowledged > before:
                before, heard_s, again_s = self._acknowledged, now_s, now_s + AGAIN_S
            if now_s - heard_s > self._wait_s:
                break
            if now_s > again_s:
                self._forget_acknowledged()
                for entry in tuple(self._under_way):
                    self._send(*entry)
                self.sent_again += len(self._under_way)
                again_s = time.monotonic() + AGAIN_S
            time.sleep(0.0005)
        self._forget_acknowledged()
        if self._acknowledged < count:
            why = "dora stopped" if self._stopped else "the host, or its output `ack`, is silent"
            raise TimeoutError(f"{self._acknowledged} of {self._sent} messages were acknowledged: {why}")

    def _forget_acknowledged(self) -> None:
        while self._under_way and self._under_way[0][2] < self._acknowledged:
            self._under_way.popleft()

    def _read(self) -> None:
        """Take acknowledgements. Without a timeout: where one ends, dora 1.1.0 loses events."""
        while (event := self._node.next()) is not None and event["type"] != "STOP":
            if event["type"] == "INPUT" and event["id"] == "ack":
                self._acknowledged = max(self._acknowledged, event["value"][0].as_py())
        self._stopped = True


def main() -> None:
    """Run the node."""
    parser = argparse.ArgumentParser(description="Replay a log into a dataflow of dora.")
    parser.add_argument("log", type=log_path)
    parser.add_argument(
        "--rate", type=float, help="as a multiple of the recording's; default: as fast as taken"
    )
    given = parser.parse_args()
    from dora import Node
    from pyarrow import array

    array([0])  # looks for pandas, which takes seconds: before the dataflow begins
    source = ReplaySource(Node(), given.rate)
    sent = source.send_log(given.log)
    print(f"{sent} messages acknowledged, {source.sent_again} sent again", file=sys.stderr)


if __name__ == "__main__":
    main()
