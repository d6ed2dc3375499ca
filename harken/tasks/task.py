"""What a task is: which head it needs, how an input becomes rows to read, how what the model says becomes an answer.

One definition for asking, training and measuring: `prepare` lays a text out as it is to be learned from, too, and `metrics` are those of
its field. A file of this folder defines one task, `TASK`; tasks/table.py finds it by any of its names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..base.errors import InputError
from ..data.ledger import Ledger
from ..text.tokenizer import Tokenizer
from .frame import Frame, frame_of
from .masks import reading_masks

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric
    from ..nn.models import Model

Wants = Literal["answers", "states", "words", "text"]
"""Of the model: what its head says of a row · the last hidden state of each token · what its head says at `places` · what it writes."""


@dataclass(frozen=True)
class Row:
    """What is read at once. `types`: the kind of each token · `places`: the tokens that are asked about, where not all are."""

    ids: list[int]
    types: list[int] | None = None
    places: list[int] | None = None


@dataclass(frozen=True)
class Prepared:
    """One input, ready to be read. `rows`: of `Row`; of prompts where text is wanted · `facts`: what its answer is made of besides."""

    rows: Sequence[Any]
    facts: Any = None


@dataclass
class Tools:
    """What a task works with. `asked`: the name it was asked for by, as in translation_en_to_fr · `ledger`: what was read and cut ·
    `own`: how it is to write where nobody says, if not as the model's own `generation`."""

    model: Model
    tokenizer: Tokenizer
    asked: str
    ledger: Ledger
    own: Mapping[str, Any] | None = None

    @property
    def usual(self) -> Mapping[str, Any]:
        """How it writes where nobody says."""
        return self.model.generation if self.own is None else self.own

    @functools.cached_property
    def single(self) -> Frame:
        """What stands around one text."""
        return frame_of(self.tokenizer, pair=False)

    @functools.cached_property
    def double(self) -> Frame:
        """What stands around two."""
        return frame_of(self.tokenizer, pair=True)

    @functools.cached_property
    def mask_parser(self) -> Any:
        """A second tokenizer, which reads the mask's name in a text as the mask, and nothing else as special."""
        return reading_masks(self.tokenizer)

    @functools.cached_property
    def codes(self) -> list[str]:
        """The tokens that name a language to translate to, as ">>fr<<"."""
        vocabulary = self.tokenizer.inner.get_vocab(with_added_tokens=True)
        return sorted(token for token in vocabulary if token[:2] == ">>" and token[-2:] == "<<")

    def label(self, number: int) -> str:
        """What the model's config calls a label."""
        names = self.model.config.id2label or {}
        return names.get(number, f"LABEL_{number}")

    @property
    def labels(self) -> list[str]:
        """All of them."""
        return [self.label(number) for number in range(self.model.config.num_labels)]


@dataclass(frozen=True)
class Task:
    """`heads`: of families/tasks.py, any of which will do; none: it takes the model as it is, without its head.

    `options`: a frozen dataclass, the keywords of a call · `wants`: of the model · `default`: its id where none is named · `positions`:
    what positional arguments are called, fields of an input or options · `lists`: fields that are lists in one input · `rows`: the fields
    of an input in a file, in one way or another · `chats`: whether a list of messages is one input · `metrics`: of the labels, those of
    its field · `once`: what the options of a call come to, checked with this model · `alone`: how Hugging Face wraps the answer to a lone
    input (answer, input, names of the call's options).
    """

    name: str
    options: type
    heads: tuple[str, ...]
    wants: Wants
    default: str
    prepare: Callable[[Any, Tools, Any], Prepared]
    postprocess: Callable[[Prepared, Sequence[Any], Tools, Any], Any]
    aliases: tuple[str, ...] = ()
    positions: tuple[str, ...] = ("text",)
    lists: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = (("text",),)
    chats: bool = False
    metrics: Callable[[Sequence[str]], Sequence[Metric]] = lambda labels: ()
    once: Callable[[Tools, Any], Any] = lambda tools, options: options
    alone: Callable[[Any, Any, Collection[str]], Any] = lambda answer, given, asked: answer


def text_of(value: Any, what: str = "input") -> str:
    """A text. InputError when it is something else."""
    if not isinstance(value, str):
        raise InputError(f"the {what} should be text, not {kind(value)}")
    return value


def pair_of(value: Any, names: tuple[str, str] = ("text", "text_pair")) -> tuple[str, str | None]:
    """One text or two: a text, {"text": …, "text_pair": …}, or a list of two. InputError when it is something else."""
    if isinstance(value, dict):
        fields_of(value, names, optional=names[1:])
        second = value.get(names[1])
        return text_of(value.get(names[0]), names[0]), None if second is None else text_of(second, names[1])
    if isinstance(value, list | tuple) and len(value) == 2:
        return text_of(value[0], names[0]), text_of(value[1], names[1])
    return text_of(value), None


def fields_of(value: Any, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """An input of several named fields. InputError when it is none, lacks one, or has one that is not known."""
    example = "{" + ", ".join(f'"{name}": …' for name in names) + "}"
    if not isinstance(value, dict):
        raise InputError(f"the input should be an object {example}, not {kind(value)}")
    for name in names:
        if name not in value and name not in optional:
            raise InputError(f"the input lacks {name!r}: it should be an object {example}")
    if more := [str(name) for name in value if name not in names]:
        raise InputError(f"the input has a field {more[0]!r}, which is not known: it should be an object {example}")
    return value


def kind(value: Any) -> str:
    """What something is, for a sentence."""
    return "nothing (None)" if value is None else f"a {type(value).__name__}"
