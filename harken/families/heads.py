"""What stands on the body of each family, task by task, and what Hugging Face calls it; heads it does not have are ours.

A decoder is judged by its last token, the only one that has seen all; an encoder by its first; what has both by where its source ends,
as its decoder sees it.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from ..base.errors import InputError
from ..nn.heads import DoubleHeads, First, LanguageModel, MaskedLanguageModel, PerSequence, PerToken, Pretraining
from ..nn.linear import Linear
from .config import Config
from .names import Rule

HEADS = (r"^(lm_head|score|qa_outputs|classifier|multiple_choice_head|v_head)\.",)
"""Tensors of decoders' heads: a file may hold those of a task it is not opened for."""
SOURCE_HEADS = (
    r"^(lm_head|classification_head|qa_outputs|classifier)\.",
    r"^final_logits_bias$",
    r"^((model|transformer)\.)?(shared|(encoder|decoder)\.embed_tokens)\.",
)
"""Those of models that read a source, and what such a file holds once more where it is shared."""


def decoder_head(c: Config, dim: int, *, tied: bool, bias: bool = False) -> nn.Module:
    """The head of a model that continues texts; `tied`: the token vectors are its matrix, else one of its own, with a bias or without."""
    if c.task in ("language-modeling", "double-heads"):
        words = LanguageModel(None if tied else Linear(dim, c.vocab_size, bias=bias))
        return words if c.task == "language-modeling" else DoubleHeads(words, _summary(c.extra, dim))
    if c.task == "classification":
        return PerSequence(dim, c.num_labels, at="last", bias=False)
    if c.task == "multiple-choice":
        return PerSequence(dim, None, at="last")
    if c.task == "token-classification":
        return PerToken(dim, c.num_labels, dropout=0.1 if c.classifier_dropout is None else c.classifier_dropout)
    return PerToken(dim, 2 if c.task == "span" else None)


def _summary(values: dict[str, Any], dim: int) -> PerSequence:
    """GPT's multiple choice head, by the settings Hugging Face calls summary_*."""
    for key, usual in {"summary_type": "cls_index", "summary_use_proj": True, "summary_proj_to_labels": True}.items():
        if values.get(key, usual) != usual:
            raise InputError(f"config.json has {key}: {values[key]!r}; this version builds double heads with {usual!r} only")
    dropout = (0.0, values.get("summary_first_dropout", 0.1))
    return PerSequence(dim, None, at="last", final=values.get("summary_activation") or "none", dropout=dropout)


def decoder_names(c: Config, *, words: str = "lm_head", tags: str = "score") -> dict[str, Rule]:
    """A decoder's head on disk; `words`: the matrix over the vocabulary, `tags`: the layer that classifies tokens."""
    choice = "multiple_choice_head.summary"
    if c.task == "double-heads":
        return {"head.lm.out": words, "head.choice.out": choice}
    out = {
        "language-modeling": words,
        "classification": "score",
        "token-classification": tags,
        "span": "qa_outputs",
        "multiple-choice": choice,
        "value": "v_head.summary",
    }
    return {"head.out": out[c.task]}


def encoder_head(
    c: Config,
    dim: int,
    *,
    words: MaskedLanguageModel,
    dropout: dict[str, float],
    act: str | None = None,
    early: float = 0.0,
    first: First | None = None,
    at: Literal["first", "mean"] = "first",
) -> nn.Module:
    """The head of a model that reads. `words`: for masked tokens · `dropout`: by task, before the last layer · `act`: of the dense layer a
    sequence is judged through · `early`: before that dense layer, when classifying · `first`: what tokens and sequences are judged through,
    instead · `at`: the state that a sequence is judged by."""
    drop = dropout.get(c.task, 0.0)
    if c.task == "masked-language-modeling":
        return words
    if c.task in ("token-classification", "span"):
        return PerToken(dim, c.num_labels if c.task == "token-classification" else 2, dropout=drop, first=first)
    outputs = {"classification": c.num_labels, "pretraining": 2}.get(c.task)  # None: one number for each choice
    judge = PerSequence(dim, outputs, at=at, act=act, first=first, dropout=(early if c.task == "classification" else 0.0, drop))
    return Pretraining(words, judge) if c.task == "pretraining" else judge


def source_head(c: Config, dim: int, words: LanguageModel) -> nn.Module:
    """The head of a model that reads a source; `words`: for one that writes."""
    drop = c.classifier_dropout or 0.0
    if c.task == "classification":
        return PerSequence(dim, c.num_labels, at="last", act="tanh", dropout=(drop, drop))
    if c.task == "text2text":
        return words
    return PerToken(dim, 2 if c.task == "span" else c.num_labels, dropout=drop if c.task == "token-classification" else 0.0)


def source_names(c: Config) -> dict[str, Rule]:
    """The same on disk."""
    dense = {"head.dense": "classification_head.dense"} if c.task == "classification" else {}
    out = {"classification": "classification_head.out_proj", "token-classification": "classifier", "span": "qa_outputs"}
    return {**dense, "head.out": out.get(c.task, "lm_head")}
