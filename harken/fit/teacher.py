"""A teacher to learn from, and a student that begins as some of its layers.   DistilBERT, https://arxiv.org/abs/1910.01108"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import torch

from ..base.errors import InputError
from ..base.options import unusual
from ..base.report import count, say
from ..checkpoint import origin
from ..checkpoint.files import existing
from ..checkpoint.fill import undrawn
from ..checkpoint.hub import located
from ..checkpoint.load import config_of, load, tokenizer_of
from ..nn.mask import Mask
from ..nn.models import Model
from ..objectives.distillation import Distillation, last_states, spread
from ..text.extend import added
from ..text.tokenizer import Tokenizer
from .options import TrainOptions

TASKS = ("language-modeling", "masked-language-modeling")
WEIGHTS = ("alpha_ce", "alpha_mlm", "alpha_cos")
"""Options that weigh the parts of the loss."""
DEPTH = ("num_hidden_layers", "n_layer", "n_layers")
"""What families call the number of their blocks."""


def check(options: TrainOptions) -> None:
    """InputError when the options are for a run with a teacher, and there is none, or they contradict each other."""
    if options.teacher is None:
        if asked := unusual(options, ("student_layers", *WEIGHTS, "temperature")):
            raise InputError(f"{asked[0]} is for learning from a teacher: name one with --teacher, or leave it out")
    elif not any(getattr(options, name) for name in WEIGHTS):
        raise InputError("--alpha-ce, --alpha-mlm and --alpha-cos are all 0, so there is nothing to learn: give one of them more")
    elif options.student_layers is not None and options.model is not None:
        raise InputError("--student-layers makes the student of the teacher's own layers: leave --model out")
    elif options.task not in (None, *TASKS):
        raise InputError(f"--teacher is for --task {' and '.join(TASKS)}, not for {options.task}")


def distillation(options: TrainOptions, student: Model, tokenizer: Tokenizer, context: int) -> Distillation | None:
    """The signal of the teacher, if there is one. InputError when student and teacher do not fit."""
    if (name := options.teacher) is None:
        return None
    teacher, words = load(name)
    must_share(name, teacher.config.task, student.config.task)
    try:
        if added(words, tokenizer):
            raise InputError("the student's has more tokens")
    except InputError as error:
        raise InputError(
            f"--teacher {name} reads with another tokenizer, so its probabilities are those of other tokens: {error}"
        ) from None
    if teacher.span < context:
        raise InputError(f"--teacher {name} reads {teacher.span} tokens at once, the rows have {context}: give --context {teacher.span}")
    weights = {each: getattr(options, each) for each in WEIGHTS}
    if options.alpha_cos:
        must_be_as_wide(name, teacher, student)
    told = ", ".join(f"{each.removeprefix('alpha_')} {weight:g}" for each, weight in weights.items())
    size = count(sum(p.numel() for p in teacher.parameters()))
    say(f"teacher: {name}, {size} parameters, at temperature {options.temperature:g}; parts of the loss: {told}")
    return Distillation(teacher, options.temperature, **weights)


def must_be_as_wide(name: str, teacher: Model, student: Model) -> None:
    """InputError unless the hidden states of the two have a cosine: as many numbers in each."""
    one = torch.zeros(1, 1, dtype=torch.int64)
    with torch.no_grad():
        theirs, ours = (last_states(each, one.to(each.device), Mask()).shape[-1] for each in (teacher, student))
    if theirs != ours:
        raise InputError(
            f"--alpha-cos compares hidden states, and those of --teacher {name} have {theirs} numbers, the student's {ours}: "
            f"give --width {theirs}, or leave it out"
        )


def shallow(model: Model, layers: int) -> Model:
    """A model of so many of another one's blocks, evenly spread, and all else of it. InputError when it has no more than that."""
    config = model.config
    name = next((each for each in DEPTH if hasattr(config, each)), None)
    if name is None or config.reads == "source" or getattr(config, "num_hidden_groups", None) is not None:
        raise InputError(f"--student-layers: a {config.model_type} model cannot be made of fewer of its blocks; name a --model instead")
    depth = getattr(config, name)
    if layers >= depth:
        raise InputError(f"--student-layers {layers} is not fewer than the {depth} of the teacher")
    picks = spread(range(depth), layers)
    extra = {k: [v[i] for i in picks] if isinstance(v, list) and len(v) == depth else v for k, v in config.extra.items()}
    changes: Any = {name: layers, "extra": extra}
    if (kinds := getattr(config, "layer_types", None)) is not None:
        changes["layer_types"] = [kinds[i] for i in picks]
    if (first := getattr(config, "max_window_layers", None)) is not None:  # from which on the blocks have a window
        changes["max_window_layers"] = sum(i < first for i in picks)
    student, weights = undrawn(dataclasses.replace(config, **changes)), model.state_dict()
    with torch.no_grad():
        for theirs, tensor in student.state_dict().items():
            tensor.copy_(weights[re.sub(r"\bblocks\.(\d+)\.", lambda found: f"blocks.{picks[int(found[1])]}.", theirs)])
    student.generation = model.generation
    if (home := origin.origin(model)) is not None:
        origin.remember(student, home)
    say(f"the student begins as the teacher's blocks {', '.join(map(str, picks))}")
    return student


def must_share(name: str, task: str, own: str) -> None:
    """InputError unless teacher and student are for the same task, one that has a token to predict at every target."""
    if task != own or own not in TASKS:
        wanted = " or ".join(TASKS)
        raise InputError(f"--teacher {name} was built for {task}, the student for {own}: both must be for the same, {wanted}")


def words_of(name: str, task: str) -> Tokenizer:
    """The tokenizer a student for this task shares with its teacher. InputError when the teacher is for another task."""
    folder = existing(located(name))
    config = config_of(folder)
    must_share(name, config.task, task)
    return tokenizer_of(folder, config)
