"""What else is in the batch never changes an answer: not one bit of one logit, on one thread or two."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from harken.families.table import build, config_class
from harken.nn.decoder import Decoder
from harken.nn.mask import Mask

Tiny = Callable[[str], Decoder]
NAMES = ["gpt2", "gpt2-odd", "llama", "llama-odd", "gpt", "qwen3"]
PROMPTS, BATCHES, STEPS = 40, 200, 5


def bits(logits: torch.Tensor) -> torch.Tensor:
    return logits.contiguous().view(torch.int32)


def prompts_of(model: Decoder) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(5)
    lengths = [1, 2, 27, *torch.randint(1, 28, (PROMPTS - 3,), generator=random).tolist()]  # 27 + 5 steps: the whole context
    return [torch.randint(model.config.vocab_size, (length,), generator=random) for length in lengths]


def alone(model: Decoder, prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Bits of the prompt's logits (L, V), and of each greedy step that follows (STEPS, V)."""
    cache = model.begin(1, len(prompt) + STEPS)
    first = model(prompt[None], cache=cache)[0]
    steps, last = [], first[-1]
    for _ in range(STEPS):
        last = model(last.argmax().view(1, 1), cache=cache)[0, -1]
        steps.append(last)
    return bits(first), bits(torch.stack(steps))


def together(model: Decoder, prompts: list[torch.Tensor], random: np.random.Generator) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The same for a ragged batch with padding of any width, any token in it and any room in the cache."""
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    width = int(lengths.max()) + int(random.integers(0, 4))
    ids = torch.from_numpy(random.integers(0, model.config.vocab_size, (len(prompts), width)))
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
    cache = model.begin(len(prompts), int(lengths.max()) + STEPS + int(random.integers(0, 9)))
    first = model(ids, Mask(lengths=lengths), cache=cache)
    steps, last = [], first[torch.arange(len(prompts)), lengths - 1]
    for _ in range(STEPS):
        last = model(last.argmax(-1, keepdim=True), cache=cache)[:, -1]
        steps.append(bits(last))
    return bits(first), steps


def compare(model: Decoder, batches: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Random batches of random prompts against each prompt alone; returns the answers alone."""
    model.pack()
    random, prompts = np.random.default_rng(0), prompts_of(model)
    want = [alone(model, prompt) for prompt in prompts]
    for _ in range(batches):
        rows = random.integers(0, PROMPTS, random.integers(2, 9))
        first, steps = together(model, [prompts[row] for row in rows], random)
        for place, row in enumerate(rows):
            assert torch.equal(first[place, : len(prompts[row])], want[row][0])
            assert torch.equal(torch.stack([step[place] for step in steps]), want[row][1])
    return want


@pytest.mark.parametrize("name", NAMES)
def test_a_row_answers_as_if_alone(tiny: Tiny, name: str) -> None:
    compare(tiny(name), BATCHES)


@pytest.mark.serial
@pytest.mark.parametrize("name", NAMES)
def test_a_row_answers_as_if_alone_on_two_threads(tiny: Tiny, name: str) -> None:
    both = compare(tiny(name), BATCHES // 5)
    torch.set_num_threads(1)
    for (first, steps), (first_one, steps_one) in zip(both, compare(tiny(name), 1), strict=True):
        assert torch.equal(first, first_one) and torch.equal(steps, steps_one)


@pytest.mark.parametrize("name", NAMES)
def test_neither_do_portions_nor_rows_that_come_and_go(tiny: Tiny, name: str) -> None:
    """Read in two portions, let rows leave and be doubled between steps: still the bits of the row alone."""
    model = tiny(name)
    model.pack()
    random, prompts = np.random.default_rng(1), [prompt for prompt in prompts_of(model) if len(prompt) > 1]
    for _ in range(20):
        rows = random.integers(0, len(prompts), 5)
        chosen = [prompts[row] for row in rows]
        want = [alone(model, prompt) for prompt in chosen]
        lengths = torch.tensor([len(prompt) for prompt in chosen])
        cut = torch.from_numpy(random.integers(1, lengths.numpy()))
        ids = [torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True) for parts in zip(*map(cut_at, chosen, cut), strict=True)]
        cache = model.begin(5, 32)
        model(ids[0], Mask(lengths=cut), cache=cache)
        last = model(ids[1], Mask(lengths=lengths - cut), cache=cache, last=True)
        here = np.arange(5)
        for step in range(STEPS):
            assert all(
                torch.equal(bits(last[place]), (want[row][1][step - 1] if step else want[row][0][-1])) for place, row in enumerate(here)
            )
            keep = random.integers(0, len(here), max(2, len(here) - 1))
            cache.select(torch.from_numpy(keep))
            here, last = here[keep], model(last[torch.from_numpy(keep)].argmax(-1, keepdim=True), cache=cache, last=True)


def cut_at(prompt: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return prompt[: int(place)], prompt[int(place) :]


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "albert", "modernbert"])
def test_an_encoder_reads_a_row_as_if_alone(name: str) -> None:
    """Padded to any width, among others, as choices or as documents of one row: the same bits."""
    model, random = build(config_class(name).sized(36, 2, 3, 32, 61, 0.0), seed=0), np.random.default_rng(0)
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=chance)
    model.pack()
    prompts = [torch.from_numpy(random.integers(5, 61, length)) for length in (1, 2, 3, 7, 8, 16, 21, 32)]
    want = [bits(model(prompt[None])[0]) for prompt in prompts]
    for _ in range(40):
        rows = random.integers(0, len(prompts), random.integers(2, 9))
        lengths = torch.tensor([len(prompts[row]) for row in rows])
        ids = torch.from_numpy(random.integers(5, 61, (len(rows), random.integers(int(lengths.max()), 33))))
        for place, row in enumerate(rows):
            ids[place, : lengths[place]] = prompts[row]
        padded, choices = bits(model(ids, Mask(lengths=lengths))), bits(model(ids[None], Mask(lengths=lengths[None])))[0]
        packed = bits(model(torch.cat([prompts[row] for row in rows]), Mask(starts=torch.tensor([0, *np.cumsum(lengths.numpy())]))))
        for place, (row, part) in enumerate(zip(rows, packed.split(lengths.tolist()), strict=True)):
            for got in (padded[place, : lengths[place]], choices[place, : lengths[place]], part):
                assert torch.equal(got, want[row])


def test_a_plain_model_would_not_do(tiny: Tiny) -> None:
    """The bits above are worth a test: torch's own products change them with the batch (else the kernels could go)."""
    model = tiny("llama").requires_grad_(False)
    ids = torch.randint(61, (8, 20), generator=torch.Generator().manual_seed(0))
    together = model(ids)
    if all(torch.equal(model(row[None])[0], together[place]) for place, row in enumerate(ids)):
        pytest.skip("torch gives the same bits on this machine")
