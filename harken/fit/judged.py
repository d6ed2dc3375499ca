"""What `harken eval` says of labelled examples: every metric with its interval, what no effort yields, and how much was seen before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..base.files import read_json
from ..base.report import say
from ..data.examples import Examples
from ..data.hub import is_hub
from ..data.labelled import MULTI, REGRESSION, SINGLE
from ..data.laid import Laid
from ..data.ledger import Ledger
from ..data.texts import digest
from ..measure.baselines.bayes import naive_bayes
from ..measure.baselines.constant import majority, mean
from ..measure.baselines.reading import best_name, best_sentence
from ..measure.baselines.similarity import tf_idf
from ..measure.baselines.tags import tag_per_word
from ..measure.judge import Judged, judge, metric_of
from ..measure.metrics.metric import Metric, Tally
from ..measure.resample import Difference, paired
from ..nn.models import Model
from ..objectives import span
from ..objectives.classification import texts_of
from ..objectives.contrastive import SCALE, groups_of, scaled
from ..objectives.objective import LABELLED
from ..objectives.ranking import candidates
from ..text.tokenizer import Tokenizer
from .folder import RECORD
from .labelled import read_examples, tell_notes
from .options import TrainOptions
from .seen import seen

FEWEST = 2
"""Examples that an interval is drawn from."""
OTHERS = "the two models are not measured by the same numbers: give two that learned the same labels"


@dataclass(frozen=True)
class Trial:
    """A model on examples. `seen`: how many of them it has learned from, None where that is not known."""

    examples: Examples[Any]
    laid: Laid
    found: Judged
    ledger: Ledger
    seen: int | None


def task_of(model: Model, learned: str | None) -> str | None:
    """The task of labelled examples that a model is measured by: the one it was trained for, else that of its head; None where it has
    none."""
    if learned in LABELLED:
        return learned
    return model.config.task if model.config.task in LABELLED else None


def tried(task: str, model: Model, tokenizer: Tokenizer, options: Any, folder: Path | None, first: Trial | None = None) -> Trial:
    """Read the data as the model learned to read it, and judge its answers. `first`: of a model that this one is compared with, by the same
    metric. InputError with file and line where a row is wrong, or has a label that the model never learned."""
    config, labels, problem = model.config, None, None
    if task in ("classification", "token-classification"):
        labels = tuple((config.id2label or {n: f"LABEL_{n}" for n in range(config.num_labels)}).values())
    if task == "classification":
        problem = config.problem_type or (REGRESSION if config.num_labels == 1 else SINGLE)
        labels = () if problem == REGRESSION else labels
    elif task == "ranking":
        problem = recorded(folder).get("options", {}).get("ranking_loss") or "listwise"
    examples = read_examples(task, options.data, options, labels)
    tell_notes(examples)
    problem = examples.problem if problem is None else problem
    ledger = examples.ledger.copy()
    laid = LABELLED[task].lay(examples, tokenizer, labels or (), problem, reach(task, model, folder), ledger, overflow=options.overflow)
    if task == "similarity":
        laid = scaled(laid, recorded(folder).get("options", {}).get("scale", SCALE))
    found = judge(model, laid, pad=tokenizer.pad_id or 0, metric=None if first is None else shared(first.found, laid))
    known = seen(examples.corpus(), folder) if folder is not None else None
    return Trial(examples, laid, found, ledger, None if known is None else int(known.sum()))


def reach(task: str, model: Model, folder: Path | None) -> int:
    """Tokens a sequence may have: where long ones are read in windows those of the rows it learned from, else all that it can read."""
    if task not in ("span", "token-classification"):
        return model.context
    return min(model.context, recorded(folder).get("data", {}).get("context", span.CONTEXT))


def recorded(folder: Path | None) -> dict[str, Any]:
    """The record of a run; nothing where there is none."""
    path = None if folder is None else folder / RECORD
    return read_json(path) if path is not None and path.is_file() else {}


def there(place: str | None) -> bool:
    """Whether data can be read again: a file, a folder, or a name on the Hub."""
    return place is not None and place not in ("", "-") and (Path(place).exists() or is_hub(place))


def learned_from(read: Callable[[TrainOptions], tuple[Examples[Any], Examples[Any]]], folder: Path | None) -> Examples[Any] | None:
    """The examples a run has learned from, where they still are as they were; else why not is said. `read`: both sides of its data."""
    data = recorded(folder).get("data", {})
    place = data.get("source")
    if not there(place):
        say("there are no baselines that learn: the training data of this run is not known, or not there any more")
        return None
    began = recorded(folder).get("options", {})

    named = {name: began[name] for name in ("columns", "mend", "skip_bad_rows", "valid") if name in began}
    try:
        train, valid = read(TrainOptions(data=place, **named))
    except InputError as error:
        say(f"there are no baselines that learn: {error}")
        return None
    if digest(*(side.rows.rows for side in (train, valid) if len(side))) != data.get("sha256"):
        say(f"there are no baselines that learn: {place} is not what the run learned from any more")
        return None
    return train


def baselines(task: str, examples: Examples[Any], laid: Laid, train: Examples[Any] | None) -> dict[str, dict[str, float]]:
    """What takes no effort, by its name: the same metric on the same examples."""
    metric, _ = metric_of(laid)
    if len(laid) < len(examples):
        if task == "ranking":  # the candidates of each query are drawn from all
            say("there are no baselines: they would be measured on the examples that were left out, too")
            return {}
        examples = examples.select(np.isin(np.arange(len(examples)), laid.kept))
    found: dict[str, dict[str, float]] = {}
    for name, predictions in guesses(task, examples, laid, train).items():
        tally = Tally(metric)
        tally.update(predictions, references(task, examples, laid))
        found[name] = {key: value for key, value in tally.value().items() if not math.isnan(value)}
    return found


def references(task: str, examples: Examples[Any], laid: Laid) -> list[Any]:
    """What is right, as the metric takes it."""
    goal = laid.goal
    if task == "classification":
        if goal.problem == REGRESSION:
            return [example.score for example in examples]
        return [set(example.labels) if goal.problem == MULTI else example.labels[0] for example in examples]
    if task == "token-classification":
        return [list(example.tags) for example in examples]
    if task == "span":
        return [[answer.text for answer in example.answers] for example in examples]
    if task == "ranking":
        wrong = candidates(examples)
        return [[1.0] * len(one.positives) + [0.0] * len(some) for one, some in zip(examples, wrong, strict=True)]
    return goal.scores.tolist()


def guesses(task: str, examples: Examples[Any], laid: Laid, train: Examples[Any] | None) -> dict[str, Sequence[Any]]:
    """The predictions of every baseline that can be had."""
    goal = laid.goal
    if task == "span":
        ways: dict[str, Callable[[str, str], Any]] = {"best sentence": best_sentence, "best name": best_name}
        return {name: [way(each.question, each.context).text for each in examples] for name, way in ways.items()}
    if task == "ranking":
        wrong = candidates(examples)
        lists = [(each.query, (*each.positives, *some)) for each, some in zip(examples, wrong, strict=True)]
        weights = tf_idf(text for _, some in lists for text in some)
        return {"tf-idf": [weights.scores(query, some) for query, some in lists], "none": [[0.0] * len(some) for _, some in lists]}
    if task == "similarity":
        if goal.scores is None:
            return {}
        groups = groups_of(examples)
        weights = tf_idf(text for group in groups for text in group)
        return {"tf-idf": [weights.similarity(*group[:2]) for group in groups]}
    if train is None:
        return {}
    if task == "token-classification":
        words = [list(example.tokens) for example in examples]
        learned = tag_per_word((list(each.tokens) for each in train), (list(each.tags) for each in train))
        return {"most frequent tag": learned.predict(words)}
    return of_classes(examples, goal.problem, train)


def of_classes(examples: Examples[Any], problem: str, train: Examples[Any]) -> dict[str, Sequence[Any]]:
    """The baselines of classification."""
    if problem == REGRESSION:
        return {"mean": mean(each.score for each in train).predict(examples)}
    if problem == MULTI:
        return {"majority": [set(each) for each in majority(frozenset(each.labels) for each in train).predict(examples)]}
    one = majority(each.labels[0] for each in train).predict(examples)
    bayes = naive_bayes((" ".join(texts_of(each)) for each in train), (each.labels[0] for each in train))
    return {"majority": one, "naive bayes": bayes.predict(" ".join(texts_of(each)) for each in examples)}


def intervals(tally: Tally) -> dict[str, dict[str, float]]:
    """{metric: {"value", "low", "high"}}: of 1,000 samples."""
    found = tally.intervals() if tally.examples >= FEWEST else {}
    return {
        name: {"value": value, "low": found[name].low, "high": found[name].high}
        for name, value in tally.value().items()
        if name in found and not math.isnan(value)
    }


def shared(first: Judged, laid: Laid) -> Metric:
    """The metric of a model, for a second one. InputError unless both tell the same labels apart, in whatever order."""
    metric, own = first.tally.metric, metric_of(laid)[0]
    if type(own) is not type(metric) or any(set(getattr(own, some, ())) != set(getattr(metric, some, ())) for some in ("labels", "types")):
        raise InputError(OTHERS)
    return metric


def against(first: Trial, second: Trial) -> dict[str, Difference]:
    """Two models on the examples that both have read, by the same metric: a paired test of every number. InputError when they are not
    measured by the same."""
    mine, theirs = common(first.laid.kept, second.laid.kept)
    rows, others = first.found.tally.rows[mine], second.found.tally.rows[theirs]
    if rows.shape != others.shape:
        raise InputError(OTHERS)
    return paired(rows, others, first.found.tally.metric.value)


def common(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) and (m,) names, each once -> where in either of them those stand that are in both. InputError when none is."""
    both, mine, theirs = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    if not len(both):
        raise InputError("the two models have read no example in common: all are too long for one of them")
    if len(both) < max(len(first), len(second)):
        say(f"the two models are compared on {len(both):,} examples: the others are too long for one of them")
    return mine, theirs
