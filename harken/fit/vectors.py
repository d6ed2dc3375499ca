"""Words as vectors from counts: a text is read once, its frequent words are counted with their neighbours, and a table is all that is kept.

`nn/cooccur.py` has the formulas. There is nothing to step through, so there are no steps, no held-out loss and nothing to resume.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np
import torch

from ..base.errors import InputError
from ..base.options import unusual
from ..base.report import say, span
from ..checkpoint.save import save
from ..data.columns import Columns
from ..data.corpus import Corpus
from ..data.numbers import Numbers
from ..data.read import read
from ..data.texts import digest
from ..families.table import build
from ..families.vectors import VectorsConfig
from ..nn.cooccur import END, UNKNOWN, Learned, learn
from ..nn.vectors import token_table
from ..text.plain import first_words, train_plain_words
from ..text.tokenizer import Tokenizer
from .folder import RunFolder
from .options import RUN_ONLY, TrainOptions
from .prepare import place
from .threads import on_threads

WORDS, WIDTH = 50_000, 300
"""Most tokens of the vocabulary, and the width: what the papers take for texts of millions of words. A smaller vocabulary halves it."""
LEAST = ((100_000, 5), (5_000, 2), (0, 1))
"""Words of text -> times a word must occur, as one that is seen a few times has its neighbours by chance."""
TAKEN = {*RUN_ONLY, "model", "examples", "columns", "vocab_size", "width", "window", "seed"} - {"resume", "replay", "source", "target"}
"""Options that mean something here."""


@dataclass(frozen=True)
class TrainedVectors:
    """What came of it. `words`: that have a vector · `tokens`: words of the text · `pairs`: distinct ones that stand near each other ·
    `explained`: the share of their squared PPMI that the vectors hold · `seconds`: reading the text included. No `loss`, no `steps`."""

    run: str
    seconds: float
    words: int
    width: int
    tokens: int
    pairs: int
    explained: float
    steps: int = 0
    loss: None = None


def learn_vectors(options: TrainOptions, folder: RunFolder, sha256: str | None = None) -> TrainedVectors:
    """`harken train --model vectors`: read the text, count, decompose, write the run. InputError when the request makes no sense, or the
    text is not the one of this digest."""
    began = time.monotonic()
    check(options)
    assert options.data is not None
    folder.claim(overwrite=options.overwrite, needed=[options.data])
    corpus = read(options.data, examples=options.examples, columns=Columns.parse(options.columns))
    for note in corpus.notes:
        say(note)
    facts = {"source": place(options.data), "kind": corpus.kind, "sha256": digest(corpus.texts), "texts": len(corpus.texts)}
    if sha256 not in (None, facts["sha256"]):
        raise InputError(f"{options.data} is not the text that was learned from; give the same file, or train anew")
    tokenizer, ids = counted_words(corpus, options.vocab_size or WORDS)
    words = tokenizer.vocab_size - 1
    dim = options.width or min(WIDTH, words // 2)
    if words < max(4, dim):
        raise InputError(f"{corpus.source} has {words} words that can be counted, too few for vectors: give more text or a smaller --width")
    config = VectorsConfig(vocab_size=tokenizer.vocab_size, hidden_size=dim)
    config.window = options.window or config.window
    config.common_directions = dim // 100  # Mu & Viswanath's rule
    config.check()
    with on_threads(options.threads):
        learned = vectors_of(ids, config, seed=options.seed)
    model = build(config, seed=options.seed)
    token_table(model).weight = torch.from_numpy(learned.vectors)
    asked = {name: value for name, value in dataclasses.asdict(options).items() if name not in RUN_ONLY}
    folder.clear()
    folder.start({"task": config.task, "options": asked, "data": facts, "ledger": corpus.ledger.to_json()})
    save(model, tokenizer, folder.path)
    seconds = round(time.monotonic() - began, 2)
    tokens = corpus.ledger.get("tokens", "words")
    trained = TrainedVectors(str(folder.path), seconds, words, dim, tokens, learned.pairs, learned.explained)
    folder.finish(status="done", result=dataclasses.asdict(trained))
    say(f"vectors: {words:,} words, {dim} wide, hold {learned.explained:.1%} of the squared PPMI; {span(seconds)} in all")
    say(f"the run is in {folder.path}: harken similar {folder.path} WORD")
    return trained


def vectors_of(ids: np.ndarray, config: VectorsConfig, *, seed: int = 0) -> Learned:
    """`nn.cooccur.learn` as a config says; what is done is said."""
    return learn(
        ids,
        config.vocab_size,
        config.hidden_size,
        window=config.window,
        smoothing=config.context_smoothing,
        shift=config.shift,
        power=config.power,
        common=config.common_directions,
        seed=seed,
        told=say,
    )


def counted_words(corpus: Corpus, most: int) -> tuple[Tokenizer, np.ndarray]:
    """(tokenizer of the words that occur often enough, at most `most` tokens; ids (T,) int32 of all texts, each behind END). What is
    left out keeps its place as UNKNOWN, is counted and said. InputError when there is no word."""
    tokenizer = train_plain_words((piece for _, piece in corpus.texts.parts()), most)
    numbers, last = Numbers(np.int32, name=corpus.source), -1
    for batch in corpus.texts.batches():
        for (number, _), found in zip(batch, tokenizer.encode_many([piece for _, piece in batch]), strict=True):
            numbers.add(found if number == last else np.concatenate([[END], found]))
            last = number
    ids = np.array(numbers.array(), np.int32)
    often = np.bincount(ids[ids >= 0], minlength=tokenizer.vocab_size)
    total = int(often.sum())
    least = next(times for size, times in LEAST if total >= size)
    size = 1 + int(np.count_nonzero(often[1:] >= least))  # the most frequent come first
    known = int(often[1:size].sum())
    ids[(ids == tokenizer.unk_id) | (ids >= size)] = UNKNOWN
    for what, n in (("words", total), ("words counted", known), ("words too rare", total - known)):
        corpus.ledger.add("tokens", what, n)
    corpus.ledger.balance("tokens", "words", "words counted", "words too rare")
    rare = "" if known == total else f"; the other {total - known:,} are too rare to say anything, but keep their place"
    which = f"that occur {f'at least {least} times' if least > 1 else 'at all'}" if size < most else "that are most frequent"
    say(f"words: {size - 1:,} {which}, {known:,} of the text's {total:,}{rare}")
    return first_words(tokenizer, size), ids


def check(options: TrainOptions) -> None:
    """InputError for an option that means nothing here: it would be ignored without a word."""
    if asked := unusual(options, [field.name for field in dataclasses.fields(options) if field.name not in TAKEN]):
        raise InputError(f"{asked[0]} is not for --model vectors, which counts words: it takes --width, --window and --vocab-size")
    if options.vocab_size is not None and options.vocab_size < 5:
        raise InputError(f"--vocab-size {options.vocab_size} is too few words for vectors: give at least 5")
