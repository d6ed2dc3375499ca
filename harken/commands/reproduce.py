"""`harken reproduce NAME`: a published result, from the data to the numbers, beside what others have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import HarkenError, InputError, Interrupted, RunError
from ..base.options import argument, option
from ..base.report import as_json, say
from .command import command

if TYPE_CHECKING:
    from ..results.kept import Row
    from ..results.recipe import Recipe

PAGE = "results.md"


@dataclass(frozen=True)
class ReproduceOptions:
    """Repeat published results: train, measure, and put the numbers beside those of others. What is done is kept and not done again; a
    run that was stopped goes on."""

    names: tuple[str, ...] = argument((), "which, as multi30k_en_de; without any, and without --all, they are listed", metavar="NAME")
    all: bool = option(False, "all of them, one after the other")
    data: str | None = option(None, "folder in which your copies of the data sets lie, each in a folder of its own name")
    out: str | None = option(None, "folder of what is kept (default: runs/results; with --tiny runs/results-tiny)", short="-o")
    tiny: bool = option(False, "only see that it runs: on a few made-up examples, for seconds; the numbers mean nothing")
    minutes_scale: float = option(1.0, "what all minutes of learning are multiplied by", above=0)
    threads: int | None = option(None, "processor threads (default: all; with minutes one where that is faster)", min=1)
    again: str | None = option(None, "steps to do anew although they are kept, with commas, those that rows share as ROW/STEP; or all")
    page: str | None = option(None, f"file for the page of all results so far, .md, its pictures beside it (default: {PAGE} in --out)")
    recipes: str | None = option(None, "folder of the recipes (default: recipes/results, here or in harken's source)")
    json: bool = option(False, "print one JSON object a line")

    def __post_init__(self) -> None:
        if self.names and self.all:
            raise InputError("give names, or --all, not both")


@command("reproduce", ReproduceOptions)
def reproduce(options: ReproduceOptions) -> list[Row]:
    """A row for each name, with its findings; with neither names nor --all those that are kept. The page is written after each row.

    InputError where a name, a recipe or a data set is missing; with several rows one that fails does not keep the others from being run,
    and a RunError at the end names it."""
    from ..results.kept import read_row
    from ..results.lab import Setting, perform
    from ..results.page import write_page
    from ..results.recipe import folder_of, read_book

    book = read_book(folder_of(options.recipes))
    chosen = book.chosen(options.names)
    out = Path(options.out or ("runs/results-tiny" if options.tiny else "runs/results"))
    page = Path(options.page) if options.page else out / PAGE
    again = tuple(name.strip() for name in options.again.split(",")) if options.again else ()
    data = Path(options.data) if options.data else None
    setting = Setting(out, data, options.tiny, options.minutes_scale, options.threads, again)
    if not (options.names or options.all):
        kept = write_page(page, chosen, out) if options.page else [read_row(out / recipe.name) for recipe in chosen]
        list_of(chosen, [row is not None for row in kept])
        return [row for row in kept if row is not None]
    rows, failed = [], []
    for recipe in chosen:
        try:
            rows.append(perform(recipe, setting, book.samples))
        except Interrupted:
            same = "the same command, without --again" if again else "the same command"
            raise Interrupted(f"stopped; go on with {same}: harken reproduce {recipe.name} …") from None
        except HarkenError as error:
            if len(chosen) == 1:
                raise
            say(f"{recipe.name}: {error}")
            failed.append(recipe.name)
            continue
        write_page(page, book.recipes.values(), out)
        say(f"{recipe.name}: {sum(each.holds for each in rows[-1].findings if each.wanted)} of "
            f"{sum(bool(each.wanted) for each in rows[-1].findings)} hold; the page is {page}")  # fmt: skip
    if failed:
        raise RunError(f"{len(failed)} of {len(chosen)} could not be run, for the reasons above: {', '.join(failed)}")
    return rows


def list_of(recipes: list[Recipe], done: list[bool]) -> None:
    """Say which recipes there are, and which were run."""
    for recipe, kept in zip(recipes, done, strict=True):
        say(f"{recipe.name:<18} {'kept' if kept else 'not run':<8} {recipe.title}")


@reproduce.show
def show(rows: list[Row], options: ReproduceOptions) -> None:
    """One JSON object a line, or a table a row."""
    from ..draw.table import text_table
    from ..results.page import cells

    for row in rows:
        if options.json:
            print(as_json(row))
            continue
        print(f"\n{row.title}\n")
        print(text_table(["", "value", "wanted", "", "others", "minutes"], [cells(each) for each in row.findings]))
        for note in row.notes:
            print(f"\n{note}")
