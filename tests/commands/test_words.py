"""Words as vectors, as a user meets them: train, similar, analogy; known answers on planted texts; one sentence for what cannot be."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import harken
from harken.base.errors import InputError
from harken.cli import main
from harken.families.table import build, config_class
from harken.families.vectors import VectorsConfig
from harken.nn.vectors import analogy_scores, normed, token_vectors
from harken.text.plain import train_plain_words
from harken.text.train import train_bpe, train_characters, train_wordpiece, train_words
from harken.view.words import Words

KINDS = {"royal": "crown throne palace", "common": "field plough village", "young": "school toy lesson", "ship": "sail harbour wave"}
SIDES = {"male": "he his beard", "female": "she her gown", "many": "they their crowd"}
NOUNS = {
    ("royal", "male"): "king",
    ("royal", "female"): "queen",
    ("common", "male"): "man",
    ("common", "female"): "woman",
    ("young", "male"): "boy",
    ("young", "female"): "girl",
    ("common", "many"): "people",
    ("ship", "many"): "sailors",
}


def planted(sentences: int = 4000) -> list[str]:
    """Sentences about a noun, in words of its kind and its side alone; what is in between says nothing."""
    rng = random.Random(0)
    lines = []
    for _ in range(sentences):
        (kind, side), noun = rng.choice(list(NOUNS.items()))
        near = [*rng.choices(KINDS[kind].split(), k=2), *rng.choices(SIDES[side].split(), k=2), rng.choice(["the", "and", "of"])]
        rng.shuffle(near)
        lines.append(" ".join([*near[:3], noun.capitalize() if rng.random() < 0.3 else noun, *near[3:]]) + ".")
    return lines


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "planted.txt"
    path.write_text("\n".join(planted()))
    return path


@pytest.fixture(scope="module")
def run(text: Path) -> str:
    out = str(text.parent / "run")
    assert main(["train", str(text), "--model", "vectors", "--out", out, "--width", "10", "--examples", "lines"]) == 0
    return out


def refused(capsys: pytest.CaptureFixture[str], words: list[str], *parts: str) -> None:
    capsys.readouterr()
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert not out and "Traceback" not in err
    assert all(part in err.splitlines()[-1] for part in parts), err


def test_words_that_share_contexts_are_neighbours(run: str) -> None:
    for kind, words in KINDS.items():
        near = {one.word for one in harken.similar(run, words.split()[0], top=6)}
        assert set(words.split()[1:]) <= near, kind
    found = harken.similar(run, "King", top=1000)
    assert len({one.word for one in found}) == len(found) == len(Words(*harken.load(run)).units) - 2  # all but <unk> and itself
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True) and all(-1.001 <= score <= 1.001 for score in scores)
    words = Words(*harken.load(run))
    assert found[0].score == pytest.approx(float(words.vector("king") @ words.units[found[0].id]))


@pytest.mark.parametrize("method", ["add", "mul"])
def test_planted_analogies_are_found(run: str, method: str) -> None:
    pairs = [("king", "queen"), ("man", "woman"), ("boy", "girl")]
    for (a, right), (b, c) in itertools.permutations(pairs, 2):
        assert harken.analogy(run, a, b, c, top=1, method=method)[0].word == right  # king - man + woman
        assert harken.analogy(run, right, c, b, top=1, method=method)[0].word == a
    found = {one.word for one in harken.analogy(run, "king", "man", "woman", top=1000, method=method)}
    assert not found & {"king", "man", "woman"}


def test_scores_are_those_of_the_papers() -> None:
    rng = np.random.default_rng(0)
    units = normed(rng.standard_normal((9, 5)))
    a, b, c = units[:3]
    added, multiplied = analogy_scores(units, a, b, c), analogy_scores(units, a, b, c, "mul")
    for x, one, two in zip(units, added, multiplied, strict=True):
        sums = x @ a - x @ b + x @ c
        assert one == pytest.approx(sums / np.linalg.norm(a - b + c))
        assert two == pytest.approx((x @ a + 1) / 2 * (x @ c + 1) / 2 / ((x @ b + 1) / 2 + 0.001))


def test_the_run_is_a_model_folder(run: str, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, tokenizer = harken.load(run)
    assert isinstance(model.config, VectorsConfig) and model.config.window == 5 and tokenizer.kind == "word"
    assert model(torch.tensor([tokenizer.encode("the king", special=False)])).shape == (1, 2, 10)
    harken.save(model, tokenizer, tmp_path / "copy")
    again = harken.load(tmp_path / "copy")[0]
    assert np.array_equal(token_vectors(again, 20), token_vectors(model, 20)) and again.config == model.config
    record = json.loads((Path(run) / "harken.json").read_text())
    assert record["status"] == "done" and record["task"] == "word-vectors"
    counted = record["ledger"]["tokens"]
    assert counted["words"] == counted["words counted"] + counted["words too rare"] == 6 * 4000
    facts = harken.info(run)
    assert facts["family"] == "vectors" and facts["width"] == 10 and facts["parameters"] == model.config.vocab_size * 10
    for command in (["generate", run, "the"], ["next", run, "the"], ["eval", run, str(text)]):
        refused(capsys, command, "cannot continue or score a text")


def test_the_order_of_lines_changes_no_bit(run: str, text: Path, tmp_path: Path) -> None:
    lines = text.read_text().split("\n")
    random.Random(1).shuffle(lines)
    (tmp_path / "other.txt").write_text("\n".join(lines))
    found = harken.train(tmp_path / "other.txt", model="vectors", out=tmp_path / "run", width=10, examples="lines")
    assert (found.words, found.width, found.steps) == (32, 10, 0) and 0 < found.explained <= 1
    files = [(Path(folder) / "model.safetensors").read_bytes() for folder in (run, tmp_path / "run")]
    assert files[0] == files[1]
    narrow = harken.train(text, model="vectors", out=tmp_path / "narrow", width=10, window=1, examples="lines")
    assert (Path(narrow.run) / "model.safetensors").read_bytes() != files[0]
    assert harken.load(narrow.run)[0].config.window == 1


def test_a_run_is_repeated_and_never_gone_on_with(run: str, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--replay", run, "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (Path(run) / "model.safetensors").read_bytes()
    (tmp_path / "other.txt").write_text(text.read_text()[1000:])
    other = ["train", str(tmp_path / "other.txt"), "--out", str(tmp_path / "other")]
    refused(capsys, [*other, "--replay", run], "is not the text that was learned from")
    refused(capsys, ["train", "--resume", "--out", run], "holds word vectors, which are counted at once")
    refused(capsys, ["train", str(text), "--model", "vectors", "--out", run], "already holds a run")
    assert not (tmp_path / "other").exists()


def test_tables_and_json(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["similar", run, "king", "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].split() == ["word", "score"]
    assert main(["analogy", run, "king", "man", "woman", "--top", "2", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(one) for one in found] == [{"word", "id", "score"}] * 2 and found[0]["word"] == "queen"
    assert main(["similar", run, "king queen", "--top", "1"]) == 0
    assert "2 pieces stands for it: 'king', 'queen'" in capsys.readouterr().err


def test_wrong_input_is_one_sentence(run: str, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "out"), "--model", "vectors"]
    (tmp_path / "few.txt").write_text("one two\n")
    (tmp_path / "signs.txt").write_text("!!! ??? ...\n--- ,,,\n")
    refused(capsys, ["similar", run, "quen"], "'quen' is not among the 32 words", "did you mean 'queen'?")
    refused(capsys, ["similar", run, "xylophone"], "'xylophone' is not among the 32 words this model has vectors for")
    refused(capsys, ["similar", run, "?!"], "'?!' is no word")
    refused(capsys, ["similar", run, "king", "--top", "0"], "--top must be at least 1")
    refused(capsys, ["analogy", run, "king", "man"], "C is missing")
    refused(capsys, ["analogy", run, "king", "mann", "woman"], "'mann'", "'man'")
    refused(capsys, ["similar", str(tmp_path / "none"), "king"], "none")
    refused(capsys, ["train", str(tmp_path / "few.txt"), *out], "few.txt has 2 words that can be counted, too few for vectors")
    refused(capsys, ["train", str(tmp_path / "signs.txt"), *out], "there is no word to learn from")
    refused(capsys, ["train", str(text), *out, "--width", "100"], "has 32 words that can be counted, too few")
    refused(capsys, ["train", str(text), *out, "--steps", "5"], "--steps is not for --model vectors")
    refused(capsys, ["train", str(text), *out, "--vocab-size", "3"], "--vocab-size 3 is too few words")
    refused(capsys, ["train", str(text), *out, "--window", "0"], "--window must be at least 1")
    refused(capsys, ["train", str(text), "--model", "llama", "--window", "2"], "--window is for --model vectors")
    assert not (tmp_path / "out").exists()


# ---- other models


def pair(name: str, tokenizer):
    model = build(config_class(name).sized(16, 1, 2, 32, tokenizer.vocab_size, 0.0), seed=0)
    return model, tokenizer


@pytest.mark.parametrize("name", ["llama", "bert", "bart", "marian", "t5", "lstm", "mlp", "seq2seq", "mixture"])
def test_any_model_with_token_vectors(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = train_bpe(["the king and the queen in the unbelievable palace"] * 9, 300)
    model, _ = pair(name, tokenizer) if name != "mixture" else (build(mixture(tokenizer.vocab_size), seed=0), None)
    table = next(value for key, value in model.state_dict().items() if key.endswith("embed.tokens.weight"))
    one, two = tokenizer.encode(" king", special=False), tokenizer.encode(" queen", special=False)
    assert len(one) == len(two) == 1
    cosine = float(torch.cosine_similarity(table[one[0]], table[two[0]], dim=0))
    for packed in (False, True):
        if packed:
            model.pack()
        found = harken.similar((model, tokenizer), "king", top=500)
        assert next(each.score for each in found if each.id == two[0]) == pytest.approx(cosine, abs=1e-5)
        assert not {each.id for each in found} & {*tokenizer.special_ids, one[0]}
    model.unpack()
    harken.similar((model, tokenizer), "kingqueen")
    assert "'kingqueen' is not one token of this model: the mean of the vectors of its" in capsys.readouterr().err


def mixture(vocab: int):
    kind = config_class("mixture")
    return kind.of(*(config_class(part).sized(16, 1, 2, 32, vocab, 0.0) for part in ("llama", "ngram")))


@pytest.mark.parametrize("train", [train_wordpiece, train_words, train_characters])
def test_every_kind_of_tokenizer(train) -> None:
    tokenizer = train(["the king and the queen", "a queen is no king"] * 9)
    asked, other = ("a", "k") if train is train_characters else ("king", "queen")
    words = Words(*pair("llama", tokenizer))
    assert other in {one.word for one in words.similar(asked, 100)}
    assert asked not in {one.word for one in words.similar(asked, 100)}
    with pytest.raises(InputError, match=r"is not among the (pieces|[0-9]+ words) this model has vectors for"):
        words.similar("ж", 1)


@pytest.mark.parametrize("name", ["ngram", "bigram"])
def test_a_model_without_vectors(name: str) -> None:
    with pytest.raises(InputError, match=f"a {name} model holds no vectors of its tokens: take one such as llama"):
        harken.similar(pair(name, train_characters(["king"])), "king")


# ---- plain words


def test_plain_words_are_what_a_text_is_made_of() -> None:
    tokenizer = train_plain_words(["The King's men don't; the _old_ 3 men — café CAFÉ.", "don’t 東京 the"], 100)
    assert tokenizer.token(0) == "<unk>" and tokenizer.inner.id_to_token(1) == "the"
    read = [tokenizer.inner.id_to_token(i) for i in tokenizer.encode("the OLD king's <unk> 京東 “men”!", special=False)]
    assert read == ["the", "old", "king's", "<unk>", "京", "東", "men"]
    assert {"don't", "3", "café"} <= set(tokenizer.inner.get_vocab()) and tokenizer.inner.get_vocab()["café"] < 6
    assert train_plain_words(["b a"], 100).inner.get_vocab() == {"<unk>": 0, "a": 1, "b": 2}  # of equals the first by code point
    assert train_plain_words(["b a a"], 2).inner.get_vocab() == {"<unk>": 0, "a": 1}


REFUSED = [
    ({"window": 0}, "window must be a positive whole number, not 0"),
    ({"shift": 0.0}, "shift must be a positive number, not 0.0"),
    ({"context_smoothing": -1.0}, "context_smoothing must be a positive number, not -1.0"),
    ({"power": -0.5}, "power must be a number from 0, not -0.5"),
    ({"power": "1"}, "power must be a number from 0, not '1'"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_what_cannot_be_counted_is_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        VectorsConfig.read({"vocab_size": 9, **changes})
