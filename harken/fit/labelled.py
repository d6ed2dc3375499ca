"""The data of a run that learns from labelled examples: read, split, tokenised, laid out. The counterpart of `prepare` for them."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..base.errors import InputError
from ..base.options import check_uses
from ..base.report import say
from ..data.columns import Columns
from ..data.corpus import Corpus
from ..data.examples import Examples, shared, split_examples
from ..data.labelled import REGRESSION, SINGLE, is_labelled, read_labelled
from ..data.laid import Laid
from ..data.ledger import Ledger
from ..data.questions import read_questions
from ..data.ranked import read_ranked
from ..data.tagged import read_tagged
from ..data.texts import TextsBuilder
from ..nn.models import Model
from ..objectives import span
from ..objectives.classification import smoothed, texts_of
from ..objectives.contrastive import brought, largest, scaled
from ..objectives.objective import LABELLED, judging_of
from ..objectives.tagging import text_of
from ..text.frames import FRAMES, PLAIN
from ..text.kinds import usual_size
from ..text.tokenizer import Tokenizer
from .corrupted import KINDS
from .lesson import SMOOTHED
from .options import TrainOptions
from .plan import LONGEST, choose_context
from .prepare import Prepared, digest_of, place, tell_rest
from .prepare import make_tokenizer as of_texts
from .signal import signal_of

UNITS = {
    "classification": "nats per text",
    "token-classification": "nats per word",
    "span": "nats per window",
    "ranking": "nats per query",
    "similarity": "nats per pair",
}
"""What the loss of a task is; of scores it is a squared error."""
OPTIONS = {
    "label_smoothing": ("classification", *SMOOTHED),
    "ranking_loss": ("ranking",),
    "scale": ("similarity",),
    "mend": ("token-classification", "span"),
    "skip_bad_rows": (*LABELLED, "dialogue", "instruct"),
}
"""Which tasks an option is for."""
WHOLE, MOST = 8, 30_000
"""How many times the usual vocabulary a tokenizer has, so that most words are one token: it is words that decide; and tokens at most."""
SHOWN = 3
"""Held-out examples that are answered each time the model is measured."""


def check(options: TrainOptions, task: str) -> None:
    """InputError when an option is for another task."""
    check_uses(options, task, OPTIONS)
    if task not in LABELLED:
        return
    if options.examples is not None:
        raise InputError(f"--examples is for texts to continue; --task {task} learns from labelled examples")
    if task == "similarity" and options.accumulate > 1:
        raise InputError("--accumulate is not for --task similarity: the pairs of a batch are each other's wrong answers; leave it out")
    if options.overflow == "window" and task in ("classification", "ranking", "similarity"):
        raise InputError(f"--overflow window is not for --task {task}, which reads an example whole: truncate or drop")


def read_examples(task: str, data: Any, options: Any, labels: tuple[str, ...] | None = None) -> Examples[Any]:
    """Labelled examples of a task; `options`: columns, mend and skip_bad_rows · `labels`: all there may be, () where they are scores.
    InputError with file and line where a row is wrong."""
    columns, skip = Columns.parse(options.columns), options.skip_bad_rows
    if task == "classification":
        return read_labelled(data, columns, labels=labels or None, scores=labels == (), skip_bad=skip)
    if task == "token-classification":
        return read_tagged(data, columns, labels=labels or None, mend=options.mend, skip_bad=skip)
    if task == "span":
        return read_questions(data, columns, mend=options.mend, skip_bad=skip)
    if task == "ranking" or not is_labelled(data, columns):
        return read_ranked(data, columns, skip_bad=skip)
    return read_labelled(data, columns, scores=labels == (), skip_bad=skip)


def corpora(options: TrainOptions) -> tuple[Examples[Any], Examples[Any] | None]:
    """The training and held-out examples; what was read and how is said."""
    task = signal_of(options.model or "", options)
    examples, valid = sides(task, options)
    tell_notes(examples, valid)
    if task == "classification" and len(examples.labels) == 1 and examples.problem == SINGLE:
        raise InputError(f"{examples.name} has the single label {examples.labels[0]!r}: to learn to tell labels apart give two or more")
    if options.valid is not None:
        compare(examples, valid)
        return examples, valid
    if not len(valid):
        say("there is only one text, so none is held out: the loss below is that of the training examples")
        return examples, None
    say(f"held out to measure: {len(valid):,} of {len(examples) + len(valid):,} examples")
    return examples, valid


def tell_notes(*sides: Examples[Any]) -> None:
    """Say how examples were read."""
    for examples in sides:
        for note in examples.notes:
            say(note)


def sides(task: str, options: Any) -> tuple[Examples[Any], Examples[Any]]:
    """The training examples and the held-out ones: those of --valid, or a tenth chosen by what they say."""
    examples = read_examples(task, options.data, options)
    if options.valid is None:
        return split_examples(examples)
    valid = read_examples(task, options.valid, options, examples.labels)
    same_kind(task, examples, valid)
    return examples, valid


def same_kind(task: str, train: Examples[Any], held: Examples[Any]) -> None:
    """InputError where pairs of one side have scores and those of the other do not."""
    if task == "similarity" and train.problem != held.problem:
        scored, other = (train, held) if train.problem else (held, train)
        raise InputError(f"the pairs of {scored.name} have scores, but those of {other.name} do not: give both sides scores, or neither")


def compare(train: Examples[Any], held: Examples[Any], side: str = "held-out", what: str = "texts") -> None:
    """Say and count which held-out texts were learned from."""
    found = shared(train, held, side)
    train.ledger.add("split", f"{side} {what} also in training", found.shared)
    if found.shared:
        say(f"{found}, which flatters the numbers: leave them out on one side")


def written(task: str, examples: Examples[Any]) -> Corpus:
    """Every text of the examples, once where neighbours share it."""
    texts = TextsBuilder(examples.name)
    last = ""
    for example in examples:
        if task == "span":
            some = [example.context] * (example.context != last) + [example.question]
            last = example.context
        elif task == "token-classification":
            some = [text_of(example.tokens)]
        elif hasattr(example, "query"):
            some = [example.query, *example.positives, *example.negatives]
        else:
            some = texts_of(example)
        for each in some:
            texts.add(each)
    return Corpus(texts.texts(), "lines", examples.name, examples.ledger)


def make_tokenizer(options: TrainOptions, train: Examples[Any]) -> Tokenizer:
    """With the special tokens and the template that the family has; WordPiece where it has no kind of its own, as words carry labels."""
    name = options.model or ""
    kind = options.tokenizer or KINDS.get(name, "wordpiece")
    texts = written(signal_of(name, options), train)
    if options.vocab_size is None and kind != "char":
        options = dataclasses.replace(options, vocab_size=min(MOST, WHOLE * usual_size(texts.texts.characters)))
    return of_texts(options, texts, kind=kind, frame=FRAMES.get(name, PLAIN))


def prepared(
    options: TrainOptions, tokenizer: Tokenizer, train: Examples[Any], valid: Examples[Any] | None, context: int | None = None
) -> Prepared:
    """Examples laid out; what was cut, read in windows or is unknown is said. `context` None chooses it.

    InputError when examples are longer than the context and no --overflow says what to do with them."""
    task, ledger, test = signal_of(options.model or "", options), train.ledger, None
    if options.test is not None:
        test = read_examples(task, options.test, options, train.labels)
        same_kind(task, train, test)
        tell_notes(test)
        compare(train, test, "test")
    problem = options.ranking_loss if task == "ranking" else train.problem
    most = context or options.context or (span.CONTEXT if task == "span" else LONGEST)
    three = {"tokens": train, "valid tokens": valid, "test tokens": test}
    sides = {stage: side for stage, side in three.items() if side is not None}
    found: dict[str, Laid] = {
        stage: LABELLED[task].lay(side, tokenizer, train.labels, problem, most, ledger, overflow=options.overflow, stage=stage)
        for stage, side in sides.items()
    }
    context = context or choose_context(options, "lines", max(laid.longest for laid in found.values()))
    found = {stage: dataclasses.replace(laid, context=context) for stage, laid in found.items()}
    if task == "classification":
        found["tokens"] = smoothed(found["tokens"], options.label_smoothing)
    if task == "similarity":
        found = {stage: scaled(laid, options.scale) for stage, laid in found.items()}
    if task == "similarity" and problem == REGRESSION:
        found = {stage: brought(laid, largest(sides[stage]) / largest(train)) for stage, laid in found.items()}
    tell(ledger, context)
    facts = {
        "source": place(options.data or ""),
        "kind": "labelled",
        "context": context,
        "unit": "squared error" if train.problem == REGRESSION else UNITS[task],
        "sha256": digest_of(train, valid),
        "texts": len(train),
        "held_out_texts": 0 if valid is None else len(valid),
    }
    held, tested = found.get("valid tokens"), found.get("test tokens")
    return Prepared(train.corpus(), found["tokens"], held, tested, 0.0, facts, ledger, (), head(task, train))


def head(task: str, train: Examples[Any]) -> dict[str, Any]:
    """What the model's config is to say, under its own names: what it is built for, and its labels, whose numbers are their order."""
    if task == "similarity":
        return {}  # the body alone is asked
    if task == "span":
        return {"task": "span", "id2label": None, "label2id": None}
    names = train.labels or ("LABEL_0",)
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    problem = train.problem if task == "classification" else None
    return {"task": "token-classification" if task == "token-classification" else "classification", "problem_type": problem, **labels}


def tell(ledger: Ledger, context: int) -> None:
    """Say what was cut, left out, read in windows or is unknown, and all counts."""
    tell_cut(ledger, context)
    tell_rest(ledger)


def tell_cut(ledger: Ledger, context: int) -> None:
    """Say what was cut, left out or read in windows."""
    for what in ("examples", "candidates", "sentences"):
        for past in ("truncated", "dropped"):
            if n := ledger.get("tokens", f"{what} {past}"):
                say(f"{n:,} {what} are longer than the context of {context} and are {past}")
    for what in ("sentences read in windows", "contexts read in windows", "answers cut by every window", "words lost"):
        if n := ledger.get("tokens", what):
            say(f"{n:,} {what}")


def shown(model: Model, tokenizer: Tokenizer, made: Laid) -> list[str]:
    """A few examples, what the model says of them, and what is right."""
    rows = made.rows()[:SHOWN]
    outcome = judging_of(made).outcomes(model, made, rows, tokenizer.pad_id or 0)
    texts = [tokenizer.decode(made.ids[begin:end].tolist()).replace("\n", " ") for begin, end, _ in rows.tolist()]
    return [f"{text} → {_plain(said)} (right: {_plain(right)})" for text, said, right in
            zip(texts, outcome.predictions, outcome.references, strict=True)]  # fmt: skip


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(value)) or "none"
    return " ".join(map(_plain, value)) if isinstance(value, list) else str(value)
