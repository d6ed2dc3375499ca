"""Adapters are models of their own name: rows of different ones share a call, and each answers as it would alone."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import harken
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.server.served import read_models


@pytest.fixture(scope="module")
def folders(kinds: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A base and two adapters on it."""
    peft = pytest.importorskip("peft")
    import transformers

    model, tokenizer = kinds("gpt2")
    where = tmp_path_factory.mktemp("adapters")
    harken.save(model, tokenizer, where / "base")
    for n, name in enumerate(("one", "two")):
        base = transformers.GPT2LMHeadModel.from_pretrained(where / "base")
        torch.manual_seed(n)
        config = peft.LoraConfig(r=2 + n, lora_alpha=8, target_modules=["c_attn", "c_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
        put: Any = peft.get_peft_model(base, config)
        put.save_pretrained(where / name)
        setting = (where / name / "adapter_config.json").read_text()
        assert str(where / "base") in setting
    return [str(where / name) for name in ("base", "one", "two")]


def test_adapters_share_their_base_and_its_calls(folders: list[str], run: Any) -> None:
    models = read_models(folders)
    assert [one.name for one in models] == ["base", "one", "two"]
    assert models[0].model is models[1].model is models[2].model and models[0].adapter is None
    options = DecodeOptions(max_new_tokens=16, temperature=0.9, seed=2)
    alone = [generate(*harken.load(Path(folder)), ["abcdefghijk"], options) for folder in folders]
    assert len({one[0].text for one in alone}) == 3

    async def work(engine: Any) -> Any:
        async def one(served: Any) -> Any:
            async with await engine.write(served, ["abcdefghijk"], options) as writing:
                return await writing.all()

        found = await asyncio.gather(*(one(served) for _ in range(3) for served in models))
        assert len(engine.batches) == 1
        features = [await engine.ask(served, "feature-extraction", ["abc"], pooling="mean") for served in models]
        return found, features

    found, features = run(models, work)
    assert found == alone * 3
    assert features[0] != features[1] != features[2]


def test_an_adapter_writes_as_its_own_folder_says(folders: list[str], run: Any, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(folders[1], own)
    (own / "generation_config.json").write_text('{"max_new_tokens": 3, "min_new_tokens": 3}')
    models = read_models([folders[0], folders[1], str(own)])
    assert models[2].model is models[0].model and dict(models[1].usual) == dict(models[0].usual) != dict(models[2].usual)

    async def work(engine: Any) -> Any:
        async def one(served: Any) -> Any:
            async with await engine.write(served, ["abc"], DecodeOptions(min_new_tokens=2)) as writing:
                return (await writing.all())[0]

        return await asyncio.gather(*map(one, models))

    answers = run(models, work)
    alone = [generate(*harken.load(Path(folder)), ["abc"], DecodeOptions(min_new_tokens=2))[0] for folder in (folders[1], own)]
    assert len(answers[2].ids) == 3 and answers[2] == alone[1] and answers[1].ids[:3] == answers[2].ids


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_narrow_weights_answer_the_same_under_load(folders: list[str], run: Any, dtype: str) -> None:
    (served,) = read_models(folders[:1], dtype=dtype)
    options = DecodeOptions(max_new_tokens=10)
    assert served.model.held == dtype

    async def work(engine: Any) -> Any:
        async def one(prompt: str) -> Any:
            async with await engine.write(served, [prompt], options) as writing:
                return (await writing.all())[0]

        return await asyncio.gather(*map(one, ["abcdef", "xyz", "abcdefghijk"]))

    found = run([served], work)
    assert found == [generate(served.model, served.tokenizer, [one.prompt], options)[0] for one in found]
