"""How likely a model finds a text, token by token.

    log p(x_t | x_<t),   perplexity = exp(- Σ_t log p(x_t | x_<t) / T)

A text longer than the context is read in windows that overlap: each begins `stride` tokens behind the one before and predicts what that
one has not, so every token is predicted once and has at least context - stride tokens before it. The scores are the same bits alone and
beside other texts, and for a text within the context those of one whole reading.   https://huggingface.co/docs/transformers/perplexity
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..base.errors import InputError
from ..base.report import say
from ..checkpoint.load import opened
from ..data.ledger import Ledger
from ..data.numbers import room
from ..data.read import read
from ..data.tokens import tokenised
from ..decode.prompt import encode_prompt, first_ids
from ..decode.reader import padded
from ..nn.counts import NGram
from ..nn.mixture import Mixture, MixtureCache
from ..nn.models import Model
from ..text.tokenizer import Tokenizer

_LOGITS = 1 << 24
"""Scores over the vocabulary held at once: 64 MB, however long the texts are."""
_ROWS = 64
"""Windows read together at most."""


@dataclass(frozen=True)
class Scored:
    """`ids`: of the text, the template's special tokens and the end included · `logprobs`: natural log-probability of each given those
    before it, 0 for the first, which nothing precedes · `total`: their sum · `bytes`: UTF-8 bytes of the text, its line end included ·
    `windowed`: tokens that did not see all before them, because the text is longer than the context.

    Of a file `text` is its name, `bytes` are those of what was read, and `ids` and `logprobs` are NumPy arrays; large ones lie on disk."""

    text: str
    ids: Sequence[int]
    logprobs: Sequence[float]
    total: float
    bytes: int
    windowed: int = 0

    @property
    def tokens(self) -> int:
        """How many tokens were predicted: all but the first."""
        return len(self.ids) - 1

    @property
    def perplexity(self) -> float:
        """exp of the nats per predicted token; infinite where that is too large for a float, NaN where nothing was predicted."""
        loss = -self.total / self.tokens if self.tokens else math.nan
        return math.inf if loss >= 700 else math.exp(loss)

    @property
    def bits_per_byte(self) -> float:
        """Nats of all predicted tokens, in bits, over the bytes of the raw text: comparable between tokenizers."""
        return -self.total / (math.log(2) * self.bytes)


@dataclass(frozen=True)
class Window:
    """`ids` (L,) of one reading · `new`: the first it predicts · `into` (L - new,): where the log-probabilities go · `source`: ids."""

    ids: np.ndarray
    new: int
    into: np.ndarray
    source: list[int] | None = None


def score(
    model: str | os.PathLike[str] | tuple[Model, Tokenizer] | Model,
    tokenizer: Tokenizer | str | Sequence[str] | None = None,
    texts: str | Sequence[str] | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    sources: str | Sequence[str] | None = None,
    stride: int | None = None,
) -> list[Scored]:
    """Score texts, each independent of the others: `score(model, tokenizer, texts)`, or `score(folder, texts)`, or with a pair of the two.

    Args:
        path: a file to be read whole as one running text, instead of `texts`; memory does not grow with it.
        sources: what models that read a source read; the texts are their targets.
        stride: tokens that each window of a text longer than the context predicts (default: half the context).

    InputError for an empty text, a stride that is not from 1 to the context - 1, a target longer than the context, and for a model that
    does not write.
    """
    if not isinstance(tokenizer, Tokenizer):
        texts = tokenizer if texts is None else texts
    pair: Any = (model, tokenizer) if isinstance(model, Model) and isinstance(tokenizer, Tokenizer) else model
    net, words = opened(pair)
    net.must_write()
    if (texts is None) == (path is None):
        raise InputError("score takes texts, or the path of a file: give one of them")
    stride = _stride(net, stride)
    net.pack()
    if sources is not None or net.reads == "source":
        if path is not None or texts is None:
            raise InputError("a file is scored as running text, and this model reads a source first: give texts and their sources")
        return _targets(net, words, _several(texts), None if sources is None else _several(sources))
    if path is not None or texts is None:
        return [_file(net, words, os.fspath(path or ""), stride)]
    given = _several(texts)
    return _scored(net, given, [_ids(words, text) for text in given], [None] * len(given), stride)


def _several(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _stride(model: Model, stride: int | None) -> int:
    if stride is None:
        return max(1, model.context // 2)
    if model.reads == "source":
        raise InputError("stride is for texts that are read in windows, and a target is read whole: leave it out")
    if isinstance(stride, bool) or not isinstance(stride, int) or not 1 <= stride < model.context:
        raise InputError(
            f"stride must be from 1 to {model.context - 1:,}, below the context, so that each token has one before it, not {stride!r}"
        )
    return stride


def _ids(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """(T,) a text as a model learns it. InputError when nothing of it can be predicted."""
    ids = _inner(tokenizer, text)
    found = np.concatenate([np.array(tokenizer.prefix, np.int64), ids, np.array(_end(tokenizer), np.int64)])
    if len(found) < 2 and not ids.size:
        raise InputError("an empty text cannot be scored with this tokenizer: it has not both a token to begin and one to end with")
    return found


def _inner(tokenizer: Tokenizer, text: str) -> np.ndarray:
    if not isinstance(text, str):
        raise InputError(f"score takes texts (str), not {type(text).__name__}")
    return tokenizer.encode_array(text).astype(np.int64)


def _end(tokenizer: Tokenizer) -> list[int]:
    return tokenizer.suffix if tokenizer.eos_id is None else [tokenizer.eos_id]


def _targets(model: Model, tokenizer: Tokenizer, texts: list[str], sources: list[str] | None) -> list[Scored]:
    """Texts given their sources."""
    if model.reads != "source":
        raise InputError("this model continues a text and takes no source; put it in front of the text instead")
    if sources is None or len(sources) != len(texts):
        raise InputError(f"this model reads a source first: give sources, one for each of the {len(texts):,} texts")
    start, found = first_ids(model, None), []
    start += [] if model.config.forced_bos_token_id is None else [model.config.forced_bos_token_id]
    for text in texts:
        found.append(np.concatenate([np.array(start), _inner(tokenizer.target, text), np.array(_end(tokenizer.target), np.int64)]))
        if len(found[-1]) > model.context:
            raise InputError(f"a target of {len(found[-1]):,} tokens cannot be scored: this model writes at most {model.context:,}")
    return _scored(model, texts, found, [encode_prompt(model, tokenizer, source).ids for source in sources], 1)


def within(model: Model, ids: Sequence[np.ndarray], stride: int | None = None) -> list[np.ndarray]:
    """ids (T,) of each text -> (T,) float32 natural log-probabilities, 0 for the first, from windows of the context that begin `stride`
    tokens behind one another (default: half of it); without what the model makes of a text as a whole."""
    known, step = [np.zeros(len(row), np.float32) for row in ids], _stride(model, stride)
    _fill(model, (w for row, to in zip(ids, known, strict=True) for w in _windows(row, to, model.context, step)))
    return known


def _scored(model: Model, texts: list[str], ids: list[np.ndarray], sources: Sequence[list[int] | None], stride: int) -> list[Scored]:
    known = [np.zeros(len(row), np.float32) for row in ids]
    _fill(model, (w for row, to, source in zip(ids, known, sources, strict=True) for w in _windows(row, to, model.context, stride, source)))
    for row, to in zip(ids, known, strict=True):
        model.whole(row, to)
    return [
        Scored(text, tuple(row.tolist()), tuple(to.tolist()), _sum(to), len(text.encode()) + 1, max(0, len(row) - model.context))
        for text, row, to in zip(texts, ids, known, strict=True)
    ]


def _file(model: Model, tokenizer: Tokenizer, path: str, stride: int) -> Scored:
    """A file as one running text, its documents each behind the end of the one before."""
    corpus = read(path, examples="running")
    for note in corpus.notes:
        say(note)
    spans = tokenised(corpus, tokenizer, Ledger())
    front = tokenizer.prefix if spans.lead is not None else []  # otherwise it is there
    ids = room(len(front) + len(spans.ids), np.int32, path)
    ids[: len(front)], ids[len(front) :] = front, spans.ids
    known = room(len(ids), np.float32, path)
    _fill(model, _windows(ids, known, model.context, stride))
    model.whole(ids, known)
    return Scored(path, ids, known, _sum(known), corpus.bytes(), max(0, len(ids) - model.context))  # pyright: ignore[reportArgumentType]


def _sum(known: np.ndarray) -> float:
    return float(known.sum(dtype=np.float64))


def _windows(ids: np.ndarray, into: np.ndarray, context: int, stride: int, source: list[int] | None = None) -> Iterator[Window]:
    """The readings that predict each of ids (T,) but the first once."""
    begin, done = 0, 1
    while done < len(ids):
        end = min(begin + context, len(ids))
        yield Window(ids[begin:end], done - begin, into[done:end], source)
        begin, done = begin + stride, end


def _fill(model: Model, windows: Iterator[Window]) -> None:
    """Read every window, as many at once as there is room for."""
    size = 1 if isinstance(model, NGram) else model.config.vocab_size  # a counting model looks up the tokens alone
    batch, longest = [], 0
    with torch.inference_mode():
        for window in windows:
            longest = max(longest, len(window.ids))
            if batch and ((len(batch) + 1) * longest * size > _LOGITS or len(batch) == _ROWS):
                _read(model, batch, size)
                batch, longest = [], len(window.ids)
            batch.append(window)
        if batch:
            _read(model, batch, size)


def _read(model: Model, batch: list[Window], size: int) -> None:
    """Fill what the windows are to know, at once or, where one alone is too much, in parts."""
    if len(batch) == 1 and len(batch[0].ids) * size > _LOGITS:
        _read_in_parts(model, batch[0], max(1, _LOGITS // size))
        return
    rows, mask = padded([w.ids.tolist() for w in batch], model.device)
    sources = [w.source for w in batch if w.source is not None]
    if sources:
        source, source_mask = padded(sources, model.device)
        found = model.score(rows, source=source, source_mask=source_mask)  # pyright: ignore[reportCallIssue]
    else:
        found = model.nearby(rows, mask)
    for window, known in zip(batch, found.float().cpu().numpy(), strict=True):
        window.into[:] = known[window.new : len(window.ids)]


def _read_in_parts(model: Model, window: Window, step: int) -> None:
    """The same, `step` tokens after another by the cache; of what is only read no scores are worked out."""
    ids, _ = padded([window.ids.tolist()], model.device)
    length, first = ids.shape[1], window.new - 1  # the token that says what the first predicted one is
    source = (None, None) if window.source is None else padded([window.source], model.device)
    cache = model.begin(1, length, *source)
    if isinstance(cache, MixtureCache):
        cache.window = True
    if first:
        model(ids[:, :first], cache=cache, last=True)
    for at in range(first, length - 1, step):
        stop = min(at + step, length - 1)
        spread = model(ids[:, at:stop], cache=cache)[0].float()  # (step, V)
        spread = spread if isinstance(model, Mixture) else spread.log_softmax(-1)  # a mixture's are log-probabilities already
        window.into[at - first : stop - first] = spread.gather(-1, ids[0, at + 1 : stop + 1, None])[:, 0].cpu().numpy()
