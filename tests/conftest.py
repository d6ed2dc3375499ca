"""One quiet, offline, repeatable machine for every test: the environment, hypothesis, thread counts, and where the data lies."""

from __future__ import annotations

import os

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", MPLBACKEND="Agg")  # before any library reads them

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("ci")


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One torch thread, two for a test marked `serial`, where kernels then take both for small work too, so that both ways meet in one
    test; a test that never imports torch stays without it."""
    serial = request.node.get_closest_marker("serial") is not None
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(2 if serial else 1)
    if serial and (kernels := sys.modules.get("harken.nn.kernels.exact")):
        monkeypatch.setattr(kernels, "ALONE", 3_000)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The small texts that ship inside the package."""
    return Path(__file__).parents[1] / "harken" / "data" / "samples"


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """`data_folder("wikitext")`: a data set kept outside the repository; the test is skipped where it is absent."""
    home = Path(os.environ.get("HARKEN_DATA") or Path.home() / ".cache" / "harken-data")

    def find(name: str) -> Path:
        if not (home / name).exists():
            pytest.skip(f"no {name} in {home} (set HARKEN_DATA to the folder that has it)")
        return home / name

    return find


@pytest.fixture(scope="session")
def talker() -> Callable[..., Any]:
    """`talker("messages")` or `talker("dialogue")`: (model, tokenizer) of a tiny model that can be talked to, with large random weights."""
    from dataclasses import replace

    from harken.data.segments import SPEAKERS
    from harken.families.gpt2 import GPT2Config
    from harken.families.llama import LlamaConfig
    from harken.families.table import build
    from harken.text.chat import CHATML
    from harken.text.train import train_bpe

    lines = ["hello, how are you? i am fine.", "i love dogs. do you?", "i live in a small town by the sea.", "you are a kind person."]

    def make(kind: str, context: int = 96, seed: int = 0, template: str = CHATML) -> Any:
        dialogue = kind == "dialogue"
        words = train_bpe(lines * 3, 320).extended(SPEAKERS if dialogue else ["<|im_start|>", "<|im_end|>"])
        if not dialogue:
            words.extra["chat_template"] = template
        family = GPT2Config if dialogue else LlamaConfig
        config = replace(family.sized(32, 2, 2, context, words.vocab_size, 0.0), task="double-heads" if dialogue else "language-modeling")
        config.bos_token_id, config.eos_token_id, config.initializer_range = words.bos_id, words.eos_id, 0.3
        config.check()
        model = build(config, seed=seed)
        model.generation = {"suppress_tokens": words.silent_ids}
        return model, words

    return make
