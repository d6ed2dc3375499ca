"""Contrastive search: what a plain loop over transformers' own hidden states chooses, and the same alone as in any batch."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import torch.nn.functional as F
import transformers

from harken.base.errors import InputError
from harken.checkpoint.save import save
from harken.decode.contrastive import choose
from harken.decode.generate import generate, stream
from harken.decode.options import DecodeOptions
from harken.families.table import build, config_class
from harken.nn.models import Model
from harken.text.tokenizer import Tokenizer

V, END = 61, 2


def words() -> Tokenizer:
    """A tokenizer that knows w0 to w60 and nothing else."""
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({f"w{i}": i for i in range(V)}, "w3"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(["w0", "w1", "w2"])
    return Tokenizer(inner, {"pad": "w0", "bos": "w1", "eos": "w2"})


def pair(name: str, folder: Path) -> tuple[Model, Any]:
    """A model of ours that was never trained, and the same as transformers reads it."""
    config = config_class(name).sized(32, 2, 2, 48, V, 0.0)
    config.bos_token_id, config.eos_token_id, config.pad_token_id, config.initializer_range = 1, END, 0, 0.2
    config.check()
    ours = build(config, seed=3)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in ours.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    save(ours, words(), folder)
    kind = transformers.AutoModelForCausalLM if ours.reads == "text" else transformers.AutoModelForSeq2SeqLM
    return ours, kind.from_pretrained(folder).eval()


@torch.no_grad()
def read(peer: Any, prompt: list[int], ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """All hidden states (L, D) and the logits (V,) of what follows, nothing kept from before."""
    if not peer.config.is_encoder_decoder:
        found = peer(torch.tensor([prompt + ids]), output_hidden_states=True)
        return found.hidden_states[-1][0], found.logits[0, -1]
    target = torch.tensor([[peer.config.decoder_start_token_id, *ids]])
    found = peer(torch.tensor([prompt]), decoder_input_ids=target, output_hidden_states=True)
    return found.decoder_hidden_states[-1][0], found.logits[0, -1]


def twin(peer: Any, prompt: list[int], k: int, alpha: float, limit: int) -> tuple[list[int], int]:
    """What is written, and how often that is not the likeliest token."""
    ids: list[int] = []
    others = 0
    while len(ids) < limit and ids[-1:] != [END]:
        before, logits = read(peer, prompt, ids)
        best, choice = -9.0, -1
        chances, candidates = logits.softmax(-1).topk(k)
        for chance, token in zip(chances.tolist(), candidates.tolist(), strict=True):
            new = read(peer, prompt, [*ids, token])[0][-1]
            value = (1 - alpha) * chance - alpha * F.cosine_similarity(before, new[None], dim=-1).max().item()
            if value > best:
                best, choice = value, token
        others += choice != candidates[0]
        ids.append(choice)
    return ids, others


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5", "bart"])
def test_it_chooses_what_a_plain_loop_chooses(name: str, tmp_path: Path) -> None:
    ours, peer = pair(name, tmp_path)
    rng = random.Random(0)
    prompts = [[rng.randint(4, V - 1) for _ in range(n)] for n in (1, 5, 9)]
    others = 0
    for k, alpha in ((2, 0.5), (4, 0.6), (6, 0.95)):
        found = generate(ours, words(), prompts, DecodeOptions(penalty_alpha=alpha, top_k=k, max_new_tokens=10))
        for prompt, one in zip(prompts, found, strict=True):
            want, count = twin(peer, prompt, k, alpha, 10)
            assert list(one.ids) == want
            others += count
    assert others > 5


@pytest.mark.parametrize("kind", ["gpt2", "llama", "mistral", "t5-1.0", "bart"])
def test_it_does_not_depend_on_the_batch(made: Callable[..., Any], kind: str) -> None:
    model, tokenizer = made(kind)
    prompts = ["the cat", "a", "whatisreadislongerthanthewritten", "zz", "thesame", "thesame"]
    for asked in (
        DecodeOptions(penalty_alpha=0.6, top_k=4, max_new_tokens=14),
        DecodeOptions(penalty_alpha=0.3, top_k=3, max_new_tokens=9, no_repeat_ngram_size=1, stop_strings=("e", "an")),
        DecodeOptions(penalty_alpha=0.8, top_k=50, max_new_tokens=9, use_cache=False),
    ):
        together = generate(model, tokenizer, prompts, asked)
        assert [one for prompt in prompts for one in generate(model, tokenizer, [prompt], asked)] == together
        assert "".join(stream(model, tokenizer, prompts[2], asked)) == together[2].text[len(together[2].prompt) * (model.reads == "text") :]
    assert len({one.text for one in together}) > 1


def test_what_is_barred_is_not_taken(made: Callable[..., Any]) -> None:
    model, tokenizer = made("gpt2")
    barred = tuple(range(tokenizer.vocab_size - 2))
    asked = DecodeOptions(penalty_alpha=0.9, top_k=8, max_new_tokens=6, suppress_tokens=barred)
    assert set(generate(model, tokenizer, ["abc"], asked)[0].ids) <= {tokenizer.vocab_size - 2, tokenizer.vocab_size - 1}


def test_the_choice() -> None:
    before = np.array([[1.0, 0.0], [0.0, 1.0]])
    new = np.array([[1.0, 0.0], [-1.0, 0.0], [-0.6, -0.8]])
    assert choose(np.array([0.6, 0.3, 0.1]), new, before, 0.0) == 0
    assert choose(np.array([0.6, 0.3, 0.1]), new, before, 0.4) == 2  # 0.06 + 0.24 over 0.18 and 0.36 - 0.4
    assert choose(np.array([0.6, 0.3, 0.0]), new, before, 0.4) == 1


@pytest.mark.parametrize("kind", ["ngram", "mixture", "bigram"])
def test_a_model_without_hidden_states_refuses(made: Callable[..., Any], kind: str) -> None:
    model, tokenizer = made(kind)
    with pytest.raises(InputError, match="no hidden states for contrastive search: leave penalty_alpha out"):
        generate(model, tokenizer, ["abc"], DecodeOptions(penalty_alpha=0.6, top_k=4, max_new_tokens=4))


def test_no_window_shows_all_of_a_text(made: Callable[..., Any]) -> None:
    model, tokenizer = made("gpt2")
    with pytest.raises(InputError, match="leave overflow out"):
        generate(model, tokenizer, ["abc"], DecodeOptions(penalty_alpha=0.6, top_k=4, max_new_tokens=4, overflow="window"))
