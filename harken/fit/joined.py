"""A mixture of two models that have learned already: only the weights between them are learned, from text that neither has read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from ..base.errors import InputError
from ..base.options import unusual
from ..base.report import count, say
from ..checkpoint.files import existing
from ..checkpoint.hub import located
from ..checkpoint.load import config_of, load
from ..families.mixture import MixtureConfig
from ..families.table import FAMILIES, build, family
from ..nn.mixture import Mixture
from ..nn.models import Model
from ..text.extend import added
from ..text.tokenizer import Tokenizer
from . import plan as planning
from .folder import RECORD, RunFolder
from .material import material_of
from .options import TrainOptions
from .plan import Plan
from .prepare import Prepared
from .seen import seen
from .tune import SHAPE, fingerprint

UNUSED = (*(name for name in SHAPE if name not in ("parts", "gate", "recent")), "tokenizer", "context", "steps", "epochs", "minutes",
          "batch_size", "dropout", "learning_rate", "optimizer", "average", "patience", "lora", "teacher")  # fmt: skip
"""Options that have nothing to decide where both parts are trained."""


def parts_of(options: TrainOptions) -> list[str]:
    """The names in --parts: of a neural and a counting family, or of two folders that hold such models. InputError for anything else."""
    parts = [part.strip() for part in options.parts.split(",")]
    if len(parts) == 2:
        fresh = [part in FAMILIES for part in parts]
        if all(fresh):
            kinds = [family(part).LEARNS for part in parts]
        elif not any(fresh):
            kinds = [family(config_of(existing(located(part))).model_type).LEARNS for part in parts]
        else:
            raise InputError(f"--parts {options.parts}: one is a family and one is not: name two families to train, or two folders to join")
        if kinds == ["gradients", "counts"]:
            return parts
    raise InputError(f"--parts {options.parts} is not a neural and a counting model, such as llama,ngram")


def joins(options: TrainOptions) -> bool:
    """Whether a mixture is asked for whose parts are trained already."""
    return options.model == "mixture" and not any(part in FAMILIES for part in parts_of(options))


def join(options: TrainOptions) -> tuple[Model, Tokenizer, Prepared, Plan]:
    """Everything a run needs that weighs two trained models. InputError when they do not make a mixture, or have read the text."""
    if asked := unusual(options, UNUSED):
        raise InputError(f"{asked[0]} is for a model that is to be trained, and the parts are already; leave it out")
    folders = [existing(located(part)) for part in parts_of(options)]
    (neural, words), (counting, others) = (load(folder) for folder in folders)
    try:
        if added(words, others):
            raise InputError("it has more tokens")
    except InputError as error:
        raise InputError(
            f"{folders[1]} reads with another tokenizer than {folders[0]}, so the two have no token in common: {error}"
        ) from None
    config = MixtureConfig.of(neural.config, counting.config)
    config.gate, config.recent = options.gate, options.recent
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, getattr(neural.config, name))
    config.check()
    model = build(config)
    assert isinstance(model, Mixture)
    model.parts, model.context = nn.ModuleList([neural, counting]), min(neural.context, counting.context)
    model.generation = neural.generation
    material = material_of("mixture", options)
    train, valid = material.corpora(options)
    data = material.prepared(options, words, train, valid, model.span)
    data.facts["context"] = data.train.context
    data.began_from = {"parts": [str(folder) for folder in folders], "sha256": [fingerprint(folder) for folder in folders]}
    for folder in folders:
        check_new(data, folder)
    data.suit(model)
    plan = planning.choose_plan(options, targets=data.train.targets, rows=len(data.train.rows()))
    say(f"model: {count(model.size)} parameters, trained already; {data.train.targets:,} tokens weigh the two")
    return model, words, data, dataclasses.replace(plan, steps=0, minutes=None)


def check_new(data: Prepared, folder: Path) -> None:
    """Say how many of the texts the model in `folder` has read; InputError when it learned from this very file."""
    if not (folder / RECORD).is_file():
        return
    known = RunFolder(folder)
    known.reopen()
    source: Any = data.facts["source"]
    if source != "-" and known.record["data"]["source"] == source:
        raise InputError(f"{source} is what {folder} learned from, so it says nothing of how well that does on new text: give some of that")
    met = None if data.corpus is None else seen(data.corpus, folder)
    if met is not None and met.any():
        say(f"{met.sum():,} of {len(met):,} texts were read by {folder} before, which gives it more of the say than it deserves")
