"""What `harken eval` says of dialogues: how likely the right replies are, how often they are told from others, and what a model writes.

The protocol is that of ConvAI2 (https://arxiv.org/abs/1902.00098): hits@1 among 20 candidates, word F1, perplexity of a word. Wrong
candidates are those that the data names, else replies of its other dialogues, drawn with seed 0: the same for every model.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..base.errors import InputError
from ..base.report import say
from ..data.columns import Columns
from ..data.corpus import Corpus
from ..data.dialogues import Dialogue, read_dialogues
from ..data.examples import Examples, split_examples
from ..data.exchanges import lay
from ..data.laid import Laid
from ..data.ledger import Ledger
from ..data.replies import Choice, Way, conversations, pools
from ..data.segments import Turns, shortened
from ..data.texts import TextsBuilder
from ..decode.generate import generate
from ..families.ngram import NgramConfig
from ..families.table import build
from ..measure.baselines.similarity import TfIdf, tf_idf
from ..measure.loss import measure
from ..measure.metrics.dialogue import Distinct, Repetition, Talked, WordF1
from ..measure.metrics.metric import Tally
from ..measure.resample import Difference, paired
from ..nn.heads import DoubleHeads
from ..nn.models import Model
from ..objectives.causal import spans
from ..objectives.double import heard
from ..text.tokenizer import Tokenizer
from .answered import manner
from .count import choose_order, count, never_predicted
from .judged import common, recorded, there
from .seen import seen

CANDIDATES = 20
"""Replies to choose from, the right one among them."""
SEED = 0
TOGETHER = 4_096
"""Tokens of prompts read at once."""
ROWS = 32
"""Dialogues replied to at once."""
LONG = 1_000_000
"""Tokens of a text that n-grams read at once: more than any has."""
NEW = 60
"""Tokens of a reply that is written, at most."""
MIX, WEIGHTS = 10.0, (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""The weight of TF-IDF where nothing is known to choose it on, and those that are tried."""
FEW = 40
"""Held-out dialogues it is chosen on."""
WAYS = ("tf-idf", "mixed")
"""Other ways to choose: by rare words that a candidate shares with the persona and with what the partner said last, and by both, the
model's log-probability of a candidate plus a weight times that cosine. Of history and persona in several shapes this query was the best on
PersonaChat's validation set: 0.485, beside 0.463 with five turns, 0.402 of the persona alone and 0.211 of the turn alone."""


@dataclass(frozen=True)
class Talk:
    """A model on dialogues. `tallies`: of all replies, and of those that were written · `nats`, `tokens`: of the right replies · `known`:
    dialogues it has learned from, None where that is not known."""

    examples: Examples[Dialogue]
    laid: Laid
    tallies: list[Any]
    nats: float
    tokens: int
    words: int
    ledger: Ledger
    known: int | None


def tried(model: Model, tokenizer: Tokenizer, options: Any, folder: Path | None) -> Talk:
    """Read the data, judge what the model says of every reply, and let it write some. `options`: data, columns, skip_bad_rows, history,
    answers, temperature, no_repeat_ngram_size, consensus, mix. InputError with file and line where a row is wrong."""
    if not hasattr(model, "stack") or model.reads == "source":
        raise InputError(f"a {model.config.model_type} model is not measured on dialogues: take one such as gpt2 or llama")
    examples = read_dialogues(options.data, Columns.parse(options.columns), skip_bad=options.skip_bad_rows)
    told, began = examples.changed(with_candidates(examples)), recorded(folder).get("options", {})
    way = Way(began.get("history", Way().history) if options.history is None else options.history, 1, CANDIDATES, permutations=0)
    ledger = examples.ledger.copy()
    laid = lay(told, tokenizer, way, model.context, ledger, overflow="drop" if options.overflow == "drop" else None)
    model.pack()
    mix = weighed(model, tokenizer, folder, way) if options.mix is None else options.mix
    tally = Tally(Talked(WAYS))
    for nats, tokens, words, ranked in judged(model, laid, told):
        tally.update([(nats, tokens, words, [*ranked, mixed(ranked[0], ranked[1], mix)])], [None])
    nats, tokens, words = tally.rows[:, :3].sum(0).tolist()
    tallies = [tally, *written(model, tokenizer, told, laid, way, options)]
    known = None if folder is None else seen(examples.corpus(), folder)
    return Talk(told, laid, tallies, nats, int(tokens), int(words), ledger, None if known is None else int(known.sum()))


def with_candidates(examples: Examples[Dialogue]) -> Iterator[Dialogue]:
    """Each dialogue with 19 wrong candidates a reply: those it names, and replies of others, drawn in the order of the data. InputError
    where there are not so many."""
    homes: dict[str, int] = {}
    numbers = conversations(examples).tolist()
    for number, example in zip(numbers, examples, strict=True):
        for place in example.replies:
            homes.setdefault(example.turns[place], number)
    pool, rng = list(homes), np.random.default_rng(SEED)
    sources = {number: example.source for number, example in zip(numbers, examples, strict=True)}
    bounds = pools([homes[text] for text in pool], list(sources.values()))
    for number, example in zip(numbers, examples, strict=True):
        some = []
        for i, place in enumerate(example.replies):
            wrong = list(dict.fromkeys(example.candidates[i] if example.candidates else ()))
            wrong = [text for text in wrong if text != example.turns[place]][: CANDIDATES - 1]
            for _ in range(100 * CANDIDATES):
                if len(wrong) == CANDIDATES - 1:
                    break
                text = pool[int(rng.integers(*bounds[example.source]))]
                if homes[text] != number and text not in wrong and text != example.turns[place]:
                    wrong.append(text)
            if len(wrong) < CANDIDATES - 1:
                raise InputError(f"{examples.name} has too few dialogues to draw {CANDIDATES - 1} replies of others from: give candidates")
            some.append(tuple(wrong))
        yield dataclasses.replace(example, candidates=tuple(some))


def weighed(model: Model, tokenizer: Tokenizer, folder: Path | None, way: Way) -> float:
    """The weight of TF-IDF with which most right replies are chosen among some that the run held out; `MIX` where there are none."""
    held = dialogues_of(folder)[1]
    if held is None or not len(held):
        return MIX
    try:
        numbers = conversations(held)
        some = held.select(numbers % max(1, round(len(held) / FEW)) == 0)
        told = some.changed(with_candidates(some))
    except InputError:  # too few to draw from
        return MIX
    laid = lay(told, tokenizer, way, model.context, Ledger(), overflow="drop")
    found = [ranked for _, _, _, ranked in judged(model, laid, told)]
    hits = {mix: sum(right > max(wrong) for right, *wrong in (mixed(scores, alike, mix) for scores, alike in found)) for mix in WEIGHTS}
    best = max(WEIGHTS, key=lambda mix: hits[mix])
    weights = ", ".join(f"{mix:g}" for mix in WEIGHTS)
    say(f"TF-IDF weighs {best:g} in hits@1_mixed: the best of {weights} on {len(found):,} held-out replies")
    return best


def mixed(scores: Sequence[float], alike: Sequence[float], mix: float) -> list[float]:
    """Log-probabilities of the candidates by the model's scores, plus `mix` times the cosines."""
    logs = torch.tensor(scores, dtype=torch.float64).log_softmax(0).tolist()
    return [a + mix * b for a, b in zip(logs, alike, strict=True)]


def judged(model: Model, laid: Laid, examples: Sequence[Dialogue]) -> Iterator[tuple[float, int, int, list[list[float]]]]:
    """Of every reply, in the order it was laid out: nats, tokens, words, and the scores of its candidates by the model and by TF-IDF. A
    model without a head to choose by does so by the mean log-probability of a candidate's tokens."""
    weights, likely = tf_idf(text for example in examples for text in example.turns), not isinstance(model.head, DoubleHeads)
    lengths = np.diff(laid.edges)
    order, found = np.argsort(-lengths, kind="stable"), {}
    vectors = Vectors(weights)
    for some in gathered(order.tolist(), lengths.tolist()):
        choices: list[Choice] = [laid.goal.choices(laid, number, 0)[0] for number in some]
        for number, said in zip(some, heard(model, laid.goal.speakers, choices, likely=likely), strict=True):
            found[number] = said
    for number in range(len(laid)):
        nats, tokens, scores = found.pop(number)
        example, place = examples[int(laid.goal.said[number, 0])], int(laid.goal.said[number, 1])
        right = example.turns[place]
        alike = vectors.scores(" ".join((*example.persona, *example.turns[max(0, place - 1) : place])), (right, *wrong_of(example, place)))
        yield nats, tokens, len(right.split()) + 1, [scores, alike]


def wrong_of(example: Dialogue, place: int) -> tuple[str, ...]:
    """The wrong candidates of a reply."""
    return example.candidates[example.replies.index(place)]


class Vectors:
    """Cosines of TF-IDF, in which each candidate is weighed once."""

    def __init__(self, weights: TfIdf):
        self.weights = weights
        self.known: dict[str, dict[str, float]] = {}

    def scores(self, query: str, candidates: Iterable[str]) -> list[float]:
        """The cosine of the query with each candidate."""
        wanted, found = self.weights.vector(query), []
        for each in candidates:
            vector = self.known[each] if each in self.known else self.known.setdefault(each, self.weights.vector(each))
            found.append(sum(weight * wanted.get(word, 0.0) for word, weight in vector.items()))
        return found


def gathered(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Examples to be read together, of about `TOGETHER` tokens; the order is of falling lengths."""
    at = 0
    while at < len(order):
        step = max(1, TOGETHER // lengths[order[at]])
        yield list(order[at : at + step])
        at += step


def written(model: Model, tokenizer: Tokenizer, examples: Sequence[Dialogue], laid: Laid, way: Way, options: Any) -> list[Any]:
    """Word F1, repetition and distinct words of what a model says in place of evenly spread replies. `options`: answers (how many at
    most), and those that `manner` reads."""
    how, most, room = manner(options, NEW), options.answers, model.context - min(NEW, model.context // 2)
    tallies: list[Any] = [Tally(WordF1()), Tally(Repetition()), Distinct()]
    places = np.unique(np.linspace(0, len(laid.goal.said) - 1, min(most, len(laid.goal.said))).astype(int)) if most else np.zeros(0, int)
    for at in range(0, len(places), ROWS):
        asked, wanted, before = [], [], []
        for number, place in laid.goal.said[places[at : at + ROWS]].tolist():
            example = examples[number]
            turns = Turns(example.persona, example.turns[max(0, place - way.history) : place])
            asked.append(shortened(tokenizer, turns, room)[0])
            wanted.append(example.turns[place])
            before.append(example.turns[:place][place % 2 :: 2])
        said = [one.text for one in generate(model, tokenizer, asked, how)]
        for tally, against in zip(tallies, (wanted, before, wanted), strict=True):
            tally.update(said, against)
    return tallies if len(places) else []


def baselines(talk: Talk, tokenizer: Tokenizer, folder: Path | None) -> dict[str, dict[str, float]]:
    """What takes no effort: choosing by TF-IDF, and n-grams of the turns that the run has learned from, over the same tokens."""
    found = {"tf-idf": {"hits@1": talk.tallies[0].value()["hits@1_tf-idf"]}, "chance": {"hits@1": 1 / CANDIDATES, "mrr": chance()}}
    train = dialogues_of(folder)[0]
    if train is None:
        say("there is no n-gram baseline: the dialogues that this model learned from are not known, or not there any more")
        return found
    learned = spans(said_in(train), tokenizer, LONG, Ledger())
    config = NgramConfig(vocab_size=tokenizer.vocab_size, skip=never_predicted(tokenizer))
    config.order = choose_order(learned, config=config)
    model = build(config)
    count(model, learned)
    texts = TextsBuilder(talk.examples.name)
    for number, place in talk.laid.goal.said.tolist():
        texts.add(talk.examples[number].turns[place])
    replies = spans(Corpus(texts.texts(), "lines", talk.examples.name), tokenizer, LONG, Ledger())
    nats = measure(model, replies, pad=tokenizer.pad_id or 0).nats
    perplexities = {"perplexity": math.exp(nats / replies.targets), "perplexity_word": math.exp(nats / talk.words)}
    return {**found, f"{config.order}-gram": perplexities}


def against(first: Talk, second: Talk) -> dict[str, Difference]:
    """Two models on the replies that both have read: a paired test of every number."""
    mine, theirs = common(*(talk.laid.goal.said @ (1 << 32, 1) for talk in (first, second)))
    return paired(first.tallies[0].rows[mine], second.tallies[0].rows[theirs], first.tallies[0].metric.value)


def dialogues_of(folder: Path | None) -> tuple[Examples[Dialogue] | None, Examples[Dialogue] | None]:
    """The dialogues a run has learned from, and those it held out, where they still are."""
    data, began = recorded(folder).get("data", {}), recorded(folder).get("options", {})
    place = data.get("source")
    if data.get("kind") != "dialogues" or not there(place):
        return None, None
    columns, skip = Columns.parse(began.get("columns")), bool(began.get("skip_bad_rows"))
    try:
        examples = read_dialogues(place, columns, skip_bad=skip)
        if not began.get("valid"):
            return split_examples(examples)
        return examples, read_dialogues(began["valid"], columns, skip_bad=skip) if there(began["valid"]) else None
    except InputError:  # no longer what it was, or out of reach
        return None, None


def said_in(examples: Examples[Dialogue]) -> Corpus:
    """Every turn as a text, those of a conversation once."""
    texts, last = TextsBuilder(examples.name), None
    for example in examples:
        for turn in () if example.turns == last else example.turns:
            texts.add(turn)
        last = example.turns
    return Corpus(texts.texts(), "lines", examples.name)


def chance() -> float:
    """The mean reciprocal rank of a guess."""
    return float(np.mean(1 / np.arange(1, CANDIDATES + 1)))
