"""How far back a model looks: the loss of a token after 4 to 512 others, and what a token costs then.

`books_pd`, characters replaced by 2,000 byte-level pieces: n-gram counts, a plain recurrent network, an LSTM and a decoder, 20 minutes
each on two cores, rows of 512 tokens. Every model predicts the same 2,000 tokens of the test books, drawn by seed, from so many tokens
before each and no more. Time and memory are those of one further token, on one thread, behind so many that were read.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import harken
from harken.draw.chart import line_chart
from harken.results.lab import Lab

from .pretraining import text

LENGTHS = (4, 8, 16, 32, 64, 128, 256, 512)
PLACES = 2_000
MODELS: dict[str, dict[str, Any]] = {
    "n-gram": {"model": "ngram"},
    "RNN": {"model": "rnn", "width": 256, "layers": 1},
    "LSTM": {"model": "lstm", "width": 256, "layers": 1},
    "Transformer": {"model": "llama", "width": 192, "layers": 6, "heads": 6},
}


def losses(run: Path, path: Path, lengths: tuple[int, ...], count: int) -> dict[str, list[float]]:
    """`mean` nats of the same tokens behind so many others, and the standard `error` of each; `gain`: what each is less than the one
    before, token by token, in standard errors."""
    model, words = harken.load(run)
    model.pack()
    ids = torch.from_numpy(words.encode_array(path.read_text("utf-8")).astype(np.int64))
    places = torch.from_numpy(
        np.random.default_rng(0).choice(np.arange(lengths[-1], len(ids)), min(count, len(ids) - lengths[-1]), replace=False)
    )
    found: dict[str, list[float]] = {"mean": [], "error": [], "gain": []}
    before = None
    for length in lengths:
        rows = ids[places[:, None] + torch.arange(-length, 1)]  # (places, length + 1)
        with torch.no_grad():
            nats = torch.cat([-model.score(part)[:, -1].double() for part in rows.split(max(1, 8_192 // length))])
        found["mean"].append(nats.mean().item())
        found["error"].append(nats.std().item() / len(nats) ** 0.5)
        less = torch.zeros_like(nats) if before is None else before - nats
        found["gain"].append(less.mean().item() / max(less.std().item() / len(nats) ** 0.5, 1e-12))
        before = nats
    return found


def costs(run: Path, lengths: tuple[int, ...], tries: int) -> dict[str, list[float]]:
    """`milliseconds` of one further token, the median, and `kilobytes` of what is kept of the others."""
    model, _ = harken.load(run)
    model.pack()
    found: dict[str, list[float]] = {"milliseconds": [], "kilobytes": []}
    ids = torch.randint(5, model.config.vocab_size, (1, lengths[-1] + 1), generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for length in lengths:
        seconds = []
        for _ in range(tries):
            cache = model.begin(1, length)
            with torch.no_grad():
                model(ids[:, : length - 1], cache=cache)
                began = time.perf_counter()
                model(ids[:, length - 1 : length], cache=cache)
            seconds.append(time.perf_counter() - began)
        found["milliseconds"].append(1e3 * statistics.median(seconds))
        found["kilobytes"].append(cache.nbytes / 1e3)
    torch.set_num_threads(before)
    return found


def steps(lab: Lab) -> None:
    """Learn, measure at every length, draw."""
    lengths = LENGTHS[:3] if lab.tiny else LENGTHS
    train, valid, test = (text(lab, part, mixed=False) for part in ("train", "valid", "test"))
    found, cost, learned = {}, {}, {}
    for name, options in MODELS.items():
        run = name.lower()
        learned[name] = lab.train(run, train, valid=str(valid), examples="running", tokenizer="bpe", vocab_size=2_000, context=lengths[-1],
                                  average=0.998, batch_size=16, minutes=20.0, **options)  # fmt: skip
        found[name] = lab.step(f"{run}-loss", lambda run=run: losses(lab.run(run), test, lengths, 20 if lab.tiny else PLACES))
        cost[name] = lab.step(f"{run}-cost", lambda run=run: costs(lab.run(run), lengths, 2 if lab.tiny else 25))
    for name, each in found.items():
        mean, error = each["mean"][-1], each["error"][-1]
        minutes = None if name == "n-gram" else lab.minutes(learned[name])
        lab.found(f"{name}: nats behind {lengths[-1]} tokens", mean, low=mean - 1.96 * error, high=mean + 1.96 * error, minutes=minutes)
        lab.found(f"{name}: gained between {lengths[2]} and {lengths[-1]} tokens", each["mean"][2] - mean)
        lab.found(f"{name}: milliseconds of a token behind {lengths[-1]}", cost[name]["milliseconds"][-1])
        lab.found(f"{name}: kilobytes kept of {lengths[-1]} tokens", cost[name]["kilobytes"][-1])
    far = {name: max([lengths[0], *(n for n, gain in zip(lengths, each["gain"], strict=True) if gain > 2)]) for name, each in found.items()}
    lab.note(
        "The last doubling of what is read that still helps, by more than two standard errors of the tokens' differences: "
        + ", ".join(f"{name} to {length} tokens" for name, length in far.items())
        + "."
    )
    pictures = {
        "loss.svg": ("What the past is worth", "nats of the next token", {name: each["mean"] for name, each in found.items()}),
        "time.svg": ("What a token costs", "milliseconds, one thread", {name: each["milliseconds"] for name, each in cost.items()}),
        "memory.svg": ("What is kept", "kilobytes", {name: each["kilobytes"] for name, each in cost.items()}),
    }
    for file, (title, y, series) in pictures.items():
        points = {name: list(zip(np.log2(lengths).tolist(), values, strict=True)) for name, values in series.items()}
        line_chart(lab.picture(file), points, title=title, x="log₂ of the tokens before it", y=y)
