"""A model with rows for more tokens says the same of the old ones, and opens in transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from harken.base.errors import InputError
from harken.checkpoint.grow import grown, padded
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.families.table import build, config_class

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2 tied": ("gpt2", {}),
    "llama untied": ("llama", {"tie_word_embeddings": False}),
    "bert tied": ("bert", {}),
    "bert untied": ("bert", {"tie_word_embeddings": False}),
    "t5 shared": ("t5", {"tie_word_embeddings": True}),
    "t5 with a head of its own": ("t5", {"tie_word_embeddings": False}),
    "bart shared, with a shift": ("bart", {}),
    "marian shared": ("marian", {}),
    "lstm": ("lstm", {}),
    "albert": ("albert", {}),
}


def made(kind: str) -> Any:
    """A small model whose weights all differ, biases too."""
    family, changes = KINDS[kind]
    config = config_class(family).sized(32, 2, 2, 16, 32, 0.0)  # as many tokens as its states are wide, to be told apart all the same
    for name, value in {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, **changes}.items():
        if hasattr(config, name):
            setattr(config, name, value)
    config.check()
    model = build(config, seed=0)
    with torch.no_grad():
        for n, (_, tensor) in enumerate(sorted(model.state_dict().items())):
            if tensor.is_floating_point() and not tensor.any():
                tensor.copy_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(n)) * 0.1)
    return model


def answers(model: Any) -> torch.Tensor:
    ids = torch.arange(2, 20).view(2, 9)
    with torch.no_grad():
        return model(ids, ids[:, :5]) if model.reads == "source" else model(ids)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_it_says_of_the_old_tokens_stays(kind: str, tmp_path: Path) -> None:
    model = made(kind)
    larger = grown(model, 41, {33: [5, 7]})
    before, after = answers(model), answers(larger)
    assert after.shape[-1] == larger.config.vocab_size == 41
    assert torch.allclose(before, after[..., :32], atol=1e-6, rtol=0)
    # A logit is linear in its row, so that of a new token is the mean of those it is the mean of.
    assert torch.allclose(after[..., 33], before[..., [5, 7]].mean(-1), atol=1e-5)
    assert torch.allclose(after[..., 40], before.mean(-1), atol=1e-5)
    assert model.config.vocab_size == 32
    save(larger, None, tmp_path / "larger")
    again, _ = load(tmp_path / "larger", tokenizer=False)
    assert torch.equal(answers(again), after)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lstm"])
def test_transformers_opens_it(kind: str, tmp_path: Path) -> None:
    larger = grown(made(kind), 41)
    save(larger, None, tmp_path / "larger")
    theirs = getattr(hf, larger.config.architecture).from_pretrained(tmp_path / "larger").eval()
    ids = torch.tensor([[3, 35, 40, 12]])
    with torch.no_grad():
        if larger.reads == "source":
            assert torch.allclose(theirs(input_ids=ids, decoder_input_ids=ids).logits, larger(ids, ids), atol=1e-5)
        else:
            assert torch.allclose(theirs(ids).logits, larger(ids), atol=1e-5)


@pytest.mark.parametrize("kind", ["gpt2 tied", "llama untied"])
def test_rows_that_were_padding_begin_as_new_ones(kind: str) -> None:
    model = made(kind)
    larger = grown(model, 32, {30: [4, 6]}, known=30)
    before, after = answers(model), answers(larger)
    assert torch.allclose(before[..., :30], after[..., :30], atol=1e-6, rtol=0)
    assert torch.allclose(after[..., 30], before[..., [4, 6]].mean(-1), atol=1e-5)
    assert torch.allclose(after[..., 31], before[..., :30].mean(-1), atol=1e-5)


def test_a_padded_vocabulary_stays_padded() -> None:
    assert padded(32, 32, 33) == 33
    assert padded(64, 60, 62) == 64
    assert padded(64, 60, 65) == 128
    assert padded(50304, 50257, 50305) == 50304 + 128
    assert padded(50257, 50257, 50300) == 50300


def test_it_does_not_shrink() -> None:
    with pytest.raises(InputError, match="rows for 32 tokens: it can be given more, not 31"):
        grown(made("gpt2 tied"), 31)


def test_two_vocabularies_do_not_grow() -> None:
    config: Any = config_class("marian").sized(32, 1, 2, 16, 32, 0.0)
    config.share_encoder_decoder_embeddings, config.decoder_vocab_size = False, 40
    config.pad_token_id = config.eos_token_id = config.decoder_start_token_id = 0
    with pytest.raises(InputError, match="a vocabulary for each side"):
        grown(build(config, seed=0), 48)
