"""Fill mask: what may stand where a text has the name of the mask, [MASK] or <mask>.

    [{"score": 0.3, "token": 2307, "token_str": "great", "sequence": "it was great."}, …]      a list of such lists for several masks
Text is only text everywhere else; here, and only here, the name of the mask in it is read as the mask itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from ..base.options import option
from ..base.report import say
from ..text.tokenizer import Tokenizer
from .frame import admit
from .scores import best, softmax
from .task import Prepared, Row, Task, Tools, text_of

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to fill gaps."""

    top_k: int | None = option(5, "how many tokens for each gap", min=1)
    targets: tuple[Any, ...] = option((), "only these, which should be tokens; may be given again")
    truncation: bool = option(False, "cut texts that are longer than the model reads")


def once(tools: Tools, options: Options) -> Options:
    """The targets as ids. InputError where the tokenizer has no mask, or no token for a target."""
    _ = tools.mask_parser
    if not options.targets or isinstance(options.targets[0], int):
        return options
    vocabulary, ids = tools.tokenizer.inner.get_vocab(with_added_tokens=True), []
    for target in options.targets:
        found = [vocabulary[target]] if target in vocabulary else tools.tokenizer.encode(text_of(target, "target"), special=False)
        if not found or tools.tokenizer.unknown(found[:1]):
            raise InputError(f"the target {target!r} is not in the vocabulary: leave it out")
        if target not in vocabulary:
            say(f"the target {target!r} is no token: its first one, {tools.tokenizer.inner.id_to_token(found[0])!r}, stands for it")
        ids.append(int(found[0]))
    return replace(options, targets=tuple(dict.fromkeys(ids)))


def prepare(given: Any, tools: Tools, options: Options) -> Prepared:
    """One row, asked about at its masks."""
    words, name = tools.tokenizer, tools.tokenizer.names["mask"]
    try:
        ids = tools.mask_parser.encode(text_of(given), add_special_tokens=False).ids
    except TypeError:
        words.encode(given)  # says what is wrong with it
        raise
    room = tools.model.context - tools.single.size
    admit(tools, max(0, len(ids) - room), len(ids) + tools.single.size, options.truncation)
    row = tools.single.row(ids[:room])
    places = [place for place, i in enumerate(row.ids) if i == words.mask_id]
    if not places:
        cut = " in what is left of it" if len(ids) > room else ""
        raise InputError(f"the input has no {name}{cut}: put it where a word is to be filled in")
    return Prepared([Row(row.ids, row.types, places)])


def postprocess(prepared: Prepared, outputs: Sequence[np.ndarray], tools: Tools, options: Options) -> Any:
    """The best tokens of the only gap; of several, a list of those of each."""
    row, words = prepared.rows[0], tools.tokenizer
    found = [filled(row, place, logits, words, options) for place, logits in zip(row.places, outputs[0], strict=True)]
    return found[0] if len(found) == 1 else found


def filled(row: Row, place: int, logits: np.ndarray, words: Tokenizer, options: Options) -> list[dict[str, Any]]:
    """The best tokens of one gap. Where there are others, they stay in the text."""
    scores = softmax(logits)[: words.vocab_size]  # rows of the model beyond the vocabulary are no tokens
    allowed = np.array(options.targets or range(len(scores)))
    out = []
    for i in best(scores[allowed], options.top_k or 5):
        token = int(allowed[i])
        ids = [token if at == place else each for at, each in enumerate(row.ids)]
        text = words.decode([each for each in ids if each != words.pad_id], skip_special=len(row.places or ()) == 1)
        out.append(
            {"score": float(scores[token]), "token": token, "token_str": words.decode([token], skip_special=False), "sequence": text}
        )
    return out


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """The share of hidden tokens guessed right."""
    from ..measure.metrics.likelihood import TokenAccuracy

    return [TokenAccuracy()]


TASK = Task(
    name="fill-mask",
    options=Options,
    heads=("masked-language-modeling",),
    wants="words",
    default="distilbert/distilroberta-base",
    prepare=prepare,
    postprocess=postprocess,
    metrics=metrics,
    once=once,
)
