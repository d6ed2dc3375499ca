"""`harken eval` of labelled examples and of broken texts: what is left out is said, another order of labels changes nothing, and no option
of another task is passed over."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import harken
from harken.base.errors import InputError
from harken.checkpoint.save import save
from harken.cli import main
from harken.commands.asked import JUDGED, OPTIONS, check
from harken.commands.eval import EvalOptions, trained_on
from harken.data.labelled import read_labelled
from harken.data.ledger import Ledger
from harken.data.texts import digest
from harken.families.table import build, config_class
from harken.fit import talked
from harken.fit.judged import baselines, common, learned_from
from harken.nn.models import Model
from harken.objectives.classification import lay
from harken.objectives.objective import LABELLED
from harken.text.frames import FRAMES
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_tokenizer

ROWS = [{"text": f"a {word} film", "label": label} for word, label in zip("abcdefghijkl", ["pos", "neg", "neg"] * 4, strict=True)]
LONG = {"text": "a film of many words " * 4, "label": "pos"}


def bert(task: str, *labels: str, context: int = 32) -> tuple[Model, Tokenizer]:
    """A model by chance; labels in another order change nothing but their numbers."""
    tokenizer = train_tokenizer("char", ["abcdefghijklmnopqrstuvwxyz ."], frame=FRAMES["bert"])
    config: Any = config_class("bert").sized(16, 1, 2, context, tokenizer.vocab_size, 0.0)
    config.task, config.pad_token_id, config.initializer_range = task, tokenizer.pad_id, 0.4
    if labels:
        config.id2label, config.problem_type = dict(enumerate(labels)), "single_label_classification"
    config.check()
    model = build(config, seed=1)
    if labels:
        order = torch.tensor(sorted(range(len(labels)), key=lambda i: labels[i])).argsort()
        with torch.no_grad():
            for each in (model.head.out.weight, model.head.out.bias):  # pyright: ignore[reportAttributeAccessIssue]
                each.copy_(each[order].clone())
    return model, tokenizer


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def folder(path: Path, *labels: str, context: int = 32) -> str:
    save(*bert("classification", *labels, context=context), path)
    return str(path)


def test_examples_that_are_left_out_are_said_and_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = written(tmp_path / "a.jsonl", [*ROWS, LONG])
    found = harken.evaluate(bert("classification", "neg", "pos"), data, overflow="drop")
    assert found.examples == 12 and found.ledger["read"]["examples"] == 13
    assert "1 examples are longer than the context of 32 and are dropped" in capsys.readouterr().err
    cut = harken.evaluate(bert("classification", "neg", "pos"), data, overflow="truncate")
    assert cut.examples == 13 and "1 examples are longer than the context of 32 and are truncated" in capsys.readouterr().err


def test_broken_texts_that_are_left_out_are_said_and_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("\n".join(row["text"] for row in [*ROWS, LONG]) + "\n")
    save(*bert("masked-language-modeling"), tmp_path / "model")
    assert not main(["eval", str(tmp_path / "model"), str(tmp_path / "a.txt"), "--examples", "lines", "--overflow", "drop"])
    said = capsys.readouterr().out
    assert "tokens of 12 texts" in said and "dropped        1 texts longer than the model's context" in said


def test_two_models_may_have_their_labels_in_another_order(tmp_path: Path) -> None:
    data = written(tmp_path / "a.jsonl", ROWS)
    one = folder(tmp_path / "one", "neg", "pos")
    found = harken.evaluate(one, data, against=folder(tmp_path / "two", "pos", "neg"))
    assert found.against is not None and {"accuracy", "f1", "matthews"} <= set(found.against)
    for name, each in found.against.items():
        assert each["difference"] == 0 and each["p"] == 1 and each["other"] == found.metrics[name]
    with pytest.raises(InputError, match="not measured by the same numbers: give two that learned the same labels"):
        harken.evaluate(one, data, against=folder(tmp_path / "three", "neg", "neutral", "pos"))


def test_two_models_are_compared_on_what_both_have_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shorter one leaves out an example amid the others, the longer one another."""
    middle = [{"text": "a film of many many words", "label": "neg"}, LONG]
    data = written(tmp_path / "a.jsonl", [*ROWS[:3], *middle, *ROWS[3:]])
    long, short = folder(tmp_path / "long", "neg", "pos"), folder(tmp_path / "short", "neg", "pos", context=24)
    found = harken.evaluate(long, data, overflow="drop", against=short)
    assert found.examples == 13 and "compared on 12 examples" in capsys.readouterr().err and found.against is not None
    alone = [harken.evaluate(each, written(tmp_path / "both.jsonl", ROWS)).metrics["accuracy"] for each in (long, short)]
    assert [found.against["accuracy"][side] for side in ("value", "other")] == alone
    with pytest.raises(InputError, match="no example in common"):
        common(np.array([0, 2]), np.array([1, 3]))


def test_baselines_are_measured_on_what_was_read(tmp_path: Path) -> None:
    examples = read_labelled(written(tmp_path / "a.jsonl", [LONG, *ROWS]))
    _, tokenizer = bert("classification", "neg", "pos")
    laid = lay(examples, tokenizer, ("neg", "pos"), "single_label_classification", 32, Ledger(), overflow="drop")
    assert laid.kept.tolist() == list(range(1, 13))
    found = baselines("classification", examples, laid, examples)
    assert found["majority"]["accuracy"] == 8 / 12


@pytest.mark.parametrize(
    ("kind", "read"), [("lines", "lines"), ("running", "running"), ("chats", None), ("dialogues", None), ("pairs", None)]
)
def test_only_text_is_read_as_in_training(kind: str, read: str | None, tmp_path: Path) -> None:
    (tmp_path / "harken.json").write_text(json.dumps({"data": {"kind": kind}}))
    assert trained_on(tmp_path) == read


@pytest.mark.parametrize(
    ("task", "option", "says"),
    [
        ("language-modeling", {"overflow": "drop"}, "--overflow is for --task text2text or .* not for language-modeling: leave it out"),
        ("language-modeling", {"target": "b.txt"}, "--target is for --task text2text or summarization or translation, not for language"),
        ("language-modeling", {"against": "b"}, "--against is for .* not for language-modeling"),
        ("denoising", {"metrics": "bleu"}, "--metrics is for --task text2text or summarization or translation, not for denoising"),
        ("instruct", {"metrics": "bleu"}, "--metrics is for .* not for instruct"),
        ("instruct", {"candidates_out": "c.jsonl"}, "--candidates-out is for --task dialogue, not for instruct"),
        ("pretraining", {"overflow": "drop"}, "--overflow is for .* not for pretraining"),
        ("classification", {"mend": True}, "--mend is for --task token-classification or span, not for classification"),
        ("classification", {"examples": "lines"}, "--examples is for .* not for classification"),
        ("text2text", {"temperature": 0.5}, "--temperature is for --task dialogue or instruct, not for text2text"),
        ("dialogue", {"overflow": "truncate"}, "--overflow truncate is not for dialogues"),
    ],
)
def test_an_option_of_another_task_is_refused(task: str, option: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as found:
        check(EvalOptions(model="m", data="d", **option), task)
    assert "\n" not in str(found.value)


def test_options_of_a_task_are_taken(tmp_path: Path) -> None:
    assert set(JUDGED) == set(LABELLED)
    assert set(OPTIONS) < {each.name for each in dataclasses.fields(EvalOptions)}
    check(EvalOptions(model="m", data="d", overflow="drop", history=2, candidates_out="c", answers=3, mix=1.0, against="b"), "dialogue")
    check(EvalOptions(model="m", data="d", mend=True, skip_bad_rows=True, columns="text=a"), "span")
    check(EvalOptions(model="m", data="d", metrics="bleu", target="t", overflow="truncate", against="b"), "translation")
    with pytest.raises(InputError, match="--overflow is for"):
        harken.evaluate(bert("pretraining"), written(tmp_path / "a.jsonl", ROWS), overflow="drop")


def test_what_was_learned_from_may_be_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = read_labelled(ROWS)
    none = train.select(np.zeros(len(train), bool))
    record = {"data": {"source": "owner/reviews", "kind": "labelled", "sha256": digest(train.rows.rows)}, "options": {}}
    (tmp_path / "harken.json").write_text(json.dumps(record))
    asked: list[Any] = []
    assert learned_from(lambda options: (asked.append(options.data), (train, none))[1], tmp_path) is train and asked == ["owner/reviews"]

    (tmp_path / "harken.json").write_text(json.dumps({"data": {"source": "owner/talks", "kind": "dialogues"}}))
    monkeypatch.setattr(talked, "read_dialogues", lambda *given, **options: train)
    monkeypatch.setattr(talked, "split_examples", lambda examples: (examples, None))
    assert talked.dialogues_of(tmp_path) == (train, None)

    def away(*given: Any, **options: Any) -> None:
        raise InputError("owner/talks is neither a file here nor a data set that the Hub gives")

    monkeypatch.setattr(talked, "read_dialogues", away)
    assert talked.dialogues_of(tmp_path) == (None, None)
