"""What a new model learns by: the task that was asked for, or that of its family."""

from __future__ import annotations

import typing

from ..base.errors import InputError
from ..families.table import config_class, family
from ..families.tasks import tasks_of
from .options import Task, TrainOptions

OF_TEXTS = ("span-corruption", "denoising")
"""What a model that reads a source can also learn by, from texts alone."""
RECURRENT = ("rnn", "gru", "lstm")
"""Families whose tokens have no vectors to compare texts by, or to be told speakers by."""
LIKE = {"ranking": "classification", "dialogue": "double-heads", "instruct": "language-modeling"}
"""What a task is built for, where it is called otherwise."""


def signal_of(name: str, options: TrainOptions) -> str:
    """The task a new model of the family `name` learns by. InputError when it cannot."""
    kind = config_class(name)
    known = [task for task in tasks_of({"model_type": kind.model_type}) if task in typing.get_args(Task)]
    built = tasks_of({"model_type": kind.model_type})
    fit = {"dialogue": kind.model_type not in RECURRENT, "instruct": family(name).LEARNS == "gradients"}
    known += [task for task, head in LIKE.items() if head in built and fit.get(task, True)]
    known += ["similarity"] if "classification" in built and kind.model_type not in RECURRENT else []
    known += OF_TEXTS if kind.reads == "source" else ()
    known = [task for task in typing.get_args(Task) if task in known]
    if options.task is not None and options.task not in known:
        raise InputError(f"--task {options.task} is not for a {name} model, which learns by {' or '.join(known)}")
    return options.task or known[0]
