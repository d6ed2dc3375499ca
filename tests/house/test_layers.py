"""A folder imports only folders before it; text, draw and base know no torch; commands import heavy libraries inside functions only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

LAYERS = [
    *("base", "text", "draw", "nn", "families", "checkpoint", "data", "objectives", "decode", "measure"),
    *("fit", "tasks", "view", "retrieve", "server", "results", "commands", "cli"),
]
TORCH_FREE = {"base", "text", "draw"}
HEAVY = {"torch", "numba", "numpy", "matplotlib"}
FACE = "__init__"  # harken/__init__.py, the public face: after everything, and everything lazily


class Import(NamedTuple):
    line: int
    target: str  # harken.nn.attend.Mask, torch.nn, …
    lazy: bool  # inside a function


def is_typing(test: ast.expr) -> bool:
    return isinstance(test, ast.Name | ast.Attribute) and ast.unparse(test).split(".")[-1] == "TYPE_CHECKING"


def dynamic(call: ast.Call) -> str | None:
    """The name, or its constant beginning, in import_module("harken.nn") and import_module(f"harken.families.{name}")."""
    if ast.unparse(call.func).split(".")[-1] not in ("import_module", "__import__") or not call.args:
        return None
    first = call.args[0].values[0] if isinstance(call.args[0], ast.JoinedStr) else call.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def imports(node: ast.AST, folder: list[str], lazy: bool = False) -> Iterator[Import]:
    """Every import below `node` that can run; `folder` is the package that relative imports start from."""
    match node:
        case ast.Import(names=names):
            yield from (Import(node.lineno, alias.name, lazy) for alias in names)
        case ast.ImportFrom(names=names, module=module, level=level):
            base = ".".join([*(folder[: len(folder) + 1 - level] if level else []), *([module] if module else [])])
            yield from (Import(node.lineno, f"{base}.{alias.name}", lazy) for alias in names)
        case ast.Call() if name := dynamic(node):
            yield Import(node.lineno, ".".join(folder) + name if name.startswith(".") else name, lazy)
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    children = node.orelse if isinstance(node, ast.If) and is_typing(node.test) else ast.iter_child_nodes(node)
    for child in children:
        yield from imports(child, folder, lazy)


def fault(home: str, found: Import) -> str | None:
    """What is wrong with this import in layer `home`, if anything."""
    top, _, rest = found.target.partition(".")
    if top == "torch" and home in TORCH_FREE:
        return f"{home} never imports torch"
    if top in HEAVY and home in ("commands", "cli", FACE) and not found.lazy:
        return f"{top} is imported inside functions only"
    if top != "harken":
        return None
    layer = rest.split(".")[0]
    if home == FACE:
        return None if found.lazy or layer in TORCH_FREE else "the public face imports lazily"
    if layer not in LAYERS:  # `import harken`, `from harken import train`
        return None if home == "cli" else "only cli and users import the public face"
    return None if LAYERS.index(layer) <= LAYERS.index(home) else f"{home} comes before {layer}"


def violations(package: Path) -> list[str]:
    """One line per import that breaks a rule, and per file outside every layer."""
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        home = inside.parts[0] if len(inside.parts) > 1 else {"__main__": "cli"}.get(inside.stem, inside.stem)
        if home not in LAYERS and home != FACE:
            found.append(f"{inside}: not in a layer")
            continue
        tree = ast.parse(path.read_text("utf-8"), str(path))
        for each in imports(tree, ["harken", *inside.parts[:-1]]):
            if why := fault(home, each):
                found.append(f"{inside}:{each.line}: {each.target}: {why}")
    return found


def test_every_import_goes_down(package: Path) -> None:
    assert not violations(package)


def test_contributing_names_the_same_layers(root: Path) -> None:
    assert " → ".join(LAYERS) in (root / "CONTRIBUTING.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("path", "code", "reported"),
    [
        ("nn/mask.py", "from harken.decode import generate", True),
        ("nn/mask.py", "from harken import decode", True),
        ("nn/mask.py", "from ..decode.generate import generate", True),
        ("nn/kernels/linear.py", "from ...decode import generate", True),
        ("nn/kernels/linear.py", "from ..attend import attend", False),
        ("nn/mask.py", "def f():\n    import harken.fit.fit", True),
        ("nn/mask.py", "import importlib\nimportlib.import_module(f'harken.fit.{1}')", True),
        ("nn/mask.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..decode import generate", False),
        ("nn/mask.py", "import harken", True),
        ("decode/generate.py", "from ..nn.mask import Mask\nfrom .options import Options", False),
        ("text/tokenizer.py", "def f():\n    import torch.nn", True),
        ("draw/chart.py", "from torch import nn", True),
        ("commands/train.py", "from numpy import array", True),
        ("commands/train.py", "try:\n    import numba\nexcept ImportError:\n    pass", True),
        ("commands/train.py", "def f():\n    import torch\n    from ..fit import fit", False),
        ("cli.py", "import torch", True),
        ("cli.py", "from .commands import train", False),
        ("__init__.py", "from .commands import train", True),
        ("__init__.py", "def train():\n    from .commands.train import train", False),
        ("utils/misc.py", "", True),
    ],
)
def test_the_rule_can_fail(tmp_path: Path, path: str, code: str, reported: bool) -> None:
    file = tmp_path / "harken" / path
    file.parent.mkdir(parents=True)
    file.write_text(code)
    found = violations(tmp_path / "harken")
    assert [line.startswith(path) for line in found] == [True] * reported
