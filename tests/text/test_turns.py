"""What is learned of a chat is what the assistant said, behind exactly the ids that the model is asked with."""

from __future__ import annotations

import itertools

import pytest

from harken.base.errors import InputError
from harken.text.chat import CHATML, chat_ids, learned_ids
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_tokenizer

SPECIALS = ["<|im_start|>", "<|im_end|>", "<|eot|>"]
BEHIND = """\
{% for message in messages %}{{ '<|im_start|>' ~ message.role ~ '\\n' }}{% if message.role == 'assistant' %}\
{% generation %}{{ message.content }}{% endgeneration %}{% else %}{{ message.content }}{% endif %}{{ '<|eot|><|im_start|>\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
WIDE = CHATML.replace("{%- generation %}{{ message.content ~ '<|im_end|>' }}", "{%- generation %}{{ message.content ~ '<|im_end|>\\n' }}")
BARE = """\
{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %}{{ 'Answer: ' }}{% generation %}\
{{ message.content ~ '<|im_end|>' }}{% endgeneration %}{% else %}{{ message.content ~ ' ' }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ 'Answer: ' }}{% endif %}"""
UNMARKED = CHATML.replace("{%- generation %}{{", "{{-").replace("{% endgeneration %}", "")
PLAIN = """\
{% for message in messages %}{{ '### ' ~ message.role ~ ':\\n' ~ message.content | trim ~ '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '### assistant:\\n' }}{% endif %}"""
TEMPLATES = {"chatml": CHATML, "behind": BEHIND, "wide": WIDE, "bare": BARE, "unmarked": UNMARKED, "plain": PLAIN}

ANSWERS = ["It is so.", " it is", "\n\nIt\nis", "two  words\n", "é 🙂 日本", "no <|im_end|> here", "x"]
WORDS = ["What is so?", "and\n", " ", "<|im_start|>", "Why,\n\nsays who 🙂?"]


@pytest.fixture(scope="module", params=["bpe", "char", "unigram", "wordpiece"])
def tokenizer(request) -> Tokenizer:
    texts = [*ANSWERS, *WORDS, "system user assistant Answer: ###"] * 3
    size = None if request.param == "char" else {"bpe": 400, "unigram": 450, "wordpiece": 120}[request.param]
    return train_tokenizer(request.param, texts, size, specials=SPECIALS)


def chats() -> list[list[dict[str, str]]]:
    found = []
    for first, asked in itertools.product(ANSWERS, WORDS):
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": first}]
        more = [*turns, {"role": "user", "content": WORDS[0]}, {"role": "assistant", "content": ANSWERS[0]}]
        found += [turns, [{"role": "system", "content": "be brief"}, *more]]
    return found


@pytest.mark.parametrize("name", TEMPLATES)
def test_in_front_of_an_answer_stands_what_the_model_is_asked_with(tokenizer, name):
    tokenizer.extra["chat_template"] = TEMPLATES[name]
    for messages in chats():
        found = learned_ids(tokenizer, messages)
        places = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
        starts = [n for n in range(1, len(found.ids)) if found.learned[n] and not found.learned[n - 1]]
        assert found.answers == len(places) == len(starts) and found.learned[-1]
        marked = name not in ("unmarked", "plain")
        for place, start in zip(places, starts, strict=True):
            if marked or place == places[0]:  # what is not marked is cut by no one when the chat goes on
                assert chat_ids(tokenizer, messages[:place])[1] == found.ids[:start]
        whole = chat_ids(tokenizer, messages, add_generation_prompt=False)[1]
        assert whole[: len(found.ids)] == found.ids or not marked


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_learned_is_the_answer_and_its_end(tokenizer, name):
    tokenizer.extra["chat_template"] = TEMPLATES[name]
    end = {"behind": "<|eot|>", "plain": "\n"}.get(name, "<|im_end|>")
    for messages in chats():
        found = learned_ids(tokenizer, messages)
        starts = [n for n in range(1, len(found.ids)) if found.learned[n] and not found.learned[n - 1]]
        answer = found.ids[starts[-1] :]
        if name != "plain":
            assert answer[-1] == tokenizer.inner.token_to_id(end)
            assert sum(i in tokenizer.special_ids - {tokenizer.unk_id} for i in answer) == 1
        said = messages[-1]["content"].strip() if name == "plain" else messages[-1]["content"]
        plain = tokenizer.encode(said, special=False)
        if tokenizer.kind in ("char", "wordpiece"):
            assert answer[: len(plain)] == plain
        if tokenizer.kind == "bpe":
            assert tokenizer.decode(answer, skip_special=False) == said + end


def test_what_cannot_be_told_is_refused(tokenizer):
    ask = [{"role": "user", "content": "What is so?"}, {"role": "assistant", "content": "It is so."}]
    for template in ("{% for message in messages %}{{ message.content }}|{{ add_generation_prompt }}{% endfor %}", PLAIN):
        tokenizer.extra["chat_template"] = template
        chat = ask if template != PLAIN else [ask[1], *ask]  # nothing asks for a greeting
        with pytest.raises(InputError, match=r"does not mark what the assistant says.* generation %} in front of it"):
            learned_ids(tokenizer, chat)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_ids_are_those_of_the_whole_text_where_no_token_would_reach_over_a_border(tokenizer, name):
    tokenizer.extra["chat_template"] = TEMPLATES[name]
    talk = [{"role": role, "content": text} for text in ("What is so?", "é 🙂 日本", "x") for role in ("user", "assistant")]
    text, ids = chat_ids(tokenizer, talk, add_generation_prompt=False)
    if name != "bare":  # there an answer begins with the blank in front of it, or a word's mark
        assert ids == tokenizer.parsing.encode(text, add_special_tokens=False).ids
