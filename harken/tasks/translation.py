"""Translation, asked for as translation_en_to_fr, or as translation with src_lang and tgt_lang.

    [{"translation_text": "Bonjour"}]      of one text; of a list, one object for each
How a model is told the languages differs: T5 by words in front of the text, which config.json has for each direction it was taught; Marian
for several targets by a token, ">>fr<<"; one for a single direction, not at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..base.errors import InputError, did_you_mean
from . import text2text_generation
from .table import DIRECTION
from .task import Prepared, Task, Tools
from .text2text_generation import alone, answering
from .writing import WriteOptions, task_params, with_task

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric


def once(tools: Tools, options: WriteOptions) -> WriteOptions:
    """Options with what this model is to be told of the languages. InputError for a direction that it was not taught."""
    source, target = languages(tools, options)
    options = dataclasses.replace(options, src_lang=source, tgt_lang=target)
    taught = {name: said for name, said in task_params(tools).items() if DIRECTION.fullmatch(name)}
    asked = f"translation_{source}_to_{target}"
    if asked in taught:
        return with_task(tools, options, taught[asked])
    if target is None and options.prefix is None and (taught or tools.codes):
        return options  # a call may still say which
    if options.prefix is not None or target is None:
        return with_task(tools, options, {})
    if several := tools.codes:
        return with_task(tools, options, {"prefix": f"{code_of(target, several)} "})
    if taught:
        raise InputError(f"this model was not taught {asked}{did_you_mean(asked, taught)}; or give a prefix of your own")
    fixed = [tools.tokenizer.extra.get(name) for name in ("source_lang", "target_lang")]
    if all(isinstance(code, str) for code in fixed) and source and fixed != [source, target]:
        raise InputError(f"this model translates from {fixed[0]} to {fixed[1]}, not from {source} to {target}: take another one")
    return with_task(tools, options, {})


def prepare(given: Any, tools: Tools, options: WriteOptions) -> Prepared:
    """A source, behind what names the languages. InputError where they are not known and should be."""
    if options.prefix is None:
        taught = [name for name in task_params(tools) if DIRECTION.fullmatch(name)]
        names = taught or [f"translation_xx_to_{code[2:-2]}" for code in tools.codes]
        raise InputError(f"which languages? this model needs to be told: ask for one of {', '.join(names)}, or give src_lang and tgt_lang")
    return text2text_generation.prepare(given, tools, options)


def languages(tools: Tools, options: WriteOptions) -> tuple[str | None, str | None]:
    """From which language to which: by the task's name, or by options. InputError when they say different things."""
    found = DIRECTION.fullmatch(tools.asked)
    if found is None:
        return options.src_lang, options.tgt_lang
    for name, said in (("src_lang", found["source"]), ("tgt_lang", found["target"])):
        given = getattr(options, name)
        if given not in (None, said):
            raise InputError(f"{tools.asked} has the {name} {said}, not {given}: ask for translation, or leave {name} out")
    return found["source"], found["target"]


def code_of(language: str, several: Sequence[str]) -> str:
    """The token of a language: ">>fr<<", or one that begins so, ">>fra<<", where it is the only one. InputError when there is none."""
    exact = [code for code in several if code == f">>{language}<<"]
    near = exact or [code for code in several if code[2:].startswith(language[:2]) and len(language) >= 2]
    if len(near) != 1:
        names = [code[2:-2] for code in (near or several)]
        raise InputError(f"this model has no language {language!r}: it translates to {', '.join(names)}")
    return near[0]


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """BLEU and chrF."""
    from ..measure.metrics.translation import Bleu, Chrf

    return [Bleu(), Chrf()]


TASK = Task(
    name="translation",
    options=WriteOptions,
    heads=("text2text",),
    wants="text",
    default="google-t5/t5-base",
    prepare=prepare,
    postprocess=answering("translation"),
    metrics=metrics,
    once=once,
    rows=(("text",), ("source",)),
    alone=alone,
)
