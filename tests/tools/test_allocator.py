"""Freed memory stays with the process where a program asks for it."""

from __future__ import annotations

import platform

import pytest

from tests.forked_python import ForkedPython

PROGRAM = """
import resource, sys
import numpy as np
from perception_tools.train.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults = []
for _ in range(30):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(8_000_000)  # 64 MB: more than glibc would come to keep by itself
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(faults)[15])
"""


def faults(forked_python: ForkedPython, how: str) -> int:
    return int(forked_python.run(how, program=PROGRAM).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_a_block_that_was_freed_is_used_again_without_page_faults(forked_python: ForkedPython) -> None:
    assert faults(forked_python, "keep") < 10 < faults(forked_python, "leave")
