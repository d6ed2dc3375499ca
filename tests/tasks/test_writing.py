"""Tasks that write, beside transformers: its own pipeline for text generation, its models' generate for those that it dropped."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

import harken
from harken.tasks.writing import _TIGHT

TEXTS = ["Once upon a time", "The cat sat on the", "naïve 🙂  café,"]
PARAMS = {
    "summarization": {
        "prefix": "summarize: ",
        "max_length": 12,
        "min_length": 5,
        "num_beams": 3,
        "length_penalty": 2.0,
        "early_stopping": True,
    },
    "translation_en_to_fr": {"prefix": "translate English to French: ", "max_length": 9, "num_beams": 2},
}


@pytest.fixture
def gpt2(checkpoint: Any) -> str:
    return checkpoint("gpt2", "lm")


def test_generation_equals_transformers(gpt2: str, checkpoint: Any, same: Any) -> None:
    ours, theirs = harken.pipeline("text-generation", gpt2), checkpoint.pipeline("text-generation", gpt2, "lm")
    for options in (
        {"max_new_tokens": 7},
        {"max_length": 30},
        {"max_new_tokens": 6, "return_full_text": False},
        {"max_new_tokens": 6, "num_beams": 3, "num_return_sequences": 2},
        {"max_new_tokens": 5, "prefix": "The king. "},
    ):
        for text in TEXTS:
            assert ours(text, **options) == theirs(text, pad_token_id=0, do_sample=False, **options)
    assert ours(TEXTS, max_new_tokens=7) == theirs(TEXTS, max_new_tokens=7, pad_token_id=0, do_sample=False)
    assert list(ours(iter(TEXTS), max_new_tokens=7)) == ours(TEXTS, max_new_tokens=7) == [ours(text, max_new_tokens=7) for text in TEXTS]


def test_max_length_counts_the_prompt(gpt2: str) -> None:
    words = harken.Tokenizer.load(gpt2)
    ours = harken.pipeline("text-generation", gpt2, max_length=50)
    (found,) = ours("Once upon a time", eos_token_id=5, return_tensors=True)
    assert len(words.encode("Once upon a time")) + len(found["generated_token_ids"]) == 50
    assert len(ours("Once upon a time", max_new_tokens=3, return_tensors=True, eos_token_id=5)[0]["generated_token_ids"]) == 3


def test_sampling(gpt2: str, refusal: Any) -> None:
    ours = harken.pipeline("text-generation", gpt2, max_new_tokens=8)
    five = ours("Once", do_sample=True, num_return_sequences=5, seed=3)
    assert len({one["generated_text"] for one in five}) > 1 and len(five) == 5
    assert five == ours("Once", do_sample=True, num_return_sequences=5, seed=3) != ours("Once", num_return_sequences=5, seed=4)
    assert "temperature must be at least 0" in refusal(lambda: ours("Once", temperature=-1.0))
    assert "max_new_tokens must be a whole number, not 'many'" in refusal(lambda: ours("Once", max_new_tokens="many"))
    assert "(did you mean 'max_length'" in refusal(lambda: ours("Once", max_lenght=4))
    assert "src_lang and tgt_lang are for translation" in refusal(lambda: ours("Once", tgt_lang="fr"))


def test_odd_prompts(gpt2: str, refusal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ours = harken.pipeline("text-generation", gpt2, max_new_tokens=3)
    assert ours([]) == [] and isinstance(ours("")[0]["generated_text"], str) and ours("   ")[0]["generated_text"].startswith("   ")
    assert "not nothing (None)" in refusal(lambda: ours(None))
    said = refusal(lambda: ours(["a", "cat " * 25_000]))
    assert said.startswith("inputs[1]: the prompt has ") and "this model reads at most 64" in said
    text = "cat " * 25_000
    (found,) = ours(text, truncation=True)
    assert found["generated_text"].startswith(text) and len(found["generated_text"]) > len(text)
    assert "1 of 1 inputs was cut: " in capsys.readouterr().err
    assert "reads at most 64" in refusal(lambda: ours(text, clean_up_tokenization_spaces=True))


def test_stops_and_tidy_spaces(gpt2: str) -> None:
    ours = harken.pipeline("text-generation", gpt2, max_new_tokens=12, return_full_text=False)
    whole = ours("The cat sat on the", do_sample=True, seed=1)[0]["generated_text"]
    stop = whole[len(whole) // 2]
    found = ours("The cat sat on the", do_sample=True, seed=1, stop_sequence=stop)[0]["generated_text"]
    assert found == whole[: whole.index(stop)] != whole
    assert _TIGHT.sub("", "a , b . it 's n't , no ! 'x") == "a, b. it's n't, no! 'x".replace(" n't", "n't")


def test_chats(checkpoint: Any, tmp_path: Path, refusal: Any) -> None:
    folder = checkpoint("gpt2", "lm")
    with pytest.raises(harken.base.errors.InputError, match="no chat template"):
        harken.pipeline("conversational", folder)("Hello")
    model, words = checkpoint.theirs(folder, "lm")
    words = copy.deepcopy(words)
    words.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    model.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    theirs = hf.pipeline("text-generation", model=model, tokenizer=words, device="cpu")
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello, how are you?"}]
    before = copy.deepcopy(chat)
    ours = harken.pipeline("text-generation", tmp_path, max_new_tokens=6)
    wanted = theirs(copy.deepcopy(chat), max_new_tokens=6, pad_token_id=0, do_sample=False)
    assert ours(chat) == wanted and chat == before
    assert ours([chat, chat]) == [wanted, wanted]
    talk = harken.pipeline("conversational", tmp_path, max_new_tokens=6)
    assert talk(chat) == wanted
    assert talk("Hi")[0]["generated_text"][0] == {"role": "user", "content": "Hi"}
    answered = [*chat, {"role": "assistant", "content": "Fine."}]
    assert "the last message is the assistant's own" in refusal(lambda: talk(answered))
    assert "should be text, or a list of messages" in refusal(lambda: talk(None))
    assert "messages[0].role is missing" in refusal(lambda: talk([{"content": "a"}]))


def written(model: Any, words: Any, text: str, **options: Any) -> str:
    with torch.no_grad():
        out = model.generate(**words(text, return_tensors="pt"), **options)
    return words.decode(out[0], skip_special_tokens=True)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_text2text_equals_transformers(kind: str, checkpoint: Any) -> None:
    folder = checkpoint(kind, "text2text")
    model, words = checkpoint.theirs(folder, "text2text")
    ours = harken.pipeline("text2text-generation", folder)
    for options in (
        {"max_new_tokens": 9},
        {"max_length": 12, "num_beams": 3, "length_penalty": 0.5},
        {"max_new_tokens": 9, "no_repeat_ngram_size": 2},
    ):
        found = ours(TEXTS, **options)
        assert found == [{"generated_text": written(model, words, text, **options)} for text in TEXTS]
        assert [ours(text, **options) for text in TEXTS] == [[one] for one in found]
    assert len(ours(TEXTS[0], num_beams=3, num_return_sequences=3)) == 3
    assert [len(one) for one in ours(TEXTS, num_beams=3, num_return_sequences=2, max_new_tokens=4)] == [2, 2, 2]
    (ids,) = ours(TEXTS[0], max_new_tokens=4, return_tensors=True)
    assert list(ids) == ["generated_token_ids"] and len(ids["generated_token_ids"]) <= 4


@pytest.fixture
def t5(checkpoint: Any) -> str:
    """A T5 that says in its config how it is to be asked."""
    return checkpoint("t5", "text2text", task_specific_params=PARAMS)


def test_the_tasks_of_t5(t5: str, checkpoint: Any, refusal: Any) -> None:
    model, words = checkpoint.theirs(t5, "text2text")
    for task, key in (("summarization", "summary_text"), ("translation_en_to_fr", "translation_text")):
        said = dict(PARAMS[task])
        text = said.pop("prefix") + TEXTS[0]
        ours = harken.pipeline(task, t5)
        assert ours(TEXTS[0]) == [{key: written(model, words, text, **said)}]
        assert ours([TEXTS[0]]) == [{key: written(model, words, text, **said)}]
        changed = {
            name: value for name, value in said.items() if name not in ("num_beams", "length_penalty", "early_stopping", "max_length")
        }
        assert ours(TEXTS[0], num_beams=1, max_new_tokens=5)[0][key] == written(model, words, text, **changed, max_new_tokens=5)
        assert ours(TEXTS[0], prefix="")[0][key] == written(model, words, TEXTS[0], **said)
    by_options = harken.pipeline("translation", t5)
    assert by_options(TEXTS[0], src_lang="en", tgt_lang="fr") == harken.pipeline("translation_en_to_fr", t5)(TEXTS[0])
    assert "which languages?" in refusal(lambda: by_options(TEXTS[0]))
    assert refusal(lambda: harken.pipeline("translation_en_to_de", t5)) == (
        "this model was not taught translation_en_to_de (did you mean 'translation_en_to_fr'?); or give a prefix of your own"
    )
    assert "has the tgt_lang fr, not de" in refusal(lambda: harken.pipeline("translation_en_to_fr", t5, tgt_lang="de"))


def test_marian(opus: str, refusal: Any) -> None:
    model, words = hf.MarianMTModel.from_pretrained(opus).eval(), hf.MarianTokenizer.from_pretrained(opus)
    for language, code in (("fr", ">>fr<<"), ("de", ">>deu<<")):
        ours = harken.pipeline(f"translation_en_to_{language}", opus, max_new_tokens=10)
        for text in ("Hello, how are you?", "The cat sat on the mat."):
            wanted = written(model, words, f"{code} {text}", max_new_tokens=10)
            assert ours(text) == [{"translation_text": wanted}]
            assert ours([text, text]) == [{"translation_text": wanted}] * 2
    assert "this model has no language 'xx': it translates to deu, fr" in refusal(lambda: harken.pipeline("translation_en_to_xx", opus))
    assert "which languages?" in refusal(lambda: harken.pipeline("translation", opus)("Hello"))


def test_marian_of_one_direction(opus: str, tmp_path: Path, refusal: Any) -> None:
    for file in Path(opus).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    plain = {token.strip("<>") if token.startswith(">>") else token: i for token, i in vocabulary.items()}
    (tmp_path / "vocab.json").write_text(json.dumps(plain))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "fr"})
    )
    assert harken.pipeline("translation_en_to_fr", tmp_path, max_new_tokens=4)("Hello")[0]["translation_text"] is not None
    assert harken.pipeline("translation", tmp_path, max_new_tokens=4)("Hello") == harken.pipeline(
        "translation_en_to_fr", tmp_path, max_new_tokens=4
    )("Hello")
    said = refusal(lambda: harken.pipeline("translation_de_to_fr", tmp_path))
    assert said == "this model translates from en to fr, not from de to fr: take another one"


def test_odd_sources(t5: str, checkpoint: Any, refusal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ours = harken.pipeline("summarization", checkpoint("bart", "text2text"), max_new_tokens=4)
    assert ours([]) == []
    assert "the prompt is empty" in refusal(lambda: ours(""))
    assert "not nothing (None)" in refusal(lambda: ours([None]))
    assert "reads at most 64" in refusal(lambda: ours("cat " * 25_000))
    assert ours("cat " * 25_000, truncation=True)[0]["summary_text"] is not None
    assert "1 of 1 inputs was cut" in capsys.readouterr().err
    assert "summary_text" in ours("   ")[0]
    assert "has no head for summarization" in refusal(lambda: harken.pipeline("summarization", checkpoint("gpt2", "lm")))
    said = refusal(lambda: harken.pipeline("text-generation", t5))
    assert "is a t5 model, which has no head for text-generation: ask it for text2text-generation or summarization or translation" in said
