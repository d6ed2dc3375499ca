"""`harken eval --metrics`: every answer is written, and measured beside the right one and beside what is only copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from ..data.pairs import Pairs
    from ..measure.metrics.metric import Metric
    from ..nn.models import Model
    from ..text.tokenizer import Tokenizer

KNOWN = ("bleu", "chrf", "rouge", "exact")
TOGETHER = 64
"""Sources answered at once."""


def metrics_named(given: str) -> dict[str, Metric]:
    """ "bleu,chrf" -> the metrics. InputError for one that is not known, or whose library is missing."""
    from ..measure.metrics.classes import Accuracy
    from ..measure.metrics.summary import Rouge
    from ..measure.metrics.translation import Bleu, Chrf

    made: dict[str, Any] = {"bleu": Bleu, "chrf": Chrf, "rouge": lambda: Rouge(unicode=True), "exact": lambda: Accuracy("exact_match")}
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in made:
            raise InputError(f"--metrics {name} is not known{did_you_mean(name, KNOWN)}")
    return {name: made[name]() for name in names}


def of_answers(given: str, pairs: Pairs, model: Model, tokenizer: Tokenizer) -> dict[str, Any]:
    """`metrics`, their `intervals`, and as `baselines` those of the source as it is and of its first three sentences."""
    from ..decode.generate import generate
    from ..decode.options import DecodeOptions
    from ..measure.baselines.copying import copied, lead
    from ..measure.metrics.metric import Tally

    metrics = metrics_named(given)
    sides = {"": [Tally(each) for each in metrics.values()]}
    sides |= {name: [Tally(each) for each in metrics.values()] for name in ("copy", "lead-3")}
    asked = DecodeOptions(max_new_tokens=model.span - 1, temperature=0.0)
    for at in range(0, len(pairs), TOGETHER):
        sources, targets = (list(side.texts[at : at + TOGETHER]) for side in (pairs.source, pairs.target))
        said = {"": [one.text for one in generate(model, tokenizer, sources, asked)], "copy": copied(sources), "lead-3": lead(sources)}
        for name, tallies in sides.items():
            for tally in tallies:
                tally.update(said[name], targets)
    drawn = {name: each for tally in sides[""] for name, each in tally.intervals().items()}
    return {
        "metrics": _values(sides.pop("")),
        "intervals": {name: {"low": each.low, "high": each.high} for name, each in drawn.items()},
        "baselines": {name: _values(tallies) for name, tallies in sides.items()},
    }


def _values(tallies: list[Any]) -> dict[str, float]:
    return {name: value for tally in tallies for name, value in tally.value().items()}
