"""The small checkpoints of the tests of tasks, for the snippets of articles."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


def small_models() -> Any:
    """tests/tasks/conftest.py as a module; tests are no package."""
    if "small_models" not in sys.modules:
        path = Path(__file__).parents[1] / "tasks" / "conftest.py"
        spec = importlib.util.spec_from_file_location("small_models", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["small_models"] = module
        spec.loader.exec_module(module)
    return sys.modules["small_models"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return small_models().Checkpoints(tmp_path_factory.mktemp("articles"))


@pytest.fixture(scope="session")
def opus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_models().marian(tmp_path_factory.mktemp("opus") / "mt")
