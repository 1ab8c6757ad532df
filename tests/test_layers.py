"""The house stands: who imports whom, what never imports torch, and what is packaged."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.forked_python import ForkedPython

ROOT = Path(__file__).resolve().parents[1]
TOPS = {"perception": "perception", "plugins": "perception_plugins", "tools": "perception_tools"}

FLOORS = (  # bottom up: a module imports from its own floor and from those below
    {"caches", "codec_messages", "errors", "extensions", "files", "geometry", "installation"}
    | {"interrupts", "lazy_names", "output_file", "path_guard", "remote", "text", "types"},
    {"config", "plugin", "logs"},
    {"align"},
    {"autoconfig", "models", "engines", "sinks"},
    {"pipeline"},
    {"training", "evaluation", "diagnosis", "simulation"},
    {"api", "results"},
)
WITHOUT_TORCH = (
    *(
        "caches",
        "errors",
        "extensions",
        "files",
        "geometry",
        "codec_messages",
        "installation",
        "interrupts",
        "lazy_names",
        "output_file",
        "path_guard",
        "remote",
        "text",
        "types",
        "config",
        "plugin",
        "logs",
        "align",
        "autoconfig",
    ),
    *("sinks", "pipeline", "evaluation", "simulation", "api", "results"),
    *("models.preprocess", "models.tensors", "diagnosis.audit", "diagnosis.monitor", "diagnosis.conformance"),
)
TORCH = {"torch", "torchvision"}
NEVER = {"models": {"logs"}, "engines": {"training"}}
READS_IMAGES = "perception.models.preprocess"  # before the graph: it shares the parser of image headers


def floor_of(room: str) -> int:
    found = [i for i, rooms in enumerate(FLOORS) if room in rooms]
    assert found, f"perception/{room} stands on no floor: add it to FLOORS in this file"
    return found[0]


@cache
def sources() -> dict[str, Path]:
    """Every module of ours by its installed name."""
    found = {}
    for folder, package in TOPS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(sources()[module].read_text(encoding="utf-8"))


@cache
def nodes(module: str) -> list[ast.AST]:
    """The statements of a module that the tests below look at, at any depth."""
    seen = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found: list[ast.AST] = []
    pending: list[ast.AST] = [tree(module)]
    while pending:  # expressions, which hold no statement, are left out
        node = pending.pop()
        if isinstance(node, seen):
            found.append(node)
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            pending += getattr(node, field, ())
    return found


def imports(module: str, node: ast.AST) -> Iterator[str]:
    """Full names that an import statement names; for `from a import b` both `a` and `a.b`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = module if sources()[module].name == "__init__.py" else module.rpartition(".")[0]
            base = ".".join(
                [*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])]
            )
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def all_imports(module: str) -> set[str]:
    """Also those inside functions."""
    return {name for node in nodes(module) for name in imports(module, node)}


@cache
def start_imports(module: str) -> set[str]:
    """Those that run when the module is imported."""
    found: set[str] = set()
    pending: list[ast.AST] = list(tree(module).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending += node.orelse
            continue
        found.update(imports(module, node))
        pending += ast.iter_child_nodes(node)
    return found


@cache
def rooms() -> dict[str, list[str]]:
    """The rooms of the library, and their modules."""
    found: dict[str, list[str]] = {}
    for module in sources():
        parts = module.split(".")
        if parts[0] == "perception" and len(parts) > 1:
            found.setdefault(parts[1], []).append(module)
    return found


def rooms_used(room: str) -> set[str]:
    names = {name for module in rooms()[room] for name in all_imports(module)}
    return {name.split(".")[1] for name in names if name.startswith("perception.")} & rooms().keys() - {room}


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_imports_only_from_its_floor_and_below(room: str) -> None:
    above = {used for used in rooms_used(room) if floor_of(used) > floor_of(room)}
    assert not above, f"perception.{room} imports {sorted(above)}, which stand on floors above its own"


def test_rooms_have_no_cycle() -> None:
    TopologicalSorter({room: rooms_used(room) for room in rooms()}).prepare()


def test_modules_have_no_cycle() -> None:
    """Imports inside functions and for types count, too."""
    graph: dict[str, set[str]] = {}
    for module, path in sources().items():
        used = (all_imports(module) & sources().keys()) - {module}
        # A package that gathers its own parts is no cycle.
        own = f"{module}." if path.name == "__init__.py" else "\0"
        graph[module] = {u for u in used if not module.startswith(f"{u}.") and not u.startswith(own)}
    TopologicalSorter(graph).prepare()


def test_functions_fit_on_a_screen() -> None:
    functions = [
        (f"{module}.{node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for module in sources()
        for node in nodes(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(name, lines) for name, lines in functions if lines > 50] == []


def test_a_class_name_has_one_meaning() -> None:
    homes: dict[str, list[str]] = {}
    for module in sources():
        for node in nodes(module):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("room", sorted(rooms()))
def test_what_is_forbidden_is_not_imported(room: str) -> None:
    modules = [module for module in rooms()[room] if not module.startswith(READS_IMAGES)]
    used = {name.split(".")[1] for module in modules for name in all_imports(module) if name.count(".")}
    assert not used & NEVER.get(room, set())
    names = {name.split(".")[0] for module in rooms()[room] for name in all_imports(module)}
    assert not names & {"perception_plugins", "perception_tools", "tests"}


def modules_without_torch() -> list[str]:
    """The modules of WITHOUT_TORCH, in the order of their names."""
    rooms = tuple(f"perception.{room}" for room in WITHOUT_TORCH)
    return [
        module for module in sources() if module in rooms or module.startswith(tuple(f"{r}." for r in rooms))
    ]


def test_what_lists_audits_aligns_and_replays_imports_no_torch() -> None:
    modules = modules_without_torch()
    assert not [m for m in modules if {name.split(".")[0] for name in all_imports(m)} & TORCH]


def test_plugins_and_tools_are_reached_by_entry_points_only() -> None:
    for module in sources():
        tops = {name.split(".")[0] for name in all_imports(module)}
        foreign = tops & {"perception_plugins", "perception_tools"} - {module.split(".")[0]}
        assert not foreign, (module, foreign)


def test_the_library_prints_nothing() -> None:
    for module in sources():
        if module.split(".")[0] == "perception" and "print" in sources()[module].read_text(encoding="utf-8"):
            calls = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
            assert "print" not in {call.id for call in calls if isinstance(call, ast.Name)}, module


def test_importing_the_rooms_without_torch_does_not_import_torch(forked_python: ForkedPython) -> None:
    """Beside what the process had imported before, which has no torch in it, either."""
    modules = [m for m in modules_without_torch() if not start_imports(m) & {"mujoco", "rerun", "foxglove"}]
    program = (
        "import sys, importlib\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    done = forked_python.run(program=program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module", ["perception", "perception_tools.info.command", "perception_tools.plugin.command"]
)
def test_what_must_start_quickly_loads_neither_torch_nor_opencv(module: str) -> None:
    code = (
        f"import sys, {module}; print(sorted({{'torch', 'cv2', 'torchvision', 'scipy'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_packages_of_the_project_file_are_the_folders() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    found = {module for module, path in sources().items() if path.name == "__init__.py"}
    assert set(listed) == found
    assert len(listed) == len(set(listed))


def test_every_folder_with_code_is_a_package() -> None:
    for path in sources().values():
        assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py"
