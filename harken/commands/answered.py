"""`harken eval` of a model that answers: the fields of an `Evaluation` on chats and instructions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.report import say

if TYPE_CHECKING:
    from ..nn.models import Model
    from ..text.tokenizer import Tokenizer


def of_chats(options: Any, model: Model, tokenizer: Tokenizer) -> dict[str, Any]:
    """Loss and perplexity of the right answers, and of --answers that the model writes itself ROUGE-L and whether they end; with intervals,
    the nearest training answer as a baseline, and `against` a second model the paired test."""
    from ..checkpoint.load import opened
    from ..fit.answered import against, answers, asked_of, chosen, likelihoods, nearest, tallied
    from ..fit.instruct import UNIT, read_chats, sides, tell_cut
    from ..fit.judged import intervals, learned_from
    from ..fit.seen import seen
    from ..measure.metrics.likelihood import Likelihood
    from ..measure.metrics.metric import Tally
    from .judged import difference

    folder = Path(options.model) if isinstance(options.model, str | Path) and Path(options.model).is_dir() else None
    chats = read_chats(options.data, options)
    asked = asked_of(model, tokenizer, chats, options.overflow)
    tell_cut(asked.ledger, model.span)
    other = None if options.against is None else asked_of(*opened(options.against), chats, options.overflow)
    numbers = chosen(asked.fits if other is None else asked.fits & other.fits, options.answers)
    if len(numbers) < len(chats):
        say(f"{len(numbers):,} of {len(chats):,} chats are answered")
    found = likelihoods(asked)
    likely = Tally(Likelihood())
    likely.take(found[found[:, 1] > 0])
    written = tallied(answers(asked, numbers, options), chats, numbers) if len(numbers) else None
    tallies = [likely] if written is None else [likely, written]
    spans = {name: span for tally in tallies for name, span in intervals(tally).items()}
    values = likely.value()
    metrics: dict[str, Any] = {} if written is None else written.value()
    known = None if folder is None else seen(chats.corpus(), folder)
    if known is not None:
        metrics["seen_in_training"] = int(known.sum())
    for what, n in (("prompts answered", len(numbers)), ("prompts not asked", len(chats) - len(numbers))):
        asked.ledger.add("answers", what, n)
    facts: dict[str, Any] = {
        "task": "instruct",
        "examples": int((found[:, 1] > 0).sum()),
        "tokens": int(found[:, 1].sum()),
        **values,
        "metrics": {name: None if math.isnan(value) else value for name, value in metrics.items()},
        "ledger": asked.ledger.to_json(),
        "intervals": {name: {"low": span["low"], "high": span["high"]} for name, span in spans.items()},
        "main": "rougeL",
        "unit": UNIT,
    }
    train = learned_from(sides, folder) if written is not None else None
    if train is not None:
        beside = tallied(nearest(train, chats, numbers), chats, numbers).value()
        facts["baselines"] = {"nearest training answer": {name: beside[name] for name in ("rougeL", "length_ratio")}}
    if other is not None:
        theirs = tallied(answers(other, numbers, options), chats, numbers) if len(numbers) else None
        compared = against((likelihoods(other), theirs), (found, written))
        facts["against"] = {name: difference(each) for name, each in compared.items()}
    return facts
