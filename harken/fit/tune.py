"""A run that goes on from a checkpoint: its config, weights and tokenizer, a head for the task, data cut to what it reads at once."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from ..base.errors import InputError, did_you_mean
from ..base.report import count, say
from ..checkpoint.files import existing, weight_files
from ..checkpoint.fill import undrawn
from ..checkpoint.grow import grown, padded
from ..checkpoint.hub import located
from ..checkpoint.load import config_of, model_of, tokenizer_of
from ..data.columns import listed
from ..families.config import Config
from ..families.table import FAMILIES, family
from ..nn.linear import Linear
from ..nn.models import Model
from ..objectives.objective import LABELLED
from ..text.extend import added
from ..text.tokenizer import Tokenizer
from . import plan as planning
from .best import check_best
from .folder import has_bf16
from .layers import Layers
from .material import material_of
from .options import TrainOptions
from .plan import Plan
from .prepare import Prepared
from .signal import LIKE, OF_TEXTS

SHAPE = ("width", "layers", "heads", "vocab_size", "cell", "attention", "input_feeding", "order", "smoothing", "parts", "gate")
"""Options that say how a new model is built."""
RATES = {"adamw": 0.1, "muon": 0.1}
"""The peak learning rate of fine-tuning, as a multiple of that of a new model of the same width."""


def is_checkpoint(model: str | None) -> bool:
    """Whether --model names a folder or a Hub id, and not a family: a name without a slash that is nearly a family's is meant as one."""
    if model is None or model in FAMILIES:
        return False
    return "/" in model or Path(model).exists() or "did you mean" not in did_you_mean(model, FAMILIES)


def built_for(task: str | None) -> str | None:
    """What a checkpoint is opened for to learn a task; None: what it is."""
    if task == "similarity":
        return None  # the body alone is asked
    return "text2text" if task in OF_TEXTS else LIKE.get(task or "", task)


def labels_of(own: Config, task: str, train: Any, valid: Any) -> tuple[Any, Any]:
    """Labelled examples with their labels in the order of a checkpoint that knows them; `own`: its config, as it is. InputError where it was
    trained for this task with others."""
    labels = getattr(train, "labels", ())
    known = tuple((own.id2label or {}).values())
    if not labels or own.task != task or known == (*labels,) or not tells(own):
        return train, valid
    if set(labels) <= set(known):
        return tuple(side and dataclasses.replace(side, labels=known) for side in (train, valid))  # type: ignore[return-value]
    raise InputError(
        f"{train.name} has the labels {listed(labels)}, but the model tells {listed(known)} apart: fine-tune the checkpoint it began "
        "from, or give data with its labels"
    )


def tells(config: Config) -> bool:
    """Whether a checkpoint's labels are names, and not those that Hugging Face makes up."""
    return config.id2label is not None and any(name != f"LABEL_{n}" for n, name in config.id2label.items())


def anchored(options: TrainOptions) -> TrainOptions:
    """The options with folders in full, so that the record of a run still names them from elsewhere."""
    named = {name: getattr(options, name) for name in ("model", "tokenizer", "teacher")}
    full: Any = {n: str(Path(v).resolve()) for n, v in named.items() if v is not None and v not in FAMILIES and Path(v).is_dir()}
    return dataclasses.replace(options, **full)


def as_new(options: TrainOptions, config: Config) -> TrainOptions:
    """The options as they would be for a new model of the config's family: what reads the data goes by these."""
    task = options.task if options.task in (*OF_TEXTS, *LABELLED) else config.task
    changes: Any = {"model": config.model_type, "task": task, "tokenizer": None}
    return dataclasses.replace(options, **changes)


def tune(options: TrainOptions) -> tuple[Model, Tokenizer, Prepared, Plan]:
    """Everything a run needs that fine-tunes `options.model`. InputError when the request cannot be met."""
    usual = TrainOptions(data="-")
    for name in SHAPE:
        if getattr(options, name) != getattr(usual, name):
            raise InputError(f"--{name.replace('_', '-')} is for a new model: that of {options.model} is built already; leave it out")
    folder = existing(located(options.model or ""))
    config = config_of(folder, built_for(options.task))
    if (learns := family(config.model_type).LEARNS) != "gradients":
        raise InputError(f"{folder} holds a {config.model_type} model, which learns by {learns}: train a new one on all the text instead")
    tokenizer, pieces = words_of(folder, config, options.tokenizer)
    shaped = as_new(options, config)
    span = undrawn(config).span
    if options.context is not None and options.context > span:
        raise InputError(
            f"--context {options.context} is more than the {span} tokens that {options.model} reads at once: give at most that"
        )
    material = material_of(config.model_type, shaped)
    train, valid = labels_of(config_of(folder), config.task, *material.corpora(shaped))
    data = material.prepared(shaped, tokenizer, train, valid, options.context or min(span, planning.LONGEST))
    data.facts["context"] = data.train.context
    for name, value in data.head.items():
        setattr(config, name, value)
    data.began_from = {"model": options.model, "revision": revision_of(folder), "sha256": fingerprint(folder)}
    drop(config, options.dropout)
    model = with_words(model_of(folder, config).model, folder, tokenizer, pieces)
    return model, tokenizer, data, chosen(options, model, data)


def chosen(options: TrainOptions, model: Model, data: Prepared) -> Plan:
    """The plan of fine-tuning this model on this data; it is said, and the data made to suit."""
    check_best(options.best, data.train)
    config, rows, targets = model.config, len(data.train.rows()), data.train.targets
    plan = planning.choose_plan(options, targets=targets, rows=rows, optimizer="adamw")
    if options.pack and not model.packs:
        raise InputError(f"--pack: a model of the family {config.model_type} cannot read packed rows; leave it out")
    width = width_of(model)
    plan = dataclasses.replace(
        plan,
        learning_rate=options.learning_rate or planning.choose_rate(options, width, config.rate * RATES[plan.optimizer]),
        dtype=planning.choose_dtype(options, width, has_bf16()),
        dropout=max((getattr(config, name) for name in dropouts(config)), default=0.0),
        pack=model.packs if options.pack is None else options.pack,
    )
    data.suit(model)
    layers, parameters = Layers(model, plan), sum(p.numel() for p in model.parameters())
    told = f"fine-tuning {options.model}, a {config.model_type} model for {config.task}: {count(parameters)} parameters"
    say(f"{told}, context {data.train.context}")
    if layers.frozen:
        say(f"frozen: {', '.join(plan.freeze)}: {layers.frozen_parameters:,} of {parameters:,} parameters")
    say(planning.outline(plan, targets, rows))
    return plan


def words_of(folder: Path, config: Config, other: str | None) -> tuple[Tokenizer, dict[int, list[int]]]:
    """The model's tokenizer; or the one in the folder `other`, and of each of its further tokens the ids its text was made of."""
    try:
        Tokenizer.load(folder)
    except InputError as error:
        if (folder / "tokenizer.json").is_file():
            raise
        raise InputError(
            f"{folder} holds no tokenizer, and no other reads for its weights: copy the one it was trained with there"
        ) from error
    own = tokenizer_of(folder, config)
    if other is None:
        return own, {}
    if not Path(other).is_dir():
        raise InputError(f"--tokenizer {other}: with a model that is trained already this is the folder of an extension of its tokenizer")
    more = Tokenizer.load(other)
    try:
        return more, added(own, more)
    except InputError as error:
        raise InputError(f"--tokenizer {other}: {error}") from None


def with_words(model: Model, folder: Path, tokenizer: Tokenizer, pieces: dict[int, list[int]]) -> Model:
    """The model with rows for the tokenizer's further tokens; it is said."""
    if not pieces:
        return model
    rows, known = model.config.vocab_size, min(pieces)
    size = padded(rows, known, tokenizer.vocab_size)
    made = sum(bool(ids) for ids in pieces.values())
    kinds = [f"{made:,} begin as the mean of the pieces they were made of"] * bool(made)
    kinds += [f"{len(pieces) - made:,} as the mean of all tokens"] * (made < len(pieces))
    grows = f"the vocabulary of {folder} grows from {rows:,} to {size:,} rows" if size > rows else f"{folder} has rows left"
    say(f"{grows} for {len(pieces):,} further tokens: {', '.join(kinds)}")
    return grown(model, size, pieces, known=known)


def dropouts(config: Config) -> list[str]:
    """The fields of a family's config that its dropout is in: those that differ between new models with it and without."""
    none, some = (type(config).sized(64, 2, 2, 16, 100, share) for share in (0.0, 0.5))
    return [f.name for f in dataclasses.fields(config) if getattr(none, f.name) != getattr(some, f.name)]


def drop(config: Config, share: float | None) -> None:
    """Set the dropout, if one is asked for. InputError where the family has none."""
    if share is None:
        return
    if not (names := dropouts(config)):
        raise InputError(f"--dropout: a model of the family {config.model_type} has none; leave it out")
    for name in names:
        setattr(config, name, share)


def width_of(model: Model) -> int:
    """The size of a hidden state: what most matrices read."""
    inputs = [part.inputs for part in model.modules() if isinstance(part, Linear)]
    return max(set(inputs), key=inputs.count) if inputs else model.config.vocab_size


def revision_of(folder: Path) -> str | None:
    """The commit of a snapshot in the Hub's cache."""
    return folder.name if folder.parent.name == "snapshots" else None


def fingerprint(folder: Path) -> str:
    """SHA-256 of a folder's weight files, one after the other."""
    found = hashlib.sha256()
    for path in weight_files(folder):
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()
