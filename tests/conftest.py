"""One quiet, offline, repeatable machine for every test: the environment, hypothesis, thread counts, and where the data lies."""

from __future__ import annotations

import os

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", MPLBACKEND="Agg")  # before any library reads them

import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("ci")


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One torch thread, two for a test marked `serial`, where kernels then take both for small work too, so that both ways meet in one
    test; a test that never imports torch stays without it."""
    serial = request.node.get_closest_marker("serial") is not None
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(2 if serial else 1)
    if serial and (kernels := sys.modules.get("harken.nn.kernels.exact")):
        monkeypatch.setattr(kernels, "ALONE", 3_000)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The small texts that ship inside the package."""
    return Path(__file__).parents[1] / "harken" / "data" / "samples"


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """`data_folder("wikitext")`: a data set kept outside the repository; the test is skipped where it is absent."""
    home = Path(os.environ.get("HARKEN_DATA") or Path.home() / ".cache" / "harken-data")

    def find(name: str) -> Path:
        if not (home / name).exists():
            pytest.skip(f"no {name} in {home} (set HARKEN_DATA to the folder that has it)")
        return home / name

    return find
