"""Every command that takes a log takes a URL."""

from __future__ import annotations

import pytest

from perception_tools.cli import run

NOWHERE = "memory://nowhere/none.mcap"


@pytest.mark.parametrize(
    "command",
    [
        ["info", NOWHERE],
        ["convert", NOWHERE, "out.mcap"],
        ["bench", NOWHERE, "--no-naive", "--no-startup"],
        ["plugin", "check", "fusion", "--log", NOWHERE],
    ],
    ids=" ".join,
)
def test_a_url_reaches_the_reader_as_it_is(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 1
    assert f"no such file: {NOWHERE}" in " ".join(capsys.readouterr().err.split())
