"""Count and score a text: harken's n-grams beside Kneser-Ney in plain Python dictionaries, on the same tokens.

    python bench/counts.py                         the names that ship with harken, a document a line
    python bench/counts.py FILE --order 7          one stream of characters: first 90 % counted, last 10 % scored
    python bench/counts.py FILE --no-peer          where dictionaries would need too much memory or patience

Prints nats per character, seconds and peak memory of both, and the ratio of the seconds.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harken.data.batches import Spans
from harken.families.ngram import NgramConfig
from harken.families.table import build
from harken.fit.count import count, documents, never_predicted
from harken.measure.loss import measure
from harken.text.train import train_characters

NAMES = Path(__file__).parents[1] / "harken" / "data" / "samples" / "names.txt"


def split(text: str, lines: bool) -> tuple[Spans, Spans, NgramConfig]:
    """(counted, scored, config) of a text; `lines`: every tenth line is scored, else the last tenth of the text."""
    tokenizer = train_characters([text])
    config = NgramConfig(vocab_size=tokenizer.vocab_size, skip=never_predicted(tokenizer))
    if not lines:
        ids, cut = tokenizer.encode_array(text), int(0.9 * len(text))
        bounds = np.array([[0, cut], [cut, len(ids)]])
        return *(Spans(ids, bounds[i : i + 1], tokenizer.bos_id, config.max_position_embeddings) for i in (0, 1)), config
    parts = [np.array([tokenizer.bos_id, *ids, tokenizer.eos_id], np.int32) for ids in tokenizer.encode_many(text.splitlines())]
    ends = np.cumsum([len(part) for part in parts])
    rows = np.stack([ends - [len(part) - 1 for part in parts], ends], 1)
    held, ids = np.arange(len(rows)) % 10 == 9, np.concatenate(parts)
    return *(Spans(ids, rows[which], None, config.max_position_embeddings) for which in (~held, held)), config


class Dictionaries:
    """Interpolated modified Kneser-Ney, as one writes it in an afternoon: a dictionary of dictionaries for every order."""

    def __init__(self, spans: Spans, order: int, predicted: int):
        self.order, self.predicted = order, predicted
        raw = [defaultdict(lambda: defaultdict(int)) for _ in range(order + 1)]
        front = [defaultdict(lambda: defaultdict(int)) for _ in range(order + 1)]
        seen = set()
        for document in streams(spans):
            for end in range(1, len(document)):
                token = document[end]
                for n in range(1, min(order, end + 1) + 1):
                    history = document[end + 1 - n : end]
                    raw[n][history][token] += 1
                    before = document[end - n : end - n + 1]  # nothing at the start of a document: then each time counts
                    if not before or (before, history, token) not in seen:
                        front[n][history][token] += 1
                        if before:
                            seen.add((before, history, token))
        self.levels = [self.smoothed((raw if n == order else front)[n]) for n in range(1, order + 1)]

    def smoothed(self, counts: dict) -> tuple[dict, list[float], dict]:
        """(counts, discounts, history -> (sum, rest))."""
        n = [0] * 5
        for after in counts.values():
            for c in after.values():
                if c < 5:
                    n[c] += 1
        discounts = [0.0]
        for k in (1, 2, 3):
            d = k - (k + 1) * n[1] / (n[1] + 2 * n[2]) * n[k + 1] / n[k] if n[1] and n[k] else 0
            discounts.append(d if 0 < d <= k else k / 2)
        rest = {}
        for history, after in counts.items():
            total = sum(after.values())
            rest[history] = total, sum(discounts[min(c, 3)] for c in after.values()) / total
        return counts, discounts, rest

    def nats(self, spans: Spans) -> float:
        """Summed negative log-probability of all targets."""
        total = 0.0
        for document in streams(spans):
            for end in range(1, len(document)):
                p = 1 / self.predicted
                for n in range(1, min(self.order, end + 1) + 1):
                    counts, discounts, rest = self.levels[n - 1]
                    history = document[end + 1 - n : end]
                    if history not in rest:
                        break
                    mass, left = rest[history]
                    c = counts[history].get(document[end], 0)
                    p = (c - discounts[min(c, 3)]) / mass + left * p
                total -= math.log(p)
        return total


def streams(spans: Spans) -> list[str]:
    """Each document as a string, one code point a token: strings are the quickest keys Python has."""
    ids, starts = documents(spans)
    text = "".join(map(chr, ids.tolist()))
    return [text[begin:end] for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(ids)], strict=True)]


def timed(name: str, work: Callable[[], float], tokens: int) -> float:
    """Run, print a line, and return the seconds."""
    began = time.perf_counter()
    nats = work()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    print(f"{name:<24} {nats / tokens:.4f} nats/character   {seconds:8.2f} s   peak so far {peak:.2f} GiB", flush=True)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=NAMES)
    parser.add_argument("--order", type=int, default=6)
    parser.add_argument("--lines", action="store_true", help="every line is a document (always so for the default file)")
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    train, valid, config = split(options.file.read_text("utf-8"), options.lines or options.file == NAMES)
    config.order = options.order

    def ours() -> float:
        model = build(config)
        found = count(model, train)
        nats = measure(model, valid, pad=0, batch_size=1000).nats
        print(f"{found:,} n-grams of {train.targets:,} tokens, {sum(b.nbytes for b in model.buffers()) / 1e6:.1f} MB")
        return nats

    def peer() -> float:
        return Dictionaries(train, config.order, config.vocab_size - len(config.skip)).nats(valid)

    timed("the first call compiles", ours, valid.targets)
    fast = timed("harken", ours, valid.targets)
    if not options.no_peer:
        slow = timed("Python dictionaries", peer, valid.targets)
        print(f"harken / dictionaries: {slow / fast:.0f} times as fast")


if __name__ == "__main__":
    main()
