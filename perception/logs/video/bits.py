"""Bits of a coded header: fixed fields and Exp-Golomb codes, and bytes without emulation prevention.

Sources: ITU-T H.264 sections 7.4.1 and 9.1, ITU-T H.265 sections 7.4.2 and 9.2.
"""

from __future__ import annotations

_LONGEST_GOLOMB = 32


class OutOfBits(Exception):
    """A header ends inside a field, or a field is longer than any is."""


class BitReader:
    """Reads the fields of a header, first bit first.

    Args:
        data: The bytes of the header.
        escaped: Whether `00 00 03` stands for `00 00`, as in NAL units.
    """

    def __init__(self, data: bytes, *, escaped: bool = False) -> None:
        plain = data.replace(b"\x00\x00\x03", b"\x00\x00") if escaped else data
        self._value, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def bits(self, count: int) -> int:
        """Return an unsigned number of that many bits. Raises OutOfBits."""
        self._left -= count
        if self._left < 0:
            raise OutOfBits
        return self._value >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        """Return one bit."""
        return bool(self.bits(1))

    def unsigned(self) -> int:
        """Return an unsigned Exp-Golomb number, ue(v)."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > _LONGEST_GOLOMB:
                raise OutOfBits
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Return a signed Exp-Golomb number, se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)
