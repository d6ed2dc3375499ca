"""A file fits in the head: at most 300 lines (a family 150) of 140 characters; a function 60 lines and 12 parameters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FILE, FAMILY, WIDTH, FUNCTION, PARAMETERS = 300, 150, 140, 60, 12


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many a reader must hold in mind, `self` among them."""
    given = function.args
    return sum(each is not None for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg))


def overruns(package: Path) -> list[str]:
    """One line per budget that is broken: where, how much, how much is allowed."""
    found = []

    def hold(where: str, what: str, size: int, limit: int) -> None:
        if size > limit:
            found.append(f"{where}: {size} {what}, {limit} allowed")

    for path in sorted(package.rglob("*.py")):
        text, where = path.read_text("utf-8"), str(path.relative_to(package))
        lines = text.splitlines()
        hold(where, "lines", len(lines), FAMILY if where.startswith("families/") else FILE)
        for number, line in enumerate(lines, 1):
            hold(f"{where}:{number}", "characters", len(line), WIDTH)
        for node in ast.walk(ast.parse(text, str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                hold(f"{where}:{node.lineno} {node.name}", "lines", (node.end_lineno or 0) - node.lineno + 1, FUNCTION)
                hold(f"{where}:{node.lineno} {node.name}", "parameters", parameters(node), PARAMETERS)
    return found


def test_everything_is_within_budget(package: Path) -> None:
    assert not overruns(package)


@pytest.mark.parametrize(
    ("path", "code", "reported"),
    [
        ("nn/a.py", "x = 1\n" * 300, []),
        ("nn/a.py", "x = 1\n" * 301, ["nn/a.py: 301 lines, 300 allowed"]),
        ("families/a.py", "x = 1\n" * 151, ["families/a.py: 151 lines, 150 allowed"]),
        ("nn/a.py", "#" * 141, ["nn/a.py:1: 141 characters, 140 allowed"]),
        ("nn/a.py", "def f():\n" + "    x = 1\n" * 59, []),
        ("nn/a.py", "def f():\n" + "    x = 1\n" * 60, ["nn/a.py:1 f: 61 lines, 60 allowed"]),
        ("nn/a.py", "class A:\n    def f(self, a, b, c, d, e, f, /, g, h, *i, j, **k): ...\n", []),
        (
            "nn/a.py",
            "class A:\n    def f(self, a, b, c, d, e, f, /, g, h, i, *j, k, **l): ...\n",
            ["nn/a.py:2 f: 13 parameters, 12 allowed"],
        ),
        ("nn/a.py", "async def f(a, b, c, d, e, f, /, g, h, i, *j, k, l, **m): ...\n", ["nn/a.py:1 f: 13 parameters, 12 allowed"]),
    ],
)
def test_the_rule_can_fail(tmp_path: Path, path: str, code: str, reported: list[str]) -> None:
    file = tmp_path / path
    file.parent.mkdir()
    file.write_text(code)
    assert overruns(tmp_path) == reported
