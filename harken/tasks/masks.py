"""A tokenizer that reads the mask's name in a text as the mask."""

from __future__ import annotations

import json

import tokenizers

from ..base.errors import InputError
from ..text.tokenizer import Tokenizer


def reading_masks(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """A second tokenizer that reads the mask's name in a text as the mask. InputError where there is none."""
    if tokenizer.mask_id is None or not isinstance(tokenizer.inner, tokenizers.Tokenizer):
        raise InputError("this tokenizer has no mask: take a model that was taught to fill gaps, such as BERT or RoBERTa")
    state = json.loads(tokenizer.inner.to_str())
    for token in state["added_tokens"]:
        token["special"] &= token["id"] != tokenizer.mask_id  # what is not special is read wherever it stands
    inner = tokenizers.Tokenizer.from_str(json.dumps(state))
    inner.encode_special_tokens = True
    return inner
