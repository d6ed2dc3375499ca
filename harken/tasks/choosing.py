"""Which of several replies fits: the choice head of a double-heads model, as TransferTransfo ranks candidates.

https://arxiv.org/abs/1901.08149 section 3   C candidates · L tokens · D width
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..base.errors import InputError
from ..data.segments import Turns, segments, speakers_of
from ..decode.plan import Plan
from ..nn.mask import Mask
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .speech import Speech


def check_choice(model: Model, speech: Speech, planned: Plan) -> None:
    """InputError when a model has no choice head, or its replies are not drawn."""
    if not speech.dialogue or model.config.task != "double-heads":
        raise InputError(
            "candidates are chosen by the choice head of a model that learned dialogues, and this one has none: leave candidates out"
        )
    if not planned.options.do_sample or (planned.options.num_beams or 1) > 1:
        raise InputError("candidates are replies that are drawn, and these options draw nothing: ask for temperature above 0")


@torch.no_grad()
def fitting(model: Model, tokenizer: Tokenizer, turns: Turns, replies: Sequence[str]) -> list[float]:
    """How well each reply fits, as the choice head has it; higher is better. One that fills the context is judged without its end
    token."""
    speakers: Any = speakers_of(tokenizer)
    persona, history = ([tokenizer.encode(text, special=False) for text in texts] for texts in (turns.persona, turns.history))
    rows = [segments(persona, history, tokenizer.encode(reply, special=False), speakers) for reply in replies]
    longest = min(max(len(row.ids) for row in rows), model.context)
    ids, types = torch.zeros(2, 1, len(rows), longest, dtype=torch.int64)
    lengths = torch.tensor([[min(len(row.ids), longest) for row in rows]])  # (1, C)
    for i, row in enumerate(rows):
        ids[0, i, : len(row.ids)] = torch.tensor(row.ids[:longest])
        types[0, i, : len(row.types)] = torch.tensor(row.types[:longest])
    model.pack()
    found: Any = model(ids.to(model.device), Mask(lengths=lengths), types=types.to(model.device))
    return found.choice[0].tolist()
