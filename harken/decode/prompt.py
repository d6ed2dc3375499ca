"""What is given to a model to go on from: a text, a chat, a dialogue or token ids, as the ids the model begins with. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from ..data.segments import Turns, read_turns
from ..text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from ..nn.models import Model


@dataclass(frozen=True)
class Prompt:
    """`text`: as it was given, or what chat, dialogue and ids say · `ids`: what is read · `shown`: what stands in front of an answer's
    text · `types`: of a dialogue, the kind of each id; what is written has that of the last."""

    text: str
    ids: list[int]
    shown: str = ""
    types: list[int] = field(default_factory=list)


def prompts_of(given: Any) -> list[Any]:
    """One prompt or many, as a list of prompts: a text, a chat (a list of messages) and a list of token ids are one each."""
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
        return [given]
    one = len(given) > 0 and all(isinstance(each, Mapping | int | np.integer) for each in given)
    return [given] if one else list(given)


def encode_prompt(model: Model, tokenizer: Tokenizer, given: Any, *, window: bool = False) -> Prompt:
    """A text, a chat, a dialogue or token ids as the ids a prompt begins with; of a source all of them, its end too, as it was learned.

    InputError when it says nothing, or fills the context and there is no `window` to see the last part of it through."""
    prompt = read_prompt(model, tokenizer, given)
    reads = model.reads == "source"
    over = len(prompt.ids) - model.context + (0 if reads else 1)
    if over > 0 and not window:
        left, mend = ("", "") if reads else (" and one must be left to write", ", or let overflow be window to go on from its last part")
        raise InputError(
            f"the prompt has {len(prompt.ids):,} tokens, but this model reads at most {model.context:,}{left}: "
            f"shorten it by {over:,} tokens{mend}"
        )
    return prompt


def read_prompt(model: Model, tokenizer: Tokenizer, given: Any) -> Prompt:
    """The same, however long."""
    if isinstance(given, str):
        return Prompt(given, ids_of(model, tokenizer, given), "" if model.reads == "source" else given)
    if isinstance(given, Turns):
        if model.reads == "source":
            raise InputError(f"a {model.config.model_type} model answers a source and reads no dialogue: give it one text")
        read, _ = read_turns(tokenizer, given)
        return Prompt("\n".join((*given.persona, *given.history)), read.ids, types=read.types)
    if isinstance(given, Sequence | np.ndarray) and len(given) and all(isinstance(one, Mapping) for one in given):
        from ..text.chat import chat_ids  # and jinja with it

        return Prompt(*chat_ids(tokenizer, list(given)))
    if isinstance(given, Sequence | np.ndarray) and all(isinstance(one, int | np.integer) for one in given):
        ids = [int(one) for one in given]
        text = tokenizer.decode(ids)  # raises for an id outside the vocabulary
        if not set(ids) - (tokenizer.special_ids - {tokenizer.bos_id}):
            raise InputError(f"the prompt {ids} holds nothing but special tokens: give it some text, or an empty text to begin anew")
        return Prompt(text, ids, "" if model.reads == "source" else text)
    raise InputError(
        f"a prompt is a text, a chat (a list of messages with role and content), Turns or a list of token ids, not {kind(given)}"
    )


def kind(given: Any) -> str:
    """What something is, for a sentence."""
    inner = {type(one).__name__ for one in given} if isinstance(given, Sequence) else set()
    return type(given).__name__ + (f" of {', '.join(sorted(inner))}" if inner else "")


def ids_of(model: Model, tokenizer: Tokenizer, text: str) -> list[int]:
    """A text as a prompt: what the tokenizer's template puts behind a text would end it, so only a source gets that."""
    ids = tokenizer.encode(text, special=False)
    if model.reads == "source":
        if not ids:
            raise InputError("the prompt is empty: give the text that is to be answered")
        return tokenizer.prefix + ids + tokenizer.closing
    first = tokenizer.prefix if ids or tokenizer.prefix else [i for i in (tokenizer.bos_id,) if i is not None]
    if not first + ids:
        raise InputError("the prompt is empty and this tokenizer has no token to begin with: give at least one character")
    return first + ids


def first_ids(model: Model, start: int | None) -> list[int]:
    """What all that a model with a source writes begins with: `start`, or the id its config names."""
    known = model.config.decoder_start_token_id if start is None else start
    if known is None:
        raise InputError("config.json has no decoder_start_token_id, so what a target starts with is not known: put it there")
    return [known]
