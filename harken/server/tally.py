"""What is counted, for Prometheus: requests, tokens by key, what waits and runs, seconds to the first token and of a step.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ..base.report import say
from .writing import Writing

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Tally:
    """A registry of its own: two servers in one process count apart."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, says: str, labels: tuple[str, ...]) -> Counter:
            return Counter(f"harken_{name}", says, labels, registry=registry)

        self.requests = counter("requests", "Requests that were answered, by their status.", ("route", "status"))
        self.read = counter("prompt_tokens", "Tokens of prompts.", ("model", "key"))
        self.cached = counter("cached_tokens", "Tokens of prompts that were known from other requests.", ("model", "key"))
        self.written = counter("completion_tokens", "Tokens written.", ("model", "key"))
        self.inputs = counter("inputs", "Inputs of other tasks.", ("model", "key", "task"))
        self.errors = counter("errors", "Requests that failed by a fault of the server.", ("route",))
        self.waiting = Gauge("harken_waiting", "Texts that wait for room.", registry=registry)
        self.running = Gauge("harken_running", "Texts under way.", registry=registry)
        self.memory = Gauge("harken_cache_bytes", "Bytes of keys and values that are held.", registry=registry)
        self.first = Histogram("harken_first_token_seconds", "From a request to its first token.", buckets=SECONDS, registry=registry)
        self.steps = Histogram("harken_step_seconds", "A step of all that is under way.", buckets=SECONDS, registry=registry)

    def page(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)

    def ended(self, writing: Writing) -> None:
        """A text request is over: count its tokens, and say a line about it, without a word of what was said."""
        name, key = writing.served.name, writing.who.key
        self.read.labels(name, key).inc(writing.prompt_tokens)
        self.cached.labels(name, key).inc(writing.cached)
        self.written.labels(name, key).inc(writing.completion_tokens)
        if writing.first is not None:
            self.first.observe(writing.first - writing.began)
        reasons = sorted({row.finish or "cancelled" for row in writing.rows})
        how = type(writing.failed).__name__ if writing.failed else "/".join(reasons)
        took = time.monotonic() - writing.began
        who: Any = writing.who
        say(
            f"{who.id or '-'} {who.route or '-'} key={key} model={name} "
            f"in={writing.prompt_tokens} out={writing.completion_tokens} {how} {took:.2f}s"
        )
