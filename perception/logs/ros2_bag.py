"""ROS 2 bags: a folder with one or several files of storage, read as one log.

Each file is read by the reader of its storage, whatever `metadata.yaml` calls it. `rosbags` passes over the
messages of a topic whose quality of service in `metadata.yaml` differs from that in the file; this does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from perception.errors import LogError
from perception.logs import sqlite_bag
from perception.logs.damage import Damage
from perception.logs.joined_log import JoinedLog, JoinedStream, Part, counted
from perception.logs.mcap import reader as mcap
from perception.logs.mcap.limits import CHUNK_BYTES, LOG_RATIO
from perception.logs.message_table import Unreadable
from perception.logs.query import ALL, Query
from perception.logs.readers import Accounting, Log
from perception.logs.ros2_messages import ZSTD, zstd_message
from perception.logs.ros2_metadata import BagFolder, holds_bag, read_folder
from perception.logs.survey import Survey
from perception.logs.unpacked_file import UnpackedTooLarge, compression_of, plain_name, unpack_file
from perception.text import listed
from perception.types import Message

FORMAT = "ROS 2 bag"


def reads(path: Path) -> bool:
    """Return whether a path is the folder of a ROS 2 bag."""
    return holds_bag(path)


def open(path: Path) -> BagLog:
    """Open the folder of a ROS 2 bag. A file that is missing or cannot be read is damage.

    Raises:
        LogError: No file of it can be read.
    """
    with ExitStack() as stack:
        try:
            bag = read_folder(path)
        except OSError as error:
            raise LogError(f"cannot be opened ({error.strerror or error}): {path}") from None
        size = sum(file.stat().st_size for file in bag.files)
        parts: list[tuple[str, Log]] = []
        packed = False
        for file in bag.files:
            try:
                if compression_of(file) == "zstd":
                    packed = True
                    folder = stack.enter_context(TemporaryDirectory(prefix="perception-bag-"))
                    place, problem = _unpacked(file, Path(folder))
                    if problem:
                        bag.damage.append(Damage(None, None, 0, None, f"{file.name}: {problem}"))
                else:
                    place = file
                parts.append((file.name, stack.enter_context(_open_storage(place))))
            except (LogError, OSError) as error:
                reason = str(error).removesuffix(f": {file}")
                reason = f"{file.name} cannot be read: {reason}"
                bag.damage.append(Damage(None, None, file.stat().st_size, None, reason))
        if not parts:
            reasons = "; ".join(damage.reason for damage in bag.damage) or "its metadata list none"
            raise LogError(f"expected a ROS 2 bag, found a folder without a file to read ({reasons}): {path}")
        return BagLog(path, bag, parts, size, packed, stack.pop_all())


def _unpacked(file: Path, folder: Path) -> tuple[Path, str]:
    """Decompress a file of a bag; return its path, and why it is not whole. Raises OSError."""
    target = folder / plain_name(file, "zstd")
    try:
        return target, unpack_file(file, target, CHUNK_BYTES + LOG_RATIO * file.stat().st_size, "zstd")
    except UnpackedTooLarge:
        return target, "it decompresses to more than the limit (docs/limits.md)"


def _open_storage(file: Path) -> Log:
    for reader in (sqlite_bag, mcap):
        if reader.reads(file):
            log: Log = reader.open(file)
            return log
    raise LogError(f"it is no MCAP and no SQLite file; record or copy it again: {file}")


class BagLog(JoinedLog):
    """An open ROS 2 bag; see `perception.logs.Log`."""

    def __init__(
        self,
        path: Path,
        bag: BagFolder,
        parts: list[tuple[str, Log]],
        size: int,
        packed: bool,
        stack: ExitStack,
    ) -> None:
        super().__init__(path, parts, bag.damage, stack)
        self._bag, self._size, self._packed = bag, size, packed

    def completed(self, survey: Survey) -> Survey:
        """Return the survey with what `metadata.yaml` says."""
        missing = self.missing(counted(survey.topics), Counter(), is_damaged=bool(survey.damage))[1]
        notes = (("rosbag2", MappingProxyType(self._bag.notes)),) if self._bag.notes else ()
        packed = (
            tuple(sorted({*survey.compression, "zstd"} - {"none"})) if self._packed else survey.compression
        )
        return replace(
            survey,
            compression=packed,
            metadata=(*notes, *survey.metadata),
            profile="ros2",
            library=next((log.survey.library for _, log in self._parts if log.survey.library), ""),
            size_bytes=self._size,
            damage=(*survey.damage, *missing),
        )

    @property
    def accounting(self) -> Accounting:
        """Return what proves the counts (metadata.yaml, or every file) and the content (every file)."""
        proofs = [log.accounting for _, log in self._parts]
        counts = "metadata.yaml" if self._bag.counts is not None else ""
        if not counts and all(proof.counts for proof in proofs):
            counts = proofs[0].counts
        return Accounting(counts, proofs[0].content if all(proof.content for proof in proofs) else "")

    def messages(self, query: Query = ALL) -> BagStream:
        """Return the messages of a query, in arrival order."""
        return BagStream(self, self._parts, self._damage, query)

    def missing(
        self, counted: Counter[str], lost: Counter[str], *, is_damaged: bool
    ) -> tuple[Counter[str], list[Damage]]:
        """Return the messages by topic that metadata.yaml has beyond the account, and the damage to name."""
        missing = (self._bag.counts or Counter()) - counted
        if not missing:
            return Counter(), []
        names = listed(sorted(missing), 10)
        reason = f"metadata.yaml counts {missing.total()} messages more than the files hold, on {names}"
        known = max(0, missing.total() - lost[sqlite_bag.UNKNOWN_TOPIC]) if is_damaged else None
        return (missing if is_damaged else Counter()), [Damage(None, None, 0, known, reason)]


class BagStream(JoinedStream):
    """The messages of all files of a bag, without the compression of single messages."""

    def __init__(self, log: BagLog, parts: Sequence[Part], damage: Sequence[Damage], query: Query) -> None:
        super().__init__(log, parts, damage, query)
        self._bag = log
        self._failed: dict[str, list[int]] = {}

    def unpacked(self, message: Message) -> Message | None:
        """Return a message as it was before the recorder compressed it; None where that fails."""
        if not message.data.startswith(ZSTD):
            return message
        try:
            data = zstd_message(message.data, message.channel.encoding)
        except Unreadable as error:
            self.account.corrupt[message.topic] += 1
            self._failed.setdefault(str(error), []).append(message.log_time_ns)
            return None
        return message if data is message.data else replace(message, data=data)

    def finish(self) -> None:
        """Name what failed, and count what `metadata.yaml` has beyond it."""
        account = self.account
        for reason, times in self._failed.items():
            self.damage.append(Damage(min(times), max(times), 0, len(times), reason))
        lost, damage = self._bag.missing(account.totals(), account.lost, is_damaged=bool(self.damage))
        if lost:
            unknown = account.lost[sqlite_bag.UNKNOWN_TOPIC] - lost.total()
            account.lost[sqlite_bag.UNKNOWN_TOPIC] = max(0, unknown)
        account.lost.update(lost)
        account.lost = +account.lost
        self.damage += damage
