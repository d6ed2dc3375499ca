"""BLEU and chrF are sacrebleu's for any choice of sentences, its signature too; ROUGE is rouge-score's."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from harken.base.errors import InputError
from harken.measure.metrics.dialogue import Chosen, Repetition, Talked
from harken.measure.metrics.metric import Tally
from harken.measure.metrics.summary import Rouge
from harken.measure.metrics.translation import Bleu, Chrf

WORDS = ["the", "cat", "sat", "on", "a", "mat", ",", "and", "it", "did", "not", "look", ".", "Who", "is", "?"]
random = np.random.default_rng(0)


def sentence():
    return " ".join(random.choice(WORDS, random.integers(3, 15)))


RIGHT = [sentence() for _ in range(60)]
SAID = [" ".join(word for word in text.split() if random.random() < 0.8) + " mat" for text in RIGHT]
OTHER = [sentence() if i % 3 else None for i in range(60)]


def rows(metric, said, right):
    tally = Tally(metric)
    tally.update(said, right)
    return tally.rows


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Bleu(), BLEU()),
        (Bleu(tokenize="none", lowercase=True), BLEU(tokenize="none", lowercase=True)),
        (Chrf(), CHRF()),
        (Chrf(word_order=2), CHRF(word_order=2)),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_sacrebleu(ours, theirs, several):
    references = [[a, b] if several and b else a for a, b in zip(RIGHT, OTHER, strict=True)]
    kept = rows(ours, SAID, references)
    for indices in (np.arange(60), random.integers(60, size=60), np.array([3]), random.integers(60, size=500)):
        streams = [[RIGHT[i] for i in indices], *([[OTHER[i] for i in indices]] if several else [])]
        expected = theirs.corpus_score([SAID[i] for i in indices], streams).score
        (value,) = ours.value(kept[indices]).values()
        assert value == pytest.approx(expected, abs=1e-9)
        assert ours.signature(kept[indices]) == str(theirs.get_signature())
    assert f"nrefs:{'var' if several else 1}|" in ours.signature(kept)


def test_the_command_line_of_sacrebleu(tmp_path):
    for name, lines in (("said", SAID), ("right", RIGHT)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "right", "-i", "said", "-m", "bleu", "chrf", "-w", "6"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    for metric, found in zip((Bleu(), Chrf()), json.loads(done.stdout), strict=True):
        kept = rows(metric, SAID, RIGHT)
        assert list(metric.value(kept).values()) == pytest.approx([found["score"]], abs=1e-5)
        assert metric.signature(kept) == found["signature"]


def test_nothing_in_common_and_nothing_said():
    for metric in (Bleu(), Chrf()):
        assert list(metric.value(rows(metric, ["xyz", ""], ["abc", "abc"])).values()) == [0]
        with pytest.raises(InputError, match="no reference"):
            metric.row("x", [])
    with pytest.raises(InputError, match=r"no tokenizer '13b' \(did you mean '13a'"):
        Bleu(tokenize="13b")


@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge(stemmer):
    kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    theirs, ours = RougeScorer(kinds, use_stemmer=stemmer), Rouge(stemmer=stemmer)
    summaries = [f"{a}\n{b}" for a, b in zip(RIGHT, SAID, strict=True)]
    said = [f"{b}\n{a}" for a, b in zip(RIGHT, reversed(SAID), strict=True)]
    found = ours.value(rows(ours, said, summaries))
    scores = [theirs.score(right, text) for text, right in zip(said, summaries, strict=True)]
    assert found == pytest.approx({kind: np.mean([score[kind].fmeasure for score in scores]) for kind in kinds})
    best = ours.row("the cat", ["a dog", "the black cat"])
    assert best == pytest.approx([theirs.score("the black cat", "the cat")[kind].fmeasure for kind in kinds])


def test_rouge_of_sentences():
    """Two sentences in the other order: one line shares half, a line each shares all."""
    said, right = "It rains. The cat sleeps.", "The cat sleeps. It rains."
    assert Rouge().row(said, right)[3] < 1 and Rouge(split=True).row(said, right)[3] == 1
    assert "split:yes" in Rouge(split=True).signature(np.zeros((1, 4)))


def test_rouge_of_other_scripts():
    with pytest.raises(InputError, match="measure with unicode"):
        Rouge().row("собака", "собака")
    assert Rouge(unicode=True).row("собака спит", "собака ест")[0] == 0.5
    assert Rouge().row("a dog", "") == [0, 0, 0, 0]
    with pytest.raises(InputError, match="English alone"):
        Rouge(stemmer=True, unicode=True)
    with pytest.raises(InputError, match="no summary"):
        Rouge().row("x", [])


@pytest.mark.parametrize(("make", "module"), [(Bleu, "sacrebleu"), (Chrf, "sacrebleu"), (Rouge, "rouge_score")])
def test_without_the_library(make, module, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"pip install 'harken\[eval\]'$"):
        make()


def test_dialogues_are_counted_by_hand():
    tally = Tally(Talked(("other",)))
    tally.update([(4.0, 3, 2, [[0.5, 0.4, 0.1], [1.0, 1.0, 0.0]]), (2.0, 1, 2, [[0.1, 0.4, 0.1], [0.2, 0.1, 0.0]])], [None, None])
    wanted = {"perplexity": math.exp(6 / 4), "perplexity_word": math.exp(6 / 4), "hits@1": 0.5, "mrr": (1 + 1 / 3) / 2, "hits@1_other": 0.5}
    assert tally.value() == pytest.approx(wanted)  # of equal scores the wrong one comes first
    assert set(tally.intervals()) == set(wanted)


def test_repetition_by_hand():
    tally = Tally(Repetition())
    tally.update(["i like it i like it", "you know that i do", "so"], [[], ["well, you know that"], []])
    assert tally.value() == {"repetition": (1 + 1) / (4 + 3)}
    choices = Tally(Chosen(2))
    choices.update([[(2.0, 2, [1.0, 0.0]), (1.0, 1, [0.0, 0.0])]], [None])
    assert choices.value() == {"perplexity": math.e, "hits@1_of_2": 0.5}
