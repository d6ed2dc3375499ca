"""Every number of an inspection is the model's own: computed anew the plain way, the same from every family, none without a reason."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harken.base.errors import InputError
from harken.checkpoint.save import save
from harken.measure.score import score
from harken.view import inspect as inspecting
from harken.view import maps as mapping
from harken.view.inspect import inspect, parameters
from harken.view.maps import chosen

TEXT = "the cat sat on the mat"
WITH_MAPS = ["gpt2", "llama", "cosine", "llama+ngram"]
WITHOUT = ["bigram", "mlp", "rnn", "gru", "lstm", "ngram", "lstm+ngram"]


@pytest.mark.parametrize("family", WITH_MAPS + WITHOUT)
def test_numbers_are_those_of_the_plain_formula(family, make, letters):
    model = make(family, letters.vocab_size)
    ids = letters.encode(TEXT)
    with torch.no_grad():
        logp = model(torch.tensor([ids]))[0].double().log_softmax(-1).numpy()  # (T, V)
    found = inspect(model, letters, TEXT, top=4)
    own = logp[np.arange(len(ids) - 1), ids[1:]]
    assert np.isnan(found.logprobs[0]) and found.ranks[0] == 0 and np.isnan(found.entropies[0]) and (found.top_ids[0] == -1).all()
    np.testing.assert_allclose(found.logprobs[1:], own, atol=2e-5)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropies = -np.nansum(np.exp(logp) * logp, -1)
    np.testing.assert_allclose(found.entropies[1:], entropies, atol=1e-4)
    np.testing.assert_allclose(found.entropy_bits[1:] * math.log(2), entropies, atol=1e-4)
    for i in range(len(ids)):
        best = sorted(range(letters.vocab_size), key=lambda v, row=logp[i]: (-np.float32(row[v]), v))
        np.testing.assert_allclose(found.top_logprobs[i + 1], logp[i, best[:4]], atol=2e-5)
        if family == "ngram":
            continue  # it has counted nothing: all tokens are alike, and rounding decides (they have a test of their own)
        assert found.top_ids[i + 1].tolist() == best[:4]
        assert i + 1 == len(ids) or found.ranks[i + 1] == 1 + best.index(ids[i + 1])
    assert found.total == pytest.approx(own.sum(), abs=1e-3)
    assert found.predicted == len(TEXT) and found.perplexity == pytest.approx(math.exp(-own.mean()), rel=1e-4)
    assert found.bits_per_byte == pytest.approx(-own.sum() / math.log(2) / len(TEXT), rel=1e-4)


def test_the_same_bits_as_score(make, letters):
    pair = make("llama", letters.vocab_size), letters
    known = score(pair, TEXT)[0]
    assert inspect(*pair, TEXT).logprobs[1:].tolist() == list(known.logprobs[1 : len(TEXT) + 1])


@pytest.mark.parametrize("family", ["llama", "lstm", "ngram", "llama+ngram"])
def test_read_in_parts_it_is_the_same(family, make, letters, monkeypatch):
    model = make(family, letters.vocab_size)
    whole = inspect(model, letters, TEXT)
    monkeypatch.setattr(inspecting, "_LOGITS", 5 * letters.vocab_size)
    parts = inspect(model, letters, TEXT)
    for name in ("logprobs", "ranks", "entropies", "top_ids", "top_logprobs"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


@pytest.mark.parametrize("family", WITH_MAPS)
def test_maps_are_distributions_over_what_may_be_seen(family, make, letters):
    found = inspect(make(family, letters.vocab_size), letters, TEXT)
    maps, length = found.maps["self"], len(TEXT) + 1
    assert maps.shape == (2, 1 if family == "cosine" else 4, length, length) and maps.dtype == np.float32
    np.testing.assert_allclose(maps.sum(-1), 1, atol=1e-5)
    assert not np.triu(maps, 1).any() and (np.diagonal(maps, axis1=2, axis2=3) > 0).all()
    np.testing.assert_allclose(found.attention["self"].mean, maps.mean(1), atol=1e-6)


def test_maps_are_those_of_transformers(make, letters, tmp_path):
    from transformers import AutoModelForCausalLM

    model = make("gpt2", letters.vocab_size)
    found = inspect(model, letters, TEXT)
    save(model, letters, tmp_path)
    peer = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    with torch.no_grad():
        theirs = peer(torch.tensor([letters.encode(TEXT)]), output_attentions=True).attentions
    np.testing.assert_allclose(found.maps["self"], torch.cat(theirs).numpy(), atol=1e-5)


def test_only_the_chosen_maps_are_kept(make, letters):
    model = make("llama", letters.vocab_size, layers=3)
    whole, part = inspect(model, letters, TEXT), inspect(model, letters, TEXT, layers=[0, 2], heads=[1])
    np.testing.assert_array_equal(part.maps["self"], whole.maps["self"][[0, 2]][:, [1]])
    np.testing.assert_array_equal(part.attention["self"].mean, whole.attention["self"].mean[[0, 2]])
    assert (part.attention["self"].layers, part.attention["self"].heads) == ((0, 2), (1,))
    assert (part.attention["self"].all_layers, part.attention["self"].all_heads) == (3, 4)
    with pytest.raises(InputError, match="--layer 3: this model has 3 layers, 0 to 2"):
        inspect(model, letters, TEXT, layers=[1, 3])
    with pytest.raises(InputError, match="--head 4: this model has 4 heads, 0 to 3"):
        inspect(model, letters, TEXT, heads=[4])


@pytest.mark.parametrize("family", WITHOUT)
def test_a_model_that_attends_to_nothing_says_so(family, make, letters):
    found = inspect(make(family, letters.vocab_size), letters, TEXT)
    assert not found.attention
    with pytest.raises(InputError, match="no attention maps"):
        found.maps  # noqa: B018


def test_maps_that_would_not_fit_are_refused_before_they_are_made(make, letters, monkeypatch):
    model = make("llama", letters.vocab_size)
    monkeypatch.setattr(mapping, "MOST_BYTES", 40_000)
    with pytest.raises(InputError, match=r"the attention maps of 23 tokens would take 0\.0 GB.*--layer and --head.*--no-maps"):
        inspect(model, letters, TEXT)
    assert inspect(model, letters, TEXT, layers=[0], heads=[0]).maps["self"].shape[:2] == (1, 1)
    assert not inspect(model, letters, TEXT, maps=False).attention


def test_a_text_longer_than_the_context(make, letters):
    model = make("gpt2", letters.vocab_size, context=10)
    with pytest.raises(
        InputError, match=r"the text has 23 tokens, but this model reads at most 10: shorten it by 13 tokens.*--overflow window"
    ):
        inspect(model, letters, TEXT)
    found = inspect(model, letters, TEXT, overflow="window")
    assert "".join(found.tokens.shown) == "<bos>" + TEXT[-9:] and found.tokens.dropped == 13
    assert found.notes == ["the text has 23 tokens and the model reads 10: only the last 10 are shown"]
    assert found.bits_per_byte == pytest.approx(-found.total / math.log(2) / 9)
    np.testing.assert_array_equal(found.logprobs, inspect(model, letters, TEXT[-9:]).logprobs)
    assert [TEXT[a:b] for a, b in found.tokens.offsets[1:]] == list(TEXT[-9:])


def test_tokens_say_what_they_stand_for(make, pieces, letters):
    text = "the cat\n🎉 mat"
    found = inspect(make("llama", pieces.vocab_size), pieces, text)
    assert found.tokens.shown[0] == "<bos>" and found.tokens.special.tolist() == [True] + [False] * (len(found.tokens.ids) - 1)
    assert [shown for shown in found.tokens.shown if shown.startswith("⟨")] == ["⟨f0⟩", "⟨9f⟩", "⟨8e⟩", "⟨89⟩"]
    whole = {(a, b): text[a:b] for a, b in found.tokens.offsets[1:].tolist()}
    assert "".join(whole.values()) == text
    assert set(found.names) == set(found.top_ids[1:].flatten().tolist())
    odd = inspect(make("llama", letters.vocab_size), letters, "the cät")
    assert odd.tokens.unknown == 1 and odd.notes == ["1 character of the text have no token of their own: the model read them as unknown"]


def test_an_empty_text_has_only_what_would_follow(make, letters, pieces):
    found = inspect(make("llama", letters.vocab_size), letters, "")
    assert found.tokens.shown == ("<bos>",) and found.predicted == 0
    assert found.loss is None and found.perplexity is None and found.bits_per_byte is None
    assert (found.top_ids[1] >= 0).all() and found.maps["self"].shape[-2:] == (1, 1)


def test_what_is_certain_and_what_is_impossible(make, letters):
    found = inspect(make("ngram", letters.vocab_size), letters, "the", top=letters.vocab_size + 5)
    assert found.top_ids.shape == (5, letters.vocab_size)
    assert found.top_ids[1].tolist() == list(range(letters.vocab_size)), "nothing counted: all alike, the smaller id first"
    assert found.ranks[1:].tolist() == [i + 1 for i in letters.encode("the", special=False)]
    np.testing.assert_allclose(found.entropy_bits[1:], math.log2(letters.vocab_size), rtol=1e-5)


def test_a_source_and_its_alignment(aligner, letters):
    found = inspect(aligner, letters, "the cat", target="sat on")
    assert found.source is not None
    assert "".join(found.source.shown) == "<bos>the cat<eos>" and "".join(found.tokens.shown) == "<bos>sat on<eos>"
    maps = found.maps["alignment"]
    assert maps.shape == (1, 1, 8, 9) and set(found.maps) == {"alignment"}
    np.testing.assert_allclose(maps.sum(-1), 1, atol=1e-6)
    source, target = (torch.tensor([tokens.ids.tolist()]) for tokens in (found.source, found.tokens))
    with torch.no_grad():
        logp = aligner(source, target)[0].log_softmax(-1)
    np.testing.assert_allclose(found.logprobs[1:], logp[:-1].gather(-1, target[0, 1:, None])[:, 0], atol=1e-6)
    with pytest.raises(InputError, match="give --target"):
        inspect(aligner, letters, "the cat")


def test_a_decoder_takes_no_target(make, letters):
    with pytest.raises(InputError, match="--target is for models that translate"):
        inspect(make("llama", letters.vocab_size), letters, "the cat", target="sat")


def test_chosen_numbers():
    assert chosen("--layer", None) is None
    assert chosen("--layer", 3) == chosen("--layer", "3") == chosen("--layer", [3]) == (3,)
    assert chosen("--layer", "7, 0,2-4,3") == (0, 2, 3, 4, 7)
    for wrong in ("", "x", "3-", "-1", "5-2", -1, 1.5, True, []):
        with pytest.raises(InputError, match="--layer takes numbers from 0"):
            chosen("--layer", wrong)


@pytest.mark.parametrize("family", WITH_MAPS + WITHOUT)
def test_parameters_are_counted_whether_packed_or_not(family, make, letters):
    model = make(family, letters.vocab_size)
    weights = {each.data_ptr(): each.numel() for each in model.state_dict(keep_vars=True).values() if each.numel()}
    assert parameters(model) == sum(weights.values())
    model.pack()
    assert parameters(model) == sum(weights.values()) and model.packed
