"""What the house tests walk: the repository, the package, and the files git keeps or would keep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package(root: Path) -> Path:
    return root / "harken"


@pytest.fixture(scope="session")
def project_files(root: Path) -> list[Path]:
    """Tracked files and new ones that git does not ignore; those just deleted are left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return sorted(path for name in listed.stdout.split("\0") if name and (path := root / name).is_file())
