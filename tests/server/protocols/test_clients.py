"""The clients people have, unmodified, each in an environment of its own, against the live server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CLIENTS = Path(__file__).parent.parent / "clients"
NAMES = sorted(path.stem for path in CLIENTS.glob("*.txt"))


def python(name: str, cache: Path) -> Path:
    """The interpreter of a client's environment, made where it is not there yet. Skips where the packages cannot be had."""
    wanted = (CLIENTS / f"{name}.txt").read_text()
    folder, stamp = cache / name, cache / name / "wanted.txt"
    found = folder / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        command = [found, "-m", "pip", "install", "-q", "-r", CLIENTS / f"{name}.txt"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"the packages of {name} cannot be had: {done.stderr.strip().splitlines()[-1]}")
        stamp.write_text(wanted)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_client(name: str, site: Any, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    cache = pytestconfig.cache.mkdir("clients")
    command = [python(name, cache), CLIENTS / f"{name}.py", site.address]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
