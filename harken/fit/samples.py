"""What a model says while it learns: texts, answers, or what it makes of a few held-out examples."""

from __future__ import annotations

from typing import Any

import torch

from ..data.laid import Laid
from ..data.replies import Replies
from ..decode.generate import generate
from ..decode.options import DecodeOptions
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from . import dialogue
from .corrupted import mended
from .labelled import shown
from .prepare import Prepared


def samples(model: Model, tokenizer: Tokenizer, data: Prepared, seed: int) -> list[str]:
    """A few of them, as its task has it."""
    if data.prompts:
        return texts_of(model, tokenizer, data.prompts, seed)
    side = data.train if data.valid is None else data.valid
    if not isinstance(side, Laid):
        return mended(model, tokenizer, side)
    with torch.no_grad():
        return (dialogue.shown if isinstance(side.goal, Replies) else shown)(model, tokenizer, side)


def texts_of(model: Model, tokenizer: Tokenizer, prompts: tuple[Any, ...], seed: int) -> list[str]:
    """What the model writes: texts that begin with nothing differ by chance, answers by their source, or what was said last in a chat."""
    count = max(1, 3 // len(prompts)) if isinstance(prompts[0], str) else 1
    asked = DecodeOptions(max_new_tokens=60, temperature=0.8 if count > 1 else 0.0, num_return_sequences=count, seed=seed)
    found = generate(model, tokenizer, prompts, asked)
    if count > 1:
        return [one.text for one in found]
    given = [prompt if isinstance(prompt, str) else prompt[-1]["content"] for prompt in prompts]
    return [(f"{prompt} → " if prompt else "") + one.text for prompt, one in zip(given, found, strict=True)]
