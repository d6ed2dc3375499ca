"""Every recipe runs: its tiny form, from start to answers."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "common")
TELLS = {
    "classification": ("matthews", "label"),
    "denoising": ("loss", "found"),
    "distillation": ("bits_per_byte", "parameters"),
    "instruct": ("metric", "nearest", "none is empty"),
    "masked": ("masked_accuracy", "next_sentence_accuracy", "found"),
    "poems": ("bits_per_byte", "text"),
    "python_code": ("bits_per_byte", "parse", "drawn at 0.8"),
    "question_answering": ("exact_match", "answer"),
    "ranking": ("mrr", "score"),
    "reverse": ("right",),
    "similarity": ("spearman", "found"),
    "span_corruption": ("loss", "found"),
    "summarization": ("rougeL", "lead-3", "summary_text"),
    "text_to_text": ("exact_match", "found"),
    "token_classification": ("f1_PER", "entity_group"),
    "translation": ("bleu", "chrf", "translation_text"),
    "vectors": ("near", "analogy"),
}
"""Words that stand in what each says."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A recipe as a person runs it, in this process: torch is imported once for all. Returns the lines it tells."""

    def script(path: Path) -> list[dict]:
        monkeypatch.setattr(sys, "argv", [str(path), "--tiny", "--out", str(tmp_path)])
        monkeypatch.syspath_prepend(str(path.parent))
        runpy.run_path(str(path), run_name="__main__")
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    yield script
    sys.modules.pop("common", None)  # a name that others may have too


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(recipe: Path, run, tmp_path: Path) -> None:
    told = json.dumps(run(recipe))
    assert not [word for word in TELLS[recipe.stem] if f'"{word}' not in told]
    if recipe.stem == "reverse":
        assert told.count('"right"') == 9
        for picture in ("reverse-lengths.svg", "reverse-alignment.svg"):
            assert (tmp_path / picture).read_text().rstrip().endswith("</svg>")


@pytest.mark.parametrize("recipe", [path for path in RECIPES if path.stem not in ("python_code", "reverse")], ids=lambda path: path.stem)
def test_without_data_a_recipe_says_what_it_wants(recipe: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", [str(recipe)])
    monkeypatch.syspath_prepend(str(FOLDER))
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(recipe), run_name="__main__")
    assert stopped.value.code == 2 and "DATA is missing: name a file, or give --tiny" in capsys.readouterr().err


def test_every_recipe_is_named_where_tasks_are_told() -> None:
    page = (FOLDER.parent / "docs" / "tasks.md").read_text("utf-8")
    assert not [path.name for path in RECIPES if f"recipes/{path.name}" not in page]


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield runpy.run_path(str(FOLDER / "python_code.py"))
    sys.modules.pop("common", None)


SOURCE = '''"""A form feed is no line end: \f"""
def plain(a,
          b=2):
    return a

class A:
    def told(self):
        """What it does.
        """
        # why
        return """
text"""

    def bare(self): pass
    def alone(self):
        """Nothing else."""
x = 1
'''


def test_heads_and_rests_of_functions(code) -> None:
    plain, told = code["functions"]("a.py", SOURCE)  # the others are on one line, or have nothing to complete
    assert (plain.name, plain.head, plain.indent) == ("a.py:2", "def plain(a,\n          b=2):", 0)
    assert (told.name, told.indent) == ("a.py:7", 4) and told.head.endswith('does.\n        """')
    assert (plain.head + plain.rest).startswith("def plain(a,\n          b=2):\n    return a\n")
    body, end = code["ended"](plain.rest, 0, whole=False)
    assert body == "\n    return a\n\n" and end and code["parses"](plain, body)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("\n    return a\n", True),
        (" return a\n", True),  # on the line of its head
        ("\n    return a\nx = (", True),  # what follows the function is not its
        ("\n    return a\n    x = (", True),  # the line that it breaks off in is left out
        ("\n    return (a\n", False),
        ("\n", False),
        ("\nreturn a\n", False),  # ends before it begins
        ('\n    """Only told."""\n', False),
        ("\n    # only a comment\n", False),
        ("\n    if a:\n", False),
        ("\n    return a\r\fx = 1\n", False),  # Python sees a second statement at the margin
    ],
)
def test_what_counts_as_a_completion(code, text: str, right: bool) -> None:
    function = code["Function"]("a.py:1", "def f(a):", "", 0)
    method = code["Function"]("a.py:1", "    def f(a):", "", 4)
    for each, some in ((function, text), (method, text.replace("\n    ", "\n        "))):
        body, _ = code["ended"](some, each.indent, whole=False)
        assert code["parses"](each, body) is right


def test_a_text_that_was_cut_keeps_its_whole_lines(code) -> None:
    assert code["ended"]("\n    a = 1\n    b", 0, whole=False) == ("\n    a = 1\n", False)
    assert code["ended"]("\n    a = 1\n    b", 0, whole=True) == ("\n    a = 1\n    b", True)
    assert code["ended"]("\n    a\n\n\ndef g():\n", 0, whole=False) == ("\n    a\n\n\n", True)
