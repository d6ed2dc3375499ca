"""`harken eval` of labelled examples: what is printed of metrics, intervals, baselines and a second model."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..nn.models import Model
    from ..text.tokenizer import Tokenizer


def of_labelled(options: Any, task: str, model: Model, tokenizer: Tokenizer) -> dict[str, Any]:
    """The fields of an `Evaluation`: every metric, 95 % intervals, baselines of the task, and `against` a second model the paired test."""
    from ..checkpoint.load import opened
    from ..fit.judged import against, baselines, intervals, learned_from, recorded, tried
    from ..fit.labelled import sides, tell_cut

    folder = Path(options.model) if isinstance(options.model, str | Path) and Path(options.model).is_dir() else None
    trial = tried(task, model, tokenizer, options, folder)
    tell_cut(trial.ledger, trial.laid.context)
    learns = task in ("classification", "token-classification")
    train = learned_from(partial(sides, task), folder) if learns else None
    spans = intervals(trial.found.tally)
    metrics: dict[str, Any] = {name: None if math.isnan(value) else value for name, value in trial.found.metrics.items()}
    if trial.seen is not None:
        metrics["seen_in_training"] = trial.seen
    facts: dict[str, Any] = {
        "task": task,
        "examples": len(trial.laid),
        "tokens": trial.laid.targets,
        "loss": trial.found.loss,
        "perplexity": math.nan,
        "bits_per_byte": math.nan,
        "metrics": metrics,
        "ledger": trial.ledger.to_json(),
        "intervals": {name: {"low": span["low"], "high": span["high"]} for name, span in spans.items()},
        "baselines": baselines(task, trial.examples, trial.laid, train),
        "main": trial.found.main,
        "unit": recorded(folder).get("data", {}).get("unit", "nats"),
    }
    if options.against is not None:
        other, words = opened(options.against)
        other.pack()
        second = tried(task, other, words, options, Path(options.against), trial)
        facts["against"] = {name: difference(each) for name, each in against(second, trial).items()}
    return facts


def difference(found: Any) -> dict[str, float]:
    """A paired test as an object: of the model against the other one."""
    return {"value": found.second, "other": found.first, "difference": found.size, "low": found.low, "high": found.high, "p": found.p}


def lines(found: Any, other: str | None) -> list[str]:
    """What a person reads."""
    inside = f"  ({span['low']:.4f} to {span['high']:.4f})" if (span := found.intervals.get("loss")) else ""
    made = [f"loss           {found.loss:.4f} {found.unit}{inside}", *numbers(found)]
    made.append(f"measured on    {found.examples:,} examples of {found.tokens:,} tokens")
    if known := found.metrics.get("seen_in_training"):
        made.append(f"not new        {known:,} of the {read_of(found):,} texts also occur in the training data")
    return made + versus(found, other)


def read_of(found: Any) -> int:
    """How many examples were read, those among them that are left out."""
    return found.ledger.get("read", {}).get("examples", found.examples)


def versus(found: Any, other: str | None) -> list[str]:
    """A line for each metric of a paired test."""
    made = []
    for name, each in (found.against or {}).items():
        if not math.isnan(each["difference"]):
            span = f"{each['low']:+.4f} to {each['high']:+.4f}, p = {each['p']:.3f}"
            made.append(f"against        {name} {each['difference']:+.4f} ({span}) over {other}'s {each['other']:.4f}")
    return made


def numbers(found: Any) -> list[str]:
    """A line for each metric that has an interval, beside what the baselines have."""
    made = []
    for name, value in found.metrics.items():
        span = found.intervals.get(name)
        if span is None or value is None:
            continue
        inside = f"  ({span['low']:.4f} to {span['high']:.4f})"
        beside = ", ".join(f"{which} {others[name]:.4f}" for which, others in found.baselines.items() if name in others)
        made.append(f"{name:<14} {value:.4f}{inside}" + (f"  · {beside}" if beside else ""))
    if found.intervals:
        made.append("in brackets    95 % of what other examples of the same kind would give (bootstrap)")
    return made
