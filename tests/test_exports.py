"""Public names exist where they are said to be, and are found by type checkers too."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import perception

ROOT = Path(__file__).resolve().parents[1]
INIT = ROOT / "perception" / "__init__.py"


def test_every_public_name_is_there() -> None:
    for name in perception.__all__:
        assert getattr(perception, name) is not None
    assert set(dir(perception)) >= set(perception.__all__)
    assert len(set(perception.__all__)) == len(perception.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'perception' has no attribute 'nothing'"):
        _ = perception.nothing


def test_what_is_loaded_lazily_is_declared_to_type_checkers() -> None:
    tree = ast.parse(INIT.read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == perception._HOMES


def test_importing_the_library_imports_nothing_else() -> None:
    code = (
        "import sys, perception\n"
        "print([m for m in sys.modules if m.startswith('perception.') or m in ('numpy', 'torch', 'yaml')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def doors() -> list[str]:
    """The packages of the library that say what is public."""
    inits = sorted((ROOT / "perception").rglob("__init__.py"))
    public = [path for path in inits if "__all__" in path.read_text(encoding="utf-8")]
    return [".".join(path.parent.relative_to(ROOT).parts) for path in public]


@pytest.mark.parametrize("door", doors())
def test_a_door_is_complete(door: str) -> None:
    module = importlib.import_module(door)
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert missing == []
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("door", doors())
def test_a_public_class_or_function_is_documented(door: str) -> None:
    module = importlib.import_module(door)
    for name in module.__all__:
        item = getattr(module, name)
        if callable(item) and getattr(item, "__module__", "").startswith("perception"):
            assert (item.__doc__ or "").strip(), f"{door}.{name} has no docstring"


def test_no_public_name_is_that_of_a_module() -> None:
    """Else the name would be the function before the module is imported, and the module afterwards."""
    packages = {"perception": perception.__all__}
    for door in doors():
        if "__getattr__" in Path(ROOT, *door.split("."), "__init__.py").read_text(encoding="utf-8"):
            packages[door] = importlib.import_module(door).__all__
    for package, names in packages.items():
        folder = Path(ROOT, *package.split("."))
        modules = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"}
        assert modules & set(names) == set(), package
