"""Exit codes: one module knows the numbers, and a JSON document carries the number of its status."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import get_args

import pytest

from perception.types import Status
from perception_tools.exit_codes import EXIT_CODES, with_exit_code
from tests.test_layers import sources, tree

CODED = {"exit_code", "interrupted"}
LEAVING = {"Exit", "SystemExit", "exit", "_exit"}


def test_every_status_has_a_number_of_its_own() -> None:
    assert set(EXIT_CODES) == set(get_args(Status))
    assert sorted(EXIT_CODES.values()) == [0, 1, 2, 3, 4, 130]


def test_the_number_comes_after_the_status_of_a_document() -> None:
    document = with_exit_code({"schema": "s", "status": "loss", "frames": 3}, "loss")
    assert list(document.items()) == [("schema", "s"), ("status", "loss"), ("exit_code", 3), ("frames", 3)]


def test_no_other_module_contains_an_exit_code() -> None:
    modules = [name for name in sources() if name.split(".")[0] in ("perception", "perception_tools")]
    modules.remove("perception_tools.exit_codes")
    found = {name: list(_numbers(tree(name))) for name in modules if _may_have_one(name)}
    assert {name: places for name, places in found.items() if places} == {}


@pytest.mark.parametrize(
    "text",
    [
        "raise typer.Exit(4)",
        "sys.exit(1 if failed else 0)",
        "raise SystemExit(2)",
        "report = {'status': 'clean', 'exit_code': 0}",
        "Report(exit_code=1)",
        "CODES = {'done': 0, 'interrupted': 130}",
        "exit_code = 3",
        "ok = report['exit_code'] in (0, 3)",
        "worst = summary.exit_code == 0",
    ],
)
def test_a_number_is_seen_in_each_of_its_disguises(text: str) -> None:
    assert list(_numbers(ast.parse(text)))


def _may_have_one(module: str) -> bool:
    """Return whether a module has any of the words beside which a number is an exit code."""
    return (
        re.search("exit|interrupted", sources()[module].read_text(encoding="utf-8"), re.IGNORECASE)
        is not None
    )


def _numbers(tree: ast.AST) -> Iterator[str]:
    """Yield the places where a number is used as an exit code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in LEAVING and _has_number(node.args):
            yield f"line {node.lineno}: leaves with a number"
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            coded = [value for key, value in zip(keys, node.values, strict=True) if key in CODED]
            if _has_number(coded):
                yield f"line {node.lineno}: a document with a number, or numbers of statuses"
        elif isinstance(node, ast.keyword | ast.Assign | ast.Compare):
            names = {_name(part).lower() for part in ast.walk(node)} | {getattr(node, "arg", "")}
            if names & {"exit_code", "exit_codes"} and _has_number([node]):
                yield f"line {node.lineno}: an exit code beside a number"


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Subscript):
        return str(node.slice.value) if isinstance(node.slice, ast.Constant) else ""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _has_number(nodes: Sequence[ast.AST]) -> bool:
    """Return whether one of the numbers stands in these; an index (`argv[1:]`) is none."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in EXIT_CODES.values():
            return True
        pending += [part for part in ast.iter_child_nodes(node) if part is not getattr(node, "slice", None)]
    return False
