"""The worst files of 1 MB cost less than 10 s and 500 MB, each time they are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.forked_python import ForkedPython
from tests.fuzz.hostile_logs import HOSTILE, SIZE

ROOT = Path(__file__).resolve().parents[2]
FAST = ("a_message_of_a_gibibyte", "chunk_entries", "chunks_inside_chunks", "noise", "zeros")
MAX_CPU_S = 10.0
MAX_MIB = 500.0


def check(name: str, tmp_path: Path, forked_python: ForkedPython) -> None:
    path = tmp_path / "log.mcap"
    path.write_bytes(HOSTILE[name]())
    assert path.stat().st_size <= SIZE + 1000
    program = "import sys; from tests.fuzz.measure_reading import main; main(sys.argv[1])"
    result = forked_python.run(path, program=program, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    cost = json.loads(result.stdout)
    assert max(cost["cpu_s"]) < MAX_CPU_S, cost
    assert cost["peak_mib"] < MAX_MIB, cost


@pytest.mark.parametrize("name", FAST)
def test_a_hostile_log_is_read_at_bounded_cost(
    name: str, tmp_path: Path, forked_python: ForkedPython
) -> None:
    check(name, tmp_path, forked_python)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(HOSTILE) - set(FAST)))
def test_every_hostile_log_is_read_at_bounded_cost(
    name: str, tmp_path: Path, forked_python: ForkedPython
) -> None:
    check(name, tmp_path, forked_python)
