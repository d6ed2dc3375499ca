"""Replies in a dialogue: every token is read with its speaker's type, and an answer depends on its dialogue alone, whatever the search."""

import random
import string
from dataclasses import replace

import pytest
import torch

from harken.base.errors import InputError
from harken.data.segments import SPEAKERS, Turns, read_turns, speakers_of
from harken.decode.generate import generate, next_distribution, stream
from harken.decode.options import DecodeOptions
from harken.families.cosine import CosineConfig
from harken.families.gpt import GPTConfig
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.mistral import MistralConfig
from harken.families.recurrent import LSTMConfig
from harken.families.table import build
from harken.text.train import train_characters

FAMILIES = {"gpt": GPTConfig, "gpt2": GPT2Config, "llama": LlamaConfig, "mistral": MistralConfig, "cosine": CosineConfig}
FAMILIES["lstm"] = LSTMConfig  # which reads speakers as tokens alone
WAYS = {
    "greedy": {},
    "drawn": {"temperature": 0.9, "top_k": 12, "seed": 3},
    "several": {"temperature": 1.2, "num_return_sequences": 3},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "guessed": {"speculate": "lookup"},
    "guided": {"guidance_scale": 1.5},
    "windowed": {"overflow": "window", "max_new_tokens": 60},
}
PERSONA = ("i love dogs.", "i was born in a small town.")


def made(family, task="language-modeling", seed=0):
    words = train_characters([string.ascii_lowercase + " .?"]).extended(SPEAKERS)
    config = replace(FAMILIES[family].sized(48, 2, 3, 96, words.vocab_size, 0.0), task=task)
    config.bos_token_id, config.eos_token_id, config.initializer_range = words.bos_id, words.eos_id, 0.3
    config.check()
    return build(config, seed=seed), words


def dialogues(rng, persona=PERSONA):
    texts = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 9))) for _ in range(6)]
    return [Turns(persona, tuple(texts[: rng.randint(0, 3)])) for _ in range(5)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_reply_depends_on_its_dialogue_alone(family, way):
    if family == "lstm" and way in ("guessed", "windowed"):
        pytest.skip("a state cannot be taken back, and has no window")
    model, words = made(family)
    given = dialogues(random.Random(way))  # all begin with the same persona, which is read once
    options = DecodeOptions(**{"max_new_tokens": 12, **WAYS[way]})
    n = options.num_return_sequences or 1
    together = generate(model, words, given, options)
    assert together == [one for turns in given for one in generate(model, words, [turns], options)]
    assert generate(model, words, given[::-1], options) == [one for i in range(5)[::-1] for one in together[i * n : i * n + n]]
    if way != "guessed":
        assert generate(model, words, given[:2], replace(options, use_cache=False)) == together[: 2 * n]
    if n == 1:
        assert "".join(stream(model, words, given[0], options)) == together[0].text
    who = speakers_of(words)
    assert who is not None and not {i for one in together for i in one.ids} & {who.first, who.second}


@pytest.mark.parametrize("family", ["gpt", "gpt2", "llama", "mistral", "cosine"])
def test_types_are_read_and_go_on(family):
    model, words = made(family)
    turns = Turns(PERSONA, ("hello", "who are you?", "guess"))
    read, _ = read_turns(words, turns)
    who = speakers_of(words)
    ids, types, wanted = list(read.ids), list(read.types), []
    model.eval()
    with torch.no_grad():
        for _ in range(10):
            logits = model(torch.tensor([ids]), types=torch.tensor([types]))[0, -1]
            logits[[who.first, who.second]] = -torch.inf
            wanted.append(int(logits.argmax()))
            ids, types = [*ids, wanted[-1]], [*types, who.first]
            if wanted[-1] == words.eos_id:
                break
        found = generate(model, words, [turns], DecodeOptions(max_new_tokens=10, exact=False))[0]
        assert list(found.ids) == wanted
        assert found.text == words.decode(wanted)
        untyped = model(torch.tensor([read.ids]))[0, -1].log_softmax(-1)
    typed = next_distribution(model, words, turns)
    assert (typed - untyped).abs().max() > 0.1


def test_a_model_for_double_heads_replies(family="gpt2"):
    model, words = made(family, "double-heads")
    plain, _ = made(family)
    plain.load_state_dict({name.replace("head.lm", "head"): each for name, each in model.state_dict().items() if "choice" not in name})
    options = DecodeOptions(max_new_tokens=8)
    assert generate(model, words, [Turns((), ("hi",))], options) == generate(plain, words, [Turns((), ("hi",))], options)


def test_a_draft_guesses_replies():
    model, words = made("gpt2")
    given = dialogues(random.Random(5))
    options = DecodeOptions(max_new_tokens=12)
    wanted = generate(model, words, given, options)
    for family in ("gpt2", "llama"):
        assert generate(model, words, given, replace(options, assistant_model=made(family)[:2])) == wanted


def test_what_cannot_be_replied_to_is_said():
    model, words = made("gpt2")
    plain = train_characters([string.ascii_lowercase])
    with pytest.raises(InputError, match="this tokenizer has no <speaker1> and <speaker2>"):
        generate(model, plain, [Turns((), ("hi",))], DecodeOptions())
    with pytest.raises(InputError, match="dialogues are read by their speakers and other prompts are not"):
        generate(model, words, [Turns((), ("hi",)), "hi"], DecodeOptions())
    with pytest.raises(InputError, match="contrastive search does not tell the speakers of a dialogue apart"):
        generate(model, words, [Turns((), ("hi",))], DecodeOptions(penalty_alpha=0.6, top_k=4))
    with pytest.raises(InputError, match="the prompt has 103 tokens, but this model reads at most 96"):
        generate(model, words, [Turns((), ("a" * 100,))], DecodeOptions())
