"""A new run, in memory: data, tokenizer, plan and a fresh model. Nothing is written, so a request that makes no sense leaves no trace."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import ModuleType
from typing import Any

from ..base.errors import InputError, did_you_mean
from ..base.options import flag, unusual
from ..base.report import say
from ..families.config import Config
from ..families.table import FAMILIES, build, config_class, family
from ..families.tasks import tasks_of
from ..nn.mixture import Mixture
from ..nn.models import Model
from ..objectives.objective import packs
from ..text.tokenizer import Tokenizer
from . import dialogue, instruct
from . import plan as planning
from .best import check_best
from .count import choose_order, never_predicted
from .counted import count_in
from .fit import arranged
from .folder import has_bf16
from .joined import join, joins, parts_of
from .layers import Layers
from .lesson import check as check_lesson
from .lesson import lesson
from .material import material_of
from .mixture import parted
from .options import TrainOptions
from .plan import Plan
from .prepare import KINDS, Prepared
from .signal import signal_of
from .teacher import words_of
from .tune import is_checkpoint, tune

HIDDEN = ("intermediate_size", "n_inner", "d_ff", "hidden_dim", "encoder_ffn_dim", "decoder_ffn_dim")
"""What families call the size inside an MLP."""
OWN = {**dict.fromkeys(("order", "smoothing"), ("counts", "mixture")), **dict.fromkeys(("parts", "gate", "recent"), ("mixture",))}
"""Options of what learns otherwise than by gradients alone."""
NAMED = {("counts", "mixture"): "ngram or mixture", ("mixture",): "mixture, which weighs two others"}
STEPWISE = (
    "steps", "epochs", "minutes", "width", "layers", "heads", "hidden", "dropout", "batch_size", "accumulate", "pack", "learning_rate",
    "optimizer", "schedule", "warmup_steps", "weight_decay", "clip", "average", "patience", "eval_every", "label_smoothing",
)  # fmt: skip
"""Options of what learns step by step, which a counting model is told beside others and has no use for."""


def begin(options: TrainOptions) -> tuple[Model, Tokenizer, Prepared, Plan]:
    """Everything a new run needs. InputError when the request cannot be met."""
    check_lesson(options)
    check(options)
    if is_checkpoint(options.model) or options.student_layers is not None:
        return tune(options)
    if joins(options):
        return join(options)
    name = options.model or "llama"
    if options.lora:
        raise InputError(f"--lora is for a model that is there already, a run, a checkpoint or a Hub id, and {name} is a new one")
    family(name)  # a name that is not known is said before anything is read
    material = material_of(name, options)
    train, valid = material.corpora(options)
    tokenizer = words_for(options, name, material, train)
    data = material.prepared(options, tokenizer, train, valid)
    check_best(options, data.train)
    rows, targets = len(data.train.rows()), data.train.targets
    plan = planning.choose_plan(options, targets=targets, rows=rows)
    size = planning.choose_size(options, plan, targets=targets, rows=rows)
    dtype = planning.choose_dtype(options, size.width, has_bf16())
    dropout = planning.choose_dropout(options, planning.budget(plan, targets, rows) / targets)
    config = fresh(name, dataclasses.replace(options, dropout=dropout), size, tokenizer, data)
    learner = config_class(parts_of(options)[0]) if family(name).LEARNS == "mixture" else config
    learning_rate = planning.choose_rate(options, size.width, learner.rate)
    model = build(config, seed=options.seed)
    model.generation = {"suppress_tokens": tokenizer.silent_ids}
    can = packs(model.neural if isinstance(model, Mixture) else model, data.train)
    if options.pack and not can:
        raise InputError(f"--pack: a model of the family {name} cannot read packed rows; leave it out")
    pack = can if options.pack is None else options.pack
    plan = dataclasses.replace(plan, learning_rate=learning_rate, dtype=dtype, dropout=dropout, pack=pack)
    tokenizer.extra["model_max_length"] = data.train.context
    data.suit(model)
    if family(name).LEARNS == "counts":
        if idle := unusual(options, STEPWISE):
            say(f"{name} reads the text once and counts, so {', '.join(idle)} {'does' if len(idle) == 1 else 'do'} nothing")
        say(f"model: {getattr(config, 'order', 0)}-grams, {options.smoothing.replace('_', '-')}, counted over {targets:,} tokens")
        return model, tokenizer, data, plan
    count_in(options, model, data.train)
    learns = model.neural if isinstance(model, Mixture) else model
    Layers(learns, plan)  # a layer that is not there is said now
    arranged(learns, plan)
    if isinstance(model, Mixture):
        parted(data.train)
    data.signal = lesson(options, model, tokenizer, data)
    parameters = sum(p.numel() for p in model.parameters())
    for line in planning.describe(plan, size, data.train.context, parameters, targets, rows):
        say(line)
    return model, tokenizer, data, plan


def words_for(options: TrainOptions, name: str, material: ModuleType, train: Any) -> Tokenizer:
    """The tokenizer of a new model: the teacher's, that of a folder, or one that learns from the training texts."""
    if options.teacher is not None:
        if options.tokenizer is not None or options.vocab_size is not None:
            raise InputError("a student has its teacher's tokenizer, whose tokens it learns of: leave --tokenizer and --vocab-size out")
        return words_of(options.teacher, signal_of(name, options))
    if options.tokenizer in (None, *KINDS):
        return material.make_tokenizer(options, train)
    if options.vocab_size is not None:
        raise InputError(f"--vocab-size is for a tokenizer that is to be trained, and that of {options.tokenizer} is: leave it out")
    tokenizer = Tokenizer.load(str(options.tokenizer))
    tokenizer = dialogue.with_speakers(tokenizer)[0] if material is dialogue else tokenizer
    tokenizer = instruct.dressed(tokenizer) if material is instruct else tokenizer
    say(f"tokenizer: that of {options.tokenizer}, {tokenizer.vocab_size:,} tokens")
    return tokenizer


def check(options: TrainOptions) -> None:
    """InputError for options that a counting model has no use for, and for a kind of tokenizer that is not known."""
    name = options.model or "llama"
    learns = family(name).LEARNS if name in FAMILIES else "gradients"
    for asked in ("freeze", "layer_decay", "unfreeze_every", "embeddings", "compile", "checkpoint_activations"):
        if learns == "counts" and getattr(options, asked) not in (None, False):
            raise InputError(f"{flag(asked)} is for models that learn by gradients, and {name} counts; leave it out")
    for asked, of in OWN.items():
        if learns not in of and unusual(options, [asked]):
            raise InputError(f"{flag(asked)} is for --model {NAMED[of]}, not for {name}; leave it out")
    new = not is_checkpoint(options.model) and options.student_layers is None
    if new and options.tokenizer is not None and options.tokenizer not in KINDS and not Path(options.tokenizer).is_dir():
        known = did_you_mean(options.tokenizer, KINDS)
        raise InputError(f"--tokenizer {options.tokenizer} is neither a kind of tokenizer nor a folder with one{known}")


def fresh(name: str, options: TrainOptions, size: planning.Size, tokenizer: Tokenizer, data: Prepared) -> Config:
    """The config of a new model of the family `name`."""
    learns = family(name).LEARNS
    kind: Any = config_class(name)
    if learns == "mixture":
        config = kind.of(*(fresh(part, options, size, tokenizer, data) for part in parts_of(options)))
        config.gate, config.recent = options.gate, options.recent
    else:
        config = kind.sized(size.width, size.layers, size.heads, data.train.context, tokenizer.vocab_size, options.dropout or 0.0)
        task = signal_of(name, options)
        config.task = task if task in tasks_of(config) else config.task  # one model writes targets, however its sources come about
        for asked, value in data.head.items():
            setattr(config, asked, value)
    if learns == "counts":
        config.smoothing, config.skip = options.smoothing, never_predicted(tokenizer)
        config.order = choose_order(data.train, config=config) if options.order is None else options.order
    elif learns == "gradients":
        config.initializer_range = round(math.sqrt(0.4 / size.width), 4)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    for role in ("cls", "sep"):
        if hasattr(config, f"{role}_token_id"):
            setattr(config, f"{role}_token_id", getattr(tokenizer, f"{role}_id"))
    if options.hidden is not None and learns == "gradients":
        set_hidden(config, options.hidden)
    for asked in ("cell", "attention", "input_feeding"):
        if (value := getattr(options, asked)) is not None:
            if not hasattr(config, asked):
                raise InputError(f"{flag(asked)} is for the family seq2seq, not for {name}")
            setattr(config, asked, value)
    config.check()
    return config


def set_hidden(config: Config, hidden: int) -> None:
    """So many units inside the model's MLPs. InputError for a family that has none."""
    fields = [each for each in HIDDEN if hasattr(config, each)]
    if not fields:
        raise InputError(f"--hidden: a model of the family {config.model_type} has no MLP of another size; leave it out")
    for each in fields:
        setattr(config, each, hidden)
