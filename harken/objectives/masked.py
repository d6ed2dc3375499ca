"""Masked language modelling: find the hidden tokens from all others, on both sides; and say whether a second segment follows the first.

    loss = - Σ_{t hidden} log p(x_t | broken x)  - log p(label | broken x)      https://arxiv.org/abs/1810.04805 section 3.1

Of 15 % of a row's tokens, at least one, 80 % become [MASK], 10 % any token and 10 % stay as they are; with whole words, all pieces of a
word are hidden together (BERT's second release). The noise is drawn anew in every epoch, https://arxiv.org/abs/1907.11692 section 4.1.
The second segment is the next sentences or others, or the two are swapped: the order of https://arxiv.org/abs/1909.11942. The label's
loss counts once for each hidden token of its row: the mean over tokens is then the sum of the paper's two means, and does not depend on
how a batch is split.
H hidden tokens · B rows · L tokens · T packed tokens · D width · V vocabulary
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.corrupted import Masked, side_by_side
from ..nn.heads import Pretraining
from ..nn.mask import Mask
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .causal import Loss

RATE = 0.15
_MASKED, _RANDOM = 0.8, 0.1
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts without blanks between words: each character is one."""


@dataclass(frozen=True)
class Words:
    """Which tokens (V,) go on with a word if one is under way in front of them, and which leave one under way: bool."""

    joins: np.ndarray
    leaves: np.ndarray

    def number(self, ids: np.ndarray) -> np.ndarray:
        """ids (L,) -> (L,) the number of each token's word."""
        return np.cumsum(~(self.joins[ids] & np.append(False, self.leaves[ids[:-1]])))


@dataclass(frozen=True)
class Masking:
    """The noise. `mask`: id of [MASK] · `never` (V,) bool: tokens that are neither hidden nor drawn in another's place, as special ones
    are · `words`: hide whole ones."""

    mask: int
    never: np.ndarray
    rate: float = RATE
    words: Words | None = None

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """ids (L,) -> (inputs, targets) (L,): targets are -100 where nothing is hidden, and where they are not, the original."""
        places = np.flatnonzero(~self.never[ids])
        inputs, targets = ids.copy(), np.full_like(ids, -100)
        if not len(places):
            return inputs, targets
        count = max(1, round(self.rate * len(places)))
        hidden = rng.permutation(places)[:count] if self.words is None else self._whole(ids, places, count, rng)
        targets[hidden] = ids[hidden]
        fate = rng.random(len(hidden))
        other = fate >= 1 - _RANDOM
        inputs[hidden[fate < _MASKED]] = self.mask
        inputs[hidden[other]] = rng.choice(np.flatnonzero(~self.never), int(other.sum()))
        return inputs, targets

    def _whole(self, ids: np.ndarray, places: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """Words in random order as long as they fit into `count` tokens; the first one in any case."""
        assert self.words is not None
        _, word = np.unique(self.words.number(ids)[places], return_inverse=True)
        sizes, left = np.bincount(word), count
        chosen = np.zeros(len(sizes), bool)
        for i in rng.permutation(len(sizes)).tolist():
            if sizes[i] <= left or left == count:
                chosen[i], left = True, left - int(sizes[i])
            if left <= 0:
                break
        return places[chosen[word]]


def masking(tokenizer: Tokenizer, rate: float = RATE, *, whole_word: bool = False) -> Masking:
    """The noise for texts of this tokenizer: special tokens, the unknown among them, are left alone. InputError without a [MASK]."""
    if tokenizer.mask_id is None:
        raise InputError("this tokenizer has no token for what is hidden, such as [MASK]: add one with harken tokenizer extend")
    never = np.zeros(tokenizer.vocab_size, bool)
    never[[*tokenizer.special_ids, *(id for id in (tokenizer.unk_id, tokenizer.mask_id) if id is not None)]] = True
    return Masking(tokenizer.mask_id, never, rate, words_of(tokenizer) if whole_word else None)


def words_of(tokenizer: Tokenizer) -> Words:
    """How this tokenizer's tokens make up words: "##x" goes on with one; elsewhere a letter does, behind a letter or a blank."""
    count, special = tokenizer.vocab_size, tokenizer.special_ids
    if tokenizer.kind == "wordpiece":
        joins = [(tokenizer.inner.id_to_token(i) or "").startswith("##") for i in range(count)]
        return Words(np.array(joins), np.array([i not in special for i in range(count)]))
    texts = ["" if i in special else tokenizer.token(i).replace("\u2581", " ") for i in range(count)]
    joins, leaves = [_letter(text[:1]) for text in texts], [_letter(text[-1:]) or text == " " for text in texts]
    return Words(np.array(joins), np.array(leaves))


def _letter(character: str) -> bool:
    return character.isalnum() and not unicodedata.name(character, "").startswith(_UNSPACED)


class Found(NamedTuple):
    """`logits` (H, V) and `targets` (H,) of the hidden tokens, `rows` (H,) they stand in · `labels` (B,) and their `verdicts` (B, 2), None
    where a row is one segment · `states` (B, L, D) or (T, D) of all tokens, of which a row has `lengths` (B,)."""

    logits: Tensor
    targets: Tensor
    rows: Tensor
    verdicts: Tensor | None
    labels: Tensor
    states: Tensor
    lengths: Tensor


def found(model: Any, source: Masked, rows: np.ndarray, pad: int, *, pack: bool = False) -> Found:
    """What the model says of some rows (B, 3), padded side by side or packed end to end; the same either way.

    Only at the hidden places are the scores of the whole vocabulary worked out."""
    examples = source.examples(rows)
    lengths = torch.tensor([len(each.inputs) for each in examples])
    inputs, targets = _laid([each.inputs for each in examples], pad, pack), _laid([each.targets for each in examples], -100, pack)
    types = _laid([each.types for each in examples], 0, pack)
    labels, hidden = torch.tensor([each.label for each in examples]), targets != -100
    row = torch.repeat_interleave(torch.arange(len(examples)), lengths)[hidden] if pack else hidden.nonzero()[:, 0]
    mask = Mask(starts=F.pad(lengths.cumsum(0), (1, 0))) if pack else Mask(lengths=lengths)
    device = model.device
    call = model.prepare(inputs.to(device), mask, types=types.to(device) if source.second else None)
    x = model.stack(inputs.to(device).view(-1, inputs.shape[-1]), call).view(*inputs.shape, -1)  # (B, L, D) or (T, D)
    both, tokens = isinstance(model.head, Pretraining), model.tokens
    logits = (model.head.mlm if both else model.head)(x[hidden.to(device)], tokens, mask)  # (H, V)
    verdicts = model.head.nsp(x, tokens, mask) if both and source.second else None  # (B, 2)
    return Found(logits.float(), targets[hidden].to(device), row.to(device), verdicts, labels.to(device), x, lengths)


def batch_loss(model: Model, source: Masked, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of some rows (B, 3); 0 of 0 tokens where all of them are special or unknown, so that nothing is hidden."""
    said = found(model, source, rows, pad, pack=pack)
    total = F.cross_entropy(said.logits, said.targets, reduction="sum")
    if said.verdicts is not None:
        total = total + F.cross_entropy(said.verdicts.float()[said.rows], said.labels[said.rows], reduction="sum")
    return Loss(total, len(said.targets))


def nats(model: Model, source: Masked, rows: np.ndarray, pad: int) -> tuple[float, int]:
    """(summed loss of some rows (B, 3), how many tokens are hidden in them)."""
    loss = batch_loss(model, source, rows, pad)
    return loss.total.item(), loss.tokens


class Hits(NamedTuple):
    """Of `hidden` tokens `right` are the model's first choice; of `pairs` of segments `told` are judged rightly."""

    right: int
    hidden: int
    told: int
    pairs: int

    def __add__(self, other: Any) -> Hits:
        return Hits(*(mine + yours for mine, yours in zip(self, other, strict=True)))


def hits(model: Model, source: Masked, rows: np.ndarray, pad: int) -> Hits:
    """How often the model is right on some rows (B, 3)."""
    with torch.no_grad():
        said = found(model, source, rows, pad)
    right = int((said.logits.argmax(-1) == said.targets).sum())
    if said.verdicts is None:
        return Hits(right, len(said.targets), 0, 0)
    return Hits(right, len(said.targets), int((said.verdicts.argmax(-1) == said.labels).sum()), len(rows))


def guessed(model: Model, source: Masked, rows: np.ndarray, pad: int) -> list[tuple[list[int], list[int]]]:
    """(what is read, the model's first choices at its hidden places) of some rows (B, 3)."""
    said = found(model, source, rows, pad)
    best, place = said.logits.argmax(-1), said.rows
    return [(each.inputs.tolist(), best[place == i].tolist()) for i, each in enumerate(source.examples(rows))]


def restored(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The text before it was broken: the inverse of the noise."""
    return np.where(targets == -100, inputs, targets)


def _laid(parts: list[np.ndarray], fill: int, pack: bool) -> Tensor:
    return torch.from_numpy(np.concatenate(parts) if pack else side_by_side(parts, fill))
