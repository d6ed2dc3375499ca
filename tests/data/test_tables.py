"""Tables: csv, tsv and parquet give back every field exactly, in little memory, and every wrong one gives one sentence."""

import csv
import io
import random
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.columns import Columns
from harken.data.delimited import LONGEST, sniff
from harken.data.ledger import Ledger
from harken.data.tables import table, table_kind, table_texts


def rows_of(content, name="a.csv", option=None, roles=("text",), optional=()):
    """(rows, ledger, notes) of a table given as text."""
    ledger, notes = Ledger(), []
    source = io.StringIO(content, newline="") if isinstance(content, str) else content
    rows = list(table(name, source, Columns.parse(option), roles, optional, ledger=ledger, notes=notes))
    return rows, ledger.to_json().get("read", {}), notes


def texts_of(content, name="a.csv", option=None):
    ledger, notes = Ledger(), []
    source = io.StringIO(content, newline="") if isinstance(content, str) else content
    return list(table_texts(name, source, Columns.parse(option), ledger, notes)), ledger.to_json()["read"], notes


def refused(content, message, name="a.csv", option=None, roles=("text",)):
    with pytest.raises(InputError) as error:
        rows_of(content, name, option, roles)
    assert str(error.value) == message


# ---- csv


def test_rows():
    content = 'label,text\n0,"a, b"\n\n1,"two\nlines ""quoted"""\r\n \n0,\n1," "\n'
    rows, counts, notes = rows_of(content, roles=("text", "label"))
    assert [row.values for row in rows] == [
        {"text": "a, b", "label": "0"},
        {"text": 'two\nlines "quoted"', "label": "1"},
        {"text": "", "label": "0"},
        {"text": " ", "label": "1"},
    ]
    assert [row.where for row in rows] == ["a.csv line 2", "a.csv line 4", "a.csv line 7", "a.csv line 8"]
    assert counts == {"blank lines": 2, "rows": 4}
    assert notes == ["a.csv: one example a row, its text in column 'text', its label in column 'label'"]


def test_texts():
    texts, counts, notes = texts_of('label,text\n0,"a, b"\n\n1,\n0," "\n1,c\n')
    assert texts == ["a, b", "c"] and counts == {"blank lines": 1, "rows": 4, "empty texts": 2, "examples": 2}
    assert notes[1:] == ["a.csv: 2 rows with an empty text were left out"]


def test_line_ends_and_mark():
    for content in ("\ufefftext,label\r\na,1\r\nb,2\r\n", "text,label\ra,1\rb,2\r", "text,label\na,1\nb,2"):
        rows, _, _ = rows_of(content)
        assert [(row.values["text"], row.number) for row in rows] == [("a", 2), ("b", 3)]
    assert [row.values["text"] for row in rows_of("text\n\u2028x\x85y\x0b\n")[0]] == ["\u2028x\x85y\x0b"]


def test_blank_lines_above_the_header():
    rows, counts, _ = rows_of("\n" * 500 + '  \n,\n"text",label\na,1\n')
    assert [row.where for row in rows] == ["a.csv line 504"] and counts == {"blank lines": 502, "rows": 1}
    rows, counts, _ = rows_of("\n\ntext\n\na\n", "a.tsv")
    assert [row.where for row in rows] == ["a.tsv line 5"] and counts == {"blank lines": 3, "rows": 1}


def test_optional_roles():
    rows, _, _ = rows_of("query,negative\na,b\n", roles=("query",), optional=("positive", "negative"))
    assert rows[0].values == {"query": "a", "negative": "b"}


def test_a_consumer_may_stop():
    ledger, notes = Ledger(), []
    texts = table_texts("a.csv", io.StringIO("text\na\nb\nc\n", newline=""), Columns(), ledger, notes)
    assert next(texts) == "a"
    texts.close()
    assert ledger.to_json()["read"] == {"rows": 1, "empty texts": 0, "examples": 1}


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("text,label\na,1\n", ","),
        ("text;label\na, b, c;1\nd, e;0\n", ";"),
        ("text\tlabel\na, b\t1\n", "\t"),
        ("text|label\na, b; c|1\n", "|"),
        ('text,label\n"a; b",1\n"c;\nd",2\n', ","),
        ("text\na; b\nc\nd\n", ","),
        ("emma\n", ","),
        ("a; b\nc\nd\n", ","),
        ("x,1\t2\ny,3\t4\n", "\t"),
        ("", ","),
    ],
)
def test_the_delimiter(content, delimiter):
    assert sniff(content.splitlines(keepends=True), True) == delimiter


def test_a_delimiter_is_said():
    rows, _, notes = rows_of('text;label\n"a; b";1\n"";2\n')
    assert [row.values["text"] for row in rows] == ["a; b", ""]
    assert notes == ["a.csv: one example a row, its text in column 'text'; semicolons separate its fields"]
    rows, _, notes = rows_of('text\tlabel\n"a\t1\n"b"\t2\n')
    assert [row.values["text"] for row in rows] == ['"a', '"b"']
    assert notes == [
        "a.csv: one example a row, its text in column 'text'; tabs separate its fields, so a quote is a character like any other",
        "a.csv: 1 rows have a field in quotes, which belong to the text where tabs separate the fields",
    ]


def test_a_sample_may_end_inside_a_field():
    long = "many; words\n" * 20_000
    rows, _, _ = rows_of(f'text,label\n"{long}",1\nb,2\n')
    assert [row.values["text"] for row in rows] == [long, "b"] and rows[1].number == 20_003

    rows, _, _ = rows_of(f'text;label\n"{long}",1\n'.replace(",", ";"))
    assert [row.values for row in rows] == [{"text": long}]


def test_a_long_field():
    long = "word " * 1_000_000
    before = csv.field_size_limit()
    assert rows_of(f'text,label\n"{long}",1\n')[0][0].values["text"] == long
    assert csv.field_size_limit() == max(before, LONGEST)


fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from(',;|\t"\n\r 🙂'))


@settings(max_examples=300)
@given(rows=st.lists(st.tuples(fields, fields), min_size=1), every=st.booleans())
def test_csv_reads_what_python_writes(rows, every):
    buffer = io.StringIO(newline="")
    # With LF alone at the ends of lines, Python before 3.13 forgets to quote a CR.
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL) if every else csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(["source", "target"])
    writer.writerows(rows)
    read, counts, _ = rows_of(buffer.getvalue(), roles=("source", "target"))
    assert [(row.values["source"], row.values["target"]) for row in read] == rows and counts == {"rows": len(rows)}
    lines = buffer.getvalue().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for row in read:  # every row begins on the line it names
        start = row.values["source"].replace("\r\n", "\n").replace("\r", "\n").split("\n")[0]
        assert lines[row.number - 1].lstrip('"').startswith(start.replace('"', '""').lstrip('"'))


@settings(max_examples=200)
@given(
    rows=st.lists(st.tuples(fields, fields).map(lambda row: tuple("".join(f.split("\t")).replace("\n", "").replace("\r", "") for f in row)))
)
def test_tsv_reads_what_is_written(rows):
    content = "".join(f"{a}\t{b}\n" for a, b in [("source", "target"), *rows])
    if not rows:
        return refused(content, "a.tsv has a header but no rows: give at least one", "a.tsv", roles=("source", "target"))
    read, counts, _ = rows_of(content, "a.tsv", roles=("source", "target"))
    assert [(row.values["source"], row.values["target"]) for row in read] == rows and counts == {"rows": len(rows)}


@settings(max_examples=500)
@given(
    content=fields | st.lists(fields).map("\n".join) | st.text('a,"\n'),
    name=st.sampled_from(["a.csv", "a.tsv"]),
    option=st.none() | st.just("1"),
)
def test_any_text_is_read_or_refused(content, name, option):
    try:
        texts, counts, notes = texts_of(content, name, option)
    except InputError as error:
        assert "\n" not in str(error) and str(error).startswith(name)
    else:
        assert texts and counts["rows"] == counts["examples"] + counts["empty texts"] and not any("\n" in note for note in notes)


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_memory_stays_small(tmp_path, ending, delimiter):
    path = tmp_path / f"big.{ending}"
    part = "".join(f'"{i} {"many words " * 150}{", and more" if ending == "csv" else ""}"{delimiter}{i % 2}\n' for i in range(300))
    size = 50_000_000 // len(part)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(f"text{delimiter}label\n")
        for _ in range(size):
            file.write(part)
    assert path.stat().st_size > 48_000_000
    ledger = Ledger()
    tracemalloc.start()
    try:
        with open(path, encoding="utf-8", newline="") as file:
            count = sum(1 for _ in table_texts(path, file, Columns(), ledger, []))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 300 * size == ledger.get("read", "examples") and peak < 2_000_000


def test_an_open_quote_does_not_read_the_whole_file():
    taken = 0

    def lines():
        nonlocal taken
        yield "text,label\n"
        yield '"a\n'
        while True:
            taken += 1
            yield "many words " * 1_000 + "\n"

    message = "a.csv line 2 opens a field of more than 16,777,216 characters: close its quote, or shorten it"
    refused(lines(), message)
    assert taken * 11_001 < LONGEST + 200_000


# ---- headers


@pytest.mark.parametrize(
    ("content", "option", "texts", "note"),
    [
        ("text,label\na,1\n", None, ["a"], "its text in column 'text'"),
        ("Body,label\na,1\n", None, ["a"], "its text in column 'Body'"),
        ("review,stars\na,1\n", "review", ["a"], "its text in column 'review'"),
        ("content\na\n", None, ["a"], "its text in column 'content'"),
        ("a,1\nb,2\n", "text=1,label=2", ["a", "b"], "its text in column 1; it has no header, so its first row (a, 1) is an example too; "
         "its label is not used here"),
        ("emma\nanna\n", None, ["emma", "anna"], "its text in column 1; it has no header, so its first row (emma) is an example too"),
        ("text,label\na,1\n", "text=1", ["a"], "its text in column 'text'; its first row (text, label) is a header"),
        ("review,stars\na,1\nb,2\n", "text=1", ["a", "b"], "its text in column 'review'; its first row (review, stars) is a header"),
        ("good,positive\nbad,negative\n", "text=1,label=2", ["good", "bad"],
         "its text in column 1; it has no header, so its first row (good, positive) is an example too; its label is not used here"),
    ],
)  # fmt: skip
def test_headers(content, option, texts, note):
    found, _, notes = texts_of(content, option=option)
    assert found == texts and notes == [f"a.csv: one example a row, {note}"]


def test_fields_behind_the_numbered_columns():
    refused("a\nb\tc\n", "a.tsv line 2 has 2 fields, but line 1 has 1: replace a tab inside a field by a blank", "a.tsv", "1")
    rows, counts, notes = rows_of("a\t1\nb\t2\tx\ty\n", "a.tsv", "1")
    assert [row.values["text"] for row in rows] == ["a", "b"] and counts == {"rows": 2, "rows with further fields": 1}
    assert notes[1] == "a.tsv: 1 rows have more than 2 fields; those after column 2 were left out"


# ---- what is wrong

QUOTES = 'write "" for a quote inside a field in quotes'


@pytest.mark.parametrize(
    ("name", "option", "content", "message"),
    [
        ("a.csv", None, "", "a.csv is empty: give a table with at least one row"),
        ("a.csv", None, "\ufeff\r\n\n", "a.csv is empty: give a table with at least one row"),
        ("a.tsv", None, "\n", "a.tsv is empty: give a table with at least one row"),
        ("a.csv", None, "text,label\n", "a.csv has a header but no rows: give at least one"),
        ("a.csv", "review", "review\n\n", "a.csv has a header but no rows: give at least one"),
        (
            "a.csv",
            None,
            "review,stars\ngood,5\n",
            "a.csv has no column 'text' (its columns: review, stars): name the one that holds the text with --columns text=review",
        ),
        (
            "a.csv",
            None,
            "id,review\n7,good and long\n8,bad\n",
            "a.csv has no column 'text' (its columns: id, review): name the one that holds the text with --columns text=review",
        ),
        (
            "a.tsv",
            None,
            "5\tgood .\n1\tbad and long .\n",
            "a.tsv has no header (its first row: 5, good .): say which column holds the text, as in --columns text=2",
        ),
        ("a.csv", "text=3", "a,b\n", "a.csv has 2 columns, so --columns text=3 names none"),
        ("a.csv", None, "text,text\na,b\n", "a.csv has 2 columns 'text' (1 and 2): say which, as in --columns text=1"),
        (
            "a.csv",
            None,
            'text,label\n"a\nb",1\n\nc,d,2\n',
            "a.csv line 5 has 3 fields, but the header has 2: put a field that holds a comma in quotes",
        ),
        ("a.csv", None, "text,label\na,1\nb\n", "a.csv line 3 has 1 field, but the header has 2: write every field, if only an empty one"),
        ("a.csv", "1", "a,5\nb\n", "a.csv line 2 has 1 field, but line 1 has 2: write every field, if only an empty one"),
        ("a.csv", None, 'text,label\na, "b, c"\n', "a.csv line 2 has 3 fields, but the header has 2: take away the blank before a quote"),
        (
            "a.csv",
            None,
            "text;label\na;1\nb;c;2\n",
            "a.csv line 3 has 3 fields, but the header has 2: put a field that holds a semicolon in quotes",
        ),
        ("a.tsv", None, "text\tn\na\tb\t1\n", "a.tsv line 2 has 3 fields, but the header has 2: replace a tab inside a field by a blank"),
        ("a.tsv", None, "a\nb\tc\n", "a.tsv line 2 has 2 fields, but line 1 has 1: replace a tab inside a field by a blank"),
        ("a.csv", None, 'text,label\na,1\n"b,1\nc,1\n', f"a.csv line 3 opens a quote that never closes: close it, or {QUOTES}"),
        ("a.csv", None, 'text,label\n"b\nc","d ""\n\n""e",1\n"f', f"a.csv line 6 opens a quote that never closes: close it, or {QUOTES}"),
        ("a.csv", None, 'text,label\n"b\nc","d ""\n\ne\n', f"a.csv line 3 opens a quote that never closes: close it, or {QUOTES}"),
        ("a.csv", None, 'text,label\n"b\nsaid ""hi""\n"",\n', f"a.csv line 2 opens a quote that never closes: close it, or {QUOTES}"),
        ("a.csv", None, 'text,label\na"",1\n"""b,1\n', f"a.csv line 3 opens a quote that never closes: close it, or {QUOTES}"),
        ("a.csv", None, 'text,label\n"a\nsaid "hi" to me",1\n', f"a.csv line 3 has text after a closing quote: {QUOTES}"),
        ("a.csv", None, "text,label\na,1\nb\0,1\n", "a.csv line 3 holds a NUL byte, as no text does: give a text file in UTF-8"),
        ("a.tsv", None, "text\nb\0\n", "a.tsv line 2 holds a NUL byte, as no text does: give a text file in UTF-8"),
        (
            "a.tsv",
            None,
            "text,label\na,1\n",
            "a.tsv has no tab in its first line, which reads 'text,label': give it a name that ends in .csv",
        ),
        (
            "a.tsv",
            "review",
            "review;stars\na;1\n",
            "a.tsv has no tab in its first line, which reads 'review;stars': give it a name that ends in .csv",
        ),
        ("a.txt", None, "x", "a.txt is not a table: tables end in .csv, .tsv or .parquet"),
        ("a.parquet.gz", None, "x", "a.parquet.gz is packed twice, as .parquet is compressed already: unpack it with gunzip"),
    ],
)
def test_wrong_tables(name, option, content, message):
    refused(content, message, name, option)


def test_no_texts():
    with pytest.raises(InputError) as error:
        texts_of("text,label\n,1\n ,2\n")
    assert str(error.value) == "a.csv is empty: no text in any of its 2 rows; name another column with --columns"


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.tsv", "\t")])
def test_mixed_encodings(name, delimiter):
    content = f"text{delimiter}label\n".encode() + f"a{delimiter}1\n".encode() * 10_000 + b"caf\xe9\n"
    with pytest.raises(InputError, match=rf"^{name} is not UTF-8 \(byte 0xe9 after line \d[\d,]*\): convert it, for example ") as error:
        texts_of(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), name)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=rf"^{name} is not UTF-8 \(byte 0xe9 after line 0\)"):
        texts_of(io.TextIOWrapper(io.BytesIO(b"\xe9\n"), encoding="utf-8", newline=""), name)


def test_lines_that_were_cut_elsewhere():
    with pytest.raises(InputError, match=r"^a\.csv line 2 is not csv "):
        rows_of(iter(["text,label\n", "a\rb,1\n"]))


def test_kinds():
    names = ["a.csv", "b/A.CSV.gz", "a.tsv.GZ", "a.parquet", "a.parquet.gz", "a.csv.txt", "a.gz", "a", "csv"]
    assert list(map(table_kind, names)) == ["csv", "csv", "tsv", "parquet", "parquet", None, None, None, None]


# ---- parquet


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a Parquet table into the current folder: write({"text": [...]}) -> its name."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)

    def file(columns, name="a.parquet", **options):
        content = columns if isinstance(columns, pyarrow.Table) else pyarrow.table(columns)
        parquet.write_table(content, name, **options)
        return name

    return file


def parquet_of(name, option=None, roles=("text",), optional=()):
    return rows_of(None, name, option, roles, optional)


@settings(max_examples=30)
@given(rows=st.lists(st.tuples(st.none() | st.text(), st.integers(-9, 9) | st.none()), min_size=1), size=st.integers(1, 9))
def test_parquet_reads_what_is_written(tmp_path_factory, rows, size):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path_factory.getbasetemp() / "fuzz.parquet"
    texts, labels = pyarrow.array([text for text, _ in rows], pyarrow.string()), pyarrow.array([n for _, n in rows], pyarrow.int64())
    parquet.write_table(pyarrow.table({"idle": labels, "text": texts, "label": labels}), path, row_group_size=size)
    read, counts, _ = rows_of(None, path, roles=("text", "label"))
    assert [row.values for row in read] == [{"text": text or "", "label": "" if n is None else str(n)} for text, n in rows]
    assert [row.number for row in read] == list(range(1, len(rows) + 1)) and counts == {"rows": len(rows)}


def test_parquet(write):
    name = write({"label": [True, False, True, None], "text": ["a", None, " ", "d"]})
    texts, counts, notes = texts_of(None, name)
    assert texts == ["a", "d"] and counts == {"rows": 4, "empty texts": 2, "examples": 2}
    assert notes == ["a.parquet: one example a row, its text in column 'text'", "a.parquet: 2 rows with an empty text were left out"]
    rows, _, _ = parquet_of(name, "text=2,label=1", ("text", "label"))
    assert rows[0].values == {"text": "a", "label": "True"} and rows[0].where == "a.parquet row 1"
    with open(name, "rb") as file:
        assert texts_of(file, name)[0] == ["a", "d"]


def test_parquet_types(write):
    import pyarrow as pa

    values = ["a", "b", "a"]
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.large_string())):
        assert texts_of(None, write({"text": pa.array(values, kind)}))[0] == values
    name = write({"tokens": [["a", "b"], None], "messages": [[{"role": "user"}], []], "score": [0.5, 1]})
    rows, _, _ = parquet_of(name, None, ("tokens", "messages", "score"))
    assert rows[0].values == {"tokens": ["a", "b"], "messages": [{"role": "user"}], "score": "0.5"}
    assert rows[1].values == {"tokens": [], "messages": [], "score": "1.0"}


def test_parquet_names_with_points(write):
    name = write({"a": [{"b": "wrong"}], "a.b": ["right"], "x, y": ["too"]})
    assert texts_of(None, name, "a.b")[0] == ["right"] and texts_of(None, name, '"x, y"')[0] == ["too"]


@pytest.mark.parametrize(
    ("columns", "option", "message"),
    [
        (
            {"review": ["a"], "stars": [5]},
            None,
            "a.parquet has no column 'text' (its columns: review, stars): name the one that holds the text with --columns text=review",
        ),
        ({"0": [5], "1": ["a"]}, None, "a.parquet has no column 'text' (its columns: 0, 1): "
         "name the one that holds the text with --columns text=2"),
        ({"text": [5]}, None, "a.parquet: the column 'text' is of type int64, but the text must be text"),
        ({"text": [b"a"]}, None, "a.parquet: the column 'text' is of type binary, but the text must be text"),
        ({"text": [None]}, None, "a.parquet: the column 'text' is of type null, but the text must be text"),
        ({"text": [["a"]]}, None, "a.parquet: the column 'text' is of type list<element: string>, but the text must be text"),
        ({"x": [1.5], "y": ["a"]}, "text=1", "a.parquet: the column 'x' is of type double, but the text must be text"),
        (
            {"text": [{"one": 1, "two": {"three": "a", "four": ["b"]}, "five": "five"}]},
            "text",
            "a.parquet: the column 'text' is of type struct<one: int64, two: struct<three: string, four: list<el…, "
            "but the text must be text",
        ),
        ({"text": ["a"], "y": ["b"]}, "text=3", "a.parquet has 2 columns, so --columns text=3 names none"),
    ],
)  # fmt: skip
def test_wrong_parquet_columns(write, columns, option, message):
    name = write(columns)
    refused(None, message, name, option)


def test_wrong_parquet_files(write, tmp_path, monkeypatch):
    import pyarrow as pa

    refused(None, "a.parquet has a header but no rows: give at least one", write({"text": pa.array([], pa.string())}))
    refused(None, "a.parquet: the column 'score' is of type list<element: int64>, but the score must be text or a number",
            write({"text": ["a"], "score": [[1]]}), roles=("text", "score"))  # fmt: skip
    refused(None, "a.parquet: the column 'label' is of type list<element: list<element: int64>>, but the label must be text, a number or "
            "a list of them", write({"text": ["a"], "label": [[[1]]]}), roles=("text", "label"))  # fmt: skip
    refused(None, "a.parquet: the column 'tokens' is of type int64, but the tokens must be a list or text",
            write({"tokens": [5]}), roles=("tokens",))  # fmt: skip
    refused(None, "a.parquet has 2 columns 'x': give each a name of its own",
            write(pa.table([["a"], ["b"]], names=["x", "x"])), option="text=1")  # fmt: skip
    name = write({"text": pa.array([b"caf\xe9"], pa.binary()).view(pa.string())})
    refused(None, "a.parquet holds a text that is not UTF-8 (unexpected end of data): write it again from decoded text", name)
    refused(None, "none.parquet cannot be read (No such file or directory)", "none.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(None, "a.parquet: reading .parquet needs pyarrow: pip install 'harken[data]'", name)


def test_damaged_parquet(write, tmp_path):
    name = write({"text": [f"text {i}" for i in range(2_000)]}, write_page_checksum=True)
    whole = (tmp_path / name).read_bytes()
    rng = random.Random(0)
    refusals = 0
    for i in range(120):
        raw = bytearray(whole)
        if i % 3:
            for _ in range(rng.choice([1, 20])):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        else:
            del raw[rng.randrange(len(raw)) :]
        (tmp_path / "b.parquet").write_bytes(raw)
        try:
            texts_of(None, "b.parquet")
        except InputError as error:
            assert str(error).startswith("b.parquet") and "\n" not in str(error)
            refusals += 1
    assert refusals > 100


def test_parquet_checksums(write, tmp_path):
    name = write({"text": ["one", "three", "two"]}, use_dictionary=False, compression="none", write_page_checksum=True)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(b"three", b"eerht"))
    with pytest.raises(InputError, match=r"^a\.parquet is not a whole Parquet file \(.*CRC.*\): write or copy it again$"):
        texts_of(None, name)


def test_parquet_memory_stays_small(write):
    import pyarrow as pa

    words = [f"{i} {'many words ' * 200}" for i in range(300)]
    name = write({"text": words * 60, "idle": ["x"] * 18_000}, use_dictionary=False, compression="none")
    base, peak = pa.total_allocated_bytes(), 0
    for count, _ in enumerate(table_texts(name, None, Columns(), Ledger(), []), 1):
        if count % 100 == 0:
            peak = max(peak, pa.total_allocated_bytes() - base)
    assert count == 18_000 and 0 < peak < 12_000_000  # of 40 MB, all in one row group
