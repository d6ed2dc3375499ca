"""A recipe is run step by step: what is done is kept and not done again, what was stopped goes on, what is asked otherwise is said."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import harken
from harken.base.errors import InputError, RunError
from harken.results.kept import Finding, command_line, number, plain, read_row
from harken.results.lab import Lab, Setting, perform
from harken.results.page import write_page
from harken.results.recipe import Recipe

SMALL = {"tokenizer": "char", "width": 16, "layers": 1, "heads": 1}


def lines(folder: Path) -> None:
    """A made-up data set."""
    rng = random.Random(0)
    (folder / "names.txt").write_text("".join("".join(rng.choices("abno", k=4)) + "\n" for _ in range(80)))


def lab_of(steps, out: Path, **setting) -> Lab:
    """A lab of a recipe made here."""
    return Lab(Recipe("toy", "A toy.", "By hand.", steps), Setting(out, None, **{"tiny": True, **setting}), {"toys": lines})


def test_a_step_is_done_once_and_again_when_asked(tmp_path: Path) -> None:
    calls = []

    def steps(lab: Lab) -> None:
        value = lab.step("count", lambda upto: calls.append(upto) or {"sum": sum(range(upto)), "none": float("nan")}, upto=5)
        lab.found("the sum", value["sum"], least=10)
        assert value == {"sum": 10, "none": None}

    recipe = lab_of(steps, tmp_path).recipe
    for again, count in (((), 1), ((), 1), (("other",), 1), (("count",), 2), (("all",), 3)):
        row = perform(recipe, Setting(tmp_path, None, tiny=True, again=again), {})
        assert len(calls) == count and row.findings[0].holds
    assert read_row(tmp_path / "toy") == row


def test_what_is_asked_otherwise_is_not_taken_from_what_is_kept(tmp_path: Path) -> None:
    lab_of(None, tmp_path).step("count", lambda upto: upto, upto=5)
    with pytest.raises(InputError, match=r"count.json was made another way .* --again count"):
        lab_of(None, tmp_path).step("count", lambda upto: upto, upto=6)
    assert lab_of(None, tmp_path, again=("count",)).step("count", lambda upto: upto, upto=6) == 6


def test_a_step_that_fails_leaves_those_before_it(tmp_path: Path) -> None:
    done, broken = [], [True]

    def steps(lab: Lab) -> None:
        lab.step("one", lambda: done.append("one"))
        lab.step("two", lambda: 1 / 0 if broken else done.append("two"))

    recipe = lab_of(steps, tmp_path).recipe
    with pytest.raises(ZeroDivisionError):
        perform(recipe, Setting(tmp_path, None), {})
    assert read_row(tmp_path / "toy") is None
    broken.clear()
    perform(recipe, Setting(tmp_path, None), {})
    assert done == ["one", "two"]


def test_two_steps_of_one_name_are_a_fault(tmp_path: Path) -> None:
    lab = lab_of(None, tmp_path)
    lab.step("one", lambda: 1)
    with pytest.raises(InputError, match="two steps are called 'one'"):
        lab.step("one", lambda: 2)


def test_a_run_is_trained_resumed_and_kept(tmp_path: Path, capsys) -> None:
    def train(again: tuple[str, ...] = ()) -> dict:
        lab = lab_of(None, tmp_path, again=again)
        found = lab.train("run", lab.data("toys") / "names.txt", model="mlp", minutes=30.0, **SMALL)
        assert lab.commands["run"].startswith("harken train OUT/made-up/toys/names.txt --model mlp --tokenizer char --width 16")
        return found

    first = train()
    assert first["steps"] == 3 and first["seconds"] > 0  # a tiny run is short
    step = tmp_path / "toy" / "steps" / "run.json"
    step.unlink()
    record = tmp_path / "toy" / "runs" / "run" / "harken.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "status": "running"}))  # as a kill leaves it
    capsys.readouterr()
    second = train()
    said = capsys.readouterr().err
    assert "resuming" in said and second["loss"] == first["loss"]
    step.unlink()
    with pytest.raises(InputError, match=r"holds a run with other options.* or train it anew with --again run"):
        lab_of(None, tmp_path).train("run", lab_of(None, tmp_path).data("toys") / "names.txt", model="bigram", **SMALL)
    train()
    capsys.readouterr()
    train()
    assert "--- toy: run" not in capsys.readouterr().err
    assert train(("run",))["loss"] == first["loss"] and "plan: 3 steps" in capsys.readouterr().err


def test_minutes_are_scaled_and_threads_are_passed_on(tmp_path: Path) -> None:
    lab = lab_of(None, tmp_path, tiny=False, scale=0.1, threads=1)
    with pytest.raises(InputError, match=r"toys: name the folder that it lies in with --data"):
        lab.data("toys")
    (tmp_path / "toys").mkdir()
    lines(tmp_path / "toys")
    lab = Lab(lab.recipe, Setting(tmp_path / "out", tmp_path, scale=0.001, threads=1), {})
    with pytest.raises(InputError, match="others does not exist: put the data set others there"):
        lab.data("others")
    lab.train("run", lab.data("toys") / "names.txt", model="mlp", minutes=20.0, **SMALL)
    assert lab.commands["run"].startswith("harken train DATA/toys/names.txt") and "--minutes 0.02" in lab.commands["run"]
    assert json.loads((lab.run("run") / "harken.json").read_text())["machine"]["threads"] == 1


def test_what_began_from_other_weights_than_lie_there_now_is_not_kept(tmp_path: Path) -> None:
    data = lab_of(None, tmp_path).data("toys") / "names.txt"

    def tuned(base: str) -> dict[str, Any]:
        lab = lab_of(None, tmp_path)
        return lab.train("tuned", data, model=str(lab.run(base)), learning_rate=1e-3)

    for name, seed in (("one", 0), ("other", 1)):
        lab_of(None, tmp_path).train(name, data, model="mlp", seed=seed, **SMALL)
    first = tuned("one")
    shutil.move(tmp_path / "toy/runs/one", tmp_path / "aside")
    assert tuned("one") == first  # its base was not kept
    shutil.copytree(tmp_path / "toy/runs/other", tmp_path / "toy/runs/one")
    with pytest.raises(
        InputError, match=r"tuned\.json: what it began from was trained anew since; so make it anew, too, with --again tuned"
    ):
        tuned("one")
    step = tmp_path / "toy/steps/tuned.json"
    step.unlink()  # as if it had been stopped: its run is there
    with pytest.raises(InputError, match=r"tuned: what it began from was trained anew since; or train it anew with --again tuned"):
        tuned("one")
    lab_of(None, tmp_path, again=("one",)).train("one", data, model="mlp", seed=1, **SMALL)
    assert not (tmp_path / "toy/runs/tuned").exists()
    assert tuned("one")["loss"] != first["loss"]


def test_a_command_is_kept_with_its_line(tmp_path: Path) -> None:
    lab = lab_of(None, tmp_path)
    path = lab.data("toys") / "names.txt"
    lab.train("run", path, model="ngram", order=3, tokenizer="char")
    found = lab.do("test", harken.evaluate, lab.run("run"), path, examples="lines")
    assert found == lab_of(None, tmp_path).do("test", harken.evaluate, lab.run("run"), path, examples="lines")
    assert found["metrics"]["seen_in_training"] > 0 and found["loss"] < 2
    assert lab.commands["test"] == "harken eval OUT/toy/runs/run OUT/made-up/toys/names.txt --examples lines"


def test_rows_share_steps(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        recipe = Recipe(name, "A toy.", "", lambda lab: None)
        other = Lab(recipe, Setting(tmp_path, None, again=("all",)), {}).beside("shared")
        other.step("body", lambda name=name: made.append(name))
    assert made == ["one"] and (tmp_path / "shared" / "steps" / "body.json").is_file()


def test_numbers_lines_and_wishes_as_they_are_read() -> None:
    assert [number(each) for each in (1.46971, 41.024, 128.44, 1234.5, 40.0, 0.0, None, -0.5)] == [
        *("1.4697", "41.02", "128.4", "1,234", "40", "0", "–", "-0.5000")
    ]
    assert command_line(
        "tokenizer train", ["/d/a b.txt"], {"json": True, "maps": False, "stop": ("x", "y"), "none": None}, {"/d": "DATA"}
    ) == ("harken tokenizer train 'DATA/a b.txt' --json --no-maps --stop x --stop y")
    assert plain({"a": (1, float("inf")), "b": Path("x")}) == {"a": [1, None], "b": "x"}
    wishes = [Finding("a", 2.0, least=2.0), Finding("a", 1.9, least=2.0), Finding("a", 1.9, most=2.0), Finding("a", None, most=2.0)]
    assert [each.holds for each in wishes] == [True, False, True, False]
    assert Finding("a", 1.0, least=0.5, most=2.0).wanted == "≥ 0.5000 and ≤ 2"


def test_the_page_has_every_row_and_its_pictures(tmp_path: Path) -> None:
    def steps(lab: Lab) -> None:
        lab.picture("curve.svg").write_text("<svg></svg>")
        lab.found("the loss", 1.25, low=1.2, high=1.3, most=1.3, beside="1.4 (others)", minutes=0.2)
        lab.found("the other", 3.0)
        lab.note("A note.")

    ran, other = Recipe("ran", "A row: it ran.", "By hand.", steps), Recipe("other", "Another row.", "Not yet.", steps)
    perform(ran, Setting(tmp_path / "out", None), {})
    page = tmp_path / "docs" / "results.md"
    write_page(page, [ran, other], tmp_path / "out")
    text = page.read_text()
    assert "| [ran](#a-row-it-ran) | the loss | 1.2500 (1.2000 to 1.3000) | ≤ 1.3000 | holds |" in text
    assert "| [other](#another-row) | not run | | | |" in text and "Not run: `harken reproduce other --data DATA`" in text
    assert "| the other | 3 |  |  |  |  |" in text and "A note." in text and "mean nothing" not in text
    assert "![A row: it ran: ran-curve.svg](results/ran/ran-curve.svg)" in text
    assert (page.parent / "results" / "ran" / "ran-curve.svg").read_text() == "<svg></svg>"
    write_page(page, [ran, other], tmp_path / "another")
    assert page.read_text() == text  # what an earlier page had stays
    perform(ran, Setting(tmp_path / "out", None, tiny=True), {})
    write_page(page, [ran], tmp_path / "out")
    assert "on made-up data: the numbers mean nothing" in page.read_text()


def test_the_steps_of_a_row_that_is_not_done_are_kept_beside_the_page_and_gone_on_with(tmp_path: Path) -> None:
    made: list[str] = []

    def steps(lab: Lab) -> None:  # only the first step "here"
        for name in ("one", "two"):
            lab.found(name, lab.step(name, lambda name=name: made.append(name) or len(made)))
            if lab.folder.parent.name == "here":
                raise RunError("stopped")

    recipe, page = Recipe("halves", "In halves.", "By hand.", steps), tmp_path / "results.md"
    with pytest.raises(RunError):
        perform(recipe, Setting(tmp_path / "here", None), {})
    write_page(page, [recipe], tmp_path / "here")
    assert "Begun, with one: `harken reproduce halves" in page.read_text()
    shutil.copytree(page.with_suffix(""), tmp_path / "there")
    perform(recipe, Setting(tmp_path / "there", None), {})
    write_page(page, [recipe], tmp_path / "there")
    assert made == ["one", "two"] and "| one | 1 |" in page.read_text() and "| two | 2 |" in page.read_text()
    assert [path.name for path in (page.with_suffix("") / "halves").iterdir()] == ["row.json"]


def test_what_is_kept_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    def steps(lab: Lab) -> None:
        lab.step("one", lambda: {"run": str(lab.run("one"))})
        raise RunError("stopped")

    recipe, page = Recipe("toy", "A toy.", "By hand.", steps), tmp_path / "page" / "results.md"
    page.parent.mkdir()
    with pytest.raises(RunError):
        perform(recipe, Setting(tmp_path / "out", None), {})
    write_page(page, [recipe], tmp_path / "out")
    kept = (page.with_suffix("") / "toy" / "steps" / "one.json").read_text()
    assert "OUT/toy/runs/one" in kept and str(tmp_path) not in kept


def test_what_is_made_anew_takes_what_was_made_of_it_along(tmp_path: Path) -> None:
    """Also where it stops in between: nothing of before is left that could be taken for what belongs to the new."""
    calls, broken = [], []

    def steps(lab: Lab) -> None:
        lab.step("first", lambda: calls.append("first"))
        lab.step("run", lambda: calls.append("run"))
        lab.step("run-test", lambda: 1 / 0 if broken else calls.append("run-test"))
        lab.step("last", lambda: calls.append("last"))

    recipe = lab_of(steps, tmp_path).recipe
    perform(recipe, Setting(tmp_path, None), {})
    (tmp_path / "toy" / "runs" / "last").mkdir(parents=True)
    calls.clear()
    broken.append(True)
    with pytest.raises(ZeroDivisionError):
        perform(recipe, Setting(tmp_path, None, again=("run",)), {})
    assert calls == ["run"] and not (tmp_path / "toy" / "runs" / "last").exists()
    broken.clear()
    perform(recipe, Setting(tmp_path, None), {})
    assert calls == ["run", "run-test", "last"]


def test_a_step_that_rows_share_is_made_anew_by_its_name(tmp_path: Path, capsys) -> None:
    calls = []

    def steps(lab: Lab) -> None:
        lab.step("before", lambda: calls.append("before"))
        for name in ("body", "body-test", "other"):
            lab.beside("shared").step(name, lambda name=name: calls.append(name))
        lab.step("after", lambda: calls.append("after"))

    recipe = lab_of(steps, tmp_path).recipe
    perform(recipe, Setting(tmp_path, None), {})
    calls.clear()
    perform(recipe, Setting(tmp_path, None, again=("body",)), {})
    assert calls == [] and "its steps are after, before, shared/body, shared/body-test, shared/other" in capsys.readouterr().err
    perform(recipe, Setting(tmp_path, None, again=("shared/body",)), {})
    assert calls == ["body", "body-test", "after"]
    setting = Setting(tmp_path, None, again=("shared/body",))
    for row in (recipe, Recipe("another", "", "", steps)):
        perform(row, setting, {})
    assert calls[3:] == ["body", "body-test", "after", "before", "after"]  # the body once for both
    with pytest.raises(InputError, match="or make it anew with --again shared/body"):
        lab_of(None, tmp_path).beside("shared").step("body", lambda upto: upto, upto=1)


def test_a_page_keeps_a_row_that_is_done_where_only_steps_are_new(tmp_path: Path) -> None:
    recipe = lab_of(lambda lab: lab.found("one", 1.0), tmp_path / "old").recipe
    perform(recipe, Setting(tmp_path / "old", None), {})
    write_page(tmp_path / "page.md", [recipe], tmp_path / "old")
    lab_of(None, tmp_path / "new").step("step", lambda: 1)
    assert write_page(tmp_path / "page.md", [recipe], tmp_path / "new") == [read_row(tmp_path / "old" / "toy")]
