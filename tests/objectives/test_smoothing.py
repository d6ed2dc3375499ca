"""Label smoothing is torch's and transformers', however rows are laid out; what is measured is not smoothed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers.modeling_outputs import Seq2SeqLMOutput
from transformers.trainer_pt_utils import LabelSmoother

from harken.data.batches import Spans
from harken.data.corpus import Corpus
from harken.data.ledger import Ledger
from harken.data.pairs import PairSpans, fitted_pairs, read_pairs
from harken.data.texts import TextsBuilder
from harken.families.table import build, config_class
from harken.nn.mask import Mask
from harken.objectives import causal, seq2seq
from harken.objectives.smoothing import Smoothed
from harken.text.train import train_characters

SHARE = 0.1
WORDS = train_characters(["abcdef"])


def model_of(name: str) -> Any:
    return build(config_class(name).sized(16, 1, 2, 16, WORDS.vocab_size, 0.0), seed=3)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSpans:
    path = Path(tmp_path_factory.mktemp("pairs") / "a.tsv")
    path.write_text("source\ttarget\nab\tbca\nabcabc\ta\nf\tabcdef\n")
    whole = seq2seq.tokenised_pairs(read_pairs(path), WORDS, Ledger()).after(0)
    return fitted_pairs(whole, 16, Ledger(), "x", overflow=None, stage="tokens")


@pytest.fixture(scope="module")
def texts() -> Spans:
    builder = TextsBuilder("text")
    for text in ("abcde", "f", "bacaba"):
        builder.add(text)
    return causal.spans(Corpus(builder.texts(), "lines", "text", Ledger()), WORDS, 16, Ledger())


@pytest.mark.parametrize("name", ["t5", "bart", "seq2seq"])
def test_of_pairs_it_is_that_of_torch_and_of_transformers(pairs: PairSpans, name: str) -> None:
    model, rows = model_of(name), pairs.rows()
    loss = Smoothed(SHARE).batch_loss(model, pairs, rows, 0)
    sources, lengths, inputs, targets = (torch.from_numpy(a) for a in pairs.take(rows, 0))
    with torch.no_grad():
        logits = model(sources, inputs, Mask(lengths=lengths))
    theirs = LabelSmoother(epsilon=SHARE)(Seq2SeqLMOutput(logits=logits), targets)
    assert loss.total.item() / loss.tokens == pytest.approx(theirs.item(), rel=1e-5)
    torchs = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, label_smoothing=SHARE)
    assert loss.total.item() / loss.tokens == pytest.approx(torchs.item(), rel=1e-5)
    parts = [Smoothed(SHARE).batch_loss(model, pairs, rows[i : i + 1], 0).total.item() for i in range(len(rows))]
    assert sum(parts) == pytest.approx(loss.total.item(), rel=1e-5)


def test_of_texts_it_is_the_same_padded_and_packed(texts: Spans) -> None:
    model, rows = model_of("llama"), texts.rows()
    padded, packed = (Smoothed(SHARE).batch_loss(model, texts, rows, 0, pack=pack) for pack in (False, True))
    inputs, targets, lengths = (torch.from_numpy(a) for a in texts.take(rows, 0))
    with torch.no_grad():
        logits = model(inputs, Mask(lengths=lengths)).log_softmax(-1)[targets != -100]
    right = logits.gather(-1, targets[targets != -100][:, None])[:, 0]
    want = -((1 - SHARE) * right + SHARE * logits.mean(-1)).sum()
    assert padded.tokens == packed.tokens == len(right)
    assert padded.total.item() == pytest.approx(want.item(), rel=1e-5)
    assert packed.total.item() == pytest.approx(want.item(), rel=1e-5)


def test_what_is_measured_is_not_smoothed(pairs: PairSpans, texts: Spans) -> None:
    for source, plain, name in ((pairs, seq2seq, "t5"), (texts, causal, "llama")):
        model: Any = model_of(name)
        with torch.no_grad():
            found = Smoothed(SHARE).nats(model, source, source.rows(), 0)
            assert found == plain.nats(model, source, source.rows(), 0)
            assert found[0] != pytest.approx(Smoothed(SHARE).batch_loss(model, source, source.rows(), 0).total.item(), rel=1e-3)
