"""The ladder of translation, on Multi30k, German to English: a bare context vector, attention, the Transformer.

The tokens of the rows above. Every model has ten minutes on two cores, then the three that are best on the validation set an hour; five
beams, sacreBLEU 13a in small letters on test 2016. Sizes are the same for all recurrent models: one layer of width 256 on each side,
dropout 0.3. Pairs a step, and the Transformer's learning rate, were chosen by the validation set after 90 seconds. bentrevett's
tutorials (https://github.com/bentrevett/pytorch-seq2seq) have 13.76 (LSTM, bare), 28.30 (additive) and 36.52 (Transformer).
"""

from __future__ import annotations

from typing import Any

import harken
from harken.draw.chart import line_chart
from harken.measure.metrics.translation import Bleu
from harken.results.lab import Lab

from .multi30k import SIZE, bleu, prepare, raw, scores

WIDE: dict[str, Any] = {"model": "seq2seq", "width": 256, "layers": 1, "batch_size": 64, "learning_rate": 0.01}
RUNGS: dict[str, dict[str, Any]] = {
    **{f"{cell.upper()}, bare": {**WIDE, "cell": cell, "attention": "none"} for cell in ("rnn", "gru", "lstm")},
    "GRU, additive": {**WIDE, "cell": "gru", "attention": "additive"},
    **{
        f"LSTM, {kind}": {**WIDE, "cell": "lstm", "attention": kind, "input_feeding": True}
        for kind in ("dot", "general", "concat", "local-p")
    },
    "Transformer": {"model": "transformer", **SIZE, "batch_size": 128},
}
LENGTHS = ((1, 8), (9, 11), (12, 14), (15, 18), (19, 99))
DRAWN = ("GRU, additive", "LSTM, local-p", "Transformer")
SHOWN = 0


def named(name: str) -> str:
    """A rung as the name of a run."""
    return name.lower().replace(", ", "-")


def by_length(lab: Lab, answers: list[str]) -> list[tuple[float, float]]:
    """BLEU of the sources of each length, at the mean length; words of the plain answers in Moses' tokens."""
    sources = [len(line.split()) for line in lab.file("test.de").read_text("utf-8").splitlines()]
    right = lab.file("test.en").read_text("utf-8").splitlines()
    points = []
    for first, last in LENGTHS:
        chosen = [i for i, length in enumerate(sources) if first <= length <= last]
        if len(chosen) > 1:
            value = bleu([answers[i] for i in chosen], [right[i] for i in chosen], Bleu(tokenize="none"))["value"]
            points.append((sum(sources[i] for i in chosen) / len(chosen), value))
    return points


def alignment(lab: Lab, run: str) -> None:
    """Draw what a run attends to in one sentence of the test, as soon as it is trained: the picture is kept, the weights need not be."""
    picture = lab.picture(f"alignment-{run}.svg")
    source, target = (lab.file(f"test.{side}").read_text("utf-8").splitlines()[SHOWN] for side in ("de", "en"))

    def draw() -> str:
        harken.look(str(lab.run(run)), source, target=target, out=str(picture))
        return picture.name

    lab.step(f"{run}-alignment", draw)


def steps(lab: Lab) -> None:
    """Train every rung, measure, draw; the best three once more, longer."""
    paths = prepare(lab, "de", "en")

    def climbed(name: str, run: str, minutes: float) -> dict[str, Any]:
        trained = lab.train(run, paths["train"]["de"], target=str(paths["train"]["en"]), valid=str(paths["valid"]["de"]),
                            valid_target=str(paths["valid"]["en"]), tokenizer="bpe", vocab_size=10_000, overflow="drop", dropout=0.3,
                            label_smoothing=0.1, average=0.999, best="last", minutes=minutes, **RUNGS[name])  # fmt: skip
        sides = {
            part: lab.step(f"{run}-{part}", lambda part=part: scores(lab, lab.run(run), "de", "en", part)) for part in ("valid", "test")
        }
        return {"trained": trained, **sides}

    def tell(name: str, found: dict[str, Any], note: str, **facts: Any) -> None:
        score = found["test"]["lower"]
        lab.found(f"{name}, {note}", score["value"], low=score["low"], high=score["high"], minutes=lab.minutes(found["trained"]), **facts)

    rungs = {}
    for name in RUNGS:
        rungs[name] = climbed(name, named(name), 10.0)
        if name in DRAWN:
            alignment(lab, named(name))
    values = {name: found["test"]["lower"]["value"] for name, found in rungs.items()}
    others = {"LSTM, bare": "13.76", "GRU, bare": "20.61", "GRU, additive": "28.30", "Transformer": "36.52"}
    for name, found in rungs.items():
        tell(name, found, "10 minutes", beside=others.get(name, ""))
    bare, attends = ([values[name] for name in RUNGS if name != "Transformer" and ("bare" in name) is kind] for kind in (True, False))
    lab.found("the worst attention above the best bare vector", min(attends) - max(bare), least=5.0)
    lab.found("the Transformer above the best attention", values["Transformer"] - max(attends), least=0.0)
    best = sorted(rungs, key=lambda name: -rungs[name]["valid"]["lower"]["value"])[: 1 if lab.tiny else 3]
    for name in best:
        wanted = {"Transformer": 36.5, "GRU, additive": 28.3}.get(name, 28.3)
        tell(name, climbed(name, f"{named(name)}-hour", 60.0), "60 minutes", least=wanted, beside=others.get(name, ""))
    lab.note(f"The three that went on were those with the best BLEU on the validation set: {', '.join(best)}.")
    lab.note(f"`{rungs['Transformer']['test']['lower']['signature']}`")
    series = {name: by_length(lab, found["test"]["answers"]) for name, found in rungs.items()}
    line_chart(
        lab.picture("lengths.svg"), series, title="BLEU by the length of the source", x="tokens of the source", y="BLEU, Moses' tokens"
    )
    lab.note(f"The alignments are those of “{raw(lab, 'test', 'de')[SHOWN]}”, the first sentence of the test.")
