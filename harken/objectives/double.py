"""Double heads: to write the reply of a dialogue, and to tell it from replies to something else.

    loss = lm_coef · L_lm + mc_coef · L_mc
    L_lm = - mean over the tokens of the right replies, their ends included, of log p(token | what stands before it)
    L_mc = - mean over the examples of log softmax(z over its candidates) at the right one, z read where a candidate ends
TransferTransfo, https://arxiv.org/abs/1901.08149, section 4.2. What an example adds to L_lm is divided by the mean length of a reply in
the training data, so that each token weighs the same in every batch. A dialogue is read once for several of its replies and all their
candidates, each of which sees what it would see alone.   B examples · S candidates · R tokens of replies · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.laid import Laid
from ..data.replies import Choice, Reading
from ..data.segments import Speakers
from ..nn.heads import DoubleHeads
from ..nn.mask import Mask
from ..nn.models import Model
from .causal import Loss
from .judging import Outcome


def batch_loss(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of some replies (of examples (B, 4)); the vocabulary is asked for the tokens of the right ones alone."""
    found = _found(model, source, rows, pad)
    return Loss(sum(found.nats, start=found.nats[0].new_zeros(())), len(found.nats))


class Found(NamedTuple):
    """Of each reply: `nats`, its share of the loss · `words`: nats and tokens of the right one · `scores`: of all candidates, the right one
    first; empty where nothing is chosen."""

    nats: Sequence[Tensor]
    words: list[tuple[Tensor, int]]
    scores: Sequence[Tensor]


def _found(model: Any, source: Laid, rows: np.ndarray, pad: int) -> Found:
    """What a model makes of examples (B, 4): each dialogue is read once, and behind it, as branches, all that may end a reply."""
    goal, way = source.goal, source.goal.way
    laid = [_branched(goal.reading(source, number, key), goal.speakers, way.choices > 1) for _, _, number, key in rows.tolist()]
    longest = max(len(each.ids) for each in laid)
    ids, types = np.full((2, len(laid), longest), pad, np.int64)
    branches = np.zeros((len(laid), longest, 2), np.int64)
    branches[..., 1] = np.arange(longest)  # padding sees itself
    for row, each in enumerate(laid):
        size = len(each.ids)
        ids[row, :size], types[row, :size], branches[row, :size] = each.ids, each.types, each.branches
    tokens, kinds, both = (torch.from_numpy(each) for each in (ids, types, branches))
    mask = Mask(branches=both) if way.choices > 1 else Mask()
    x = model.states(tokens.to(model.device), mask, types=kinds.to(model.device) if model.named_types else None)  # (B, L, D)
    asked = [each.asked(row * longest) for row, each in enumerate(laid)]
    places, ends, targets = (np.concatenate(each) for each in zip(*asked, strict=True))
    x = x.flatten(0, 1)  # (B · L, D)
    logits = words(model, x[torch.from_numpy(places).to(x.device)]).float()  # (R, V)
    lost = F.cross_entropy(logits, torch.from_numpy(targets).to(x.device), reduction="none")
    sizes = [size for each in laid for size in each.sizes]
    said = [(some.sum(), len(some)) for some in lost.split(sizes)]
    nats = [way.lm_coef / goal.length * each for each, _ in said]
    if way.choices == 1:
        return Found(nats, said, [])
    scores = chosen(model, x[torch.from_numpy(ends).to(x.device)]).float()  # (S,)
    of_each = scores.split([count for each in laid for count in each.counts])
    return Found([a - way.mc_coef * some.log_softmax(0)[0] for a, some in zip(nats, of_each, strict=True)], said, of_each)


class Branched(NamedTuple):
    """A dialogue with all that may end its replies behind it. `spans`: its replies · `ends`: where candidates end, those of a reply side by
    side, the right one first · `counts`: of each reply how many · `sizes`: tokens that are to be written, the end included."""

    ids: np.ndarray
    types: np.ndarray
    branches: np.ndarray
    spans: np.ndarray
    ends: list[int]
    counts: list[int]
    sizes: list[int]
    end: int

    def asked(self, shift: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(behind which tokens something is to be written, where candidates end, what is to be written), `shift` further on."""
        places = np.concatenate([np.arange(begin - 1, stop) for begin, stop in self.spans.tolist()])
        targets = np.concatenate([np.append(self.ids[begin:stop], self.end) for begin, stop in self.spans.tolist()])
        return places + shift, np.array(self.ends, np.int64) + shift, targets


def _branched(read: Reading, who: Speakers, chooses: bool) -> Branched:
    """A reading laid out: behind the dialogue, for each reply, its end, as the right candidate has one, and the wrong ones."""
    ids, places, starts = [read.ids], [np.arange(len(read.ids))], [np.arange(len(read.ids))]
    ends: list[int] = []
    counts: list[int] = []
    length, spans = len(read.ids), read.spans.tolist()
    for (begin, stop), wrong in zip(spans, read.wrong, strict=True) if chooses else ():
        for place, own in ((stop, np.array([who.eos])), *((begin, each) for each in wrong)):
            ids.append(own)
            places.append(np.full(len(own), place))
            starts.append(np.full(len(own), length))
            length += len(own)
            ends.append(length - 1)
        counts.append(1 + len(wrong))
    types = np.concatenate([read.types, np.full(length - len(read.ids), who.first)])
    branches = np.stack([np.concatenate(places), np.concatenate(starts)], 1)
    sizes = (read.spans[:, 1] - read.spans[:, 0] + 1).tolist()
    return Branched(np.concatenate(ids), types, branches, read.spans, ends, counts, sizes, who.eos)


def words(model: Any, x: Tensor) -> Tensor:
    """Hidden states (R, D) -> logits (R, V) of what comes next."""
    head = model.head.lm if isinstance(model.head, DoubleHeads) else model.head
    return head(x, model.tokens, Mask())


def chosen(model: Any, x: Tensor) -> Tensor:
    """Hidden states (S, D) where candidates end -> (S,) how well each fits. InputError for a model that cannot say."""
    if not isinstance(model.head, DoubleHeads):
        raise InputError(f"this model was built for {model.config.task} and cannot choose: train one with --mc-coef above 0")
    return model.head.choice(x[:, None], model.tokens, Mask())


def outcomes(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Outcome:
    """The same as numbers; of each example its replies: (nats of the right one, its tokens, scores of the candidates, the right one
    first)."""
    found = _found(model, source, rows, pad)
    scores = [some.tolist() for some in found.scores] or [[0.0] for _ in found.nats]
    each = iter([(nats.item(), count, some) for (nats, count), some in zip(found.words, scores, strict=True)])
    of_rows = [[next(each) for _ in range(int(size))] for size in np.diff(source.goal.firsts)[rows[:, 2]]]
    return Outcome(float(sum(nats.item() for nats in found.nats)), len(found.nats), of_rows, [None] * len(rows))


@torch.no_grad()
def heard(model: Any, who: Speakers, choices: Sequence[Choice], *, likely: bool = False) -> list[tuple[float, int, list[float]]]:
    """What a model says of examples: of each (nats of the right reply, its tokens, scores of its candidates, the right one first). Every
    prompt is read once, and each candidate behind it. `likely`: candidates are scored by their mean log-probability, not by the head."""
    lengths = [len(choice.prompt) for choice in choices]
    longest = [max(map(len, choice.replies)) for choice in choices]
    cache = model.begin(len(choices), max(a + b for a, b in zip(lengths, longest, strict=True)))
    first = _read(model, [c.prompt for c in choices], [c.types for c in choices], cache)
    befores = torch.stack([x[n - 1] for x, n in zip(first, lengths, strict=True)])  # (B, D)
    order = [sorted(range(len(choice.replies)), key=lambda i, c=choice: -len(c.replies[i])) for choice in choices]  # alike in length
    scores = [[0.0] * len(choice.replies) for choice in choices]
    nats = [0.0] * len(choices)
    for turn in range(max(map(len, order))):
        cache.trim(torch.tensor(lengths))
        which = [some[turn] if turn < len(some) else None for some in order]
        replies = [np.zeros(0, np.int64) if i is None else choice.replies[i] for i, choice in zip(which, choices, strict=True)]
        x = _read(model, replies, [np.full(len(each), who.first) for each in replies], cache)  # (B, L, D)
        for row, (i, reply) in enumerate(zip(which, replies, strict=True)):
            if i is None:
                continue
            if likely or i == 0:
                seen = torch.cat([befores[row, None], x[row, : len(reply) - 1]])
                lost = F.cross_entropy(words(model, seen).float(), torch.from_numpy(reply).to(x.device), reduction="sum").item()
                nats[row] = lost if i == 0 else nats[row]
                scores[row][i] = -lost / len(reply)
            if not likely and len(choices[row].replies) > 1:
                scores[row][i] = chosen(model, x[row, len(reply) - 1][None]).item()
    return [(lost, len(choice.replies[0]), some) for lost, choice, some in zip(nats, choices, scores, strict=True)]


def _read(model: Any, texts: Sequence[np.ndarray], types: Sequence[np.ndarray], cache: Any) -> Tensor:
    """Read new tokens of each row, of some perhaps none; (B, L, D) of their last hidden states."""
    lengths = [len(each) for each in texts]
    both = np.zeros((2, len(texts), max(lengths)), np.int64)
    for row, size in enumerate(lengths):
        both[0, row, :size], both[1, row, :size] = texts[row], types[row]
    ids, kinds = (torch.from_numpy(each).to(model.device) for each in both)
    return model.hidden(ids, Mask(lengths=torch.tensor(lengths)), types=kinds if model.named_types else None, cache=cache)
