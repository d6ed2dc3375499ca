"""Any bytes to any reader of examples: one sentence that names the file, or examples of which every row is accounted for."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.blob import Blob
from harken.data.chats import read_chats, read_completions, read_instructions, read_preferences
from harken.data.columns import Columns
from harken.data.dialogues import read_dialogues
from harken.data.examples import split_examples
from harken.data.labelled import read_labelled
from harken.data.questions import read_questions
from harken.data.ranked import read_ranked
from harken.data.summaries import read_summaries
from harken.data.tagged import read_tagged

READERS = {
    read_labelled: ["text", "text2", "label", "score"],
    read_tagged: ["tokens", "ner_tags"],
    read_questions: ["context", "question", "answers"],
    read_summaries: ["document", "summary"],
    read_instructions: ["instruction", "input", "output", "instances"],
    read_completions: ["prompt", "completion"],
    read_chats: ["messages", "conversations"],
    read_preferences: ["prompt", "chosen", "rejected"],
    read_dialogues: ["persona", "dialogue", "history", "response", "candidates", "personality", "utterances"],
    read_ranked: ["query", "positive", "negative"],
}
TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a"}]
RIGHT = {
    read_labelled: [{"text": "a", "label": "x|y"}, {"text": "b", "label": 3}, {"text": "c", "text2": "d", "label": ["x"]}],
    read_tagged: [{"tokens": ["a", "b"], "ner_tags": ["O", "B-X"]}, {"tokens": "a b", "ner_tags": "B-X I-X"}],
    read_questions: [{"context": "a b", "question": "c", "answers": [{"text": "b", "answer_start": n}]} for n in (2, 2, 1)],
    read_summaries: [{"document": "a", "summary": "b"}, {"document": ["a", "b"], "summary": ["c"]}],
    read_instructions: [{"instruction": "a", "input": "", "output": "b"}, {"instruction": "c", "output": "d"}],
    read_completions: [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}],
    read_chats: [{"messages": TURNS}, {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}],
    read_preferences: [
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"chosen": TURNS, "rejected": [*TURNS[:1], {**TURNS[1], "content": "b"}]},
    ],
    read_dialogues: [{"persona": ["a"], "dialogue": ["b", "c"]}, {"dialogue": [["b", "c"], ["d", "e"]]}],
    read_ranked: [{"query": "a", "positive": "b"}, {"query": "a", "positive": ["b"], "negative": ["c"]}],
}
INSIDE = [
    "text",
    "answer_start",
    "role",
    "content",
    "from",
    "value",
    "input",
    "output",
    "history",
    "candidates",
    "paragraphs",
    "qas",
    "data",
]
LINES = [
    "B-X",
    "I-X",
    "O",
    "a\tB-X",
    "a I-X",
    "-DOCSTART- O",
    "# x",
    "1-2\t_",
    "User: hi",
    "Bot: a",
    "a|b",
    "a,b",
    "text,label",
    "a,",
    "",
    " ",
]

texts = st.sampled_from(
    ["", " ", "a", "a b", "user", "assistant", "gpt", "B-X", "I-X", "1", "-1", "1.5", "a|b", "[1]", "['a']", "\ud83d", "\0", "é\n"]
)
plain = st.one_of(texts, st.none(), st.booleans(), st.integers(-2, 3), st.floats(), st.text(max_size=5))
values = st.recursive(
    plain, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(INSIDE), inside, max_size=3), max_leaves=8
)


@st.composite
def cases(draw):
    """(reader, name, bytes)"""
    reader = draw(st.sampled_from(list(READERS)))
    names = READERS[reader]
    form = draw(st.sampled_from(["objects", "objects", "array", "table", "lines", "bytes"]))
    if form in ("objects", "array"):
        rows = draw(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys([*names, "other"], values)), max_size=5))
        rows = [*draw(st.lists(st.sampled_from(RIGHT[reader]), max_size=6)), *draw(st.sampled_from([[], rows]))]
        if form == "objects":
            raw = "".join(json.dumps(row) + draw(st.sampled_from(["\n", "\r\n", "\n\n", ""])) for row in rows)
            return reader, draw(st.sampled_from(["a.jsonl", "a.json"])), raw.encode()
        whole = draw(
            st.sampled_from([rows, {"data": rows}, {"data": [{"paragraphs": [{"context": "a b", "qas": rows}]}]}, {"train": rows}])
        )
        return reader, "a.json", json.dumps(whole).encode()
    if form == "table":
        head = draw(st.lists(st.sampled_from([*names, "other"]), max_size=4))
        cells = st.one_of(texts.filter(lambda text: text != "\ud83d"), st.sampled_from(LINES))
        rows = [head, *draw(st.lists(st.lists(cells, max_size=4), max_size=6))]
        if draw(st.booleans()):
            width, plenty = draw(st.integers(1, 3)), st.sampled_from(["a", "b c", "1", "O", "['d']"])
            rows = [names[:width], *draw(st.lists(st.lists(plenty, min_size=width, max_size=width), min_size=1, max_size=6))]
        mark = draw(st.sampled_from([",", "\t"]))
        return reader, draw(st.sampled_from(["a.csv", "a.tsv"])), "\n".join(mark.join(row) for row in rows).encode("utf-8", "replace")
    if form == "lines":
        some = draw(st.sampled_from([LINES, ["a\tB-X", "b\tI-X", "c\tO", ""], ["User: hi", "Bot: a", "User: b", ""]]))
        reader = draw(st.sampled_from([read_tagged, read_dialogues, reader]))
        text = "\n".join(draw(st.lists(st.sampled_from(some), max_size=12)))
        return reader, draw(st.sampled_from(["a.txt", "a.conll", "a"])), text.encode()
    return reader, draw(st.sampled_from(["a.txt", "a.json", "a.jsonl", "a.csv", "a.conllu"])), draw(st.binary(max_size=60))


everything = given(
    case=cases(), option=st.sampled_from([None, None, "text=1,label=2", "1"]), skip=st.booleans(), mend=st.booleans(), packed=st.booleans()
)


def test_any_file(any_file, tmp_path):
    any_file(everything(lambda **asked: check(tmp_path, **asked)))


def check(folder, case, option, skip, mend, packed):
    """Read one file, and what was read again."""
    reader, name, raw = case
    path = folder / (f"{name}.gz" if packed and "." in name else name)
    path.write_bytes(gzip.compress(raw, 1) if packed and "." in name else raw)
    more = {"mend": mend} if reader in (read_tagged, read_questions) else {}
    try:
        found = reader(path, Columns.parse(option), skip_bad=skip, **more)
    except InputError as error:
        assert "\n" not in str(error) and "\r" not in str(error) and path.name in str(error), error
        return
    examples, counts = list(found), found.ledger.to_json()["read"]
    assert len(examples) == len(found) == len(found.keys) == counts["examples"] > 0
    wrong = counts.get("wrong rows left out", 0)
    assert counts["rows"] + counts.get("further examples of a row", 0) == len(examples) + wrong
    assert skip or not wrong
    assert all("\n" not in note for note in found.notes)
    assert [found[i] for i in range(len(found))] == examples
    train, valid = split_examples(found, 0.5)
    assert sorted(map(repr, [*train, *valid])) == sorted(map(repr, examples))
    assert not set(train.keys) & set(valid.keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blob, "BLOCK", 7)
        patch.setattr(Blob, "HELD", 20)
        assert repr(list(reader(path, Columns.parse(option), skip_bad=skip, **more))) == repr(examples)
