"""`harken eval` of dialogues: perplexity, hits@1, word F1 and what is written, beside what takes no effort."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.files import replacing
from ..base.report import as_json
from .judged import difference

if TYPE_CHECKING:
    from ..nn.models import Model
    from ..text.tokenizer import Tokenizer


def of_dialogues(options: Any, model: Model, tokenizer: Tokenizer) -> dict[str, Any]:
    """The fields of an `Evaluation`: every metric, 95 % intervals, baselines, and `against` a second model the paired test."""
    from ..checkpoint.load import opened
    from ..fit.dialogue import tell_cut
    from ..fit.judged import intervals
    from ..fit.talked import against, baselines, tried

    folder = folder_of(options.model)
    talk = tried(model, tokenizer, options, folder)
    tell_cut(talk.ledger, talk.laid, model.context)
    if options.candidates_out is not None:
        write_candidates(options.candidates_out, talk)
    metrics: dict[str, Any] = {name: each for tally in talk.tallies for name, each in tally.value().items()}
    spans = {
        name: {"low": span["low"], "high": span["high"]}
        for tally in talk.tallies
        if hasattr(tally, "metric")
        for name, span in intervals(tally).items()
    }
    beside = baselines(talk, tokenizer, folder)
    metrics.pop("hits@1_tf-idf", None)  # that of the baseline
    spans.pop("hits@1_tf-idf", None)
    if talk.known is not None:
        metrics["seen_in_training"] = talk.known
    facts: dict[str, Any] = {
        "task": "dialogue",
        "examples": len(talk.laid),
        "tokens": talk.tokens,
        "loss": talk.nats / talk.tokens,
        "perplexity": metrics["perplexity"],
        "bits_per_byte": math.nan,
        "metrics": {name: None if math.isnan(value) else value for name, value in metrics.items()},
        "ledger": talk.ledger.to_json(),
        "intervals": spans,
        "baselines": beside,
        "main": "hits@1",
    }
    if options.against is not None:
        other, words = opened(options.against)
        second = tried(other, words, options, folder_of(options.against))
        facts["against"] = {name: difference(each) for name, each in against(second, talk).items()}
    return facts


def folder_of(model: Any) -> Path | None:
    """The folder of a model, where it is in one."""
    return Path(model) if isinstance(model, str | Path) and Path(model).is_dir() else None


def write_candidates(path: str, talk: Any) -> None:
    """Of every reply a line: persona, history, response and its wrong candidates, as `harken eval` reads them again."""
    with replacing(Path(path)) as part, open(part, "w", encoding="utf-8") as file:
        for number, place in talk.laid.goal.said.tolist():
            example = talk.examples[number]
            wrong = example.candidates[example.replies.index(place)]
            row = {"persona": example.persona, "history": example.turns[:place], "response": example.turns[place], "candidates": wrong}
            file.write(as_json(row) + "\n")
