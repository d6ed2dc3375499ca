"""Token classification: a tag for every word of a sentence, told by the first piece that the tokenizer makes of it.

    loss = - Σ over words of log softmax(z at the word's first piece)_tag      https://arxiv.org/abs/1810.04805 section 5.3

All other pieces, and special tokens, are read and not asked. A sentence longer than the model reads is read in windows that share a quarter
of their tokens; each word is told where its first piece stands furthest from an edge.   B sentences · T tokens · W words · N tags
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ..base.errors import InputError
from ..data.examples import Examples
from ..data.framing import frame_of, windows
from ..data.laid import Laid, Layer, Tags, counted
from ..data.ledger import Ledger
from ..data.tagged import Tagged
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .causal import Loss
from .judging import Outcome, heard


def text_of(words: Sequence[str]) -> str:
    """A sentence of words as text, as it is asked for, too: with a blank between them."""
    return " ".join(words)


def first_pieces(words: Sequence[str], tokenizer: Tokenizer) -> tuple[list[int], np.ndarray]:
    """Words -> (ids (T,), the word of which each is the first piece, or -1 (T,))."""
    text = text_of(words)
    begins = np.cumsum([0, *(len(word) + 1 for word in words)])
    asked, last = [], -1
    for start, end in tokenizer.offsets(text):
        start += len(text[start:end]) - len(text[start:end].lstrip())  # a piece may take the blank in front of it along
        word = int(np.searchsorted(begins, start, "right")) - 1
        new = start < end and word > last and start < begins[word + 1] - 1
        asked.append(word if new else -1)
        last = word if new else last
    return tokenizer.encode(text, special=False), np.array(asked, np.int64)


def lay(
    examples: Examples[Tagged],
    tokenizer: Tokenizer,
    labels: Sequence[str],
    problem: str,
    context: int,
    ledger: Ledger,
    *,
    overflow: str | None = None,
    stage: str = "tokens",
) -> Laid:
    """Sentences as they are read; `problem`: their scheme. InputError when all words of all of them are lost on the tokenizer."""
    frame, layer, places = frame_of(tokenizer, pair=False), Layer(), {label: i for i, label in enumerate(labels)}
    asked: list[np.ndarray] = []
    tags, words, unknown, long, lost = [], [0], 0, 0, 0
    room = context - frame.size
    for number, example in enumerate(examples):
        ids, first = first_pieces(example.tokens, tokenizer)
        unknown += tokenizer.unknown(ids)
        parts = windows(len(ids), room, room // 4)
        long += len(parts) > 1
        lost += len(example.tokens) - int((first >= 0).sum())
        for part in parts:
            length = layer.add(frame, ids[part.start : part.stop])
            here = np.full(length, -1, np.int64)
            here[frame.front + part.first - part.start : frame.front + part.last - part.start] = first[part.first : part.last]
            asked.append(here)
        layer.close(number)
        tags += [places[tag] for tag in example.tags]
        words.append(len(tags))
    if long and overflow in ("truncate", "drop"):
        raise InputError(f"--overflow {overflow} is not for tagged sentences: {long:,} are longer than the context and are read in windows")
    goal = Tags(np.concatenate(asked), np.array(tags, np.int64), np.array(words), tuple(labels), problem)
    laid = layer.laid(context, goal)
    counted(laid, ledger, stage, unknown)
    for what, n in (("sentences read in windows", long), ("words", len(tags)), ("words told", len(tags) - lost), ("words lost", lost)):
        ledger.add(stage, what, n)
    ledger.balance(stage, "words", "words told", "words lost")
    if lost == len(tags):
        raise InputError(f"{examples.name}: the tokenizer has no token for any of its {lost:,} words: give text in the same language")
    return laid


def _wanted(source: Laid, rows: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(places of the tokens that are asked among those of the sequences, their words' numbers among all, the right tags)."""
    word = source.goal.word[source.tokens(which)]
    sizes = np.diff(source.edges[source.firsts])[rows[:, 2]]  # tokens of each sentence
    base = np.repeat(source.goal.words[rows[:, 2]], sizes)
    asked = np.flatnonzero(word >= 0)
    numbers = base[asked] + word[asked]
    return asked, numbers, source.goal.tags[numbers]


def batch_loss(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of all words of some sentences (B, 3); 0 of 0 words where the tokenizer has no token for any."""
    which = source.sequences(rows)
    asked, _, wanted = _wanted(source, rows, which)
    logits = heard(model, source, which, pad, pack=pack)[torch.from_numpy(asked)]  # (W, N)
    return Loss(F.cross_entropy(logits, torch.from_numpy(wanted).to(logits.device), reduction="sum"), len(wanted))


def outcomes(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Outcome:
    """Loss and the tags of all words of some sentences (B, 3); a word that the tokenizer has no token for takes O, or the first
    tag where there is none."""
    which, goal = source.sequences(rows), source.goal
    outside = goal.labels.index("O") if "O" in goal.labels else 0
    asked, numbers, wanted = _wanted(source, rows, which)
    logits = heard(model, source, which, pad, pack=pack)[torch.from_numpy(asked)].double()
    nats = F.cross_entropy(logits, torch.from_numpy(wanted).to(logits.device), reduction="sum").item()
    best = dict(zip(numbers.tolist(), logits.argmax(-1).tolist(), strict=True))
    found, right = [], []
    for i in rows[:, 2].tolist():
        words = range(int(goal.words[i]), int(goal.words[i + 1]))
        found.append([goal.labels[best.get(word, outside)] for word in words])
        right.append([goal.labels[int(goal.tags[word])] for word in words])
    return Outcome(nats, len(wanted), found, right)
