"""Tiny models with large random weights, an engine that runs, and a real server on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import string
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from harken.decode.options import DRAWS, DecodeOptions
from harken.families.bart import BartConfig
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.recurrent import GRUConfig
from harken.families.table import build
from harken.server.engine import Engine
from harken.server.limits import Limits
from harken.server.served import Served
from harken.text.train import train_characters

CONTEXT = 48
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gpt2": (GPT2Config, {}),
    "llama": (LlamaConfig, {"num_key_value_heads": 1}),
    "bart": (BartConfig, {}),
    "gru": (GRUConfig, {}),
}
MAYBE: dict[str, list[Any]] = {
    "temperature": [0.7, 1.3],
    "top_k": [1, 5],
    "top_p": [0.8, 0.3],
    "min_p": [0.1],
    "typical_p": [0.7],
    "min_new_tokens": [0, 3],
    "repetition_penalty": [1.2, 0.8],
    "frequency_penalty": [0.5],
    "presence_penalty": [-0.5, 1.0],
    "no_repeat_ngram_size": [2],
    "bad_words": [("e",), ("ab", "c")],
    "suppress_tokens": [(7, 8)],
    "logit_bias": [{10: 4.0, 12: -3.0}],
    "stop_strings": [("e",), ("th", "he", "ing")],
    "overflow": ["window"],
    "guidance_scale": [1.5],
}
CONSTRAINTS: list[dict[str, Any]] = [{"regex": "[a-f]{3,9}"}, {"choice": ("abc", "xyz", "hello")}, {"grammar": 'start: "ab" | "q"'}]


def letters(rng: random.Random, most: int) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, most)))


def make(kind: str, seed: int = 0) -> tuple[Any, Any]:
    """(model, tokenizer) of letters."""
    tokenizer, (family, settings) = train_characters([string.ascii_lowercase]), KINDS[kind]
    config = replace(family.sized(42, 2, 3, CONTEXT, tokenizer.vocab_size, 0.0), **settings)
    config.bos_token_id, config.eos_token_id, config.initializer_range = tokenizer.bos_id, tokenizer.eos_id, 0.2
    config.check()
    model = build(config, seed=seed)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.generation = {"suppress_tokens": tokenizer.silent_ids}
    return model, tokenizer


def draw(rng: random.Random, reads: str = "text") -> DecodeOptions:
    """Any options that go together."""
    asked: dict[str, Any] = {"max_new_tokens": rng.randint(3, 24), "seed": rng.randint(0, 1000)}
    drawn = rng.random() < 0.6
    if rng.random() < 0.2:
        asked |= rng.choice(CONSTRAINTS)
    for name, values in MAYBE.items():
        clash = asked.keys() & {"regex", "choice", "grammar"} and name in (
            "stop_strings",
            "bad_words",
            "no_repeat_ngram_size",
            "min_new_tokens",
        )
        if (
            rng.random() < 0.15
            and (drawn or name not in DRAWS)
            and not clash
            and (reads == "text" or name not in ("overflow", "guidance_scale"))
        ):
            asked[name] = rng.choice(values)
    if drawn:
        asked |= {"do_sample": True, "num_return_sequences": rng.choice([1, 1, 3])}
    elif rng.random() < 0.3:
        special: list[dict[str, Any]] = [{"num_beams": 3, "num_return_sequences": 2}]
        special += [{"speculate": "lookup"}, {"penalty_alpha": 0.4, "top_k": 3}] if reads == "text" else []
        asked |= rng.choice(special) if not asked.keys() & {"overflow", "regex", "choice", "grammar", "guidance_scale"} else {}
    return DecodeOptions(**asked)


@pytest.fixture(scope="session")
def kinds() -> Callable[[str], tuple[Any, Any]]:
    """`kinds("gpt2")`: (model, tokenizer)."""
    return make


@pytest.fixture(scope="session")
def drawn() -> Callable[..., DecodeOptions]:
    """`drawn(rng)`: options that go together."""
    return draw


def running(models: Sequence[Served], work: Callable[[Engine], Any], limits: Limits | None = None) -> Any:
    """What `work(engine)`, a coroutine function, gives beside an engine that runs."""

    async def main() -> Any:
        engine = Engine(models, limits)
        engine.start()
        try:
            return await asyncio.wait_for(work(engine), 60)
        finally:
            await engine.drain(0)

    return asyncio.run(main())


@pytest.fixture(scope="session")
def run() -> Callable[..., Any]:
    """`run(models, work, limits)`."""
    return running


@contextlib.contextmanager
def listening(server: Any) -> Iterator[str]:
    """The address of a real server in a thread, on a free port of the loopback."""
    import uvicorn

    from harken.server.live import configured

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    live = uvicorn.Server(configured(server, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=live.run, daemon=True)
    thread.start()
    while not live.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        live.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def live() -> Callable[..., Any]:
    """`with live(server) as address`."""
    return listening
