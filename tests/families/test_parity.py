"""Every family equals transformers: logits whole, padded, packed and cached, gradients, files, on configs drawn at random."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers as hf

from harken.base.errors import InputError
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.families import names
from harken.families.table import FAMILIES, build, config_class, family, read_config
from harken.nn.mask import Mask
from harken.nn.models import Decoder
from harken.text.train import train_characters

ACTIVATIONS = ["gelu_new", "gelu", "relu", "silu", "tanh"]


def gpt2(seed: int) -> hf.PreTrainedConfig:
    """A random GPT-2."""
    draw = random.Random(seed)
    heads = draw.choice([1, 2, 3, 5])
    width = heads * draw.choice([3, 4, 7, 16])
    return hf.GPT2Config(
        vocab_size=draw.choice([29, 61, 64, 97]),
        n_positions=draw.choice([24, 31]),
        n_embd=width,
        n_layer=draw.choice([1, 2, 3]),
        n_head=heads,
        n_inner=draw.choice([None, 37, 64]),
        activation_function=ACTIVATIONS[seed % 5],
        layer_norm_epsilon=draw.choice([1e-5, 1e-3]),
        tie_word_embeddings=seed % 4 != 3,
    )


def llama(seed: int) -> hf.PreTrainedConfig:
    """A random LLaMA."""
    draw = random.Random(seed)
    heads = 4
    return hf.LlamaConfig(
        vocab_size=draw.choice([29, 61, 64, 97]),
        hidden_size=heads * draw.choice([2, 6, 10, 16]),
        intermediate_size=draw.choice([37, 64, 85]),
        num_hidden_layers=draw.choice([1, 2, 3]),
        num_attention_heads=heads,
        num_key_value_heads=(1, 2, 4)[seed % 3],
        head_dim=(None, 6, 16)[seed % 4 % 3],
        max_position_embeddings=draw.choice([24, 31]),
        hidden_act=("silu", "gelu", "relu")[seed % 5 % 3],
        rms_norm_eps=draw.choice([1e-6, 1e-3]),
        rope_parameters={"rope_type": "default", "rope_theta": draw.choice([500.0, 10000.0, 500000.0])},
        attention_bias=seed % 2 == 1,
        mlp_bias=seed % 3 == 1,
        tie_word_embeddings=seed % 4 == 2,
    )


CASES: list[tuple[Callable[[int], hf.PreTrainedConfig], int]] = [(make, seed) for make in (gpt2, llama) for seed in range(8)]
one_each = pytest.mark.parametrize(("make", "seed"), [(gpt2, 1), (gpt2, 3), (llama, 1), (llama, 2)])
every = pytest.mark.parametrize(("make", "seed"), CASES)


def theirs_of(config: hf.PreTrainedConfig) -> Any:
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def ours_of(theirs: Any) -> Decoder:
    config = read_config(theirs.config.to_dict(), "config.json")
    model = build(config)
    module = family(config.model_type)
    names.read(model, theirs.state_dict(), module.names(config), ignore=module.IGNORE, where="transformers")
    assert isinstance(model, Decoder)
    return model


def close(got: torch.Tensor, want: torch.Tensor, limit: float = 1e-5) -> None:
    assert got.shape == want.shape and (got - want).abs().max() <= limit * want.abs().max()


@every
def test_logits(make: Callable[[int], hf.PreTrainedConfig], seed: int) -> None:
    theirs = theirs_of(make(seed))
    ours = ours_of(theirs)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    ids, lengths = torch.randint(theirs.config.vocab_size, (3, 11)), torch.tensor([11, 7, 1])
    real = torch.arange(11) < lengths[:, None]
    starts = torch.tensor([0, 11, 18, 19])
    with torch.no_grad():
        want = theirs(ids).logits
        want_padded = theirs(ids, attention_mask=real.long()).logits[real]
        for packed in (False, True):
            if packed:
                ours.pack()
            assert ours.packed == packed
            close(ours(ids), want)
            close(ours(ids, Mask(lengths=lengths))[real], want_padded)
            close(ours(ids[real], Mask(starts=starts)), want_padded)
            cache, parts = ours.begin(3, 11), []
            for part in ids.split([5, 1, 1, 4], 1):
                parts.append(ours(part, cache=cache))
            close(torch.cat(parts, 1), want)
            cache = ours.begin(3, 14)
            ours(ids[:, :9], Mask(lengths=lengths.clamp(max=9)), cache=cache)
            close(ours(ids[:, 9:], Mask(lengths=torch.tensor([2, 0, 0])), cache=cache)[0], want[0, 9:])


@every
def test_attention_maps(make: Callable[[int], hf.PreTrainedConfig], seed: int) -> None:
    theirs = theirs_of(make(seed))
    ours, maps = ours_of(theirs), []
    theirs.set_attn_implementation("eager")
    ids = torch.randint(theirs.config.vocab_size, (2, 9))
    with torch.no_grad():
        want = theirs(ids, output_attentions=True).attentions
        ours(ids, maps=maps)
    assert len(maps) == len(want)
    for got, wanted in zip(maps, want, strict=True):
        close(got, wanted)


@one_each
def test_gradients(make: Callable[[int], hf.PreTrainedConfig], seed: int) -> None:
    theirs = theirs_of(make(seed))
    ours = ours_of(theirs)
    ids = torch.randint(theirs.config.vocab_size, (3, 11))
    for logits in (theirs(ids).logits, ours(ids)):
        F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    wanted = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    table = family(ours.config.model_type).names(ours.config)
    for key, parameter in ours.named_parameters():
        keys, transposed = names.resolve(key, table)
        parts = [wanted[k].T if transposed and wanted[k].dim() == 2 else wanted[k] for k in keys]
        assert parameter.grad is not None
        close(parameter.grad, torch.cat(parts), 1e-4)


@every
def test_files_there_and_back(make: Callable[[int], hf.PreTrainedConfig], seed: int, tmp_path: Path) -> None:
    theirs = theirs_of(make(seed))
    theirs.save_pretrained(tmp_path / "theirs")
    train_characters(["abcdefghij"]).save(tmp_path / "theirs")
    settings = json.loads((tmp_path / "theirs" / "config.json").read_text())
    settings |= {"a key we do not know": {"nested": [1, None]}}
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(settings))
    model, tokenizer = load(tmp_path / "theirs")
    model.pack()
    save(model, tokenizer, tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert {key: written[key] for key in settings if settings[key] is not None} == {k: v for k, v in settings.items() if v is not None}
    back, report = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    assert type(back) is type(theirs)
    want = theirs.state_dict()
    for key, value in back.state_dict().items():
        assert torch.equal(value.view(torch.int32), want[key].view(torch.int32)), key
    ids = torch.randint(theirs.config.vocab_size, (2, 9))
    with torch.no_grad():
        assert torch.equal(back.eval()(ids).logits, theirs(ids).logits)


def test_half_precision_on_disk_becomes_float32_and_says_so(tmp_path: Path) -> None:
    theirs = theirs_of(llama(0)).bfloat16()
    theirs.save_pretrained(tmp_path / "theirs")
    tokenizer = train_characters(["abcdefghij"])
    tokenizer.save(tmp_path / "theirs")
    model, _ = load(tmp_path / "theirs")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1e-5 * torch.randn_like(parameter)  # training: no longer bfloat16's values
    save(model, tokenizer, tmp_path / "ours")
    ids = torch.randint(29, (2, 9))
    with torch.no_grad():
        back = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
        close(model(ids), back(ids).logits)


def test_both_spellings_of_rope_theta() -> None:
    sizes = {"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
    cases = [
        ({"rope_theta": 500.0}, 500.0),
        ({"rope_parameters": {"rope_theta": 500.0}}, 500.0),
        ({"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}, "rope_scaling": None}, 500.0),
        ({"rope_theta": 500.0, "rope_scaling": None}, 500.0),
        ({"rope_theta": 500.0, "rope_parameters": {"rope_type": "default"}}, 500.0),
        ({"rope_scaling": {"type": "default"}}, 10000.0),
        ({}, 10000.0),
    ]
    for given, theta in cases:
        config = config_class("llama").read(sizes | given)
        assert getattr(config, "rope_theta") == theta  # noqa: B009 (the class is not known here)
        assert hf.LlamaConfig(**sizes | given).rope_parameters["rope_theta"] == theta
        assert hf.LlamaConfig(**config.write()).rope_parameters["rope_theta"] == theta


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8}
REFUSED = [
    ("llama", {"rope_scaling": LLAMA3}, "asks for rotary positions of type 'llama3'"),
    ("llama", {"rope_parameters": LLAMA3 | {"rope_theta": 5e5}}, "asks for rotary positions of type 'llama3'"),
    ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "asks for rotary positions of type 'linear'"),
    ("llama", {"rope_parameters": {"rope_type": "default"}, "rope_scaling": {"type": "yarn"}}, "asks for rotary positions of type 'yarn'"),
    ("llama", {"hidden_act": "swoosh"}, "activation 'swoosh' is not known"),
    ("llama", {"num_key_value_heads": 3}, r"num_attention_heads \(4\) is not a multiple of num_key_value_heads \(3\)"),
    ("llama", {"hidden_size": 30}, r"hidden_size \(30\) is not a multiple of num_attention_heads \(4\)"),
    ("llama", {"head_dim": 5}, "a head is 5 wide"),
    ("llama", {"head_dim": -4}, "head_dim must be a positive whole number, not -4"),
    ("llama", {"num_hidden_layers": 0}, "num_hidden_layers must be a positive whole number, not 0"),
    ("llama", {"num_hidden_layers": True}, "num_hidden_layers must be a positive whole number, not True"),
    ("llama", {"vocab_size": "29"}, "vocab_size must be a positive whole number, not '29'"),
    ("llama", {"rms_norm_eps": "small"}, "rms_norm_eps must be a number, not 'small'"),
    ("llama", {"mlp_bias": "yes"}, "mlp_bias must be true or false, not 'yes'"),
    ("llama", {"hidden_act": 3}, "hidden_act must be a name, not 3"),
    ("gpt2", {"n_embd": 30}, r"n_embd \(30\) is not a multiple of n_head \(4\)"),
    ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights: False"),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx: True"),
    ("gpt2", {"add_cross_attention": True}, "add_cross_attention: True"),
    ("gpt3", {}, r"model family 'gpt3' is not known \(did you mean 'gpt2'\?\)"),
    ("bert", {}, r"model family 'bert' is not known \(known: bigram.*llama"),
    (None, {}, "has no model_type"),
]


@pytest.mark.parametrize(("model_type", "changes", "sentence"), REFUSED)
def test_what_cannot_be_built_is_refused_in_one_sentence(model_type: str | None, changes: dict, sentence: str) -> None:
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 1, "intermediate_size": 8}
    sizes |= {"n_embd": 32, "n_head": 4, "n_layer": 1, "vocab_size": 29}
    with pytest.raises(InputError, match=sentence) as caught:
        build(read_config({"model_type": model_type, **sizes, **changes}, "run/config.json"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_models_from_scratch(name: str) -> None:
    """`sized` configs build, the same seed gives the same weights, and torch's own random state is left alone."""
    for width, layers, heads in ((32, 1, 1), (48, 2, 3), (64, 2, 4)):
        config = config_class(name).sized(width, layers, heads, 16, 61, 0.1)
        state = torch.random.get_rng_state()
        one, two, other = build(config, seed=3), build(config, seed=3), build(config, seed=4)
        assert torch.equal(torch.random.get_rng_state(), state)
        pairs = list(zip(one.parameters(), two.parameters(), other.parameters(), strict=True))
        if not pairs:  # counted, not learned: there are no weights to draw
            continue
        assert all(torch.equal(a, b) for a, b, _ in pairs) and not all(torch.equal(a, c) for a, _, c in pairs)
        assert type(config).read(json.loads(json.dumps(config.write()))) == config
        with torch.no_grad():
            uniform = -torch.log_softmax(one(torch.arange(16)[None]), -1).mean()
        assert abs(uniform - torch.tensor(61.0).log()) < 0.1  # fresh weights know nothing


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_spread_of_fresh_weights(name: str) -> None:
    """Normal(0, 0.02), and what writes to the residual path over √(2 · layers), as GPT-2 has it."""
    model = build(config_class(name).sized(128, 8, 4, 16, 256, 0.0), seed=0)
    for key, parameter in model.named_parameters():
        if key.endswith("bias"):
            assert not parameter.any()
        elif "norm" in key:
            assert (parameter == 1).all()
        else:
            std = 0.02 / 4 if key.endswith((".out.weight", ".down.weight")) else 0.02
            assert abs(parameter.std() / std - 1) < 0.06, key
