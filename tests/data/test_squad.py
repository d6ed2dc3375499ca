"""Questions on a text: SQuAD of both versions, rows, answers that are not where they should be, contexts that stand elsewhere."""

import json

import pytest

from harken.base.errors import InputError
from harken.data.columns import Columns
from harken.data.questions import Answer, Question, read_questions

CONTEXT = "Bill Gates founded Microsoft in 1975, with Paul Allen; Microsoft grew."


def squad(*questions, context=CONTEXT):
    return {"version": "2.0", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def asked(text="Microsoft", start=19, **more):
    return {"id": "q1", "question": "What?", "answers": [{"text": text, "answer_start": start}], **more}


def write(path, value):
    path.write_text(json.dumps(value))
    return path


def test_squad_of_both_versions(tmp_path):
    impossible = {
        "id": "q2",
        "question": "Where?",
        "answers": [],
        "is_impossible": True,
        "plausible_answers": [{"text": "x", "answer_start": 0}],
    }
    found = read_questions(write(tmp_path / "a.json", squad(asked(), impossible)))
    assert list(found) == [
        Question(CONTEXT, "What?", (Answer("Microsoft", 19),), "q1", "T"),
        Question(CONTEXT, "Where?", (), "q2", "T"),
    ]
    assert found[0].answers[0].start == 19
    assert found.ledger.get("read", "questions without an answer") == 1
    assert list(read_questions(write(tmp_path / "b.json", squad(asked(), impossible)["data"]))) == list(found)


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["Microsoft"], "answer_start": [19]},
        [{"text": "Microsoft", "answer_start": 19}],
        {"text": "Microsoft", "answer_start": 19},
        '{"text": ["Microsoft"], "answer_start": [19]}',
        "{'text': ['Microsoft'], 'answer_start': [19]}",
    ],
)
def test_a_row_a_question(tmp_path, answers):
    row = {"context": CONTEXT, "question": "What?", "answers": answers}
    wanted = [Question(CONTEXT, "What?", (Answer("Microsoft", 19),))]
    assert list(read_questions([row])) == wanted
    assert list(read_questions(write(tmp_path / "a.json", [row]))) == wanted
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    assert list(read_questions(tmp_path / "a.jsonl")) == wanted
    (tmp_path / "c.json").write_text((json.dumps(row) + "\n") * 2)
    assert list(read_questions(tmp_path / "c.json")) == wanted * 2


def test_data_sets_of_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {"context": [CONTEXT] * 2, "question": ["What?"] * 2, "id": ["a", "b"], "title": ["T"] * 2,
            "answers": [{"text": ["Microsoft"], "answer_start": [19]}, {"text": [], "answer_start": []}]}  # fmt: skip
    made = datasets.Dataset.from_dict(rows)
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "a.parquet")
    for source in (tmp_path / "saved", tmp_path / "a.parquet"):
        assert [each.answers for each in read_questions(source)] == [(Answer("Microsoft", 19),), ()]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (asked(start=18), "a.json question 1 (id q1): the answer 'Microsoft' is not where it should be (at character 18 its context "
         "reads ' Microsof'): have it looked for with --mend"),
        (asked(start=None), "a.json question 1 (id q1): the answer 'Microsoft' is not where it should be (it does not say where it "
         "begins): have it looked for with --mend"),
        (asked(text=" "), "a.json question 1 (id q1) has an empty answer"),
        (asked(question=""), "a.json question 1: the question is empty"),
        ({"id": "q1", "answers": []}, "a.json question 1 has no question"),
        (7, "a.json question 1 is not an object"),
    ],
)  # fmt: skip
def test_a_wrong_question(tmp_path, monkeypatch, question, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.json", squad(question, asked()))
    with pytest.raises(InputError) as error:
        read_questions("a.json")
    assert str(error.value) == message
    assert len(read_questions("a.json", skip_bad=True)) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"data": [{"paragraphs": 3}]}, "a.json article 1 has no list 'paragraphs', as SQuAD has"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "a.json article 1, paragraph 1 has no 'context'"),
        ({"data": [{"paragraphs": [{"context": "a"}]}]}, "a.json article 1, paragraph 1 has no list 'qas', as SQuAD has"),
        ({"data": [{"paragraphs": []}]}, "a.json holds no questions: give at least one"),
        ([{"context": "a", "questoin": "b", "answers": []}], "a.json object 1 has no field 'question' (its fields: context, questoin, "
         "answers): name the one that holds the question with --columns question=questoin"),
    ],
)  # fmt: skip
def test_what_is_no_squad(tmp_path, monkeypatch, value, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.json", value)
    with pytest.raises(InputError) as error:
        read_questions("a.json")
    assert str(error.value) == message


def test_answers_are_looked_for_on_request(tmp_path):
    questions = asked(start=50), asked(start=None), asked(text=" Paul Allen ", start=3), asked()
    found = read_questions(write(tmp_path / "a.json", squad(*questions)), mend=True)
    assert [each.answers[0] for each in found] == [("Microsoft", 55), ("Microsoft", 19), ("Paul Allen", 43), ("Microsoft", 19)]
    assert all(each.context[answer.start :].startswith(answer.text) for each in found for answer in each.answers)
    assert found.ledger.get("read", "answers mended") == 3 and any("3 answers mended" in note for note in found.notes)
    with pytest.raises(InputError, match=r"question 1 \(id q1\): the answer 'Apple' does not stand in its context"):
        read_questions(write(tmp_path / "a.json", squad(asked(text="Apple"))), mend=True)


def test_contexts_may_stand_elsewhere():
    stories = [{"story": "s", "sections": {"1": "one", "2": "two", "3": "three"}}, {"story": "t", "sections": "whole"}]
    questions = [
        {"story": "s", "sections": ["1", "3"], "question": "?", "answers": ["free"]},
        {"story": "t", "question": "!", "answers": []},
    ]
    found = read_questions(questions, contexts=stories, spans=False)
    assert [(each.context, each.title) for each in found] == [("one three", "s"), ("whole", "t")]
    assert found[0].answers == (Answer("free", -1),)
    for wrong, message in [({"story": "u"}, "names the context 'u'"), ({"sections": ["4"]}, "names the section '4' of 's'")]:
        with pytest.raises(InputError, match=message):
            read_questions([{**questions[0], **wrong}], contexts=stories, spans=False)


def test_columns_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("passage,ask,answers\na b,what,\"[{'text': 'b', 'answer_start': 2}]\"\n")
    found = read_questions(tmp_path / "a.csv", Columns.parse("question=ask"))
    assert list(found) == [Question("a b", "what", (Answer("b", 2),))]
