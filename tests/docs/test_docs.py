"""The documentation: generated pages are fresh, links lead somewhere, and the code in every page runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import perception
from perception.config import parse_config
from perception.diagnosis.conformance import check_plugin
from perception.logs import Query, decode
from perception.plugin import discovery
from perception.plugin.manifest import checked_manifest
from perception.training.config_file import parse_train_config
from perception.training.train_config import TrainConfig
from perception.types import heads
from perception_tools.cli import run
from tests.scripted_scene import write_scene
from tests.short_logs import write_beginning

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
LONG = ("logs.md",)  # it names a fourth second


def generator() -> ModuleType:
    """Return docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["configuration.md", "command-line.md", "tables.md"])
def test_generated_references_are_fresh(name: str) -> None:
    generated = generator().pages()[name]
    stored = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert stored == generated, f"docs/reference/{name} is stale: run `python docs/generate.py`"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda p: p.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if heading:
            assert heading in headings(file), f"{page.name} links to the heading {target}"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda p: p.name)
def test_every_table_has_a_head(page: Path) -> None:
    """A blank line within a table ends it: what follows is shown as text."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert re.search(r"\n\|[-:| ]+\|\n", table), f"{page.name}: {table.splitlines()[0]}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield (language, text) of the code blocks that are to be run, in order.

    A block after the comment `<!-- not run: REASON -->` is left out.
    """
    text = page.read_text(encoding="utf-8")
    pattern = r"(<!-- not run: [^>]+ -->\n+)?```(python|console|yaml)\n(.*?)```"
    for skipped, language, block in re.findall(pattern, text, re.DOTALL):
        if not skipped:
            yield language, block


@pytest.fixture(scope="module")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The beginning of a log that a page uses: what is short is quick."""
    folder = tmp_path_factory.mktemp("beginning")
    long = write_beginning(folder / "long.mcap", 5.0)
    short = write_beginning(folder / "short.mcap", 1.3)
    return {page.name: long if page.name in LONG else short for page in WRITTEN}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.name)
def test_the_code_of_a_page_runs(
    page: Path,
    beginnings: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Python blocks of a page share one namespace; lines `$ perception ...` must end with the code shown."""
    monkeypatch.chdir(tmp_path)
    for registry in (heads, discovery):  # a page may register a head and a plugin
        monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    shutil.copy(beginnings[page.name], tmp_path / "drive.mcap")
    namespace: dict[str, object] = {"__name__": "docs"}
    for language, block in blocks(page):
        if language == "python":
            exec(compile(block, f"{page.name}", "exec"), namespace)
        elif language == "console":
            for line in block.splitlines():
                if line.startswith("$ perception "):
                    command, _, comment = line.removeprefix("$ perception ").partition("  # exit code ")
                    run_line(command, int(comment or 0))
        elif language == "yaml":
            check_configuration(yaml.safe_load(block))
    capsys.readouterr()


def check_configuration(sections: object) -> None:
    """Check a configuration of a replay, or a part of one of a training; other YAML is left alone."""
    if not isinstance(sections, dict):
        return
    if "sensors" in sections or "version" in sections:
        assert parse_config(sections)
    elif sections.keys() <= TrainConfig.model_fields.keys():
        assert parse_train_config(sections)


def run_line(command: str, expected: int) -> None:
    """Run one command line; `> FILE` at its end is a redirection."""
    import contextlib

    words, _, target = command.partition(" > ")
    with contextlib.ExitStack() as stack:
        if target:
            file = stack.enter_context(Path(target.strip()).open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(file))
        assert run(shlex.split(words, comments=True)) == expected, command


def test_the_program_of_a_robot_gives_what_replay_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages come one by one, and `advance` is called from a clock that runs between them."""
    path = write_scene(tmp_path / "drive.mcap", duration_s=0.8, image_size=(128, 64))
    monkeypatch.chdir(tmp_path)
    expected = [{c.name: c.value for c in o.control.channels} for o in perception.replay(path).outputs]
    with perception.open_log(path) as log:
        config = perception.complete_config(log).config
        arrivals = list(log.messages(Query(topics=frozenset(config.roles()))))
    clock = {"now": 0}

    def messages() -> Iterator[object]:
        for message, following in zip(arrivals, [*arrivals[1:], arrivals[-1]], strict=True):
            # The clock stands a little before the next arrival when it is read.
            clock["now"] = max(message.log_time_ns, following.log_time_ns - 1)
            yield decode(message, config.roles()[message.topic])

    (program,) = (block for _, block in blocks(ROOT / "docs" / "plugins.md") if "def robot(" in block)
    namespace: dict[str, Any] = {"perception": perception, "config": config}
    exec(program, namespace)
    namespace["robot"](messages(), lambda: clock["now"])
    assert len(expected) == 8
    assert namespace["answers"] == expected


def test_the_plugin_of_the_page_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its class and its manifest, as a reader puts them into a package."""
    monkeypatch.setattr(discovery, "_registered", dict(discovery._registered))
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    (manifest,) = re.findall(r"```yaml\n(api: .*?)```", text, re.DOTALL)
    (program,) = (block for _, block in blocks(ROOT / "docs" / "plugins.md") if "class MyPlugin" in block)
    namespace: dict[str, Any] = {"__name__": "my_package.core"}
    exec(program, namespace)
    discovery.register_plugin(checked_manifest("mine", yaml.safe_load(manifest)), namespace["MyPlugin"])
    assert not [f"{check.name}: {check.violation}" for check in check_plugin("mine") if not check.passed]
