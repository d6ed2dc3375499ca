"""Rotary positions: both spellings mean the same, every stretch equals transformers, and what cannot be turned is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf

from harken.base.errors import InputError
from harken.families import llama, names
from harken.families.table import build, config_class, read_config
from harken.nn.models import Model
from harken.nn.position import Rotary

SIZES = {
    **{"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 8},
    **{"num_attention_heads": 4, "num_hidden_layers": 1, "max_position_embeddings": 24},
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8}


def model_of(values: dict[str, Any]) -> Model:
    return build(read_config({**SIZES, **values}, "config.json"))


def turn_of(values: dict[str, Any]) -> Rotary:
    rotary = next(part for part in model_of(values).modules() if isinstance(part, Rotary))
    rotary.reach(64)
    return rotary


def test_both_spellings_of_rope_theta() -> None:
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
        config = config_class("llama").read(SIZES | given)
        assert getattr(config, "rope_theta") == theta  # noqa: B009 (the class is not known here)
        assert hf.LlamaConfig(**SIZES | given).rope_parameters["rope_theta"] == theta
        assert hf.LlamaConfig(**config.write()).rope_parameters["rope_theta"] == theta


@pytest.mark.parametrize(
    "rope", [{"rope_type": "linear", "factor": 2.0}, {"rope_type": "dynamic", "factor": 2.0}, YARN, LLAMA3], ids=lambda r: r["rope_type"]
)
def test_both_spellings_of_a_stretch(rope: dict[str, Any]) -> None:
    old = {key: value for key, value in rope.items() if key != "rope_type"} | {"type": rope["rope_type"]}
    spelled = [
        {"rope_parameters": {**rope, "rope_theta": 500.0}},
        {"rope_theta": 500.0, "rope_scaling": rope},
        {"rope_theta": 500.0, "rope_scaling": old},
        {"rope_theta": 500.0, "rope_parameters": rope},
    ]
    tables = [turn_of(each).table for each in spelled]
    assert all(torch.equal(table, tables[0]) for table in tables) and not torch.equal(tables[0], turn_of({"rope_theta": 500.0}).table)
    for given in spelled:
        config = read_config({**SIZES, **given}, "config.json")
        written = config.write()
        assert {key: written[key] for key in given} == given
        assert read_config(written, "config.json") == config
        theirs = hf.LlamaConfig(**written).rope_parameters
        assert {key: theirs[key] for key in rope} == rope and theirs["rope_theta"] == 500.0


@pytest.mark.parametrize(
    ("values", "context"),
    [
        ({}, 24),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.5}}, 60),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, 48),
        ({"rope_scaling": YARN}, 64),
        ({"rope_scaling": YARN, "max_position_embeddings": 100}, 100),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, 96),
        ({"rope_scaling": LLAMA3}, 24),
    ],
)
def test_how_far_it_reads(values: dict[str, Any], context: int) -> None:
    model = model_of(values)
    assert model.context == context
    model(torch.ones(1, context, dtype=torch.int64))
    with pytest.raises(InputError, match=f"this model reads at most {context}"):
        model(torch.ones(1, context + 1, dtype=torch.int64))


def test_dynamic_beyond_what_was_learned_is_what_a_token_at_a_time_gives() -> None:
    """There every position has a theta of its own, so portions, padding and company change nothing."""
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        **SIZES | {"num_hidden_layers": 2}, rope_parameters={"rope_type": "dynamic", "factor": 3.0, "rope_theta": 100.0}
    )
    theirs = hf.LlamaForCausalLM(config).eval()
    ours = build(read_config(config.to_dict(), "config.json"))
    names.read(ours, theirs.state_dict(), llama.names(ours.config), ignore=llama.IGNORE, where="transformers")
    ids, want = torch.randint(29, (1, 60)), []
    with torch.no_grad():
        past = hf.DynamicCache(config=config)
        for place in range(60):
            want.append(theirs(ids[:, place : place + 1], past_key_values=past, use_cache=True).logits)
        whole = torch.cat(want, 1)
        assert (ours(ids) - whole).abs().max() <= 1e-5 * whole.abs().max()
        plain = model_of({"num_hidden_layers": 2, "rope_theta": 100.0})
        plain.load_state_dict(ours.state_dict())
        assert (plain(ids[:, :24]) - whole[:, :24]).abs().max() <= 1e-5 * whole.abs().max()  # nothing is stretched up to there
        ours.pack()
        cache = ours.begin(1, 60)
        parts = [ours(part, cache=cache) for part in ids.split([20, 30, 1, 9], 1)]
        assert torch.equal(torch.cat(parts, 1), ours(ids))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}},
            "of type 'longrope', which this version cannot",
        ),
        ({"rope_parameters": {"rope_type": "linaer", "factor": 2.0}}, r"of type 'linaer'.*\(did you mean 'linear'\?\)"),
        ({"rope_parameters": {"rope_type": "default"}, "rope_scaling": {"type": "yarn"}}, "'yarn' need a positive number factor, not None"),
        ({"rope_scaling": {**LLAMA3, "low_freq_factor": "1"}}, "'llama3' need a positive number low_freq_factor, not '1'"),
        ({"rope_scaling": {"type": "linear", "factor": -2}}, "'linear' need a positive number factor, not -2"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor is not 1"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is not 1"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "must be set for all layers at once"),
        ({"rope_parameters": "yarn"}, "must be set for all layers at once"),
    ],
)
def test_what_cannot_be_turned_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        model_of(values)
    assert "\n" not in str(caught.value)
