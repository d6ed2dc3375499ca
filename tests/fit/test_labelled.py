"""Runs on labelled examples: they learn, stop and go on, are measured beside what takes no effort, and open in transformers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import harken
from harken.base.errors import InputError
from harken.data.framing import frame_of
from harken.fit import labelled
from harken.fit.options import TrainOptions
from harken.nn.mask import Mask

SMALL = {"width": 48, "layers": 2, "heads": 2, "batch_size": 32, "dropout": 0.0}
PLAIN = ["the", "film", "story", "plot", "actor", "was", "is", "very", "quite", "a"]
KINDS = {"who": ["ada", "bob", "cleo", "dan"], "where": ["paris", "rome", "oslo", "bern"], "when": ["monday", "friday", "noon", "june"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """reviews.tsv (a word decides), several.jsonl, names.conll, questions.jsonl, pairs.jsonl, ranked.jsonl."""
    rng, folder = random.Random(0), tmp_path_factory.mktemp("labelled")

    def words(low: int, high: int) -> list[str]:
        return rng.choices(PLAIN, k=rng.randint(low, high))

    rows, several, scores, ranked = [], [], [], []
    for _ in range(360):
        good = rng.random() < 0.5
        text = words(3, 9)
        text.insert(rng.randrange(len(text)), rng.choice(["good", "great", "fine"] if good else ["bad", "poor", "dull"]))
        rows.append(f"{' '.join(text)}\t{'pos' if good else 'neg'}")
        chosen = [each for each in ("red", "blue", "green") if rng.random() < 0.5] or ["red"]
        several.append({"text": " ".join([*words(1, 4), *chosen]), "label": chosen})
        alike = rng.random() < 0.5
        topic = rng.choice(list(KINDS))
        other = topic if alike else rng.choice([each for each in KINDS if each != topic])
        scores.append({"sentence1": rng.choice(KINDS[topic]), "sentence2": rng.choice(KINDS[other]), "score": 5.0 * alike})
        right = f"{rng.choice(PLAIN)} right {rng.choice(PLAIN)}"
        ranked.append({"query": " ".join(words(1, 2)), "positive": right, "negative": [" ".join(words(2, 3)) for _ in range(3)]})
    (folder / "reviews.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    for name, found in (("several", several), ("scores", scores), ("ranked", ranked)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in found))
    (folder / "names.conll").write_text("\n".join(tagged(rng, words(2, 7)) for _ in range(260)))
    (folder / "questions.jsonl").write_text("".join(json.dumps(asked(rng)) + "\n" for _ in range(400)))
    return folder


def tagged(rng: random.Random, words: list[str]) -> str:
    lines = []
    for word in words:
        lines.append(f"{word} O")
        if rng.random() < 0.3:
            lines.append(f"{rng.choice(['Ada', 'Bob', 'Cleopatra'])} B-PER")
            lines += [f"{rng.choice(['Smith', 'Jones'])} I-PER"] * (rng.random() < 0.5)
    return "\n".join(lines) + "\n"


def asked(rng: random.Random) -> dict:
    """A context with someone, somewhere and some time, and a question for one of them."""
    kinds = rng.sample(list(KINDS), 3)
    found = {kind: rng.choice(KINDS[kind]) for kind in kinds}
    context = " ".join(f"{rng.choice(PLAIN)} {found[kind]}" for kind in kinds)
    kind = rng.choice(kinds)
    return {
        "context": context,
        "question": f"{kind} was it ?",
        "answers": {"text": [found[kind]], "answer_start": [context.index(found[kind])]},
    }


def trained(data: Path, file: str, out: Path, **options) -> harken.fit.finish.Trained:
    return harken.train(str(data / file), out=str(out), **{**SMALL, **options})


@pytest.mark.parametrize("model", ["bert", "lstm", "gpt2"])
def test_a_small_classifier_learns(data: Path, tmp_path: Path, model: str) -> None:
    found = trained(data, "reviews.tsv", tmp_path / "run", task="classification", model=model, steps=60)
    assert found.metrics["accuracy"] > 0.95
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["id2label"] == {"0": "neg", "1": "pos"} and config["label2id"] == {"neg": 0, "pos": 1}
    assert config["problem_type"] == "single_label_classification"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["valid_accuracy"] for line in lines if "valid_accuracy" in line][-1] > 0.95


def test_what_was_learned_is_what_the_pipeline_says(data: Path, tmp_path: Path) -> None:
    run = trained(data, "reviews.tsv", tmp_path / "a", task="classification", model="bert", steps=60).run
    assert harken.pipeline("text-classification", run)("the film was very great")[0]["label"] == "pos"
    run = trained(data, "questions.jsonl", tmp_path / "b", task="span", model="bert", steps=100).run
    said = harken.pipeline("question-answering", run)(question="where was it ?", context="the ada was rome a noon")
    assert said["answer"] == "rome"


def test_a_small_tagger_learns(data: Path, tmp_path: Path) -> None:
    found = trained(data, "names.conll", tmp_path / "run", task="ner", model="bert", steps=60)
    assert found.metrics["f1"] > 0.95
    assert json.loads((tmp_path / "run" / "config.json").read_text())["id2label"] == {"0": "O", "1": "B-PER", "2": "I-PER"}


def test_a_small_span_model_learns(data: Path, tmp_path: Path) -> None:
    assert trained(data, "questions.jsonl", tmp_path / "run", task="span", model="bert", steps=100).metrics["f1"] > 95


@pytest.mark.parametrize(
    ("file", "task", "metric", "least"),
    [
        ("several.jsonl", "classification", "f1_micro", 0.95),
        ("scores.jsonl", "similarity", "spearman", 0.7),
        ("ranked.jsonl", "ranking", "mrr", 0.95),
    ],
)
def test_the_other_kinds_learn(data: Path, tmp_path: Path, file: str, task: str, metric: str, least: float) -> None:
    assert trained(data, file, tmp_path / "run", task=task, model="bert", steps=60).metrics[metric] > least


def test_pairs_that_belong_together_are_found(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"query": f"{a} {b}", "positive": f"{b} {a}"}) + "\n" for a in PLAIN for b in PLAIN if a != b))
    found = harken.train(str(path), task="similarity", model="bert", out=str(tmp_path / "run"), steps=40, **SMALL)
    assert found.metrics["mrr"] > 0.5


def test_a_run_that_was_stopped_ends_in_the_same_bits(data: Path, tmp_path: Path, stopped) -> None:
    asked = {"task": "classification", "model": "bert", "steps": 12, "save_every": 0.0}
    whole = trained(data, "reviews.tsv", tmp_path / "whole", **asked)
    stopped(7, lambda: trained(data, "reviews.tsv", tmp_path / "parts", **asked))
    again = harken.train(resume=True, out=str(tmp_path / "parts"), data=str(data / "reviews.tsv"))
    assert (again.loss, again.metrics) == (whole.loss, whole.metrics)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("file", "task", "model", "named"),
    [
        ("reviews.tsv", "classification", "bert", "BertForSequenceClassification"),
        ("several.jsonl", "classification", "roberta", "RobertaForSequenceClassification"),
        ("names.conll", "ner", "distilbert", "DistilBertForTokenClassification"),
        ("questions.jsonl", "span", "bert", "BertForQuestionAnswering"),
        ("reviews.tsv", "classification", "gpt2", "GPT2ForSequenceClassification"),
        ("reviews.tsv", "classification", "bart", "BartForSequenceClassification"),
        ("reviews.tsv", "classification", "t5", "T5ForSequenceClassification"),
    ],
)
def test_a_run_opens_in_transformers(data: Path, tmp_path: Path, file: str, task: str, model: str, named: str) -> None:
    transformers = pytest.importorskip("transformers")
    trained(data, file, tmp_path / "run", task=task, model=model, steps=2)
    ours, tokenizer = harken.load(tmp_path / "run")
    theirs = getattr(transformers, named).from_pretrained(tmp_path / "run").eval()
    ids, types = frame_of(tokenizer, pair=False).around(tokenizer.encode("the film was good", special=False))
    if file == "several.jsonl":
        assert theirs.config.problem_type == "multi_label_classification"
    with torch.no_grad():
        got, want = ours(torch.tensor([ids]), Mask()), theirs(input_ids=torch.tensor([ids]))
    want = torch.stack([want.start_logits, want.end_logits], -1) if task == "span" else want.logits
    assert type(theirs).__name__ == named and not any(types)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_a_classifier_is_measured_beside_what_takes_no_effort(data: Path, tmp_path: Path, capsys) -> None:
    runs = [trained(data, "reviews.tsv", tmp_path / f"{n}", task="classification", model="bert", steps=n).run for n in (60, 1)]
    found = harken.evaluate(runs[0], str(data / "reviews.tsv"), against=runs[1])
    assert found.metrics["accuracy"] > 0.95 and found.main == "accuracy" and found.examples == 360
    assert found.intervals["accuracy"]["low"] <= found.metrics["accuracy"] <= found.intervals["accuracy"]["high"]
    assert found.baselines["naive bayes"]["accuracy"] > 0.95 > found.baselines["majority"]["accuracy"] > 0.4
    assert 300 < (found.metrics["seen_in_training"] or 0) < 360
    assert found.against is not None and found.against["accuracy"]["p"] < 0.01 and found.against["accuracy"]["difference"] > 0.1
    lines = (data / "reviews.tsv").read_text().splitlines()
    other = tmp_path / "other.tsv"
    other.write_text("\n".join([*lines[:3], "the plot was good\tgreat"]) + "\n")
    with pytest.raises(InputError, match=r"other.tsv line 4: the label 'great' is none that was learned"):
        harken.evaluate(runs[0], str(other))
    (tmp_path / "gone.tsv").write_text("\n".join(lines) + "\n")
    run = harken.train(str(tmp_path / "gone.tsv"), task="classification", model="bert", out=str(tmp_path / "c"), steps=1, **SMALL).run
    (tmp_path / "gone.tsv").unlink()
    capsys.readouterr()
    assert harken.evaluate(run, str(data / "reviews.tsv")).baselines == {}
    assert "not there any more" in capsys.readouterr().err


def test_what_is_eval_json(data: Path, tmp_path: Path, capsys) -> None:
    from harken.cli import main

    run = trained(data, "names.conll", tmp_path / "run", task="ner", model="bert", steps=5).run
    capsys.readouterr()
    assert not main(["eval", run, str(data / "names.conll"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"task", "examples", "tokens", "loss", "perplexity", "bits_per_byte", "metrics", "ledger"} <= set(found)
    assert found["perplexity"] is None and set(found["intervals"]["f1"]) == {"low", "high"}
    assert "most frequent tag" in found["baselines"]


@pytest.mark.parametrize(
    ("file", "text", "task", "message"),
    [
        ("a.conll", "Ada B-PER\nmet O\nSmith I-PER\n\n", "ner", r"a.conll line 3: the tag 'I-PER' follows 'O': write 'B-PER'"),
        ("a.jsonl", '{"context": "Rome", "question": "?", "answers": {"text": ["Oslo"], "answer_start": [3]}}\n', "span", "a.jsonl line 1"),
        ("a.tsv", "text\tlabel\ngood\tpos\nbad\t\nfine\tpos\n", "classification", r"a.tsv line 3: the label is empty"),
        ("a.tsv", "text\tlabel\ngood\tpos\nfine\tpos\n", "classification", r"single label 'pos'"),
    ],
)  # fmt: skip
def test_wrong_rows_are_said_with_file_and_line(tmp_path: Path, file: str, text: str, task: str, message: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        harken.train(str(tmp_path / file), task=task, model="bert", out=str(tmp_path / "run"), steps=1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "span", "model": "ngram"}, "--task span is not for a ngram model"),
        ({"task": "similarity", "model": "lstm"}, "--task similarity is not for a lstm model"),
        ({"task": "classification", "mend": True}, "--mend is for --task token-classification or span"),
        ({"task": "classification", "best": "bleu"}, "--best bleu is not measured in this task"),
        ({"task": "classification", "overflow": "window"}, "--overflow window is not for --task classification"),
        ({"task": "classification", "examples": "lines"}, "--examples is for texts to continue"),
    ],
)
def test_requests_that_make_no_sense_are_refused(data: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        harken.train(str(data / "reviews.tsv"), **{"model": "bert", "out": str(tmp_path / "run"), "steps": 1, **options})
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_other_data_and_the_same_labels(data: Path, tmp_path: Path) -> None:
    run = trained(data, "reviews.tsv", tmp_path / "a", task="classification", model="bert", steps=30).run
    again = harken.train(str(data / "reviews.tsv"), task="classification", model=run, out=str(tmp_path / "b"), steps=2)
    assert again.metrics["accuracy"] > 0.9
    body = harken.train(str(data / "names.conll"), task="ner", model=run, out=str(tmp_path / "c"), steps=2)
    assert harken.load(body.run)[0].config.task == "token-classification"
    colours = tmp_path / "colours.tsv"
    colours.write_text("text\tlabel\n" + "".join(f"a {name} film {n}\t{name}\n" for n in range(9) for name in ("red", "blue")))
    other = harken.train(str(colours), task="classification", model=run, out=str(tmp_path / "d"), steps=1)
    assert harken.load(other.run)[0].config.id2label == {0: "blue", 1: "red"}


def test_a_run_goes_on_with_the_order_of_labels_that_its_checkpoint_has(tmp_path: Path, stopped) -> None:
    """The checkpoint knows a third label between the two of the data, whose numbers would else change on the way."""
    for name, labels in (("three", ("neg", "neutral", "pos")), ("two", ("neg", "pos"))):
        rows = "".join(f"a {label} film {n}\t{label}\n" for n in range(12) for label in labels)
        (tmp_path / f"{name}.tsv").write_text("text\tlabel\n" + rows)
    first = trained(tmp_path, "three.tsv", tmp_path / "first", task="classification", model="bert", steps=2)
    asked = {"task": "classification", "model": first.run, "steps": 6, "batch_size": 8, "save_every": 0.0}
    whole = harken.train(str(tmp_path / "two.tsv"), out=str(tmp_path / "whole"), **asked)
    stopped(4, lambda: harken.train(str(tmp_path / "two.tsv"), out=str(tmp_path / "parts"), **asked))
    again = harken.train(resume=True, out=str(tmp_path / "parts"))
    assert (again.loss, again.metrics) == (whole.loss, whole.metrics)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_scores_of_all_sides_stand_beside_the_largest_that_is_learned(tmp_path: Path) -> None:
    for name, scores in (("train", (0.0, 2.5, 5.0)), ("valid", (1.0, 4.0))):
        rows = [{"sentence1": f"a film {n}", "sentence2": f"a story {n}", "score": score} for n in range(9) for score in scores]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = TrainOptions(data=str(tmp_path / "train.jsonl"), valid=str(tmp_path / "valid.jsonl"), task="similarity", model="bert")
    train, valid = labelled.corpora(options)
    found = labelled.prepared(options, labelled.make_tokenizer(options, train), train, valid)
    assert found.train.goal.scores.max() == 1.0 and found.valid is not None and found.valid.goal.scores.max() == np.float32(0.8)


def written(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_row_without_a_score_is_wrong_and_does_not_make_pairs_of_all(tmp_path: Path) -> None:
    rows = [{"sentence1": f"a {n}", "sentence2": f"b {n}", "score": n} for n in range(3)]
    bare = [{"sentence1": "a", "sentence2": "b"}]
    scored, none = written(tmp_path / "scored.jsonl", rows), written(tmp_path / "none.jsonl", bare * 3)
    for name, some in (("last", [*rows, *bare]), ("first", [*bare, *rows])):
        path = written(tmp_path / f"{name}.jsonl", some)
        with pytest.raises(InputError, match=rf"{name}.jsonl line {1 if name == 'first' else 4} has no "):
            labelled.corpora(TrainOptions(data=path, task="similarity", model="bert"))
    for data, valid in ((scored, none), (none, scored)):
        with pytest.raises(InputError, match=r"the pairs of .*scored.jsonl have scores, but those of .*none.jsonl do not"):
            labelled.corpora(TrainOptions(data=data, valid=valid, task="similarity", model="bert"))
    assert labelled.corpora(TrainOptions(data=none, valid=none, task="similarity", model="bert"))[0][0].query == "a"


@pytest.mark.parametrize("task", ["classification", "similarity"])
def test_whole_numbers_are_scores_where_scores_were_learned(tmp_path: Path, task: str) -> None:
    sides = [[{"sentence1": f"a {n}", "sentence2": f"b {n}", "label": n} for n in some] for some in ([1, 2.5, 5], [1, 2, 5])]
    data, valid = (written(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate(sides))
    train, held = labelled.corpora(TrainOptions(data=data, valid=valid, task=task, model="bert"))
    assert held is not None and [each.score for each in held] == [1.0, 2.0, 5.0] and train.problem == held.problem


def test_how_the_other_sides_were_read_is_said(tmp_path: Path, capsys) -> None:
    data, valid = (written(tmp_path / f"{i}.jsonl", [{"text": f"{i} {n}", "label": "ab"[n % 2]} for n in range(4)]) for i in range(2))
    labelled.corpora(TrainOptions(data=data, valid=valid, task="classification", model="bert"))
    assert capsys.readouterr().err.splitlines()[:2] == [f"{path}: 2 labels (a 2, b 2)" for path in (data, valid)]


def test_all_sides_are_measured_by_the_column_that_is_learned(tmp_path: Path) -> None:
    rows = [{"text": f"a film {n}", "label": n + 0.5, "score": 9 - n} for n in range(9)]
    path = tmp_path / "both.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train, valid = labelled.sides("classification", TrainOptions(data=str(path), valid=str(path), task="classification", model="bert"))
    assert [each.score for each in train] == [each.score for each in valid] == [n + 0.5 for n in range(9)]


def test_the_table_has_what_takes_no_effort(data: Path, tmp_path: Path) -> None:
    from harken.fit.compare import compare, table

    options = TrainOptions(data=str(data / "reviews.tsv"), task="classification", steps=2, width=16, layers=1, heads=1)
    rungs = compare(["rnn", "bert"], options, tmp_path / "runs")
    assert [rung.model for rung in rungs] == ["rnn", "bert", "majority", "naive bayes"]
    assert table(rungs).splitlines()[0].split()[:2] == ["model", "accuracy"]
    assert np.isnan(rungs[2].loss) and rungs[3].metrics["accuracy"] > 0.9
