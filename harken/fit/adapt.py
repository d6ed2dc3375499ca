"""--lora: a checkpoint stays as it is, and an adapter beside it learns, with whatever part of the head is new or judges.

https://arxiv.org/abs/2106.09685, https://arxiv.org/abs/2402.09353
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..base.errors import InputError
from ..base.report import count, say
from ..checkpoint.adapter_config import ALL, Setting
from ..checkpoint.adapters import begin
from ..checkpoint.files import is_adapter
from ..checkpoint.matrices import places
from ..nn.linear import UPDATES
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .options import TrainOptions

RATE = 10.0
"""The learning rate of an adapter, as a multiple of that of all the weights."""
WRITERS = ("language-modeling", "text2text", "masked-language-modeling", "double-heads", "pretraining")
"""Tasks whose head was learned with the body, and is over the vocabulary: of it only what is new learns."""


def check(options: TrainOptions, folder: Path) -> None:
    """InputError when an adapter cannot be learned beside this model."""
    if not options.lora:
        return
    if is_adapter(folder):
        raise InputError(
            f"{folder} is an adapter: go on with its run with --resume, or write a whole model, harken convert {folder} OUT, for another"
        )
    if options.student_layers is not None:
        raise InputError("--lora leaves a model as it is, and a student begins as a part of one: leave one of the two out")
    if options.tokenizer is not None:
        raise InputError(
            "--tokenizer gives the model more tokens, whose rows an adapter does not hold: train without --lora, or first give them to "
            "a model that is then fine-tuned by --lora"
        )


def check_words(options: TrainOptions, tokenizer: Tokenizer, pieces: Mapping[int, object]) -> None:
    """InputError when the task gives the model further tokens (`pieces`), as an adapter does not hold their rows."""
    if options.lora and pieces:
        said = ", ".join(str(tokenizer.inner.id_to_token(i)) for i in list(pieces)[:4])
        raise InputError(
            f"--lora: {options.task} gives the model further tokens ({said}), whose rows an adapter does not hold: train without "
            "--lora, or begin from a model that has them"
        )


def adapt(model: Model, options: TrainOptions, new: Sequence[str], revision: str | None) -> None:
    """Put a new adapter on, which answers and learns; `new`: parts of the head that the checkpoint lacks, by its names. InputError when a
    target is not there."""
    targets = tuple(name.strip() for name in options.lora_targets.split(",") if name.strip())
    setting = Setting(
        rank=options.lora_rank,
        alpha=options.lora_alpha,
        dropout=options.lora_dropout,
        targets=targets or ALL,
        dora=options.dora,
        saved=tuple(name for name in new if name not in shared(model)) if model.config.task in WRITERS else judges(model),
        task=model.config.task,
        base=options.model,
        revision=revision,
    )
    begin(model, setting, seed=options.seed)


def hold(model: Model, options: TrainOptions) -> None:
    """Hold what stays as it is in few bits, if that is asked for or the checkpoint has it so."""
    kind = options.lora_base or model.held
    if kind is not None:
        model.freeze(kind)
        say(f"what does not learn is held as {kind}")


def shared(model: Model) -> set[str]:
    """Names that stand for more than one part: all that a tied head has of its own is a bias, which stays as it is."""
    parts = {key.rpartition(".")[0]: model.get_submodule(place.name.rpartition(".")[0]) for key, place in places(model).items()}
    return {name for name, part in parts.items() if next(part.children(), None) is not None}


def judges(model: Model) -> tuple[str, ...]:
    """The parts of a model's head, by the names its checkpoint has for them."""
    return tuple(dict.fromkeys(key.rpartition(".")[0] for key, place in places(model).items() if place.name.startswith("head.")))


def outline(model: Model) -> str:
    """What learns, in words."""
    setting, learned = next(iter(model.adapters.settings.values())), sum(each.numel() for each in model.adapters.learned().values())
    base = sum(each.numel() for name, each in model.named_parameters() if f".{UPDATES}." not in name)
    whole = f", {', '.join(setting.saved)} wholly" if setting.saved else ""
    kind = "DoRA" if setting.dora else "LoRA"
    return (
        f"{kind} of rank {setting.rank} on {', '.join(setting.targets)}{whole}: {count(learned)} parameters learn beside {count(base)}, "
        f"{learned / base:.2%}"
    )
