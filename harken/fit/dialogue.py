"""The data of a run that learns to reply: read, split, tokenised, laid out. The counterpart of `prepare` for dialogues."""

from __future__ import annotations

import dataclasses

from ..base.errors import InputError
from ..base.options import check_uses
from ..base.report import say
from ..data.columns import Columns
from ..data.corpus import Corpus
from ..data.dialogues import Dialogue, read_dialogues
from ..data.examples import Examples, split_examples
from ..data.exchanges import lay
from ..data.laid import Laid
from ..data.ledger import Ledger
from ..data.replies import Way
from ..data.segments import SPEAKERS, Turns, speakers_of
from ..data.texts import TextsBuilder
from ..decode.generate import generate
from ..decode.options import DecodeOptions
from ..nn.models import Model
from ..text.extend import added
from ..text.frames import FRAMES, PLAIN
from ..text.tokenizer import Tokenizer
from .labelled import compare
from .options import TrainOptions
from .plan import LONGEST, choose_context
from .prepare import Prepared, digest_of, place, tell_rest
from .prepare import make_tokenizer as of_texts

OPTIONS: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("history", "replies_at_once", "candidates", "lm_coef", "mc_coef", "persona_permutations"), ("dialogue",)
)
"""Which tasks an option is for."""
ENOUGH = 100_000
"""Tokens of held-out dialogues, their candidates among them, that a finished model is measured on at most: some thousand replies."""
SHOWN = 3
"""Held-out dialogues that are replied to each time the model is measured."""


def check(options: TrainOptions, task: str) -> None:
    """InputError when an option is for another task."""
    check_uses(options, task, OPTIONS)
    if task != "dialogue":
        return
    if options.overflow in ("truncate", "window"):
        raise InputError(f"--overflow {options.overflow} is not for --task dialogue, which learns whole replies: drop leaves long ones out")
    if options.examples is not None:
        raise InputError("--examples is for texts to continue; --task dialogue learns from dialogues")


def way_of(options: TrainOptions) -> Way:
    """How replies are to be learned."""
    numbers = (options.candidates, options.lm_coef, options.mc_coef, options.persona_permutations)
    return Way(options.history, options.replies_at_once, *numbers)


def corpora(options: TrainOptions) -> tuple[Examples[Dialogue], Examples[Dialogue] | None]:
    """The training and held-out dialogues; what was read and how is said."""
    columns, skip = Columns.parse(options.columns), options.skip_bad_rows
    examples = read_dialogues(options.data or "", columns, skip_bad=skip)
    for note in examples.notes:
        say(note)
    if options.valid is not None:
        valid = read_dialogues(options.valid, columns, skip_bad=skip)
        compare(examples, valid)
        return examples, valid
    train, valid = split_examples(examples)
    if not len(valid):
        say("there is only one dialogue, so none is held out: the loss below is that of the training examples")
        return train, None
    say(f"held out to measure: {len(valid):,} of {len(examples):,} dialogues")
    return train, valid


def make_tokenizer(options: TrainOptions, train: Examples[Dialogue]) -> Tokenizer:
    """Of what is said, a turn a text, with a token for each speaker."""
    texts, known = TextsBuilder(train.name), None
    for example in train:
        for text in (*example.persona, *(() if example.turns == known else example.turns)):
            texts.add(text)
        known = example.turns
    corpus = Corpus(texts.texts(), "lines", train.name, train.ledger)
    return of_texts(options, corpus, frame=FRAMES.get(options.model or "", PLAIN), specials=SPEAKERS)


def with_speakers(tokenizer: Tokenizer) -> tuple[Tokenizer, dict[int, list[int]]]:
    """The tokenizer with a token for each speaker, and the ids that are new. InputError when it has no token to end a reply with."""
    if tokenizer.eos_id is None:
        raise InputError("this tokenizer has no token that ends a text, so a reply could not end: take another model")
    if speakers_of(tokenizer) is not None:
        return tokenizer, {}
    there = tokenizer.parsing.get_vocab(with_added_tokens=True)
    more = tokenizer.extended([token for token in SPEAKERS if token not in there])
    return more, added(tokenizer, more)


def prepared(
    options: TrainOptions, tokenizer: Tokenizer, train: Examples[Dialogue], valid: Examples[Dialogue] | None, context: int | None = None
) -> Prepared:
    """Dialogues laid out; what was left out or is unknown is said. `context` None chooses it."""
    ledger, way, test = train.ledger, way_of(options), None
    if options.test is not None:
        test = read_dialogues(options.test, Columns.parse(options.columns), skip_bad=options.skip_bad_rows)
        compare(train, test, "test")
    most = context or options.context or LONGEST
    found: dict[str, Laid] = {"tokens": lay(train, tokenizer, way, most, ledger, overflow=options.overflow)}
    goal, plain = found["tokens"].goal, dataclasses.replace(way, permutations=0)
    for stage, side in (("valid tokens", valid), ("test tokens", test)):
        if side is not None:
            laid = lay(side, tokenizer, plain, most, ledger, overflow=options.overflow, stage=stage)
            found[stage] = dataclasses.replace(laid, goal=dataclasses.replace(laid.goal, length=goal.length))
    context = context or choose_context(options, "lines", max(laid.goal.reach(laid) for laid in found.values()))
    found = {stage: dataclasses.replace(laid, context=context) for stage, laid in found.items()}
    tell(ledger, found["tokens"], context)
    chooses = f" + {way.mc_coef:g} × nats per choice of {way.candidates}" if way.mc_coef else ""
    facts = {
        "source": place(options.data or ""),
        "kind": "dialogues",
        "context": context,
        "unit": f"= {way.lm_coef:g} × nats per token{chooses}",
        "sha256": digest_of(train, valid),
        "texts": len(train),
        "held_out_texts": 0 if valid is None else len(valid),
    }
    head = {"task": "double-heads" if way.mc_coef else "language-modeling"}
    return Prepared(train.corpus(), found["tokens"], found.get("valid tokens"), found.get("test tokens"), 0.0, facts, ledger, (), head)


def tell(ledger: Ledger, train: Laid, context: int) -> None:
    """Say what was left out or is unknown, and all counts."""
    tell_cut(ledger, train, context)
    tell_rest(ledger)


def tell_cut(ledger: Ledger, train: Laid, context: int) -> None:
    """Say what was left out."""
    for what in ("turns", "persona sentences"):
        if n := ledger.get("tokens", f"{what} left out for room"):
            say(f"{n:,} {what} are left out of what stands before {len(train.goal.spans):,} replies: the context is {context} tokens")
    if n := ledger.get("tokens", "replies dropped"):
        say(f"{n:,} replies are longer than the context of {context} and are dropped")


def shown(model: Model, tokenizer: Tokenizer, made: Laid) -> list[str]:
    """A few dialogues, what the model replies, and what was replied."""
    found, who = [], made.goal.speakers
    for number in range(min(SHOWN, len(made))):
        begin, end = made.edges[number : number + 2].tolist()
        ids, at = made.ids[begin:end].tolist(), int(made.goal.spans[made.goal.firsts[number + 1] - 1, 0])
        edges = [i for i in range(at) if ids[i] in (who.first, who.second)]
        persona, *history = [tokenizer.decode(ids[a:b]) for a, b in zip([0, *edges[:-1]], edges, strict=True)]
        turns = Turns((persona,), tuple(turn if turn.strip() else "?" for turn in history))
        reply = generate(model, tokenizer, [turns], DecodeOptions(max_new_tokens=40))[0]
        found.append(f"{' | '.join((persona, *history))} → {reply.text} (right: {tokenizer.decode(ids[at:])})".replace("\n", " "))
    return found
