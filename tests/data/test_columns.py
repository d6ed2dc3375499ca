"""Columns: what `--columns` means, how a role finds its column, and what is said when it finds none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.columns import ROLES, Columns, listed, looks_named, told

FORM = "write role=column with a number or a name, as in --columns text=1 or --columns text=review,label=stars"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, {}),
        ("text=1,label=2", {"text": 1, "label": 2}),
        ("text=body", {"text": "body"}),
        ("body", {"text": "body"}),
        ("2", {"text": 2}),
        (" text = the body , label = 03 ", {"text": "the body", "label": 3}),
        ("en=1,de=2", {"en": 1, "de": 2}),
        ('text="a, b",label=2', {"text": "a, b", "label": 2}),
        ('"a, ""b"" = c"', {"text": 'a, "b" = c'}),
        ("text=a=b", {"text": "a=b"}),
        ('text="1"', {"text": "1"}),
        ("text=1.5,label=99999999999", {"text": "1.5", "label": "99999999999"}),
    ],
)
def test_the_option(text, wanted):
    columns = Columns.parse(text)
    assert columns.given == wanted and columns.named == any(isinstance(value, str) for value in wanted.values())


@given(
    st.dictionaries(st.sampled_from([*ROLES, "en"]), st.integers(1, 999) | st.text(min_size=1).filter(lambda name: name == name.strip()))
)
def test_the_option_is_written_as_it_is_read(given_columns):
    if given_columns:
        assert Columns.parse(str(Columns(given_columns))).given == given_columns


@given(st.text() | st.text('text=1,"a'))
def test_an_option_is_read_or_refused(text):
    try:
        assert Columns.parse(text).given
    except InputError as error:
        assert "\n" not in str(error) and str(error).startswith("--columns ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"--columns is '', where a column is missing: {FORM}"),
        ("text=", f"--columns is 'text=', where a column is missing: {FORM}"),
        ("=1", f"--columns is '=1', where a role is missing: {FORM}"),
        ("text=1,", f"--columns is 'text=1,', where a column is missing: {FORM}"),
        ("labl=1", "--columns has the role 'labl', which is none (did you mean 'label'?)"),
        ("text=1,text=2", f"--columns names the column of 'text' twice: {FORM}"),
        ("body,stars", f"--columns names the column of 'text' twice: {FORM}"),
        ("text=0", "--columns has the number 0 for 'text', but columns count from 1"),
        ("text=-2", "--columns has the number -2 for 'text', but columns count from 1"),
        ('text="a, b', f"--columns is 'text=\"a, b', where a quote is not closed: {FORM}"),
        ('text="a" b', f"--columns has \"a\" b for 'text', which is not one name in quotes: {FORM}"),
        ('text="a" "b"', f'--columns has "a" "b" for \'text\', which is not one name in quotes: {FORM}'),
        ('text=""', f"--columns has \"\" for 'text', which is not one name in quotes: {FORM}"),
    ],
)
def test_a_wrong_option(text, message):
    with pytest.raises(InputError) as error:
        Columns.parse(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"lable": 1}, "--columns has the role 'lable', which is none (did you mean 'label'?)"),
        ({"text": True}, "--columns has True for 'text', which is neither the number of a column nor its name"),
        ({"text": None}, "--columns has None for 'text', which is neither the number of a column nor its name"),
        ({"text": 0}, "--columns has the number 0 for 'text', but columns count from 1"),
    ],
)
def test_a_wrong_mapping(value, message):
    with pytest.raises(InputError) as error:
        Columns(value)
    assert str(error.value) == message


def test_an_unknown_role_lists_the_known():
    with pytest.raises(InputError, match=r"^--columns has the role 'zzz', which is none \(known: answers, article, "):
        Columns.parse("zzz=1")


@pytest.mark.parametrize(
    ("option", "header", "wanted"),
    [
        (None, ["label", "text"], {"text": 1, "label": 0}),
        (None, [" Text ", "LABEL"], {"text": 0, "label": 1}),
        (None, ["TEXT", "text", "label"], {"text": 1, "label": 2}),
        (None, ["category", "Body"], {"text": 1, "label": 0}),
        (None, ["text", "content", "document", "label"], {"text": 0, "label": 3}),
        ("review", ["label", "stars", "review"], {"text": 2, "label": 0}),
        ("text=REVIEW,label=2", ["review", "stars"], {"text": 0, "label": 1}),
        ("label=1", ["id", "text"], {"text": 1, "label": 0}),
    ],
)
def test_a_role_finds_its_column(option, header, wanted):
    assert Columns.parse(option).resolve(header, ["text", "label"], "a.csv") == wanted


def test_what_need_not_be_there():
    header = ["query", "positive", "text"]
    assert Columns().resolve(header, ["query"], "a.csv", optional=["positive", "negative"]) == {"query": 0, "positive": 1}
    assert Columns().resolve(["history"], ["text"], "a.csv", optional=["history"]) == {"text": 0, "history": 0}
    assert Columns().resolve(["emma"], ["text"], "a.csv", headed=False) == {"text": 0}
    assert Columns.parse("text=2").resolve(["emma", "anna"], ["text"], "a.csv", headed=False) == {"text": 1}
    assert Columns.parse("text=1,label=2").resolve(["x", "y"], ["text"], "a.csv", headed=False) == {"text": 0}


@pytest.mark.parametrize(
    ("option", "header", "message"),
    [
        (
            None,
            ["review", "stars"],
            "a.csv has no column 'text' (its columns: review, stars): name the one that holds the text with --columns text=review",
        ),
        (
            None,
            ["Best, \n of all", "x"],
            "a.csv has no column 'text' (its columns: Best, of all, x): "
            "name the one that holds the text with --columns 'text=\"Best, of all\"'",
        ),
        (
            "body",
            ["review", "stars"],
            "a.csv has no column 'body' (its columns: review, stars): name the one that holds the text with --columns text=review",
        ),
        ("body", [], "a.csv has no column 'body' (its columns: none)"),
        (
            "body",
            ["17", "0"],
            "a.csv has no column 'body' (its columns: 17, 0): name the one that holds the text with --columns text=1",
        ),
        ("label=3", ["text", "y"], "a.csv has 2 columns, so --columns label=3 names none"),
        ("text=2", ["text"], "a.csv has 1 column, so --columns text=2 names none"),
        (None, ["text", "id", "text"], "a.csv has 2 columns 'text' (1 and 3): say which, as in --columns text=1"),
        (None, ["Text", "TEXT"], "a.csv has 2 columns 'Text' (1 and 2): say which, as in --columns text=1"),
        ("x", ["x", "y", "X", "x"], "a.csv has 2 columns 'x' (1 and 4): say which, as in --columns text=1"),
        (
            None,
            ["content", "id", "body"],
            "a.csv has no column 'text', but 'content' (1) and 'body' (3) could each be it: say which, as in --columns text=1",
        ),
    ],
)
def test_no_column(option, header, message):
    with pytest.raises(InputError) as error:
        Columns.parse(option).resolve(header, ["text"], "a.csv")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("role", "first", "message"),
    [
        ("text", ["Good.", "0"], "a.csv has no header (its first row: Good., 0): say which column holds the text, as in --columns text=1"),
        (
            "label",
            ["Good.", "0"],
            "a.csv has no header (its first row: Good., 0): say which column holds the label, as in --columns label=NUMBER",
        ),
        ("text", ["a", "a"], "a.csv has no header (its first row: a, a): say which column holds the text, as in --columns text=1"),
        ("text", ["", "a"], "a.csv has no header (its first row: (no name), a): say which column holds the text, as in --columns text=1"),
        (
            "text",
            ["many words " * 9, "b"],
            "a.csv has no header (its first row: many words many words many words many w…, b): "
            "say which column holds the text, as in --columns text=1",
        ),
        (
            "label",
            ["review", "stars"],
            "a.csv has no column 'label' (its columns: review, stars): name the one that holds the label with --columns label=NAME",
        ),
    ],
)
def test_no_header(role, first, message):
    with pytest.raises(InputError) as error:
        Columns().resolve(first, [role], "a.csv", headed=False)
    assert str(error.value) == message


def test_objects_have_fields():
    with pytest.raises(InputError) as error:
        Columns.parse(None).resolve(list({"title": 1, "body text": 2}), ["text"], "a.jsonl line 2", word="field", guess=1)
    wanted = "a.jsonl line 2 has no field 'text' (its fields: title, body text): name the one that holds the text with "
    assert str(error.value) == f"{wanted}--columns 'text=body text'"


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (["Text|stars", "good|5"], True),
        (["id|Content", "1|x"], True),
        (["review|stars", "good|5", "bad|1.0"], True),
        (["review|stars", "good|5"], False),
        (["review|stars", "good|5", "bad|low"], False),
        (["review|3", "good|5", "bad|1"], False),
        (["review|", "good|5", "bad|1"], False),
        (["good|positive", "bad|negative", "fair|positive"], False),
        (["emma", "anna", "ava"], False),
        (["number", "1", "2,5", "-3%"], True),
        (["1", "2", "3"], False),
        (["review|stars", "good|5", "bad"], False),
    ],
)
def test_a_header_is_told_from_data(rows, named):
    first, *others = (row.split("|") for row in rows)
    assert looks_named(first, others, Columns.parse(None).marks(["text"])) == named


def test_roles_that_are_given_mark_a_header():
    assert Columns.parse("text=1,label=2").marks(["source"]) == {
        *("text", "content", "body", "sentence", "document"),
        *("label", "labels", "class", "category"),
        "source",
    }


def test_names_in_a_sentence():
    assert listed(["a", " b\tc\n", "", "\x1b[31m", "d" * 50]) == "a, b c, (no name), ?[31m, " + "d" * 39 + "…"
    assert listed([str(i) for i in range(1_500)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1,488 more"


def test_the_note():
    columns = Columns.parse("text=2,label=1,score=3")
    wanted = "a.csv: one example a row, its text in column 2, its label in column 1; bars; its score is not used here"
    assert told("a.csv", {"text": 1, "label": 0}, None, columns, "bars") == wanted
    assert told("a.csv", {"text": 1}, ["x", "the\ntext"], Columns()) == "a.csv: one example a row, its text in column 'the text'"
