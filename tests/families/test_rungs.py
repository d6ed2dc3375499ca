"""The rungs between counting and the Transformer: each equals its paper in NumPy, and is a model like any other."""

from __future__ import annotations

import math
import random
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harken.base.errors import InputError
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.decode.generate import generate, next_distribution
from harken.decode.options import DecodeOptions
from harken.families.bigram import BigramConfig
from harken.families.config import Config
from harken.families.cosine import CosineConfig
from harken.families.mlp import MLPConfig
from harken.families.recurrent import GRUConfig, LSTMConfig, RNNConfig
from harken.families.table import FAMILIES, build, config_class, family, read_config
from harken.fit.optimizer import Optimizer
from harken.nn.mask import Mask
from harken.nn.models import Model
from harken.text.train import train_characters

V = 23
CONFIGS: dict[str, Config] = {
    "bigram": BigramConfig(vocab_size=V),
    "mlp": MLPConfig(vocab_size=V, n_context=3, n_embd=5, n_hidden=11),
    "mlp-direct": MLPConfig(vocab_size=V, n_context=4, n_embd=6, n_hidden=7, direct=True),
    "rnn": RNNConfig(vocab_size=V, hidden_size=9, num_hidden_layers=2),
    "gru": GRUConfig(vocab_size=V, hidden_size=9, num_hidden_layers=2),
    "lstm": LSTMConfig(vocab_size=V, hidden_size=9, num_hidden_layers=2),
    "lstm-wide": LSTMConfig(vocab_size=V, hidden_size=13, embedding_size=6, num_hidden_layers=1, tie_word_embeddings=False),
    "cosine": CosineConfig(vocab_size=V, hidden_size=11, intermediate_size=17, max_position_embeddings=40),
    "cosine-untied": CosineConfig(
        vocab_size=V, hidden_size=8, intermediate_size=9, num_hidden_layers=3, max_position_embeddings=40, tie_word_embeddings=False
    ),
}
FAMILY = {"mlp-direct": "mlp", "lstm-wide": "lstm", "cosine-untied": "cosine"}
Weights = dict[str, np.ndarray]


def made(name: str, *, pack: bool = False) -> Model:
    """The same model every time, with weights large enough that every part matters."""
    model = build(CONFIGS[name], seed=0)
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=chance)
    if pack:
        model.pack()
    return model.requires_grad_(False) if not pack else model


def ids_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


# The twins: one row (L,), float64, weights under the names they have on disk.


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def twin_bigram(w: Weights, ids: np.ndarray, config: BigramConfig) -> np.ndarray:
    return np.stack([w["table.weight"][i] for i in ids])


def twin_mlp(w: Weights, ids: np.ndarray, config: MLPConfig) -> np.ndarray:
    out = []
    for t in range(len(ids)):
        seen = [w["embed.tokens.weight"][ids[s]] if s >= 0 else w["embed.nothing"] for s in range(t - config.n_context + 1, t + 1)]
        x = np.concatenate(seen)
        h = np.tanh(w["blocks.0.mlp.up.weight"] @ x + w["blocks.0.mlp.up.bias"])
        out.append(w["head.weight"] @ h + w["head.bias"] + (w["direct.weight"] @ x if config.direct else 0))
    return np.stack(out)


def twin_recurrent(w: Weights, ids: np.ndarray, config: Config) -> np.ndarray:
    x, n = w["embed.tokens.weight"][ids], 0
    while f"blocks.{n}.state.weight" in w:
        W, b, U = (w[f"blocks.{n}.{name}"] for name in ("input.weight", "input.bias", "state.weight"))
        size = U.shape[1]
        h, c, out = np.zeros(size), np.zeros(size), []
        for each in x:
            if config.model_type == "rnn":
                h = np.tanh(W @ each + b + U @ h)
            elif config.model_type == "gru":
                u = np.split(U @ h + w[f"blocks.{n}.state.bias"], 3)
                a = np.split(W @ each + b, 3)
                r, z = sigmoid(a[0] + u[0]), sigmoid(a[1] + u[1])
                h = (1 - z) * np.tanh(a[2] + r * u[2]) + z * h
            else:
                i, f, g, o = np.split(W @ each + b + U @ h, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            out.append(h)
        x, n = np.stack(out), n + 1
    return x @ w["head.weight"].T + w["head.bias"] if "head.weight" in w else x @ w["embed.tokens.weight"].T


def twin_cosine(w: Weights, ids: np.ndarray, config: CosineConfig) -> np.ndarray:
    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["embed.tokens.weight"][ids] + w["embed.positions.weight"][: len(ids)]
    for n in range(config.num_hidden_layers):
        y = norm(x, f"blocks.{n}.attn_norm")
        mixed = []
        for t in range(len(ids)):
            alike = np.array([y[t] @ y[s] / np.linalg.norm(y[t]) / np.linalg.norm(y[s]) for s in range(t + 1)])
            weight = np.exp(w[f"blocks.{n}.attn.beta"][0] * alike)
            mixed.append((weight / weight.sum()) @ y[: t + 1])
        x = x + np.stack(mixed)
        h = norm(x, f"blocks.{n}.mlp_norm") @ w[f"blocks.{n}.mlp.up.weight"].T + w[f"blocks.{n}.mlp.up.bias"]
        h = h * 0.5 * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
        x = x + h @ w[f"blocks.{n}.mlp.down.weight"].T + w[f"blocks.{n}.mlp.down.bias"]
    return norm(x, "norm") @ w.get("head.weight", w["embed.tokens.weight"]).T


CELLS = dict.fromkeys(("rnn", "gru", "lstm"), twin_recurrent)
TWINS = {"bigram": twin_bigram, "mlp": twin_mlp, **CELLS, "cosine": twin_cosine}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_rung_is_what_its_paper_says(name: str, packed: bool, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    save(made(name), train_characters([string.ascii_lowercase[: V - 4]]), tmp_path)
    weights = {key: value.astype(np.float64) for key, value in load_file(tmp_path / "model.safetensors").items()}
    model, ids, lengths = made(name, pack=packed), ids_of(5, 12), torch.tensor([12, 1, 7, 2, 9])
    got = model(ids, Mask(lengths=lengths))
    for row, length in enumerate(lengths):
        want = TWINS[FAMILY.get(name, name)](weights, ids[row, :length].numpy(), CONFIGS[name])
        assert np.abs(got[row, :length].numpy() - want).max() < 1e-5 * max(1, np.abs(want).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_future_changes_nothing_before_it(name: str) -> None:
    model, ids = made(name), ids_of(3, 12)
    before = model(ids)
    for place in (1, 6, 11):
        other = ids.clone()
        other[:, place:] = (other[:, place:] + 1) % V
        after = model(other)
        assert torch.allclose(after[:, :place], before[:, :place], atol=1e-6)
        assert (after[:, place] != before[:, place]).any()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_read_in_portions_and_ragged_rows(name: str, packed: bool) -> None:
    """Every row reads its own number of tokens a call, none among them, and answers as if it had read the whole alone."""
    model, ids = made(name, pack=packed), ids_of(4, 14)
    want = model(ids)
    cache, done = model.begin(4, 14), torch.zeros(4, dtype=torch.int64)
    for counts in torch.tensor([[5, 2, 9, 1], [1, 1, 1, 1], [3, 7, 0, 4], [1, 0, 1, 1]]):
        width = int(counts.max()) + 2
        part = torch.full((4, width), 3)
        for row, (start, count) in enumerate(zip(done, counts, strict=True)):
            part[row, :count] = ids[row, start : start + count]
        kept = cache.snapshot()
        got = model(part, Mask(lengths=counts), cache=cache)
        cache.restore(kept)
        last = model(part, Mask(lengths=counts), cache=cache, last=True)
        for row, (start, count) in enumerate(zip(done, counts, strict=True)):
            torch.testing.assert_close(got[row, :count], want[row, start : start + count], rtol=0, atol=0 if packed else 1e-5)
            if count:
                torch.testing.assert_close(last[row], want[row, start + count - 1], rtol=0, atol=0 if packed else 1e-5)
        done = done + counts
        assert cache.lengths.tolist() == done.tolist()
    rows = torch.tensor([2, 0, 2])
    cache.select(rows)
    step = ids_of(3, 2, seed=4)
    got = model(step, cache=cache)
    for place, row in enumerate(rows):
        whole = model(torch.cat([ids[row, : done[row]], step[place]])[None])[0, -2:]
        torch.testing.assert_close(got[place], whole, rtol=0, atol=0 if packed else 1e-5)
    assert cache.nbytes > 0


def writing(name: str):
    tokenizer = train_characters([string.ascii_lowercase[: V - 4]])
    config = read_config({**CONFIGS[name].write(), "vocab_size": tokenizer.vocab_size}, "config.json")
    config.eos_token_id, config.initializer_range = tokenizer.eos_id, 0.5
    return build(config, seed=1), tokenizer


@pytest.mark.parametrize("name", CONFIGS)
def test_a_prompt_alone_and_in_any_batch_gives_the_same_bits(name: str) -> None:
    model, tokenizer = writing(name)
    rng = random.Random(0)
    for n in range(30):
        words = ["".join(rng.choices(string.ascii_lowercase[: V - 4], k=rng.randint(0, 20))) for _ in range(rng.randint(2, 6))]
        asked = DecodeOptions(max_new_tokens=6, min_new_tokens=2, seed=n, temperature=rng.choice([0, 1.0]))
        together = generate(model, tokenizer, words, asked)
        i = rng.randrange(len(words))
        assert generate(model, tokenizer, [words[i]], asked)[0] == together[i]


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_saved_is_what_is_loaded(name: str, tmp_path: Path) -> None:
    model, tokenizer = writing(name)
    save(model, tokenizer, tmp_path)
    again, _ = load(tmp_path)
    assert again.config == model.config
    for (key, one), (other_key, other) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert key == other_key and torch.equal(one, other)
    assert torch.equal(next_distribution(model, tokenizer, "abc"), next_distribution(again, tokenizer, "abc"))
    assert next_distribution(model, tokenizer, "abc").exp().sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_learns_more_than_how_often_a_letter_occurs(name: str) -> None:
    """Twenty words, again and again: soon better than their unigram entropy; every parameter has a part in it."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgh", k=7)) for _ in range(20)]
    ids = torch.tensor([[0, *(ord(c) - 96 for c in word)] for word in words])
    counts = Counter(ids[:, 1:].flatten().tolist())
    entropy = -sum(n / counts.total() * math.log(n / counts.total()) for n in counts.values())
    model = build(CONFIGS[name], seed=0).train()
    optimizer = Optimizer(model, "muon", 0.05, 0.0)
    for _ in range(150):
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key
        optimizer.step(0.05)
    assert loss.item() < entropy - 0.1


@pytest.mark.parametrize("name", CONFIGS)
def test_packing_and_back_changes_no_weight(name: str) -> None:
    model = made(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.pack()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_what_cannot_be_read_is_refused_in_one_sentence(name: str, packed: bool) -> None:
    model, ids = made(name, pack=packed), ids_of(2, 4)
    cache = model.begin(2, 6)
    model(ids, cache=cache)
    refused = [
        (lambda: model(torch.full((2, 1), 99), cache=cache), "token id 99 is out of range: the vocabulary has 23 ids, 0 to 22"),
        (lambda: model(ids[:, :3], cache=cache), "room for 6 tokens a row and 7 are needed"),
        (lambda: model(ids_of(3, 1), cache=cache), "the cache holds 2 rows, the batch has 3"),
        (lambda: model(ids[:, :0]), "no token to read"),
        (lambda: model(ids, Mask(lengths=torch.tensor([1]))), "1 lengths for a batch of 2 rows"),
        (lambda: model(ids[:, :2], Mask(lengths=torch.tensor([3, 1])), cache=cache), "must lie within 0 to 2"),
        (lambda: model(ids[0], Mask(starts=torch.tensor([0, 4])), cache=model.begin(1, 8)), "packed row cannot|cannot read a packed row"),
        (lambda: model.begin(1, 4, source=ids), "takes no source"),
    ]
    for call, sentence in refused:
        with pytest.raises(InputError, match=sentence):
            call()
    for bad in (-1, V):
        with pytest.raises(InputError, match=f"token id {bad} is out of range"):
            model(torch.tensor([[1, bad]]))
    assert cache.lengths.tolist() == [4, 4]
    torch.testing.assert_close(model(ids[:, :2], cache=cache), model(torch.cat([ids, ids[:, :2]], 1))[:, -2:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["bigram", "mlp", "rnn", "gru", "lstm", "cosine"])
def test_a_family_by_its_name(name: str) -> None:
    assert name in FAMILIES and family(name).LEARNS == "gradients"
    config = config_class(name).sized(48, 2, 4, 16, V, 0.1)
    assert config.model_type == name and config.vocab_size == V
    model = build(config, seed=0)
    assert model.span == 16 and model.context == (16 if name == "cosine" else 100_000)
    assert not name.startswith("cosine") or all(p.numel() == 1 for key, p in model.named_parameters() if ".attn." in key)


def test_a_tied_head_needs_vectors_as_wide_as_the_state() -> None:
    with pytest.raises(InputError, match="embedding_size is 4, hidden_size 8"):
        build(LSTMConfig(vocab_size=V, hidden_size=8, embedding_size=4))
