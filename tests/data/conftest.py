"""How hard files made by chance are tried: hypothesis decides what is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

TRIES = {"quick": 300, "slow": 10_000}
UNHURRIED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


@pytest.fixture(params=["quick", pytest.param("slow", marks=pytest.mark.slow)])
def any_file(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """`any_file(test)`: try files; a few hundred of them, or where time does not matter ten thousand."""

    def tried(test: Any) -> None:
        settings(max_examples=TRIES[request.param], deadline=None, suppress_health_check=UNHURRIED)(test)()

    return tried
