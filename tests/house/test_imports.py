"""Every module imports; `import harken`, `harken --help` and the commands are quick and stay free of torch; transformers is never ours."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

HELP = "from harken.cli import main; code = main(['--help']); assert code == 0, code"
WALK = """
import importlib, pkgutil, {0}
for module in pkgutil.walk_packages({0}.__path__, "{0}."):
    module.name.endswith("__main__") or importlib.import_module(module.name)"""


def python(code: str, root: Path) -> str:
    """Run `code` in a fresh interpreter at the repository root; its standard output."""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(code: str, root: Path) -> set[str]:
    """The modules in memory after `code`."""
    return set(json.loads(python(f"{code}\nimport sys, json; print(); print(json.dumps(list(sys.modules)))", root).splitlines()[-1]))


def test_every_module_imports(root: Path, package: Path) -> None:
    modules = loaded(WALK.format("harken"), root)
    files = [path.relative_to(root).with_suffix("") for path in package.rglob("*.py")]
    expected = {".".join(file.parts).removesuffix(".__init__") for file in files if file.name != "__main__"}
    assert expected <= modules, "a folder without __init__.py?"
    assert "transformers" not in modules


@pytest.mark.parametrize("code", ["import harken", HELP, WALK.format("harken.commands")], ids=["import", "help", "commands"])
def test_light_until_there_is_work(root: Path, code: str) -> None:
    assert loaded(code, root).isdisjoint({"torch", "numba", "transformers"})


def test_the_check_can_fail(root: Path) -> None:
    assert "numba" in loaded("import sys, types; sys.modules['numba'] = types.ModuleType('numba')", root)


@pytest.mark.serial
@pytest.mark.parametrize("code", ["import harken", HELP], ids=["import", "help"])
def test_starts_within_a_third_of_a_second(root: Path, code: str) -> None:
    """More than an empty Python takes, best of five each."""

    def best(code: str) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            python(code, root)
            times.append(time.perf_counter() - start)
        return min(times)

    assert best(code) - best("pass") < 0.3
