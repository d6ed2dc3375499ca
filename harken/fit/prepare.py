"""The data of a run: read, split, tokenised, with every cut and unknown said aloud."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.report import say
from ..data.batches import Spans
from ..data.corpus import Corpus
from ..data.ledger import Ledger
from ..data.read import read
from ..data.split import split
from ..objectives.causal import spans
from ..text.tokenizer import Tokenizer
from ..text.train import choose_kind, train_bpe, train_characters
from .options import TrainOptions


@dataclass
class Prepared:
    """The data of a run, ready to learn from."""

    corpus: Corpus  # the training texts
    train: Spans
    valid: Spans | None
    test: Spans | None
    bytes_per_target: float  # of the held-out text
    facts: dict[str, Any]
    ledger: Ledger

    def reach(self, context: int) -> None:
        """Cut the texts into rows of `context` tokens from now on."""
        self.train = dataclasses.replace(self.train, context=context)
        self.valid = dataclasses.replace(self.valid, context=context) if self.valid is not None else None
        self.test = dataclasses.replace(self.test, context=context) if self.test is not None else None


def corpora(options: TrainOptions) -> tuple[Corpus, Corpus | None]:
    """The training and held-out texts; what was read and how is said."""
    assert options.data is not None
    corpus = read(options.data, examples=options.examples, column=options.columns or "text")
    for note in corpus.notes:
        say(note)
    if options.valid is not None:
        return corpus, read(options.valid, examples=corpus.kind, column=options.columns or "text")
    train, valid = split(corpus)
    if not valid.texts:
        say("there is only one example, so none is held out: the loss below is that of the training text")
        return train, None
    held = (
        f"{len(valid.texts):,} of {len(corpus.texts):,} texts"
        if len(train.texts) + len(valid.texts) == len(corpus.texts)
        else "the last part"
    )
    say(f"held out to measure: {held} ({valid.bytes():,} of {corpus.bytes():,} bytes)")
    return train, valid


def make_tokenizer(options: TrainOptions, train: Corpus) -> Tokenizer:
    """Train the tokenizer on the training texts only."""
    characters = sum(map(len, train.texts))
    kind, size = choose_kind(characters, characters / len(train.texts))
    if options.vocab_size is not None and options.tokenizer == "char":
        raise InputError("--vocab-size is for --tokenizer bpe; characters have as many tokens as the text has")
    kind = "bpe" if options.vocab_size else options.tokenizer or kind
    tokenizer = train_characters(train.texts) if kind == "char" else train_bpe(train.texts, options.vocab_size or size or 1_024)
    say(f"tokenizer: {'characters' if kind == 'char' else 'byte-level BPE'}, {tokenizer.vocab_size:,} tokens")
    return tokenizer


def prepare(options: TrainOptions, tokenizer: Tokenizer, context: int) -> Prepared:
    """The data of a run whose tokenizer is there already."""
    return prepared(options, tokenizer, context, *corpora(options))


def prepared(options: TrainOptions, tokenizer: Tokenizer, context: int, train: Corpus, valid: Corpus | None) -> Prepared:
    """Tokenised data; what was cut or is unknown is said. InputError when the text is shorter than the context."""
    ledger = train.ledger
    found = spans(train, tokenizer, context, ledger)
    if train.kind == "running" and found.targets < context:
        few = f"{train.source} has {found.targets:,} tokens to learn from, fewer than the context of {context}"
        raise InputError(f"{few}: give more text or a smaller --context")
    cut = ledger.get("tokens", "texts cut into windows")
    if cut and train.kind == "lines":
        say(f"{cut:,} texts are longer than the context of {context} and are read in windows; nothing is dropped")
    aside = Ledger()
    held = spans(valid, tokenizer, context, aside) if valid is not None else None
    if unknown := aside.get("tokens", "unknown"):
        say(f"{unknown:,} held-out characters do not occur in the training text and are read as unknown")
    test = read(options.test, examples=train.kind, column=options.columns or "text") if options.test else None
    digest = hashlib.sha256("\n".join(train.texts + (valid.texts if valid else [])).encode("utf-8", "surrogatepass")).hexdigest()
    source = options.data if options.data == "-" else str(Path(options.data or "").resolve())
    facts = {
        "source": source,
        "kind": train.kind,
        "sha256": digest,
        "texts": len(train.texts),
        "held_out_texts": len(valid.texts) if valid else 0,
    }
    bytes_per_target = valid.bytes() / held.targets if valid is not None and held is not None else 0.0
    return Prepared(train, found, held, spans(test, tokenizer, context, Ledger()) if test else None, bytes_per_target, facts, ledger)
