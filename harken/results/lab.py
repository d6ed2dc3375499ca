"""What a recipe works with: its data, its folder, and steps whose results are kept, so that what is done is not done again."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import InputError
from ..base.files import read_json, write_json
from ..base.report import say, span
from .kept import ROW, STEPS, Finding, Row, command_line, machine, plain
from .recipe import Recipe, Samples

if TYPE_CHECKING:
    from ..commands.command import Command

TINY: dict[str, Any] = {"width": 32, "layers": 1, "heads": 2, "hidden": 64, "vocab_size": 400, "batch_size": 8, "patience": 1}
"""What the sizes of a tiny run are at most."""
TINY_STEPS = 3
ALL = "all"


@dataclasses.dataclass(frozen=True)
class Setting:
    """How recipes are run. `data`: the folder with a folder for each data set, None with `tiny`, where a few examples are made up ·
    `scale`: what all minutes of learning are multiplied by · `again`: names of steps to do anew, or "all"."""

    out: Path
    data: Path | None
    tiny: bool = False
    scale: float = 1.0
    threads: int | None = None
    again: tuple[str, ...] = ()
    renewed: set[str] = dataclasses.field(default_factory=set)
    """Steps of other rows, as ROW/STEP, that were made anew already: once is enough for all rows of a command."""


class Lab:
    """The bench of one recipe. `folder`: of its results · `tiny`: whether it is only to be seen that it runs."""

    def __init__(self, recipe: Recipe, setting: Setting, samples: Samples) -> None:
        self.recipe, self.setting, self.samples, self.tiny = recipe, setting, samples, setting.tiny
        self.folder = (setting.out / recipe.name).resolve()
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.pictures: list[str] = []
        self.commands: dict[str, str] = {}
        self.done: set[str] = set()
        self.named: set[str] = set()  # all steps, those of other rows as ROW/STEP
        self.asker: Lab | None = None
        self.seconds = 0.0

    # ---- places

    def data(self, name: str) -> Path:
        """The folder of a data set. InputError when it is not there."""
        if self.tiny:
            folder = self.setting.out.resolve() / "made-up" / name
            if not folder.is_dir():
                folder.mkdir(parents=True)
                self.samples[name](folder)
            return folder
        if self.setting.data is None:
            raise InputError(f"{self.recipe.name} needs the data set {name}: name the folder that it lies in with --data, or give --tiny")
        folder = self.setting.data.resolve() / name
        if not folder.is_dir():
            raise InputError(f"{folder} does not exist: put the data set {name} there, or name another folder with --data")
        return folder

    def file(self, name: str) -> Path:
        """A file of this row's own; the folder is made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def picture(self, name: str) -> Path:
        """A file for a picture that belongs on the page; its name begins with the row's."""
        path = self.file(f"{self.recipe.name}-{name}")
        if path.name not in self.pictures:
            self.pictures.append(path.name)
        return path

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / name

    def beside(self, name: str) -> Lab:
        """The bench of another row, for steps that several rows share: made by the first that asks, kept for all, told on each one's page
        as ROW/STEP. `--again` does them anew by that name wherever they are asked for, and in the row itself by their own."""
        again = (each for each in self.setting.again if each.startswith(f"{name}/") and each not in self.setting.renewed)
        again = tuple(each.removeprefix(f"{name}/") for each in again)
        other = Lab(dataclasses.replace(self.recipe, name=name), dataclasses.replace(self.setting, again=again), self.samples)
        other.commands, other.named, other.asker = self.commands, self.named, self
        return other

    # ---- steps

    def step(self, name: str, make: Callable[..., Any], **given: Any) -> Any:
        """What `make(**given)` returns, as JSON has it: kept, and not made again. InputError when what is kept was made of something
        else."""
        return self._kept(name, {"given": plain(given)}, lambda: make(**given))

    def do(self, name: str, command: Command[Any, Any], *places: Any, **options: Any) -> Any:
        """The same of a command of harken's, such as `harken.evaluate`, with its arguments."""
        line = self._line(command.name, list(places), options)
        return self._kept(name, {"command": line}, lambda: command(*places, **options))

    def train(self, name: str, data: Any, **options: Any) -> dict[str, Any]:
        """Train into `run(name)`, or go on where that was stopped, and return what `harken.train` does. InputError when what is kept began
        from other weights than lie there now."""
        from ..checkpoint.files import WEIGHTS
        from ..fit.compare import finished, record_of
        from ..fit.folder import RECORD
        from ..fit.options import TrainOptions
        from ..fit.tune import fingerprint

        options = self._shrunk(options) if self.tiny else options
        if "minutes" in options:
            options["minutes"] *= self.setting.scale
        out = self.run(name)
        line = self._line("train", [data], {**options, "out": out})
        if self._anew(name) and name not in self.done:
            self._renew(name)
        words: dict[str, Any] = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
        asked = TrainOptions(data=str(data), out=str(out), threads=self.setting.threads, **words)

        base = Path(str(options.get("model")))
        began = {"from": fingerprint(base)} if (base / WEIGHTS).is_file() else {}

        def learn() -> Any:
            try:
                held = ((record_of(out) or {}).get("began_from") or {}).get("sha256")
                if began and held not in (None, began["from"]):
                    raise InputError(f"{out}: what it began from was trained anew since")
                return finished(out, asked)
            except InputError as error:
                again = f"; or train it anew with --again {self._full(name)}" if (out / RECORD).is_file() else ""
                raise InputError(f"{error}{again}") from None

        return self._kept(name, {"command": line, **began}, learn)

    def _kept(self, name: str, what: dict[str, Any], make: Callable[[], Any]) -> Any:
        """A step's result: from its file, or made now and written there."""
        from ..fit.threads import on_threads

        if name in self.done:
            raise InputError(f"{self.recipe.name}: two steps are called {name!r}")
        path = self.folder / STEPS / f"{name}.json"
        if self._anew(name) and path.is_file():
            self._renew(name)
        old = read_json(path) if path.is_file() else None
        if old is not None and old.setdefault("from", what.get("from")) != what.get("from", old["from"]):
            if not self.setting.renewed:
                again = f"so make it anew, too, with --again {self._full(name)}"
                raise InputError(f"{path}: what it began from was trained anew since; {again}")
            self._renew(name)
            old = None
        if old is not None and any(old.get(key) != value for key, value in what.items()):
            raise InputError(
                f"{path} was made another way than is asked for now: keep it and ask as before, or make it anew with --again "
                f"{self._full(name)}"
            )
        if old is None:
            say(f"--- {self.recipe.name}: {name}")
            began = time.monotonic()
            with on_threads(self.setting.threads):
                result = plain(make())
            seconds = time.monotonic() - began
            if isinstance(result, dict) and isinstance(result.get("seconds"), int | float):
                seconds = max(seconds, result["seconds"])  # of all parts of a run that was resumed
            old = {**what, "seconds": round(seconds, 2), "result": result}
            write_json(path, old)
            say(f"--- {self.recipe.name}: {name} took {span(seconds)}")
        self.done.add(name)
        self.seconds += old["seconds"]
        self.named.add(self._full(name))
        if "command" in what:
            self.commands[self._full(name)] = what["command"]
        return old["result"]

    def _full(self, name: str) -> str:
        """How a step is called in the row that asks for it."""
        return name if self.asker is None else f"{self.recipe.name}/{name}"

    def _anew(self, name: str) -> bool:
        return ALL in self.setting.again or name in self.setting.again

    def _renew(self, name: str) -> None:
        """Delete what is kept of a step that is made anew, and of all behind it, which may have been made of it: so a stop in between
        leaves nothing that does not fit. Of a row that several share, behind it are the steps whose names begin with its own."""
        if self.asker is None:
            self._forget(name, *(step for step in self._there() if step not in self.done))
            return
        self.setting.renewed.add(self._full(name))
        self._forget(name, *(step for step in self._there() if step.startswith(f"{name}-")))
        self.asker._forget(*(step for step in self.asker._there() if step not in self.asker.done))

    def _there(self) -> set[str]:
        """Steps that are done, or were begun."""
        return {*(path.stem for path in (self.folder / STEPS).glob("*.json")), *(path.name for path in (self.folder / "runs").glob("*"))}

    def _forget(self, *steps: str) -> None:
        for step in steps:
            (self.folder / STEPS / f"{step}.json").unlink(missing_ok=True)
            shutil.rmtree(self.run(step), ignore_errors=True)

    def _line(self, name: str, places: list[Any], options: Mapping[str, Any]) -> str:
        names = {str(self.setting.out.resolve()): "OUT"}
        if self.setting.data is not None:
            names[str(self.setting.data.resolve())] = "DATA"
        return command_line(name, places, options, names)

    def _shrunk(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of a run that takes a second or two and learns nothing."""
        left_out = ("minutes", "epochs", "steps", "warmup_steps", "eval_every", "patience", "learning_rate")
        small = {key: value for key, value in options.items() if key not in left_out}
        small |= {key: min(most, options[key]) for key, most in TINY.items() if options.get(key) is not None and key not in left_out}
        return small if "/" in str(options.get("parts", "")) else {**small, "steps": TINY_STEPS}  # what is trained is only weighed

    # ---- what was found

    def found(self, what: str, value: float | None, **facts: Any) -> None:
        """A number for the page: the facts are those of `Finding`."""
        self.findings.append(Finding(what, *plain([value]), **plain(facts)))

    def note(self, text: str) -> None:
        """A sentence or two for the page."""
        self.notes.append(text)

    def minutes(self, *trained: Mapping[str, Any]) -> float:
        """Minutes that runs learned for, all together."""
        return round(sum(each["seconds"] for each in trained) / 60, 1)

    def finish(self) -> Row:
        """Write down that the recipe is done."""
        row = Row(
            name=self.recipe.name,
            title=self.recipe.title,
            protocol=self.recipe.protocol,
            findings=self.findings,
            notes=self.notes,
            pictures=self.pictures,
            commands=self.commands,
            seconds=round(self.seconds, 1),
            machine=machine() if self.setting.threads is None else f"{machine()}, {self.setting.threads} threads",
            tiny=self.tiny,
        )
        write_json(self.folder / ROW, plain(row))
        return row


def perform(recipe: Recipe, setting: Setting, samples: Samples) -> Row:
    """Run a recipe from start to end, past the steps that are kept."""
    lab = Lab(recipe, setting, samples)
    recipe.steps(lab)
    if left := [name for name in setting.again if name not in (*lab.named, ALL)]:
        say(f"{recipe.name} has no step {left[0]!r}: its steps are {', '.join(sorted(lab.named))}")
    return lab.finish()
