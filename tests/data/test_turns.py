"""Chats are read whole, in several rows, cut or left out, and every chat, answer and token is accounted for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.chats import read_answers
from harken.data.ledger import Ledger
from harken.data.turns import exchanges, laid_out, reading, written_out
from harken.text.chat import CHATML, chat_ids
from harken.text.train import train_characters

TOKENIZER = train_characters(["abcdefgh systemuserassistant\n"], specials=["<|im_start|>", "<|im_end|>"])
TOKENIZER.extra["chat_template"] = CHATML
WORDS = st.text("abcdefgh ", min_size=1, max_size=30).filter(str.strip)
TALK = st.tuples(st.booleans(), st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), st.booleans())


def chat(talk) -> list[dict[str, str]]:
    system, turns, behind = talk
    said = [{"role": role, "content": text} for pair in turns for role, text in zip(("user", "assistant"), pair, strict=True)]
    return [{"role": "system", "content": "abc"}] * system + said + [{"role": "user", "content": "h"}] * behind


def laid(chats, context, overflow):
    examples, ledger = read_answers([{"messages": each} for each in chats]), Ledger()
    return laid_out(examples, written_out(examples, TOKENIZER), TOKENIZER, context, ledger, overflow=overflow), ledger


@given(st.lists(TALK, min_size=1, max_size=5), st.integers(20, 200), st.sampled_from(["window", "truncate", "drop"]))
def test_nothing_is_lost_without_a_number(talks, context, overflow):
    chats = [chat(talk) for talk in talks]
    try:
        made, ledger = laid(chats, context, overflow)
    except InputError as error:
        assert "none of its" in str(error)
        return
    count = {what: n for _, what, n in ledger.rows()}
    assert count["chats"] == len(chats) == sum(count[f"chats {fate}"] for fate in ("whole", "in several rows", "cut", "left out"))
    assert count["answers"] == sum(len(turns) for _, turns, _ in talks)
    assert count["answers"] == sum(count[f"answers {fate}"] for fate in ("learned", "cut", "left out"))
    assert count["tokens used"] == count["tokens learned"] + count["tokens only read"] == len(made.spans.ids)
    assert made.longest <= context and count["tokens learned"] == made.answered
    end = TOKENIZER.inner.token_to_id("<|im_end|>")
    assert int((made.learned & (made.spans.ids == end)).sum()) == count["answers learned"]
    if overflow == "window":  # every answer that fits is learned once
        head = {True: len("system\nabc\n") + 2, False: 0}
        fits = [len(f"user\n{a}\nassistant\n{b}") + 4 + head[system] - 1 <= context for system, turns, _ in talks for a, b in turns]
        assert count["answers learned"] == sum(fits) and count["answers cut"] == 0
    if overflow == "drop":
        assert count["answers cut"] == count["chats cut"] == count["chats in several rows"] == 0


def test_a_row_is_a_chat_that_the_template_writes():
    turns = [("abc", "de"), ("fgh", "ab"), ("c" * 20, "d" * 9)]
    chats = [chat((True, turns, False))]
    whole = len(chat_ids(TOKENIZER, chats[0], False)[1]) - 2  # the line end behind the last answer is not read, nor is its end
    made, _ = laid(chats, whole, None)
    assert made.longest == whole and len(made.rows()) == 1

    def texts(made) -> list[str]:
        return [TOKENIZER.decode(made.spans.ids[begin - 1 : end], skip_special=False) for begin, end in made.rows()]

    system = "<|im_start|>system\nabc<|im_end|>\n"
    one, two, three = (f"<|im_start|>user\n{a}<|im_end|>\n<|im_start|>assistant\n{b}<|im_end|>" for a, b in turns)
    assert texts(made) == [f"{system}{one}\n{two}\n{three}"]
    assert texts(laid(chats, whole - 1, "window")[0]) == [f"{system}{one}\n{two}", f"{system}{three}"]
    made, ledger = laid(chats, whole - 1, "truncate")
    assert texts(made) == [f"{system}{two}\n{three}"]
    assert ledger.get("tokens", "answers left out") == 1 and ledger.get("tokens", "chats cut") == 1
    alone = len(f"{system}{three}") - len("<|im_start|>" * 3 + "<|im_end|>" * 3) + 6 - 1
    made, ledger = laid(chats, alone - 4, "truncate")
    assert texts(made) == [f"{system}{three}".removesuffix("ddd<|im_end|>")]
    assert ledger.get("tokens", "answers cut") == 1 and ledger.get("tokens", "answers left out") == 2
    with pytest.raises(InputError, match=rf"1 of 1 chats are longer .* \(the longest has {whole}\): give --context {whole}, or"):
        laid(chats, whole - 1, None)
    with pytest.raises(InputError, match="none of its 1 chats fits into the context of 30 tokens"):
        laid(chats, 30, "drop")


def test_packed_rows_are_the_padded_ones_end_to_end():
    made, _ = laid([chat((False, [("abc", "de")], False)), chat((True, [("a", "b"), ("c", "defg")], True))], 200, None)
    rows = made.rows()
    inputs, targets, lengths = made.take(rows, 0)
    flat, wanted, starts = made.packed(rows)
    real = np.arange(inputs.shape[1]) < lengths[:, None]
    assert (inputs[real] == flat).all() and (targets[real] == wanted).all() and (np.diff(starts) == lengths).all()
    learned = [TOKENIZER.decode(row[row != -100], skip_special=False) for row in targets]
    assert learned == ["de<|im_end|>", "b<|im_end|>defg<|im_end|>"]


def test_exchanges_begin_where_the_user_speaks_and_end_with_an_answer():
    roles = ["system", "assistant", "user", "system", "assistant", "tool", "assistant", "user", "user", "assistant", "user"]
    head, found = exchanges([{"role": role, "content": "a"} for role in roles])
    assert [each["role"] for each in head] == ["system"]
    assert [[each["role"] for each in part] for part in found] == [roles[1:2], roles[2:7], roles[7:10]]


def test_every_form_becomes_chats(tmp_path):
    wanted = [({"role": "user", "content": "add\n\n1 and 2"}, {"role": "assistant", "content": "3"})]
    plain = [({"role": "user", "content": "add"}, {"role": "assistant", "content": "3"})]
    path = tmp_path / "a.jsonl"
    for row, chats in [
        ({"instruction": "add", "input": "1 and 2", "output": "3"}, wanted),
        ({"instruction": "add", "context": "", "response": "3"}, plain),
        ({"instruction": "add", "instances": [{"input": "", "output": "3"}, {"input": "1 and 2", "output": "3"}]}, plain + wanted),
        ({"prompt": "add", "completion": "3"}, plain),
        ({"question": "add", "answer": "3"}, plain),
        ({"conversations": [{"from": "human", "value": "add"}, {"from": "gpt", "value": "3"}]}, plain),
        ({"messages": [{"role": "user", "content": "add"}, {"role": "assistant", "content": "3"}]}, plain),
    ]:
        path.write_text(json.dumps(row) + "\n")
        assert [each.messages for each in read_answers(path)] == chats, row
    for row, said in [
        ({"instruction": "add", "output": " "}, "line 1: the output is empty"),
        ({"instruction": "add", "input": "1"}, "has no .*output"),
        ({"messages": [{"role": "user", "content": "add"}]}, "hold nothing that the assistant says"),
        ({"text": "add"}, "has no .*messages"),
    ]:
        path.write_text(json.dumps(row) + "\n")
        with pytest.raises(InputError, match=said) as caught:
            read_answers(path)
        assert "\n" not in str(caught.value)
    path.write_text(json.dumps({"prompt": "a", "completion": ""}) + "\n" + json.dumps({"prompt": "a", "completion": "b"}) + "\n")
    found = read_answers(path, skip_bad=True)
    assert len(found) == 1 and found.ledger.get("read", "wrong rows left out") == 1


def test_the_longest_is_known_before_anything_is_cut():
    examples = read_answers([{"messages": chat((False, [("a", "b" * n)], True))} for n in (1, 9)])
    assert reading(written_out(examples, TOKENIZER)) == len("user\na\nassistant\n") + 9 + 4 - 1
