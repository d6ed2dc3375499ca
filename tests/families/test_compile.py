"""`torch.compile` takes every family whole: no graph break, no second compilation over ten steps, the numbers of the plain model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from harken.families.table import build, config_class
from harken.nn.mask import Mask
from harken.nn.models import Model

LADDER = ["bigram", "mlp", "rnn", "gru", "lstm"]
WRITERS = ["cosine", "gpt", "gpt2", "llama", "mistral", "qwen2", "qwen3"]
READERS = ["bert", "roberta", "distilbert", "albert", "modernbert"]
SOURCES = ["t5", "bart", "marian", "transformer"]
V, STEPS = 61, 10

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def made(name: str, task: str | None = None) -> Model:
    config = config_class(name).sized(24, 2, 2, 32, V, 0.0)
    if name in ("qwen2", "qwen3"):  # layers that see unequally far
        vars(config).update(use_sliding_window=True, sliding_window=4, layer_types=["full_attention", "sliding_attention"])
    return build(config, task, seed=0)


def compiled(call: Callable, backend: str) -> tuple[Callable, CompileCounterWithBackend]:
    counter = CompileCounterWithBackend(backend)
    return torch.compile(call, backend=counter, fullgraph=True), counter


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def reads(model: Model, call: Callable[[Callable, torch.Tensor, Mask], torch.Tensor], forward: Callable, backend: str) -> None:
    fast, counter = compiled(forward, backend)
    for _ in range(STEPS):
        ids, mask = torch.randint(V, (3, 12)), Mask(lengths=torch.randint(1, 13, (3,)))
        close(call(fast, ids, mask), model(ids, mask))
    assert counter.frame_count == 1


@pytest.mark.parametrize("name", WRITERS + READERS)
def test_the_whole_model(name: str) -> None:
    model = made(name)
    reads(model, lambda fast, ids, mask: fast(ids, mask), model, "aot_eager")


@pytest.mark.parametrize("name", LADDER)
def test_what_follows_the_checks(name: str) -> None:
    """These look at their input, row after row, so their `prepare` stays outside."""
    model = made(name)
    reads(model, lambda fast, ids, mask: fast(ids, model.prepare(ids, mask)), model.compute, "aot_eager")


@pytest.mark.parametrize("name", SOURCES)
def test_the_whole_model_with_a_source(name: str) -> None:
    model = made(name)
    fast, counter = compiled(model, "aot_eager")
    for _ in range(STEPS):
        source, target, mask = torch.randint(V, (3, 12)), torch.randint(V, (3, 9)), Mask(lengths=torch.randint(1, 13, (3,)))
        with torch.no_grad():
            close(fast(source, target, mask), model(source, target, mask))
    assert counter.frame_count == 1


@pytest.mark.parametrize(("name", "task"), [("t5", "classification"), ("t5", "span"), ("bart", "classification")])
def test_what_follows_the_checks_of_a_judge(name: str, task: str) -> None:
    model: Any = made(name, task)
    reads(model, lambda fast, ids, mask: fast(ids, model.prepare(ids, None, mask)), model.compute, "aot_eager")


@torch.no_grad()
def steps(name: str, backend: str) -> None:
    model = made(name)
    ids = torch.randint(V, (2, 5 + STEPS))
    if model.reads == "source":
        source = torch.randint(V, (2, 7)), Mask(lengths=torch.tensor([7, 4]))
        want, cache = model(source[0], ids, source[1]), model.begin(2, 32, *source)
    else:
        want, cache = model(ids), model.begin(2, 32)
    cache.fixed = True
    model(ids[:, :5], cache=cache)
    fast, counter = compiled(model.compute, backend)
    for place in range(5, 5 + STEPS):
        token = ids[:, place : place + 1]
        close(fast(token, model.prepare(token, cache=cache))[:, 0], want[:, place])
        cache.close()
    assert counter.frame_count == 1


@pytest.mark.parametrize("name", [*LADDER, *WRITERS, *SOURCES, "seq2seq"])
def test_a_step_with_a_cache(name: str) -> None:
    steps(name, "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("name", LADDER + WRITERS + READERS + SOURCES)
def test_a_step_of_training(name: str) -> None:
    model = made(name).train()
    fast, counter = compiled(model.compute, "aot_eager")
    for _ in range(STEPS):
        ids, found = torch.randint(V, (2, 12)), []
        given = [torch.randint(V, (2, 7))] * (model.reads == "source")
        for forward in (fast, model.compute):
            model.zero_grad()
            forward(ids, model.prepare(*given, ids)).logsumexp(-1).sum().backward()
            found.append([parameter.grad for parameter in model.parameters() if parameter.grad is not None])
        for got, want in zip(*found, strict=True):
            close(got, want)
    assert counter.frame_count == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task"),
    [("bert", "classification"), ("roberta", "span"), ("llama", "classification"), ("gpt2", "value"), ("t5", "token-classification")],
)
def test_other_heads(name: str, task: str) -> None:
    model = made(name, task)
    reads(model, lambda fast, ids, mask: fast(ids, mask), model, "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_with_the_compiler_that_makes_it_fast(name: str) -> None:
    model = made(name)
    reads(model, lambda fast, ids, mask: fast(ids, mask), model, "inductor")
    torch._dynamo.reset()
    steps(name, "inductor")
