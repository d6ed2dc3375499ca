"""`harken eval --task`: by what a model is measured, under any of the names that a task is known by."""

from __future__ import annotations

import re
from typing import Any

from ..base.errors import InputError, did_you_mean
from ..base.options import check_uses
from ..fit.options import KNOWN_AS as LEARNED_AS

TRANSLATION = re.compile(r"translation(_\w+_to_\w+)?")
WRITES = ("text2text", "summarization", "translation")
"""What is measured on pairs, by the loss of the targets and, for the last two unasked, by what the model writes."""
BROKEN = ("masked-language-modeling", "pretraining", "span-corruption", "denoising")
"""What is measured on texts that are broken first."""
KNOWN_AS = {
    **LEARNED_AS,
    "text-generation": "language-modeling",
    "fill-mask": "masked-language-modeling",
    "text2text-generation": "text2text",
    "summarization": "summarization",
    "translation": "translation",
}
"""What people ask for a model by, and what it is measured by; what it learned by one name for both may be measured in two ways."""
HEADS = {
    "language-modeling": ("language-modeling", "double-heads"),
    "masked-language-modeling": ("masked-language-modeling", "pretraining"),
    "pretraining": ("pretraining",),
    **dict.fromkeys((*WRITES, "span-corruption", "denoising"), ("text2text",)),
    "classification": ("classification",),
    "token-classification": ("token-classification",),
    "span": ("span",),
    "ranking": ("classification",),
    **dict.fromkeys(("dialogue", "instruct"), ("language-modeling", "double-heads")),
    "similarity": (),  # the body alone is asked
}
"""Of each task, what a model must have been built for; nothing: any."""
JUDGED = ("classification", "token-classification", "span", "ranking", "similarity")
"""What is measured on labelled examples."""
_TALKS = ("dialogue", "instruct")
OPTIONS = {
    "target": WRITES,
    "overflow": (*WRITES, *(task for task in BROKEN if task != "pretraining"), *JUDGED, *_TALKS),
    "examples": ("language-modeling", *BROKEN),
    "metrics": WRITES,
    **dict.fromkeys(("answers", "temperature", "no_repeat_ngram_size", "consensus"), _TALKS),
    "against": (*WRITES, *JUDGED, *_TALKS),
    "mend": ("token-classification", "span"),
    "skip_bad_rows": ("summarization", *JUDGED, *_TALKS),
    **dict.fromkeys(("history", "mix", "candidates_out"), ("dialogue",)),
}
"""Which tasks an option is for."""


def check(options: Any, task: str) -> None:
    """InputError when an option of `harken eval` is for another task than the one a model is measured by."""
    task = "dialogue" if task == "double-heads" else task  # its head is all that is known of it
    check_uses(options, task, OPTIONS)
    if options.overflow == "truncate" and task == "dialogue":
        raise InputError("--overflow truncate is not for dialogues, of which whole replies are measured: drop leaves long ones out")


def task_asked(name: str, config: Any) -> str:
    """The task of --task. InputError when it is not known, or this model has no head for it."""
    plain = "translation" if TRANSLATION.fullmatch(name) else KNOWN_AS.get(name, name)
    if plain not in HEADS:
        raise InputError(f"--task {name} is not known{did_you_mean(name, [*HEADS, *KNOWN_AS])}")
    fits = [task for task, heads in HEADS.items() if config.task in heads]
    if HEADS[plain] and plain not in fits:
        raise InputError(f"--task {name}: this model was built for {config.task}, so it is measured by {' or '.join(fits) or 'nothing'}")
    if plain == "ranking" and config.num_labels != 1:
        raise InputError(f"--task {name} takes a model that gives one number, this one tells {config.num_labels} labels apart")
    return plain
