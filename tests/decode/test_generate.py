"""Decoding: an answer depends on its prompt, the options and the seed, and on nothing else in the batch."""

from __future__ import annotations

import dataclasses
import random
import string

import pytest
import torch

from harken.base.errors import InputError
from harken.decode.generate import generate, next_distribution, stream
from harken.decode.options import DecodeOptions
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.text.train import train_bpe, train_characters


def made(family, *, width=48, heads=3, context=64, tokenizer=None, padded=0):
    tokenizer = tokenizer or train_characters([string.ascii_lowercase])
    config = family.sized(width, 2, heads, context, tokenizer.vocab_size + padded, 0.0)
    config.eos_token_id, config.initializer_range = tokenizer.eos_id, 0.2
    model = build(config, seed=1)
    model.generation = {"suppress_tokens": tokenizer.silent_ids}
    return model, tokenizer


def known(model, tokenizer, text: str) -> torch.Tensor:
    """(V,) log-probabilities of the next token among those that may be written."""
    found = next_distribution(model, tokenizer, text)
    found[tokenizer.silent_ids] = float("-inf")
    return found.log_softmax(-1)


def words(rng: random.Random, most: int) -> list[str]:
    return ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(0, 30))) for _ in range(rng.randint(1, most))]


def batched_equals_alone(family, batches: int, any_options) -> None:
    model, tokenizer = made(family)
    rng = random.Random(0)
    for _ in range(batches):
        asked, prompts = any_options(rng), words(rng, 6)
        if rng.random() < 0.3:  # a beginning that all share is read once
            prompts = ["the same beginning of all " + prompt for prompt in prompts]
        together = generate(model, tokenizer, prompts, asked)
        n = asked.num_return_sequences or 1
        for i, prompt in enumerate(prompts):
            assert generate(model, tokenizer, [prompt], asked) == together[i * n : (i + 1) * n]


@pytest.mark.parametrize("family", [LlamaConfig, GPT2Config])
def test_a_prompt_alone_and_in_any_batch_gives_the_same_bits(family, any_options):
    batched_equals_alone(family, 40, any_options)


@pytest.mark.serial
@pytest.mark.parametrize("family", [LlamaConfig, GPT2Config])
def test_a_prompt_alone_and_in_any_batch_gives_the_same_bits_on_two_threads(family, any_options):
    assert torch.get_num_threads() == 2
    batched_equals_alone(family, 200, any_options)


def test_greedy_follows_the_full_forward_pass():
    model, tokenizer = made(LlamaConfig)
    found = generate(model, tokenizer, ["abc"], DecodeOptions(max_new_tokens=12, temperature=0))[0]
    ids = tokenizer.encode("abc")
    for token, logprob in zip(found.ids, found.logprobs, strict=True):
        with torch.no_grad():
            scores = model(torch.tensor([ids]), last=True)[0].log_softmax(-1)
        assert logprob == pytest.approx(scores[token].item(), abs=1e-5)
        scores[tokenizer.silent_ids] = float("-inf")
        assert int(scores.argmax()) == token
        ids.append(token)


def test_samples_follow_the_model_distribution():
    model, tokenizer = made(LlamaConfig)
    count = 4000
    found = generate(model, tokenizer, ["ab"], DecodeOptions(max_new_tokens=1, num_return_sequences=count))
    drawn = torch.bincount(torch.tensor([one.ids[0] for one in found]), minlength=tokenizer.vocab_size) / count
    assert (drawn - known(model, tokenizer, "ab").exp()).abs().max() < 4 * (0.25 / count) ** 0.5
    assert found[0].logprobs[0] == pytest.approx(float(next_distribution(model, tokenizer, "ab")[found[0].ids[0]]), abs=1e-5)


def test_what_says_nothing_is_never_written():
    model, tokenizer = made(LlamaConfig)
    found = generate(model, tokenizer, ["ab"], DecodeOptions(max_new_tokens=20, num_return_sequences=50, temperature=3.0))
    written = {token for one in found for token in one.ids}
    assert len(written) > 20
    assert not written & set(tokenizer.silent_ids)
    assert all(len(one.text) == len("ab") + len(one.ids) - (one.finish_reason == "stop") for one in found)


@pytest.mark.parametrize(("asked", "most"), [({"top_k": 3}, 3), ({"top_p": 1e-9}, 1), ({"top_k": 1}, 1)])
def test_filters_leave_only_the_likeliest(asked, most):
    model, tokenizer = made(LlamaConfig)
    likeliest = known(model, tokenizer, "ab").topk(most).indices.tolist()
    found = generate(model, tokenizer, ["ab"], DecodeOptions(max_new_tokens=1, num_return_sequences=200, **asked))
    assert {one.ids[0] for one in found} <= set(likeliest)


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    model, tokenizer = made(LlamaConfig)
    ordered = known(model, tokenizer, "ab").exp().sort(descending=True)
    kept = int((ordered.values.cumsum(0) < 0.5).sum()) + 1
    found = generate(model, tokenizer, ["ab"], DecodeOptions(max_new_tokens=1, num_return_sequences=2000, top_p=0.5))
    assert {one.ids[0] for one in found} <= set(ordered.indices[:kept].tolist())
    assert len({one.ids[0] for one in found}) >= kept - 1


def test_seeds_differ_and_repeat():
    model, tokenizer = made(LlamaConfig)
    first, again, other = (generate(model, tokenizer, ["abc"], DecodeOptions(max_new_tokens=20, seed=s, do_sample=True)) for s in (1, 1, 2))
    assert first == again
    assert first != other
    three = generate(model, tokenizer, ["abc"], DecodeOptions(max_new_tokens=20, seed=1, num_return_sequences=3))
    assert three[0] == first[0]
    assert len({one.text for one in three}) == 3
    assert [one.index for one in three] == [0, 1, 2]


def test_ends_and_limits():
    model, tokenizer = made(LlamaConfig)
    found = generate(model, tokenizer, [""] * 3, DecodeOptions(num_return_sequences=20, seed=5))
    for one in found:
        assert one.text.startswith(one.prompt)
        assert len(one.ids) == len(one.logprobs)
        assert (one.finish_reason == "stop") == (one.ids[-1] == tokenizer.eos_id)
        assert len(one.ids) <= model.context - 1
    shortest = generate(model, tokenizer, [""], DecodeOptions(num_return_sequences=20, min_new_tokens=10, max_new_tokens=12))
    assert all(10 <= len(one.ids) <= 12 for one in shortest)
    full = generate(model, tokenizer, ["a" * 62], DecodeOptions(max_new_tokens=9))[0]
    assert (len(full.ids), full.finish_reason) == (1, "length") or full.finish_reason == "stop"


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers():
    model, tokenizer = made(LlamaConfig)
    with pytest.raises(InputError, match=r"71 tokens.*at most 64.*shorten it by 8"):
        generate(model, tokenizer, ["a" * 70], DecodeOptions())


def test_a_prompt_with_unknown_characters_stands_in_the_text_as_given():
    model, tokenizer = made(LlamaConfig)
    assert generate(model, tokenizer, ["héé"], DecodeOptions(max_new_tokens=5))[0].text.startswith("héé")


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_a_stream_is_the_text_in_pieces(kind):
    texts = ["grün und naïve 🙂 weiß", "ein Fluß, ein Baum 🌳"]
    tokenizer = train_characters(texts) if kind == "char" else train_bpe(texts, 270)
    model, _ = made(GPT2Config, tokenizer=tokenizer)
    asked = DecodeOptions(max_new_tokens=40, seed=3, do_sample=True)
    whole = generate(model, tokenizer, ["ein "], asked)[0]
    pieces = list(stream(model, tokenizer, "ein ", asked))
    assert "ein " + "".join(pieces) == whole.text


@pytest.mark.parametrize("more", [{}, {"stop_strings": ("e",)}, {"num_beams": 2}])
def test_ids_that_only_the_model_has_say_nothing(more):
    """Of a vocabulary padded to a round number, as Qwen2.5's and T5's are."""
    model, tokenizer = made(LlamaConfig, padded=3)
    extra = tokenizer.vocab_size + 1
    asked = DecodeOptions(max_new_tokens=4, logit_bias={extra: 100.0}, **more)
    (one,) = generate(model, tokenizer, ["abc"], asked)
    assert one.ids == (extra,) * 4 and one.text == "abc"
    if "num_beams" not in more:
        assert "".join(stream(model, tokenizer, "abc", asked)) == ""


def test_generating_leaves_a_trainable_model():
    model, tokenizer = made(LlamaConfig)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    handed_out = dict(model.named_parameters())
    generate(model, tokenizer, ["ab"], DecodeOptions(max_new_tokens=3))
    assert model.packed
    for name, p in model.named_parameters():
        assert p is handed_out[name]
        assert torch.equal(p, before[name])


def test_a_window_goes_on_from_the_newer_half_of_the_context():
    model, tokenizer = made(LlamaConfig, context=16)
    asked = DecodeOptions(max_new_tokens=40, min_new_tokens=40, overflow="window")
    for prompt in ("abc", "a" * 15, string.ascii_lowercase):
        (one,) = generate(model, tokenizer, [prompt], asked)
        text = tokenizer.encode(prompt)
        begun, first = len(text), max(0, len(text) - 8) if len(text) >= 16 else 0
        for token in one.ids:  # the slow twin: read all that is seen, each time
            if len(text) - first > 16:
                first = len(text) - 8
            with torch.no_grad():
                scores = model(torch.tensor([text[first:]]), last=True)[0]
            scores[[*tokenizer.silent_ids, tokenizer.eos_id]] = float("-inf")
            assert int(scores.argmax()) == token
            text.append(token)
        assert len(one.ids) == 40 and one.dropped == first > 0
        assert one.text.startswith(prompt) and len(one.text) == len(prompt) + len(text) - begun
    with pytest.raises(InputError, match="or let overflow be window"):
        generate(model, tokenizer, [string.ascii_lowercase], dataclasses.replace(asked, overflow=None))


def test_a_beginning_that_all_share_is_read_once():
    model, tokenizer = made(GPT2Config)
    read = []
    model.register_forward_pre_hook(lambda _, given: read.append(given[0].numel()))
    shared = "the same beginning for all"
    generate(model, tokenizer, [shared + each for each in "abcd"], DecodeOptions(max_new_tokens=1))
    assert sum(read) == len(shared) + 1 + 4
    read.clear()
    generate(model, tokenizer, [shared] * 4, DecodeOptions(max_new_tokens=1))
    assert sum(read) == len(shared) + 4


def test_memory_while_generating_is_that_of_the_cache():
    config = LlamaConfig.sized(48, 2, 3, 64, 40, 0.0)
    model = build(config)
    cache = model.begin(5, 30)
    per_token = 2 * 2 * config.num_key_value_heads * (config.hidden_size // config.num_attention_heads) * 4  # keys and values, layers
    assert cache.nbytes == 5 * (30 + 1) * per_token  # one slot more for what padding writes


def test_time_is_up_for_every_text():
    model, tokenizer = made(LlamaConfig)
    found = generate(model, tokenizer, ["a", "b"], DecodeOptions(max_time=1e-9, min_new_tokens=30))
    assert [(one.finish_reason, len(one.ids)) for one in found] == [("time", 1)] * 2


def test_fast_products_write_much_the_same():
    model, tokenizer = made(LlamaConfig)
    exact, fast = (generate(model, tokenizer, ["abc"], DecodeOptions(max_new_tokens=9, exact=exact))[0] for exact in (None, False))
    assert not model.packed and exact.ids == fast.ids
    assert exact.logprobs == pytest.approx(fast.logprobs, abs=1e-4)
