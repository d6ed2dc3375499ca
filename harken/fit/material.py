"""What a run learns by, and so what reads its data: texts to continue, pairs, or texts that are broken and to be mended."""

from __future__ import annotations

from types import ModuleType

from ..base.errors import InputError
from ..families.table import config_class
from ..families.tasks import tasks_of
from . import corrupted, pairs, prepare
from .options import TrainOptions

_READ_BY: dict[str, ModuleType] = {
    "language-modeling": prepare,
    "text2text": pairs,
    "masked-language-modeling": corrupted,
    "pretraining": corrupted,
    "span-corruption": corrupted,
    "denoising": corrupted,
}
_OF_SOURCES = ("span-corruption", "denoising")
"""What a model that reads a source can also learn by, from texts alone."""


def signal_of(name: str, options: TrainOptions) -> str:
    """The task a new model of the family `name` learns by: as asked, or the family's own. InputError when it cannot."""
    kind = config_class(name)
    known = [task for task in tasks_of({"model_type": kind.model_type}) if task in _READ_BY]
    known += _OF_SOURCES if kind.reads == "source" else ()
    if options.task is not None and options.task not in known:
        raise InputError(f"--task {options.task} is not for a {name} model, which learns by {' or '.join(known)}")
    return options.task or known[0]


def material_of(name: str, options: TrainOptions) -> ModuleType:
    """The module that reads the data of a family: `corpora make_tokenizer prepare prepared`. InputError when options are for another."""
    task = signal_of(name, options)
    if task == "text2text":
        pairs.check(options, name)
    elif options.target is not None:
        raise InputError(f"--target is for a model that answers a source; the family {name} learns from texts by {task}")
    corrupted.check(options, task)
    return _READ_BY[task]
