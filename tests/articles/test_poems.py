"""The articles' last example, a model fine-tuned on a poems.txt, as harken calls:

dataset = TextDataset(tokenizer=tokenizer, file_path="poems.txt", block_size=128)
Trainer(model=GPT2LMHeadModel.from_pretrained("gpt2"), args=TrainingArguments(output_dir="./poetry", …), train_dataset=dataset).train()
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import harken

WHO, DOES = ["the moon", "the river", "my heart", "the lark", "old winter"], ["sleeps", "sings", "weeps", "waits", "burns"]


def lines(seed: int, count: int, line: str) -> str:
    rng = random.Random(seed)
    return "".join(line.format(who=rng.choice(WHO), does=rng.choice(DOES), other=rng.choice(WHO)) + "\n" for _ in range(count))


PROSE = "yesterday {who} and {other} were seen; {who} {does} again, they say."
POEMS = "o how {who} {does},\nand {does}, and {does}, as {other} {does}!\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """news.txt, poems.txt, unread.txt (poems that no model has seen), and a small GPT-2 that learned from the news."""
    made = tmp_path_factory.mktemp("poems")
    for name, text in (("news", lines(0, 200, PROSE)), ("poems", lines(1, 200, POEMS)), ("unread", lines(2, 40, POEMS))):
        (made / f"{name}.txt").write_text(text)
    size = {"width": 48, "layers": 2, "heads": 2, "context": 64, "batch_size": 16}
    harken.train(str(made / "news.txt"), model="gpt2", examples="running", tokenizer="bpe", out=str(made / "gpt2"), steps=60, **size)
    return made


def test_fine_tuning_on_poems(folder: Path) -> None:
    before = harken.evaluate(str(folder / "gpt2"), str(folder / "unread.txt"), examples="running")
    tuned = harken.train(str(folder / "poems.txt"), model=str(folder / "gpt2"), examples="running", out=str(folder / "poetry"), steps=60)
    after = harken.evaluate(tuned.run, str(folder / "unread.txt"))
    assert after.tokens == before.tokens  # the tokenizer came along
    assert after.loss < before.loss / 2


def test_the_poet_writes(folder: Path) -> None:
    """generator = pipeline("text-generation", model="./poetry"); generator("o how", max_length=50)"""
    if not (folder / "poetry").exists():
        harken.train(str(folder / "poems.txt"), model=str(folder / "gpt2"), examples="running", out=str(folder / "poetry"), steps=60)
    generator = harken.pipeline("text-generation", model=str(folder / "poetry"))
    (found,) = generator("o how the moon", max_length=50)
    text = found["generated_text"]
    assert text.startswith("o how the moon") and any(verb in text for verb in DOES)
    drawn = generator("o how", max_new_tokens=20, num_return_sequences=3, do_sample=True, seed=1)
    assert drawn == generator("o how", max_new_tokens=20, num_return_sequences=3, do_sample=True, seed=1)
    model, tokenizer = harken.load(str(folder / "poetry"))
    ids = tokenizer.encode("o how")
    (one,) = harken.generate(model, tokenizer, [ids], max_length=50)
    assert len(ids) + len(one.ids) <= 50
