"""Recurrent encoder-decoders: every kind of attention reads padded, alone, in portions and packed alike, and learns to turn words round."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harken.base.errors import InputError
from harken.families.seq2seq import ATTENTION, Seq2SeqConfig
from harken.families.table import build, config_class, read_config
from harken.nn.align import Alignment
from harken.nn.mask import Mask
from harken.nn.models import Model
from harken.nn.recurrent import GATES, Layer
from harken.nn.scores import Dot

KINDS = [
    *(("gru", attention, False, 1) for attention in ATTENTION),
    *((cell, "additive", False, 2) for cell in GATES),
    *((cell, "none", False, 2) for cell in GATES),
    *(("lstm", attention, True, 2) for attention in ATTENTION[2:]),
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind)))
LENGTHS = torch.tensor([9, 4, 1, 6])


def model_of(kind: tuple[str, str, bool, int], **more: object) -> Model:
    cell, attention, feeding, layers = kind
    sizes = {"vocab_size": 31, "hidden_size": 10, "num_hidden_layers": layers, "window": 2}
    model = build(Seq2SeqConfig(**sizes, cell=cell, attention=attention, input_feeding=feeding, **more), seed=0)  # pyright: ignore
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.4 * torch.randn(parameter.shape, generator=random)
    return model


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    return torch.randint(31, (4, 9), generator=random), torch.randint(31, (4, 12), generator=random)


def same(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=0)


@pytest.mark.parametrize("cell", GATES)
def test_reading_padded_rows_at_once_and_step_by_step_agree_with_their_gradients(cell: str) -> None:
    torch.manual_seed(0)
    layer, counts, found = Layer(cell, 5, 7), LENGTHS, []
    x, state = torch.randn(4, 9, 5), torch.randn(2 if cell == "lstm" else 1, 4, 7)
    real = torch.arange(9) < counts[:, None]
    for way in (layer.read, lambda x, state, counts: layer.steps(x, state, counts, False)):
        x, state = x.detach().requires_grad_(), state.detach().requires_grad_()
        h, end = way(x, state, counts)
        loss = (h[real] * torch.arange(7.0)).sum() + (end * torch.arange(7.0)).sum()
        found.append([h[real], end, *torch.autograd.grad(loss, [x, state, *layer.parameters()])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@kinds
def test_padded_alone_in_portions_and_packed(kind: tuple) -> None:
    model, (source, target), mask = model_of(kind), pairs(), Mask(lengths=LENGTHS)
    with torch.no_grad():
        want = model(source, target, mask)
        for packed in (False, True):
            if packed:
                model.pack()
            got = model(source, target, mask)
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(model(source, target, mask, last=True), want[:, -1], rtol=1e-4, atol=1e-4)
            cache = model.begin(4, 12, source, mask)
            parts = [model(part, cache=cache) for part in target.split([5, 1, 6], 1)]
            torch.testing.assert_close(torch.cat(parts, 1), want, rtol=1e-4, atol=1e-4)
            for row, length in enumerate(LENGTHS):
                alone = model(source[row, None, :length], target[row, None])[0]
                same(got[row], alone) if packed else torch.testing.assert_close(got[row], alone, rtol=1e-4, atol=1e-4)


@kinds
def test_rows_of_a_cache(kind: tuple) -> None:
    """Ragged targets, chosen rows and snapshots: the bits of each row alone."""
    model, (source, target), mask = model_of(kind), pairs(), Mask(lengths=LENGTHS)
    model.pack()
    want = model(source, target, mask)
    cache, counts = model.begin(4, 12, source, mask), torch.tensor([2, 5, 4, 0])
    first = model(target[:, :5], Mask(lengths=counts), cache=cache)
    for row, count in enumerate(counts):
        same(first[row, :count], want[row, :count])
    kept = cache.snapshot()
    model(target[:, 3:5], cache=cache)
    cache.restore(kept)
    rows = torch.tensor([2, 0, 0, 1])
    cache.select(rows)
    step = torch.stack([target[row, counts[row] : counts[row] + 2] for row in rows])
    same(model(step, cache=cache), torch.stack([want[row, counts[row] : counts[row] + 2] for row in rows]))
    with pytest.raises(InputError, match="restore a snapshot"):
        cache.trim(torch.zeros(4))
    assert cache.nbytes > 0


@kinds
def test_alignments_are_distributions_over_the_source_and_gradients_are_finite(kind: tuple) -> None:
    model, (source, target), maps = model_of(kind), pairs(), {"encoder": [], "decoder": [], "cross": [], "alignment": []}
    if kind[1] == "none":
        with pytest.raises(InputError, match="does not attend to anything"):
            model(source, target, maps=maps)
    for packed in (False, True) if kind[1] != "none" else ():
        if packed:
            model.pack()
        maps["alignment"].clear()
        logits = model(source, target, Mask(lengths=LENGTHS), maps=maps)
        (found,) = maps["alignment"]
        assert found.shape == (4, 1, 12, 9) and not maps["cross"]
        real = torch.arange(9) < LENGTHS[:, None]
        assert not found[~real[:, None, None].expand_as(found)].any()
        total = found.sum(-1)
        full = kind[1] not in ("local-m", "local-p")
        assert torch.allclose(total, torch.ones(()), atol=1e-5) if full else (total < 1 + 1e-5).all()
        assert torch.allclose(logits, model(source, target, Mask(lengths=LENGTHS)), atol=1e-5)
    model.train()
    F.cross_entropy(model(source, target, Mask(lengths=LENGTHS)).flatten(0, 1), target.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@kinds
def test_every_kind_learns_in_bfloat16(kind: tuple) -> None:
    model, (source, target) = model_of(kind).train(), pairs()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(source, target, Mask(lengths=LENGTHS))
        logits.float().logsumexp(-1).mean().backward()
    assert logits.isfinite().all() and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_a_local_window_ends_with_the_source() -> None:
    """D = 2 around target token t: what lies before the first word or behind the last is cut off, and nothing is left of it far behind."""
    align = Alignment(Dot(), window=2)
    start, stop = align.interval(torch.arange(12.0)[None], torch.tensor([6]), torch.arange(12)[None])
    assert start[0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 6, 6]
    assert stop[0].tolist() == [3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6]
    start, stop = align.interval(torch.tensor([[0.0, 0.4, 3.5, 6.0]]), torch.tensor([6]), torch.zeros(1, 4).long())
    assert start[0].tolist() == [0, 0, 2, 4] and stop[0].tolist() == [3, 3, 6, 6]


REFUSED = [
    ({"cell": "gry"}, r"cell 'gry' is not known \(did you mean 'gru'\?\)"),
    ({"attention": "locally"}, "attention 'locally' is not known"),
    ({"input_feeding": True}, "input_feeding is for attention that looks after a step, not for 'additive'"),
    ({"window": 0}, "window must be a positive whole number, not 0"),
    (
        {"attention": "none", "embedding_size": 8},
        "a tied head needs token vectors as wide as the state; embedding_size is 8, hidden_size 256",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_what_cannot_be_built_is_refused_in_one_sentence(changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build(read_config({"model_type": "seq2seq", "vocab_size": 9, **changes}, "config.json"))


def test_an_empty_source_is_refused() -> None:
    model, (source, target) = model_of(KINDS[1]), pairs()
    with pytest.raises(InputError, match="the lengths of sources must lie within 1 to 9"):
        model(source, target, Mask(lengths=torch.tensor([9, 0, 1, 1])))


START, END = 1, 2


def reversals(batch: int, longest: int, random: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Sources of letters 3..10 with their lengths; the same backwards between start and end, -100 behind."""
    lengths = random.integers(1, longest + 1, batch)
    sources, inputs, targets = (np.full((batch, longest + 1), fill) for fill in (0, 0, -100))
    for row, length in enumerate(lengths):
        letters = random.integers(3, 11, length)
        sources[row, : length + 1] = [*letters, END]
        inputs[row, : length + 1] = [START, *letters[::-1]]
        targets[row, : length + 1] = [*letters[::-1], END]
    return tuple(torch.from_numpy(each) for each in (sources, lengths + 1, inputs, targets))


def learn(model: Model, longest: int, steps: int, rate: float, make: Callable = reversals) -> float:
    """Share of tokens it writes rightly, of words it did not learn from, after some steps."""
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.train().parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for step in range(steps + 1):
        sources, lengths, inputs, targets = make(64 if step < steps else 200, longest, random)
        if step == steps:
            break
        loss = F.cross_entropy(model(sources, inputs, Mask(lengths=lengths)).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.pack()
    real = targets != -100
    return (model(sources, inputs, Mask(lengths=lengths)).argmax(-1) == targets)[real].float().mean().item()


@pytest.mark.parametrize(
    ("name", "longest", "steps", "changes"),
    [
        ("seq2seq", 6, 150, {"cell": "gru", "attention": "additive"}),
        ("seq2seq", 6, 200, {"cell": "lstm", "attention": "general", "input_feeding": True}),
        ("seq2seq", 3, 200, {"cell": "gru", "attention": "none"}),
        ("transformer", 6, 250, {}),
        ("t5", 6, 250, {}),
        ("bart", 6, 250, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words_are_turned_round(name: str, longest: int, steps: int, changes: dict) -> None:
    config = config_class(name).sized(48, 1 if name == "seq2seq" else 2, 4, 16, 11, 0.0)
    config.initializer_range = 0.09
    vars(config).update(changes)
    assert learn(build(config, seed=0), longest, steps, 5e-3) > 0.9
