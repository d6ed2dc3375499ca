"""Several models on the same text, the same split and the same time each: the ladder from counting to a Transformer."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import read_json
from ..base.report import say
from ..checkpoint.load import WEIGHTS, config_of, tokenizer_of
from ..data.ledger import Ledger
from ..draw.chart import line_chart
from ..families.table import family
from ..objectives.objective import LABELLED
from .finish import Trained
from .folder import METRICS, RECORD, RunFolder
from .judged import baselines
from .labelled import read_examples, sides
from .material import material_of
from .options import RUN_ONLY, TrainOptions
from .prepare import digest_of
from .run import run
from .tune import anchored, placed

COUNTED = {"uniform": 0, "unigram": 1}
"""Rungs that are n-gram models of a fixed order."""
PICTURE = "compare.svg"
SHOWN = 4
"""Metrics in the table, of those there are."""
ENOUGH = 1 << 20
"""Tokens of a text that no model needs to read."""


@dataclass(frozen=True)
class Rung:
    """One model's row. `loss`: held-out nats per token (of labelled examples, per example) · `seconds`: of training · `memory`: bytes its
    tensors take · `metrics`: of labelled examples, on the test side where there is one; what takes no effort has nothing else."""

    model: str
    loss: float
    bits_per_byte: float | None
    parameters: int
    seconds: float
    tokens_per_second: float
    memory: int
    run: str
    metrics: dict[str, float] = field(default_factory=dict)


def compare(models: Sequence[str], options: TrainOptions, folder: Path, *, each: Callable[[Rung], None] = lambda rung: None) -> list[Rung]:
    """Train every model by `options` into a folder of its own below `folder`; what is finished there already is taken as it is.

    `each(rung)` is called as soon as a rung is done. InputError when a model is not known or a folder holds another comparison.
    """
    for name in models:
        if name not in COUNTED and family(name).LEARNS == "neighbours":
            raise InputError(f"{name} are words alone and say nothing of a text, so there is no loss to compare: leave them out")
    wanted = {name: dataclasses.replace(options, model="ngram" if name in COUNTED else name, order=COUNTED.get(name, options.order))
              for name in models}  # fmt: skip
    same_text(folder, wanted)
    rungs = []
    for name in models:
        say(f"--- {name}")
        rungs.append(rung(name, finished(folder / name, wanted[name])))
        each(rungs[-1])
    draw(rungs, folder / PICTURE)
    if options.task in LABELLED:
        for one in effortless(options, folder / models[-1]):
            rungs.append(one)
            each(one)
    return rungs


def same_text(folder: Path, wanted: Mapping[str, TrainOptions]) -> None:
    """InputError where a run that is finished learned from another text than is asked for now."""
    digests: dict[Any, str] = {}  # by what reads the text
    for name, options in wanted.items():
        record = record_of(folder / name)
        if record is not None and record["status"] == "done":
            read = material_of(str(options.model), options).corpora
            digests[read] = digests.get(read) or digest_of(*read(options))
            if digests[read] != record["data"]["sha256"]:
                raise InputError(f"{folder / name} learned from another text than {options.data}; compare into another folder with --out")


def effortless(options: TrainOptions, run: Path) -> list[Rung]:
    """The baselines of a task of labelled examples, on the side that the models are told by; `run`: of one of them."""
    task = str(options.task)
    examples, held = sides(task, options)
    if options.test is not None:
        held = read_examples(task, options.test, options, examples.labels)
    words = tokenizer_of(run, config_of(run))
    problem = options.ranking_loss if task == "ranking" else examples.problem
    laid = LABELLED[task].lay(held, words, examples.labels, problem, ENOUGH, Ledger())
    found = baselines(task, held, laid, examples)
    return [Rung(name, math.nan, None, 0, 0.0, 0.0, 0, "", metrics) for name, metrics in found.items()]


def finished(out: Path, wanted: TrainOptions) -> Trained:
    """The result of one run: remembered, resumed or trained."""
    record = record_of(out)
    if record is None:
        return trained(dataclasses.replace(wanted, out=str(out)))
    began = placed(record["options"])
    if any(began.get(k) != v for k, v in comparable(anchored(wanted)).items()):
        raise InputError(f"{out} holds a run with other options; compare into another folder with --out, or remove it")
    if record["status"] == "done":
        say(f"{out} is finished already")
        return dataclasses.replace(Trained(**record["result"]), run=str(out))
    if not RunFolder(out).learned:  # it was stopped before there was anything to go on from
        return trained(dataclasses.replace(wanted, out=str(out), overwrite=True))
    return trained(TrainOptions(data=wanted.data, out=str(out), resume=True))


def record_of(out: Path) -> dict[str, Any] | None:
    """What a run wrote down, where there is one."""
    return read_json(out / RECORD) if (out / RECORD).is_file() else None


def trained(options: TrainOptions) -> Trained:
    """One run of a model that has a loss."""
    found = run(options)
    assert isinstance(found, Trained)  # others were refused
    return found


def comparable(options: TrainOptions) -> dict[str, Any]:
    """The options that two runs must share to be one run."""
    return {k: v for k, v in dataclasses.asdict(options).items() if k not in RUN_ONLY}


def rung(name: str, trained: Trained) -> Rung:
    """A finished run as a row."""
    return Rung(
        model=name,
        loss=trained.loss,
        bits_per_byte=trained.bits_per_byte,
        parameters=trained.parameters,
        seconds=trained.seconds,
        tokens_per_second=trained.tokens / max(trained.seconds, 1e-3),
        memory=(Path(trained.run) / WEIGHTS).stat().st_size,
        run=trained.run,
        metrics=trained.test_metrics or trained.metrics,
    )


def draw(rungs: list[Rung], path: Path) -> None:
    """Held-out loss over the seconds of training; what is not learned step by step is a line across."""
    series, marks = {}, {}
    for one in rungs:
        lines = [json.loads(line) for line in (Path(one.run) / METRICS).read_text("utf-8").splitlines()]
        points = [(line["seconds"], line["valid_loss"]) for line in lines if "valid_loss" in line and "seconds" in line]
        if len(points) > 1 and one.model != "mixture":
            series[one.model] = points[1:]  # the first is the loss of knowing nothing, and would flatten the rest
        else:
            marks[one.model] = one.loss
    units = [json.loads((Path(one.run) / RECORD).read_text("utf-8"))["data"].get("unit", "nats per token") for one in rungs[:1]]
    line_chart(path, series, title="Held-out loss", x="seconds of training", y=units[0], marks=marks)


def table(rungs: list[Rung]) -> str:
    """Aligned columns, best loss marked; of labelled examples the task's metrics first, and the best of the first one marked."""
    metrics = list(rungs[0].metrics)[:SHOWN]
    if metrics:
        best = max(one.metrics.get(metrics[0], -math.inf) for one in rungs)
        head = ["model", *metrics, "loss", "parameters", "seconds", "memory"]
        rows = [
            [
                one.model,
                *(_number(one.metrics.get(name)) + (mark(one.metrics.get(name) == best) if name == metrics[0] else "") for name in metrics),
                _number(one.loss),
                *([f"{one.parameters:,}", f"{one.seconds:.1f}", f"{one.memory / 1e6:.2f} MB"] if one.run else ["–"] * 3),
            ]
            for one in rungs
        ]
        return _aligned(head, rows)
    best = min(one.loss for one in rungs)
    head = ["model", "held-out loss", "bits/byte", "parameters", "seconds", "tokens/s", "memory"]
    rows = [
        [
            one.model,
            f"{one.loss:.4f}{mark(one.loss == best)}",
            f"{one.bits_per_byte:.4f}" if one.bits_per_byte is not None else "–",
            f"{one.parameters:,}",
            f"{one.seconds:.1f}",
            f"{one.tokens_per_second:,.0f}",
            f"{one.memory / 1e6:.2f} MB",
        ]
        for one in rungs
    ]
    return _aligned(head, rows)


def mark(best: bool) -> str:
    """Behind the best number of a column."""
    return " *" if best else "  "


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def _aligned(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in [head, *rows]
    )


def remarks(rungs: list[Rung]) -> list[str]:
    """Where the ladder is not a ladder, and why."""
    found = {one.model: one for one in rungs}
    if rungs[0].metrics:
        return [f"{one.model} is not above {other.model} here" for one in rungs if one.run for other in rungs if not other.run
                and _first(one) <= _first(other)]  # fmt: skip
    notes, bigram, mixture = [], found.get("bigram"), found.get("mixture")
    for one in rungs:
        if bigram and one.model not in (*COUNTED, "bigram") and one.loss >= bigram.loss:
            many = f"it had {one.seconds:.0f} s and read {one.seconds * one.tokens_per_second:,.0f} tokens"
            notes.append(f"{one.model} is not below the bigram here: {many}, too few for what it has to learn")
        if mixture and one is not mixture and one.loss <= mixture.loss:
            why = "a tenth of the training text went into weighing its parts"
            notes.append(f"the mixture is not below {one.model} here: {why}, and its neural part had the same time for less")
    return notes


def _first(one: Rung) -> float:
    """The first of its metrics."""
    return next(iter(one.metrics.values()), math.nan)
