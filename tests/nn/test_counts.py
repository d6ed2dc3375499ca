"""Counting models: the fast trie against a textbook twin in dictionaries, and the protocol every model keeps."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.batches import Spans
from harken.families.ngram import NgramConfig
from harken.families.table import build
from harken.fit.count import count
from harken.nn.counts import NGram, windows_of
from harken.nn.mask import Mask
from harken.nn.smoothing import SMOOTHINGS, discounts_of

PAD, BOS = 0, 1
Document = list[int]  # its first token is only read


def spans_of(documents: list[Document]) -> Spans:
    ids, bounds = [], []
    for document in documents:
        bounds.append((len(ids) + 1, len(ids) + len(document)))
        ids += document
    return Spans(np.array(ids, np.int32), np.array(bounds), None, 4)


def counted(documents: list[Document], vocab: int, order: int, smoothing: str = "kneser_ney", add_k: float = 0.1) -> NGram:
    model = build(NgramConfig(vocab_size=vocab, order=order, smoothing=smoothing, add_k=add_k, skip=[PAD, BOS]))
    assert isinstance(model, NGram)
    count(model, spans_of(documents))
    return model


def twin(documents: list[Document], vocab: int, order: int, smoothing: str, k: float) -> Callable[[Document, int], float]:
    """p(history, token), written from the formulas with tuples in dictionaries."""
    predicted = vocab - 2
    raw, different = Counter(), {}
    for document in documents:
        for end in range(2, len(document) + 1):
            for n in range(1, order + 2):
                begin = end - n
                if begin >= 0:
                    gram = tuple(document[begin:end])
                    raw[gram] += 1
                    different.setdefault(gram, []).append(document[begin - 1] if begin else None)
    continued = {gram: len({x for x in front if x is not None}) + front.count(None) for gram, front in different.items()}

    def used(gram: tuple[int, ...]) -> int:
        return (continued if smoothing == "kneser_ney" and len(gram) < order else raw).get(gram, 0)

    def discount(gram: tuple[int, ...]) -> float:
        if smoothing != "kneser_ney" or used(gram) == 0:
            return 0.0
        how_many = Counter(used(other) for other in raw if len(other) == len(gram))
        level = min(used(gram), 3)
        if how_many[1] and how_many[level]:
            y = how_many[1] / (how_many[1] + 2 * how_many[2])
            value = level - (level + 1) * y * how_many[level + 1] / how_many[level]
            if 0 < value <= level:
                return value
        return level / 2

    def p(history: tuple[int, ...], token: int) -> float:
        below = 1 / predicted if not history or smoothing == "add_k" else p(history[1:], token)
        after = [gram for gram in raw if gram[:-1] == history]
        whole = sum(map(used, after))
        if smoothing == "add_k":
            mass, left = whole + k * predicted, k * predicted
        elif smoothing == "witten_bell":
            kinds = sum(used(gram) > 0 for gram in after)
            mass, left = whole + kinds, kinds
        else:
            mass, left = whole, sum(map(discount, after))
        if not mass:
            return below
        gram = (*history, token)
        return (used(gram) - discount(gram)) / mass + left / mass * below

    def probability(history: Document, token: int) -> float:
        if token in (PAD, BOS):
            return 0.0
        return 1 / predicted if order == 0 else p(tuple(history[max(0, len(history) - order + 1) :]), token)

    return probability


VOCAB = 6
tokens = st.integers(2, VOCAB - 2)  # 5 is never seen
corpora = st.lists(st.lists(tokens, min_size=1, max_size=12).map(lambda text: [BOS, *text]), min_size=1, max_size=6)
histories = st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=6)


@given(corpora, histories, st.integers(0, 4), st.sampled_from(SMOOTHINGS), st.sampled_from([0.01, 1.0]))
def test_the_trie_equals_the_textbook(documents: list[Document], history: Document, order: int, smoothing: str, k: float) -> None:
    model = counted(documents, VOCAB, order, smoothing, k)
    probability = twin(documents, VOCAB, order, smoothing, k)
    got = np.exp(model.smoothed().spread(np.array([history])))[0]
    assert np.abs(got - [probability(history, token) for token in range(VOCAB)]).max() < 1e-9
    row = documents[0] + history
    want = [probability(row[:t], row[t]) for t in range(1, len(row))]
    assert np.abs(np.exp(model.smoothed().score(np.array(row)))[1:] - want).max() < 1e-9


@given(st.integers(0, 2**32), st.integers(0, 9), st.sampled_from(SMOOTHINGS))
def test_probabilities_sum_to_one_after_any_history(seed: int, order: int, smoothing: str) -> None:
    rng = random.Random(seed)
    vocab = rng.randint(3, 40)
    seen = rng.randint(3, vocab)  # beyond it, tokens are never seen
    documents = [[BOS, *rng.choices(range(2, seen), k=rng.randint(1, 30))] for _ in range(rng.randint(0, 8))]
    model = counted(documents, vocab, order, smoothing) if documents else build(NgramConfig(vocab_size=vocab, order=order, skip=[0, 1]))
    ids = torch.tensor([[rng.randrange(vocab) for _ in range(rng.randint(1, 12))]])
    logits = model(ids).double()
    assert torch.allclose(logits.exp().sum(-1), torch.ones(1, dtype=torch.float64), atol=1e-6)
    assert (logits[..., :2] == -math.inf).all() and logits[..., 2:].isfinite().all()


def text(seed: int, documents: int = 40, vocab: int = 20) -> list[Document]:
    rng = random.Random(seed)
    weights = [1 / (1 + i) for i in range(vocab - 4)]
    return [[BOS, *rng.choices(range(2, vocab - 2), weights, k=rng.randint(1, 40))] for _ in range(documents)]


def ragged(seed: int, rows: int = 7, vocab: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """ids (B, L) with anything in the padding, and the lengths."""
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 20, (rows,), generator=rng)
    return torch.randint(0, vocab, (rows, int(lengths.max())), generator=rng), lengths


every = pytest.mark.parametrize(("order", "smoothing"), [(0, "add_k"), (1, "kneser_ney"), *((4, name) for name in SMOOTHINGS)])


@every
def test_scores_are_the_logits_and_do_not_depend_on_the_batch(order: int, smoothing: str) -> None:
    model = counted(text(0), 20, order, smoothing)
    ids, lengths = ragged(1)
    logits, scores = model(ids, Mask(lengths=lengths)), model.score(ids, Mask(lengths=lengths))
    assert torch.equal(model(ids, Mask(lengths=lengths), last=True), logits[torch.arange(len(ids)), lengths - 1])
    for row, length, row_logits, row_scores in zip(ids, lengths, logits, scores, strict=True):
        alone = row[None, :length]
        assert torch.equal(model(alone)[0], row_logits[:length])
        assert torch.equal(model.score(alone)[0], row_scores[:length])
        assert torch.equal(row_scores[1:length], row_logits[: length - 1].gather(-1, row[1:length, None])[:, 0])
        assert row_scores[0] == 0 and not row_scores[length:].any()


@every
def test_step_by_step_equals_at_once(order: int, smoothing: str) -> None:
    model = counted(text(0), 20, order, smoothing)
    ids, lengths = ragged(2)
    want = model(ids, Mask(lengths=lengths))
    cache = model.begin(len(ids), ids.shape[1])
    rng = random.Random(0)
    done = torch.zeros_like(lengths)
    while (done < lengths).any():
        counts = torch.tensor([rng.randint(0, min(4, n)) for n in (lengths - done).tolist()])
        new = torch.zeros(len(ids), 4, dtype=torch.int64)
        for i, (begin, n) in enumerate(zip(done.tolist(), counts.tolist(), strict=True)):
            new[i, :n] = ids[i, begin : begin + n]
        logits = model(new, Mask(lengths=counts), cache=cache)
        for i, (begin, n) in enumerate(zip(done.tolist(), counts.tolist(), strict=True)):
            assert torch.equal(logits[i, :n], want[i, begin : begin + n])
        done += counts


def test_packed_rows_and_windows_shorten_the_history() -> None:
    model = counted(text(0), 20, 4)
    ids = torch.randint(2, 18, (12,), generator=torch.Generator().manual_seed(0))
    packed = model(ids, Mask(starts=torch.tensor([0, 5, 12])))
    assert torch.equal(packed, torch.cat([model(ids[None, :5])[0], model(ids[None, 5:])[0]]))
    bigram = counted(text(0), 20, 4)(ids[None], Mask(window=1))
    assert torch.equal(bigram[0, 7], model(ids[None, 7:8])[0, 0])
    assert torch.equal(model.score(ids[None], Mask(window=1))[0, 8], bigram[0, 7].log_softmax(-1)[ids[8]])


def test_one_count_serves_lower_orders_and_other_smoothings() -> None:
    model, ids = counted(text(0), 20, 5), torch.tensor([text(1)[0]])
    for order in range(1, 6):
        for smoothing in SMOOTHINGS:
            model.order, model.smoothing = order, smoothing
            assert torch.equal(model.score(ids), counted(text(0), 20, order, smoothing).score(ids))


def test_documents_do_not_touch_each_other_and_their_order_does_not_matter() -> None:
    documents, ids = text(3), torch.tensor([text(4)[0]])
    model, other = counted(documents, 20, 4), counted(documents[::-1], 20, 4)
    assert torch.equal(model.score(ids), other.score(ids))
    assert model.counts.tokens.tolist() == other.counts.tokens.tolist()
    assert not any(gram[1:].count(BOS) for gram in grams(model))


def grams(model: NGram) -> list[tuple[int, ...]]:
    """Every n-gram the trie holds."""
    trie = model.counts.trie()
    found: list[tuple[int, ...]] = [()] * len(trie.tokens)
    for node in range(len(trie.first) - 1):
        for child in range(trie.first[node], trie.first[node + 1]):
            found[child] = (*found[node], int(trie.tokens[child]))
    return found


def test_familiarity_is_the_longest_ending_that_was_continued_and_how_often() -> None:
    documents, order, grades = text(0), 4, 3
    model = counted(documents, 20, order)
    ids = torch.tensor([text(1)[0] + text(0)[0]])
    windows = windows_of(ids, order - 1, Mask())
    row = ids[0].tolist()
    for t, got in enumerate(model.smoothed().familiarity(windows[0].numpy(), grades)):
        for length in range(min(order - 1, t + 1), -1, -1):
            ending = row[t + 1 - length : t + 1]
            times = sum(document[i - length : i] == ending for document in documents for i in range(max(1, length), len(document)))
            if times:
                break
        assert got == 1 + min(int(math.log2(times)), grades - 1) + grades * length
    assert not build(model.config).smoothed().familiarity(windows[0].numpy(), grades).any()


def test_discounts() -> None:
    counts = np.repeat([0, 1, 2, 3, 4, 9], [5, 8, 4, 2, 1, 3])
    y = 8 / 16
    assert discounts_of(counts).tolist() == [0, 1 - 2 * y * 4 / 8, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2]
    assert discounts_of(np.array([7, 9])).tolist() == [0, 0.5, 1, 1.5]  # none to estimate from: KenLM's


def test_a_copy_of_the_state_reads_the_same() -> None:
    model, ids = counted(text(0), 20, 3), torch.tensor([text(1)[0]])
    other = build(dataclasses.replace(model.config))
    before = other.score(ids)
    for name, value in model.counts.state_dict().items():
        setattr(other.counts, name, value)
    assert not torch.equal(before, model.score(ids)) and torch.equal(other.score(ids), model.score(ids))
    assert not list(model.parameters())


DAMAGE = {
    "levels": lambda t: t + 1,
    "first": lambda t: t.flip(0),
    "tokens": lambda t: t.clamp(max=3),
    "counts": lambda t: t[:-1],
    "continuations": lambda t: -t,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_counts_are_refused(name: str) -> None:
    model = counted(text(0), 20, 3)
    setattr(model.counts, name, DAMAGE[name](getattr(model.counts, name)))
    with pytest.raises(InputError, match="do not fit together"):
        model(torch.tensor([[1]]))


def test_what_cannot_be_read_is_one_sentence() -> None:
    model = counted(text(0), 20, 3)
    model.context = 4
    cases: list[tuple[str, Callable[[], object]]] = [
        ("there is no token to read", lambda: model(torch.zeros(1, 0, dtype=torch.int64))),
        ("token id 20 is outside the model's vocabulary of 20 tokens", lambda: model(torch.tensor([[20]]))),
        ("token id -1 is outside", lambda: model.score(torch.tensor([[2, -1]]))),
        ("no attention maps", lambda: model(torch.tensor([[2]]), maps=[])),
        ("takes no source", lambda: model.begin(1, 4, source=torch.tensor([[2]]))),
        ("does not fit: this model reads at most 4", lambda: model(torch.full((1, 5), 2))),
        ("does not fit: this model reads at most 4", lambda: model.score(torch.full((1, 6), 2))),
        ("has 2 lengths for a batch of 1 rows", lambda: model(torch.tensor([[2]]), Mask(lengths=torch.tensor([1, 1])))),
        ("the cache holds 2 rows, the batch has 1", lambda: model(torch.tensor([[2]]), cache=model.begin(2, 4))),
        ("up to order 3, but its config asks for 7", lambda: setattr(model, "order", 7) or model(torch.tensor([[2]]))),
    ]
    for sentence, act in cases:
        with pytest.raises(InputError, match=sentence) as caught:
            act()
        assert "\n" not in str(caught.value)
