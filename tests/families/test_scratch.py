"""Fresh models of every family: the asked size, the same weights from the same seed, the spread their papers give them."""

from __future__ import annotations

import json

import pytest
import torch

from harken.families.table import FAMILIES, build, config_class, family


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
            ids = torch.arange(16)[None]
            uniform = -torch.log_softmax(one(ids, ids) if one.reads == "source" else one(ids), -1).mean()
        assert abs(uniform - torch.tensor(61.0).log()) < 0.1  # fresh weights know nothing
        assert one.span == 16 or name in ("ngram", "mixture")


WAVES = ("bert", "roberta", "distilbert", "albert")


@pytest.mark.parametrize("task", [None, "classification"])
@pytest.mark.parametrize(
    "name", ["gpt", "gpt2", "llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "distilbert", "albert", "modernbert", "cosine"]
)
def test_the_spread_of_fresh_weights(name: str, task: str | None) -> None:
    """Normal(0, 0.02); in pre-norm blocks what writes to the residual path over √(2 · layers), as GPT-2 has it; learned positions that a
    norm follows are waves, three times as strong, so that one turn leads from each place to the next."""
    model = build(config_class(name).sized(128, 8, 4, 16, 256, 0.0), task, seed=0)
    grows = name not in ("gpt", "bert", "roberta", "distilbert", "albert")
    for key, parameter in model.named_parameters():
        if key.endswith("bias"):
            assert not parameter.any()
        elif "norm" in key or key.endswith("beta"):
            assert (parameter == 1).all()
        elif ".positions." in key and name in WAVES and model.config.task == "masked-language-modeling":
            assert abs(parameter.pow(2).mean().sqrt() - 0.06) < 1e-5
            pairs = torch.view_as_complex(parameter.detach().unflatten(-1, (-1, 2)).contiguous())  # sine and cosine of each wave
            turns = pairs[1:] / pairs[:-1]
            assert torch.allclose(turns, turns[:1].expand_as(turns), atol=1e-3)
        else:
            writes = grows and ".blocks." in key and key.endswith((".out.weight", ".down.weight"))
            close = 0.06 if parameter.numel() > 2000 else 0.25
            assert abs(parameter.std() / (0.02 / 4 if writes else 0.02) - 1) < close, key


def test_a_family_by_the_name_people_know() -> None:
    config = config_class("gpt").sized(32, 2, 4, 16, 61, 0.0)
    assert config.model_type == "openai-gpt" and family("gpt") is family("openai-gpt")
    assert config_class("openai-gpt") is type(config)
