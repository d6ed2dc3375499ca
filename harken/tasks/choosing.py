"""Which of several replies fits: the choice head of a double-heads model, as TransferTransfo ranks candidates.

https://arxiv.org/abs/1901.08149 section 3
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..base.errors import InputError
from ..data.replies import Choice
from ..data.segments import Turns, read_turns, speakers_of
from ..decode.plan import Plan
from ..nn.models import Model
from ..objectives.double import heard
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
def fitting(model: Model, tokenizer: Tokenizer, turns: Turns, replies: Sequence[Sequence[int]]) -> list[float]:
    """How well each reply, given as the ids that were written, fits; higher is better. What fills the context is judged without its end."""
    who = speakers_of(tokenizer)
    assert who is not None
    read, _ = read_turns(tokenizer, turns)
    room = model.context - len(read.ids)
    ids = [np.array([*(i for i in reply if i not in tokenizer.special_ids), who.eos][:room]) for reply in replies]
    first = Choice(np.array(read.ids), np.array(read.types), ids)
    model.pack()
    ((_, _, scores),) = heard(model, who, [first])
    return scores if len(ids) > 1 else [0.0]
