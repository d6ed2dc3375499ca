"""`harken analogy MODEL king man woman`: king - man + woman."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..base.options import argument, option
from .command import command
from .similar import print_words

if TYPE_CHECKING:
    from ..view.words import Neighbour


@dataclass(frozen=True)
class AnalogyOptions:
    """Say what stands to C as A to B, by the vectors A - B + C: king - man + woman."""

    model: Any = argument("folder or Hub id of the model: word vectors (harken train TEXT --model vectors), or any with token vectors")
    a: str = argument("king in king - man + woman")
    b: str = argument("man")
    c: str = argument("woman")
    top: int = option(10, "how many words to show", min=1)
    method: Literal["add", "mul"] = option("add", "3CosAdd, a sum of cosines, or 3CosMul, a product: no large one outweighs the others")
    json: bool = option(False, "print one JSON object a line")


@command("analogy", AnalogyOptions)
def analogy(options: AnalogyOptions) -> list[Neighbour]:
    """The words that fit best, best first, each with `word`, `id` and `score`; the three that were given do not count.

    InputError when the model holds no vectors, or does not know a word.
    """
    from ..checkpoint.load import opened
    from ..view.words import Words

    return Words(*opened(options.model)).analogy(options.a, options.b, options.c, options.top, options.method)


@analogy.show
def show(found: list[Neighbour], options: AnalogyOptions) -> None:
    """A table, or one JSON object a line."""
    print_words(found, json_lines=options.json)
