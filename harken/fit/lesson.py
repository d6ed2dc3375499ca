"""What a run learns by where that is not simply what its rows are made for: what a teacher thinks, or smoothed targets."""

from __future__ import annotations

from typing import Any

from ..base.errors import InputError
from ..base.report import say
from ..families.table import FAMILIES, family
from ..nn.models import Model
from ..objectives.smoothing import Smoothed
from ..text.tokenizer import Tokenizer
from . import teacher
from .options import TrainOptions
from .prepare import Prepared
from .signal import signal_of

SMOOTHED = ("text2text", "span-corruption", "denoising", "language-modeling")
"""Tasks whose targets `Smoothed` smooths; classification smooths its labels where they are laid out."""


def check(options: TrainOptions) -> None:
    """InputError when a teacher is asked for what it cannot teach, or is not there, and for a family that neither serves."""
    teacher.check(options)
    name = options.model or "llama"
    learns = family(name).LEARNS if name in FAMILIES else "gradients"
    for asked, flag in ((options.teacher, "--teacher"), (options.label_smoothing, "--label-smoothing")):
        if asked and learns != "gradients":
            raise InputError(f"{flag} is for models that learn by gradients alone, and {name} counts; leave it out")
    if options.teacher is not None and options.label_smoothing:
        raise InputError("--label-smoothing is not for a run with a teacher, whose word is smooth already: leave one of them out")


def lesson(options: TrainOptions, model: Model, tokenizer: Tokenizer, data: Prepared) -> Any:
    """The `Objective` of such a run; None: that of its rows. InputError when student and teacher do not fit."""
    if options.teacher is not None:
        return teacher.distillation(options, model, tokenizer, data.train.context)
    if not options.label_smoothing or (options.task or signal_of(model.config.model_type, options)) not in SMOOTHED:
        return None
    share = options.label_smoothing
    say(f"label smoothing {share:g}: the training loss holds it, the held-out loss does not")
    return Smoothed(share)
