"""The limits of reading: what a log may cost, whatever its bytes say. docs/limits.md lists them for users.

They grow with the file: a sound log of any size is read whole, and a small file does not unpack to anything.
"""

from __future__ import annotations

MAX_RECORD_BYTES = 1 << 30  # of a record or a chunk in the file, and of a chunk's data

CHUNK_BYTES = 64 << 20  # a chunk's data may be as large,
CHUNK_RATIO = 64  # or as many times as large as it is in the file
MISSTATED_BYTES = 16 << 20  # and as large where it is more than the chunk's own field says

LOG_BYTES = 1 << 29  # the data of all chunks in one reading may be as large,
LOG_RATIO = 400  # plus as many times as large as the file

LONE_BYTES = 1 << 26  # a log that is compressed as a whole may be as large,
LONE_RATIO = 50  # plus as many times as large as it is in the file

RECORDS = 200_000  # records in chunks in one reading,
BYTES_PER_RECORD = 4  # plus one for as many bytes of the file

DECLARED_BYTES = 8 << 20  # schemas and channels that differ, plus the size of the file

SEARCH_BYTES = 1 << 29  # the search behind damage may read and unpack as much in vain,
SEARCH_RATIO = 64  # plus as many times the file

RESIDENT_BYTES = 1 << 29  # chunks that overlap in time are kept in memory up to as much,
RESIDENT_RATIO = 64  # or as many times the file if that is less; CHUNK_BYTES in any case


def chunk_limit(compressed_size: int) -> int:
    """Return the largest size of the data of a chunk that takes so many bytes in the file."""
    return min(MAX_RECORD_BYTES, max(CHUNK_BYTES, CHUNK_RATIO * compressed_size))


def resident_limit(file_size: int) -> int:
    """Return how many bytes of overlapping chunks may stay in memory."""
    return min(RESIDENT_BYTES, max(CHUNK_BYTES, RESIDENT_RATIO * file_size))


def declared_limit(file_size: int) -> int:
    """Return how many bytes of schemas and channels are taken."""
    return DECLARED_BYTES + file_size


class Budget:
    """The bytes and records that one reading of a log may still unpack.

    Attributes:
        bytes: Bytes of chunk data.
        records: Records in chunks.
    """

    def __init__(self, file_size: int) -> None:
        self.bytes = LOG_BYTES + LOG_RATIO * file_size
        self.records = RECORDS + file_size // BYTES_PER_RECORD

    def take(self, size: int) -> bool:
        """Take `size` bytes; return whether as many were left."""
        self.bytes -= size
        return self.bytes >= 0


def search_budget(file_size: int) -> Budget:
    """Return the budget of the search for records behind damage."""
    budget = Budget(file_size)
    budget.bytes = SEARCH_BYTES + SEARCH_RATIO * file_size
    return budget
