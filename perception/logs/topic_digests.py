"""A hash for each topic of a log over its messages, in whatever order they come."""

from __future__ import annotations

import hashlib

from perception.types import Schema

_MODULUS = 1 << 256


class TopicDigests:
    """Counts and hashes messages by topic. Equal sets of messages have equal hashes, whatever the order and
    the layout of the file: the hash is the sum of the SHA-256 of each message."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}
        self._heads: dict[tuple[str, Schema | None], bytes] = {}

    def add(
        self,
        topic: str,
        schema: Schema | None,
        encoding: str,
        log_time_ns: int,
        publish_time_ns: int,
        data: bytes,
    ) -> None:
        """Add a message."""
        head = self._heads.get((encoding, schema))
        if head is None:
            name = "" if schema is None else f"{schema.name}\0{schema.encoding}\0"
            layout = b"" if schema is None else hashlib.sha256(schema.data).digest()
            head = self._heads[encoding, schema] = f"{encoding}\0{name}".encode() + layout
        digest = hashlib.sha256(b"%s\0%d\0%d\0" % (head, log_time_ns, publish_time_ns))
        digest.update(data)
        count_and_sum = self._sums.setdefault(topic, [0, 0])
        count_and_sum[0] += 1
        count_and_sum[1] = (count_and_sum[1] + int.from_bytes(digest.digest(), "big")) % _MODULUS

    def record(self) -> dict[str, str]:
        """Return topic -> the number of its messages and their hash, as one text."""
        return {topic: f"{count} {total:064x}" for topic, (count, total) in sorted(self._sums.items())}
