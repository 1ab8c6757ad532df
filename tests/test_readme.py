"""What the README shows runs as it stands, and `.ci/run` calls the README's test command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.short_logs import write_beginning

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_program_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sample_logs").mkdir()
    write_beginning(tmp_path / "sample_logs" / "yard_day.mcap", 2.2)
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("python")
    exec(program, {})


def test_the_test_command_is_what_ci_runs() -> None:
    (command,) = [line for line in README.splitlines() if "uv run --all-extras pytest" in line]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_file_and_command_shown_exists() -> None:
    for name in re.findall(r"\]\(([\w./]+)\)", README):
        assert (ROOT / name).exists() or (ROOT / f"{name}.md").exists(), name
    for name in set(re.findall(r"(?:sample_logs|tests)/[\w/.]*\w", README)):
        assert (ROOT / name).exists(), name
