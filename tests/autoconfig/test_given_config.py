"""A configuration may be given as itself, as the choice that holds it, or as its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perception.autoconfig import as_config, complete_config
from perception.config import Config
from perception.logs import open_log
from tests.small_logs import SmallLog


def test_each_form_gives_the_configuration_and_its_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("version: 1\nwait_ms: 70\n")
    with open_log(SmallLog().scan().write(tmp_path / "log.mcap")) as log:
        choice = complete_config(log)
        assert complete_config(log, choice).config == choice.config
    assert as_config(None) == (None, None)
    assert as_config(choice) == (choice.config, None)
    assert as_config(choice.config) == (choice.config, None)
    assert as_config(str(file)) == (Config(wait_ms=70), file)


@pytest.mark.parametrize("wrong", [{"version": 1}, 3])
def test_what_is_no_configuration_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a Config or its file, found .*; parse_config reads"):
        as_config(wrong)


def test_a_path_is_no_open_log() -> None:
    with pytest.raises(TypeError, match=r"open it with perception.open_log: drive.mcap"):
        complete_config("drive.mcap")  # type: ignore[arg-type]
