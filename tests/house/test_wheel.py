"""The wheel holds the package whole, samples and types included, and nothing else; installed on its own, it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ".", cwd=root)
    return next(out.glob("harken-*.whl"))


def test_holds_the_package_and_nothing_else(wheel: Path, root: Path, project_files: list[Path]) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {path.relative_to(root).as_posix() for path in project_files if path.is_relative_to(root / "harken")}
    assert "harken/py.typed" in names
    assert any(name.startswith("harken/data/samples/") for name in names)


def test_runs_on_its_own(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel, cwd=tmp_path)
    where = run(sys.executable, "-c", "import harken; print(harken.__file__)", cwd=tmp_path, PYTHONPATH=str(site))
    assert Path(where.strip()).is_relative_to(site)
    assert "train" in run(site / "bin" / "harken", "--help", cwd=tmp_path, PYTHONPATH=str(site))
