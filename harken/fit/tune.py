"""A run that goes on from a checkpoint: its config, weights and tokenizer, a head for the task, data cut to what it reads at once."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.errors import InputError, did_you_mean
from ..base.options import unusual
from ..base.report import count, say
from ..checkpoint.adapter_config import base_of
from ..checkpoint.files import existing, weight_files
from ..checkpoint.fill import undrawn
from ..checkpoint.grow import grown, padded
from ..checkpoint.hub import located
from ..checkpoint.load import config_of, model_of, tokenizer_of
from ..checkpoint.pooling import pooling_of
from ..data.pairs import Pairs
from ..families.config import Config
from ..families.table import FAMILIES, family
from ..families.tasks import JUDGE, TASKS
from ..nn.models import Model
from ..objectives.objective import packs
from ..text.extend import added
from ..text.tokenizer import Tokenizer
from . import adapt, dialogue
from . import plan as planning
from .best import check_best
from .fit import arranged
from .folder import RunFolder, has_bf16
from .instruct import outfitted
from .layers import Layers, width_of
from .lesson import lesson
from .material import material_of
from .options import TrainOptions
from .plan import Plan
from .prepare import KINDS, Prepared, place
from .signal import LIKE, OF_TEXTS, signal_of
from .teacher import shallow

SHAPE = ("width", "layers", "heads", "hidden", "vocab_size", "cell", "attention", "input_feeding", "order", "smoothing", "parts", "gate",
         "recent", "embeddings")  # fmt: skip
"""Options that say how a new model is built."""
PLACES = ("model", "tokenizer", "teacher", "valid", "test", "valid_target", "test_target")
"""Options that may name a file or a folder; what is read, DATA and its target, the record keeps by itself."""
HEADS: dict[str, str] = {**dict.fromkeys(OF_TEXTS, "text2text"), **LIKE}
"""What a task is built for, where it is called otherwise."""
RATES = {"adamw": 1.2e-3, "muon": 1.2e-3}
"""The peak learning rate of fine-tuning at width 64. Measured on two small cases (names to surnames, Shakespeare to poems) at 0.03, 0.1,
0.3 and 1 times the rate of a new model: 0.3 was the best of both optimizers. It falls as 1 / width, to 1e-4 at 768, as is usual there."""


def is_checkpoint(model: str | None) -> bool:
    """Whether --model names a folder or a Hub id, and not a family: a name without a slash that is nearly a family's is meant as one."""
    if model is None or model in FAMILIES:
        return False
    return "/" in model or Path(model).exists() or "did you mean" not in did_you_mean(model, FAMILIES)


def anchored(options: TrainOptions) -> TrainOptions:
    """The options with places in full, so that the record of a run still names them from elsewhere."""
    return dataclasses.replace(options, **placed({name: getattr(options, name) for name in (*PLACES, "parts")}))


def placed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name, places among them in full."""
    full = {name: in_full(value) if name in PLACES and value else value for name, value in options.items()}
    if "parts" in full:
        full["parts"] = ",".join(in_full(part.strip()) for part in full["parts"].split(","))
    return full


def in_full(name: str) -> str:
    """The whole path of a file or folder; any other name as it is."""
    return name if name in FAMILIES or name in KINDS else place(name)


def needs(options: TrainOptions, old: RunFolder | None) -> list[str]:
    """Everything a new run reads before it writes. `old`: the run that it repeats."""
    named = [getattr(options, name) for name in ("data", "target", *PLACES)]
    return [*filter(None, named), *options.parts.split(","), *([] if old is None else [str(old.path)])]


def as_new(options: TrainOptions, config: Config) -> TrainOptions:
    """The options as they would be for a new model of the config's family: what reads the data goes by these."""
    usual = {"double-heads": "dialogue"}.get(config.task, config.task)
    changes: Any = {"model": config.model_type, "task": options.task or usual, "tokenizer": None}
    return dataclasses.replace(options, **changes)


def check(options: TrainOptions, source: str) -> None:
    """InputError when an option is for a new model."""
    if asked := unusual(options, SHAPE) + ["--tokenizer"] * (options.tokenizer in KINDS):
        raise InputError(f"{asked[0]} is for a new model: that of {source} is built already; leave it out")


def tune(options: TrainOptions) -> tuple[Model, Tokenizer, Prepared, Plan]:
    """Everything a run needs that fine-tunes `options.model`, or makes a student of its teacher. InputError when it cannot be."""
    source = options.teacher if options.student_layers is not None else options.model
    check(options, source or "")
    folder = existing(located(source or ""))
    adapt.check(options, folder)
    config = config_of(folder)
    shaped = as_new(options, config)
    if signal_of(config.model_type, shaped) != config.task:  # another head; where the task has none of its own, the data says which
        config = config_of(folder, HEADS.get(shaped.task or "", shaped.task if shaped.task in TASKS else None))
    if (learns := family(config.model_type).LEARNS) != "gradients":
        raise InputError(f"{folder} holds a {config.model_type} model, which learns by {learns}: train a new one on all the text instead")
    tokenizer, pieces = words_of(folder, config, options.tokenizer)
    if shaped.task == "dialogue":
        tokenizer, more = dialogue.with_speakers(tokenizer)
        pieces = {**pieces, **more}
    if shaped.task == "instruct":
        tokenizer, pieces = outfitted(tokenizer, pieces)
    adapt.check_words(options, tokenizer, pieces)
    span = spanned(config, options.context, source or "")
    material = material_of(config.model_type, shaped)
    train, valid = material.corpora(shaped)
    own = config_of(folder)
    train, valid = as_learned(own, config.task, train), as_learned(own, config.task, valid)
    data = material.prepared(shaped, tokenizer, train, valid, span)
    data.facts["context"] = data.train.context
    data.began_from = {"model": source, "revision": revision_of(folder), "sha256": fingerprint(folder)}
    for asked, value in data.head.items():
        setattr(config, asked, value)
    drop(config, options.dropout)
    narrow = options.lora and options.lora_base is not None  # what the file holds is then held in few bits alone
    found = model_of(folder, config, renew=other_labels(own, config), mapped=narrow)
    if found.model.adapters.names:
        found.model.adapters.merge(keep=False)
    model = with_words(found.model, folder, tokenizer, pieces)
    model = model if options.student_layers is None else shallow(model, options.student_layers)
    if shaped.task == "similarity":
        pooling_of(model)  # what is not done here is refused before anything is written
    if options.lora:
        adapt.adapt(model, options, found.new, revision_of(folder))
    plan = chosen(options, model, data)
    if options.lora:
        adapt.hold(model, options)
    data.signal = lesson(shaped, model, tokenizer, data)
    return model, tokenizer, data, plan


def spanned(config: Config, context: int | None, source: str) -> int:
    """Tokens of a row to learn from: those asked for, which a model without positions takes beyond what it has learned from before.
    InputError when they are more than it can read."""
    model = undrawn(config)
    if context is None:
        return min(model.span, planning.LONGEST)
    if context > model.context:
        raise InputError(f"--context {context} is more than the {model.context} tokens that {source} reads at once: give at most that")
    if context > model.span:
        say(f"{source} has learned from rows of {model.span} tokens so far, and from {context} now")
        setattr(config, config.row, context)
    return context


def as_learned(own: Config, task: str, examples: Any) -> Any:
    """Labelled examples with their labels in the order of a checkpoint that knows all of them, and pairs with the id that it forces targets
    to begin with; `own`: its config."""
    if isinstance(examples, Pairs):
        return dataclasses.replace(examples, begin=getattr(own, "forced_bos_token_id", None))
    labels, known = getattr(examples, "labels", ()), tuple((own.id2label or {}).values())
    if not labels or own.task != task or not set(labels) <= set(known):
        return examples
    return dataclasses.replace(examples, labels=known)


def other_labels(own: Config, config: Config) -> bool:
    """Whether what a checkpoint tells apart is something else than what is to be learned, so that its last layer is of no use."""
    labels = [list((each.id2label or {}).values()) for each in (own, config)]
    differ = labels[0] != labels[1] and own.task in ("classification", "token-classification")
    return own.task in JUDGE and (own.task != config.task or differ)


def chosen(options: TrainOptions, model: Model, data: Prepared) -> Plan:
    """The plan of fine-tuning this model on this data; it is said, and the data made to suit."""
    check_best(options, data.train)
    config, rows, targets = model.config, len(data.train.rows()), data.train.targets
    plan = planning.choose_plan(options, targets=targets, rows=rows, optimizer="adamw")
    can = packs(model, data.train)
    if options.pack and not can:
        raise InputError(f"--pack: a model of the family {config.model_type} cannot read packed rows; leave it out")
    width = width_of(model)
    plan = dataclasses.replace(
        plan,
        learning_rate=options.learning_rate
        or round(RATES[plan.optimizer] * 64 / width * config.rate * (adapt.RATE if options.lora else 1), 7),
        dtype=planning.choose_dtype(options, width, has_bf16()),
        dropout=max((getattr(config, name) or 0.0 for name in dropouts(config)), default=0.0),
        pack=can if options.pack is None else options.pack,
    )
    data.suit(model)
    arranged(model, plan)
    layers, parameters = Layers(model, plan), sum(p.numel() for p in model.parameters())
    told = (
        f"fine-tuning {(data.began_from or {}).get('model')}, a {config.model_type} model for {config.task}: {count(parameters)} parameters"
    )
    say(f"{told}, context {data.train.context}")
    if options.lora:
        say(adapt.outline(model))
    elif layers.frozen:
        say(f"frozen: {', '.join(plan.freeze)}: {layers.frozen_parameters:,} of {parameters:,} parameters")
    say(planning.outline(plan, targets, rows))
    return plan


def words_of(folder: Path, config: Config, other: str | None) -> tuple[Tokenizer, dict[int, list[int]]]:
    """The model's tokenizer; or the one in the folder `other`, and of each of its further tokens the ids its text was made of."""
    home = folder if (folder / "tokenizer.json").is_file() else base_of(folder)
    try:
        Tokenizer.load(home)
    except InputError as error:
        if (home / "tokenizer.json").is_file():
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


def revision_of(folder: Path) -> str | None:
    """The commit of a snapshot in the Hub's cache."""
    return folder.name if folder.parent.name == "snapshots" else None


def fingerprint(folder: Path) -> str:
    """SHA-256 of a folder's weight files, one after the other; of an adapter those of its base, too."""
    found, base = hashlib.sha256(), base_of(folder)
    for path in weight_files(folder) + (weight_files(base) if base != folder else []):
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()
