"""A speed that is in km/h without a word is found out by the positions of a GPS receiver."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.logs import open_log
from tests.small_logs import SmallLog

METRES_PER_DEGREE = 111_195.0


def warnings_of(folder: Path, factor: float, moves_m_s: float = 10.0, jumps: bool = False) -> list[str]:
    def fix(i: int) -> dict[str, object]:
        north = moves_m_s * (i + 0.6 * (i % 2) * jumps)  # a fix each second
        return {"latitude": 50.0 + north / METRES_PER_DEGREE, "longitude": 8.0, "altitude": 100.0}

    log = SmallLog().json("/gps/fix", fix, "sensor_msgs/NavSatFix", hz=1.0, seconds=20)
    log.json("/can", lambda i: {"speed": factor * moves_m_s + 0.001 * i}, hz=20.0, seconds=20)
    with open_log(log.write(folder / "small.mcap")) as opened:
        return [text for text in complete_config(opened).warnings if "times as fast" in text]


@pytest.mark.parametrize(
    ("factor", "unit"), [(1.0, ""), (3.6, "km/h"), (2.237, "mph"), (0.9, ""), (5.0, "")], ids=str
)
def test_a_speed_is_compared_with_the_positions(tmp_path: Path, factor: float, unit: str) -> None:
    said = warnings_of(tmp_path, factor)
    assert bool(said) == bool(unit)
    if unit:
        assert f"speed (speed) on /can is {factor:.1f}" in said[0]
        assert f"/gps/fix moves: perhaps it is in {unit}" in said[0]


@pytest.mark.parametrize(("moves_m_s", "jumps"), [(0.5, False), (10.0, True)])
def test_positions_that_rest_or_jump_tell_nothing(tmp_path: Path, moves_m_s: float, jumps: bool) -> None:
    assert not warnings_of(tmp_path, 3.6, moves_m_s, jumps)
