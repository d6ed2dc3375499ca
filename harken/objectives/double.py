"""Double heads: to write the reply of a dialogue, and to tell it from replies to something else.

    loss = lm_coef · L_lm + mc_coef · L_mc
    L_lm = - mean over the tokens of the right replies, their ends included, of log p(token | what stands before it)
    L_mc = - mean over the examples of log softmax(z over its candidates) at the right one, z read where a candidate ends
TransferTransfo, https://arxiv.org/abs/1901.08149, section 4.2. What an example adds to L_lm is divided by the mean length of a reply in
the training data, so that each token weighs the same in every batch.   B examples · S sequences · R tokens of replies · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.laid import Laid
from ..data.replies import Choice
from ..data.segments import Speakers
from ..nn.heads import DoubleHeads
from ..nn.mask import Mask
from ..nn.models import Model
from .causal import Loss
from .judging import Outcome

TOGETHER = 4_096
"""Tokens of prompts read at once when measured."""


def batch_loss(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of some examples (B, 4); the vocabulary is asked for the tokens of the right replies alone."""
    choices = [source.goal.choice(source, number, key) for _, _, number, key in rows.tolist()]
    read = [(choice, reply) for choice in choices for reply in choice.replies]
    x, lasts = _states(model, source.goal.speakers, read, pad, pack)
    ends = lasts.tolist()
    rights = np.cumsum([0, *(len(choice.replies) for choice in choices)])[:-1].tolist()
    places = np.concatenate([np.arange(ends[i] - len(read[i][1]), ends[i]) for i in rights])
    targets = torch.from_numpy(np.concatenate([read[i][1] for i in rights])).to(x.device)
    logits = words(model, x[torch.from_numpy(places).to(x.device)])  # (R, V)
    total = source.goal.way.lm_coef / source.goal.length * F.cross_entropy(logits.float(), targets, reduction="sum")
    if source.goal.way.choices > 1:
        scores = chosen(model, x[torch.from_numpy(lasts).to(x.device)]).float()  # (S,)
        nats = [-some.log_softmax(0)[0] for some in scores.split([len(choice.replies) for choice in choices])]
        total = total + source.goal.way.mc_coef * torch.stack(nats).sum()
    return Loss(total, len(rows))


def _states(model: Any, who: Speakers, read: Sequence[tuple[Choice, np.ndarray]], pad: int, pack: bool) -> tuple[Tensor, np.ndarray]:
    """(the last hidden states (T, D) of all tokens, those of padding too, where each sequence ends (S,)); `read`: prompts with replies."""
    ids = [np.concatenate([choice.prompt, reply]) for choice, reply in read]
    types = [np.concatenate([choice.types, np.full(len(reply), who.first)]) for choice, reply in read]
    lengths = np.array([len(each) for each in ids])
    if pack:
        edges = np.cumsum([0, *lengths.tolist()])
        both, mask, ends = [np.concatenate(each) for each in (ids, types)], Mask(starts=torch.from_numpy(edges)), edges[1:] - 1
    else:
        both = [np.full((len(ids), int(lengths.max())), pad, np.int64) for _ in range(2)]
        for row, size in enumerate(lengths.tolist()):
            both[0][row, :size], both[1][row, :size] = ids[row], types[row]
        mask, ends = Mask(lengths=torch.from_numpy(lengths)), np.arange(len(ids)) * int(lengths.max()) + lengths - 1
    tokens, kinds = (torch.from_numpy(each).to(model.device) for each in both)
    call = model.prepare(tokens, mask, types=kinds if model.named_types else None)
    return model.stack(tokens.view(-1, tokens.shape[-1]), call).flatten(0, 1), ends


def words(model: Any, x: Tensor) -> Tensor:
    """Hidden states (R, D) -> logits (R, V) of what comes next."""
    head = model.head.lm if isinstance(model.head, DoubleHeads) else model.head
    return head(x, model.stack.embed.tokens, Mask())


def chosen(model: Any, x: Tensor) -> Tensor:
    """Hidden states (S, D) where candidates end -> (S,) how well each fits. InputError for a model that cannot say."""
    if not isinstance(model.head, DoubleHeads):
        raise InputError(
            f"this model was built for {model.config.task}, so it chooses among no candidates: train one with --mc-coef above 0"
        )
    return model.head.choice(x[:, None], model.stack.embed.tokens, Mask())


def outcomes(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Outcome:
    """The same as a number; of each example (nats of the right reply, its tokens, scores of the candidates, the right one first)."""
    choices = [source.goal.choice(source, number, key) for _, _, number, key in rows.tolist()]
    found = [told for some in _gathered(choices) for told in heard(model, source.goal.speakers, some)]
    way, total = source.goal.way, 0.0
    for nats, _, scores in found:
        total += way.lm_coef / source.goal.length * nats
        total += way.mc_coef * -torch.tensor(scores).log_softmax(0)[0].item() if way.choices > 1 else 0.0
    return Outcome(total, len(rows), found, [None] * len(rows))


def _gathered(choices: Sequence[Choice]) -> list[list[Choice]]:
    """Examples to be read together: their prompts have about `TOGETHER` tokens."""
    step = max(1, TOGETHER // max(len(choice.prompt) for choice in choices))
    return [list(choices[i : i + step]) for i in range(0, len(choices), step)]


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
