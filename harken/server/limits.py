"""What a server takes on. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.options import check_bounds, option


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server takes on."""

    max_running: int = option(64, "texts of a model that are written at the same time at most", min=1)
    max_waiting: int = option(256, "texts that wait for room at most; a request beyond them is told to come again", min=0)
    max_new_tokens: int = option(4096, "tokens that a request may ask for, whatever the context", min=1)
    max_seconds: float = option(600.0, "seconds after which a text ends where it is", above=0)
    cache_memory: float = option(2.0, "GiB of keys and values for each model, and as much for what may be asked again", above=0)

    def __post_init__(self) -> None:
        check_bounds(self)
