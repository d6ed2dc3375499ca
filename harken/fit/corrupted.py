"""The data of a run that learns to mend broken texts: read as other texts are, tokenised bare, and broken anew in every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..base.errors import InputError
from ..base.options import check_uses
from ..data.batches import Spans
from ..data.columns import Columns
from ..data.corpus import Corpus
from ..data.corrupted import Masked, Noised
from ..data.ledger import Ledger
from ..data.read import read
from ..data.sentences import units
from ..data.tokens import fitted, tokenised
from ..nn.models import Model
from ..objectives import denoising, masked, seq2seq, span_corruption
from ..text.frames import FRAMES, PLAIN
from ..text.tokenizer import Tokenizer
from .options import TrainOptions
from .plan import choose_context
from .prepare import Prepared, compare, corpora, facts_of, tell
from .prepare import make_tokenizer as of_texts
from .signal import signal_of

__all__ = ["check", "corpora", "make_tokenizer", "mended", "prepared", "source_of"]

KINDS = {
    **dict.fromkeys(("bert", "distilbert"), "wordpiece"),
    **dict.fromkeys(("roberta", "modernbert", "bart"), "bpe"),
    **dict.fromkeys(("albert", "t5"), "unigram"),
}
"""What the tokenizer of a family usually is; that of any other is a unigram."""
OPTIONS = {
    "mask_rate": ("masked-language-modeling", "pretraining", "span-corruption", "denoising"),
    "whole_word": ("masked-language-modeling", "pretraining"),
    "span_length": ("span-corruption", "denoising"),
    "noise": ("denoising",),
}
"""Which tasks an option is for."""
CONTEXT = 32
"""Tokens of a row of running text with gaps, unless more are asked for: what a gap depends on is found sooner among few. Measured on
Shakespeare, about a minute on one core: 5.25 nats per hidden token at 32, 5.66 at 64, 5.71 at 128."""
FEWEST = 6
"""Tokens of its own that a row must have room for."""
SHOWN = 3
"""Broken texts that are mended each time the model is measured."""
_COUNTED = 65_536
"""Rows in which the hidden tokens are counted one by one."""


def check(options: TrainOptions, task: str) -> None:
    """InputError when an option of the noise is not for this task."""
    check_uses(options, task, OPTIONS)
    if task == "denoising":
        denoising.check(noises(options))
    if task == "pretraining" and options.overflow is not None:
        raise InputError("--overflow is not for --task pretraining: a text of any length is read in rows of whole sentences")


def noises(options: TrainOptions) -> tuple[str, ...]:
    """The noises of denoising by name."""
    return tuple(name.strip() for name in options.noise.split(","))


def make_tokenizer(options: TrainOptions, train: Corpus) -> Tokenizer:
    """With the special tokens and the template that the family has, a [MASK] and names for gaps among them."""
    name = options.model or ""
    task, frame = signal_of(name, options), FRAMES.get(name, PLAIN)
    specials = ["<mask>"] if task == "denoising" and "mask" not in frame.names else []
    tokenizer = of_texts(options, train, kind=options.tokenizer or KINDS.get(name, "unigram"), frame=frame, specials=specials)
    if task == "span-corruption":
        tokenizer = tokenizer.extended([span_corruption.sentinel(n) for n in reversed(range(span_corruption.SENTINELS))])
    return tokenizer


def prepared(options: TrainOptions, tokenizer: Tokenizer, train: Corpus, valid: Corpus | None, context: int | None = None) -> Prepared:
    """Tokenised data and its noise; what was cut or is unknown is said. `context` None chooses it.

    InputError when the text is shorter than the context, examples are longer and no --overflow says what to do with them, or there are
    too few sentences to make pairs of."""
    task, ledger, test = signal_of(options.model or "", options), train.ledger, None
    if options.test is not None:
        test = read(options.test, examples=train.kind, columns=Columns.parse(options.columns))
        compare(train, test, "test")
    sides = {"tokens": train, "valid tokens": valid, "test tokens": test}
    whole = {stage: (side, bare(side, tokenizer, ledger, task, stage)) for stage, side in sides.items() if side is not None}
    around = len(tokenizer.prefix) + len(tokenizer.closing) + (task == "pretraining")
    longest = max(spans.longest for _, spans in whole.values()) + around
    if context is None and options.context is None and task == "masked-language-modeling" and train.kind == "running":
        context = CONTEXT
    context = context or choose_context(options, "running" if task == "pretraining" else train.kind, longest)
    found = {stage: source_of(options, task, side, spans, tokenizer, context, ledger, stage) for stage, (side, spans) in whole.items()}
    if train.kind == "running" and found["tokens"].targets < context:
        few = f"{train.source} has {found['tokens'].targets:,} tokens to learn from, fewer than the context of {context}"
        raise InputError(f"{few}: give more text or a smaller --context")
    tell(ledger, context, "characters" if tokenizer.kind == "char" else "words", windows=train.kind == "lines")
    facts = facts_of(options, train, valid)
    return Prepared(train, found["tokens"], found.get("valid tokens"), found.get("test tokens"), 0.0, facts, ledger, ())


def bare(corpus: Corpus, tokenizer: Tokenizer, ledger: Ledger, task: str, stage: str) -> Spans:
    """The texts alone; running text with its sentences, where rows are to be made of whole ones."""
    whole = task == "pretraining" or (task == "masked-language-modeling" and corpus.kind == "running")
    return tokenised(corpus, tokenizer, ledger, stage, role="bare", sentences=whole)


def source_of(
    options: TrainOptions, task: str, corpus: Corpus, found: Spans, tokenizer: Tokenizer, context: int, ledger: Ledger, stage: str
) -> Masked | Noised:
    """Bare texts and the noise of the task, in rows that a model with this context can read; the ledger counts what became of them."""
    front, back = np.array(tokenizer.prefix, np.int64), np.array(tokenizer.closing, np.int64)
    around = len(front) + len(back)
    windows = task == "pretraining" or corpus.kind == "running"
    if context - around < FEWEST:
        raise InputError(f"--context {context} leaves no room for a text beside its special tokens: give {around + FEWEST} or more")

    def fit(around: int) -> Spans:
        return fitted(found, context, ledger, corpus.source, overflow="window" if windows else options.overflow, stage=stage, around=around)

    if task in ("masked-language-modeling", "pretraining"):
        hide = masked.masking(tokenizer, options.mask_rate or masked.RATE, whole_word=options.whole_word)
        if task == "pretraining":
            between = np.array([tokenizer.sep_id], np.int64)
            made = Masked(fit(around + 1), hide, front, back, between, "order" if options.model == "albert" else "next")
            count_pairs(made, ledger, corpus.source, stage)
        else:
            made = Masked(fit(around), hide, front, back)
        count_hidden(made, ledger, corpus.source, stage)
        return made
    end = np.array([] if tokenizer.eos_id is None else [tokenizer.eos_id], np.int64)
    if task == "span-corruption":
        noise = span_corruption.span_corruption(
            tokenizer, options.mask_rate or span_corruption.RATE, options.span_length or span_corruption.SPAN
        )
        # A source is shorter than its text, which therefore may be longer than the context; an example is not the longer for it.
        made = Noised(fit(context - noise.room(context - around)), noise, front, back, end, context)
        lengths, often = np.unique(np.diff(made.rows()[:, :2]), return_counts=True)
        hidden = sum(noise.counts(length)[0] * n for length, n in zip(lengths.tolist(), often.tolist(), strict=True))
        for what, n in (("tokens hidden", hidden), ("tokens not hidden", made.targets - hidden)):
            ledger.add(stage, what, n)
        return made
    broken = denoising.denoising(tokenizer, noises(options), options.mask_rate or denoising.RATE, options.span_length or denoising.SPAN)
    return Noised(fit(around), broken, front, back, end, context)


def count_pairs(made: Masked, ledger: Ledger, name: str, stage: str) -> None:
    """Sentences, the pairs they make, and what is left alone or stands in two rows. InputError when there are too few."""
    assert made.spans.sentences is not None
    rows = made.rows()
    sizes = made.spans.spans[:, 1] - made.spans.spans[:, 0]
    found = units(made.spans.spans, made.spans.sentences, made.spans.context // 2)
    alone = np.bincount(found.texts, minlength=len(sizes)) < 2
    read = int((rows[:, 1] - rows[:, 0]).sum())
    ledger.add(stage, "sentences", len(found.starts))
    ledger.add(stage, "texts of one sentence", int(alone.sum()))
    ledger.add(stage, "tokens left alone", int(sizes[alone].sum()))
    ledger.add(stage, "tokens read twice", read + int(sizes[alone].sum()) - int(sizes.sum()))
    ledger.add(stage, "tokens in pairs", read)
    ledger.add(stage, "pairs", len(rows))
    ledger.balance(stage, ("targets", "tokens read twice"), "tokens in pairs", "tokens left alone")
    if len(rows) < (2 if made.second == "next" else 1):
        which, few = "" if stage == "tokens" else "held-out ", f"{int(alone.sum()):,} of {len(sizes):,} texts are one sentence"
        raise InputError(
            f"{name}: the {which}text makes {len(rows)} pairs of segments, as {few}: give longer texts, --examples running if the lines "
            "belong together, or --task masked-language-modeling"
        )


def count_hidden(made: Masked, ledger: Ledger, name: str, stage: str) -> None:
    """Of the first rows as they are measured: the tokens that are hidden, and those that are not. InputError when none can be."""
    hidden = tokens = 0
    for example in made.examples(made.rows()[:_COUNTED]):
        hidden += int((example.targets != -100).sum())
        tokens += len(example.targets)
    if not hidden:
        raise InputError(f"{name}: there is no token to hide, as all are unknown to the tokenizer: give text in the same language")
    for what, n in (("tokens read", tokens), ("tokens hidden", hidden), ("tokens not hidden", tokens - hidden)):
        ledger.add(stage, what, n)
    ledger.balance(stage, "tokens read", "tokens hidden", "tokens not hidden")


def mended(model: Model, tokenizer: Tokenizer, made: Masked | Noised) -> list[str]:
    """A few broken texts, and what the model finds in their gaps; where it writes, given what truly stands in front of each token."""
    rows, pad = made.rows()[:SHOWN], tokenizer.pad_id or 0
    with torch.no_grad():
        found = (seq2seq if isinstance(made, Noised) else masked).guessed(model, made, rows, pad)  # pyright: ignore[reportArgumentType]
    return [f"{_plain(tokenizer, read)} → {_plain(tokenizer, guess)}" for read, guess in found]


def _plain(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return tokenizer.decode(ids, skip_special=False).replace("\n", " ")
