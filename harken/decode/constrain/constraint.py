"""A constraint as it was asked for, made ready for a model: what it allows, the tokens that say it, and a guard for every text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...base.errors import InputError
from ...text.tokenizer import Tokenizer
from ..options import DecodeOptions
from .characters import SPACE
from .costs import Table, pruned
from .edges import may_begin_or_end_with
from .ending import Chart
from .grammar import Grammar, Lexeme, Literal, either, lark
from .guard import Guard
from .regex import tree_of
from .schema import grammar_of
from .sources import schema_of
from .tokens import NONE, Lexicon, lexicon, llguidance

HEAD = '%llguidance {"no_forcing": true}\n'
"""Where only one text can follow, every way to write it may be chosen, not only the one with the longest tokens."""


@dataclass
class Constraint:
    """`label`: the option it comes from · `ends`: ids that end a text · `matchers`: llguidance's, as they are before a text · `table`: for
    endings; None for a free grammar, whose end is not forced."""

    label: str
    lexicon: Lexicon
    ends: tuple[int, ...]
    matchers: tuple[Any, Any]
    table: Table | None
    _needs: dict[bool, int] = field(default_factory=dict)

    def guard(self, begun: Sequence[int], limit: int, first: int | None) -> Guard:
        """For a text behind `begun`, of at most `limit` tokens. InputError when no legal text is so short."""
        open = self.lexicon.open_after(begun)
        chart = None if self.table is None else Chart(self.table)
        guard = Guard(self.lexicon, tuple(one.deep_copy() for one in self.matchers), chart, self.ends, first, open)
        if chart is not None:
            if open not in self._needs:
                if chart.cost(open) == NONE:
                    raise InputError(
                        f"{self.label}: no text that satisfies it can be written here token by token with this tokenizer"
                        + ("; behind a prompt a word has a blank in front, so give it one" if self.lexicon.first and not open else "")
                    )
                self._needs[open] = max(len(guard.ending()), 1)
            least, room = self._needs[open], limit - (first is not None)
            if least > room:
                raise InputError(
                    f"{self.label}: the shortest text that satisfies it takes {least:,} tokens, but only {room:,} may be written: "
                    f"let max_new_tokens be at least {least + (first is not None):,}, or, where the context is full, shorten the prompt"
                )
        return guard


def constraint(asked: DecodeOptions, tokenizer: Tokenizer, size: int, ends: Sequence[int]) -> Constraint:
    """What the options ask for. InputError for what cannot be understood, or not be written."""
    label = asked.constraints[0]
    if not ends and (asked.num_beams or 1) > 1:
        raise InputError(f"{label} with beams needs a model that has an end token: leave num_beams out")
    package = llguidance()
    banned = frozenset(asked.suppress_tokens) | {i for i, bias in (asked.logit_bias or {}).items() if bias == -NONE} | set(ends)
    known = lexicon(tokenizer.target, size, frozenset(banned))
    if label == "grammar":
        table, text = None, free(asked.grammar)
        text = text if "%llguidance" in text else HEAD + text
    else:
        tree = pruned(tree_for(label, asked), known)
        if isinstance(tree, str):
            what = f"it needs {tree!r}" if tree else "nothing does"
            raise InputError(f"{label}: no text that this tokenizer can write satisfies it, since {what}: change it, or take another model")
        if known.trims and may_begin_or_end_with(tree, SPACE):
            raise InputError(f"{label} lets a text begin or end with white space, which this tokenizer drops: say it without")
        table, text = Table(tree, known), HEAD + lark(tree)
    matchers = tuple(package.LLMatcher(judge, text, log_level=0) for judge in known.judges)
    if matchers[0].is_error():
        raise InputError(f"{label}: {first_line(matchers[0].get_error())}")
    return Constraint(label, known, tuple(ends), (matchers[0], matchers[1]), table)


def tree_for(label: str, asked: DecodeOptions) -> Grammar:
    """The grammar of a JSON schema, a regex or a choice."""
    if label == "regex":
        return Grammar(Lexeme(tree_of(asked.regex or "")))
    if label == "choice":
        for text in asked.choice:
            if any("\ud800" <= one <= "\udfff" for one in text):
                raise InputError(f"choice {text!r} holds half a character (a lone surrogate): repair it")
        return Grammar(Lexeme(either(map(Literal, asked.choice))))
    return grammar_of(schema_of(asked.json_schema))


def free(given: str | None) -> str:
    """A Lark grammar, or the content of the file that holds it."""
    text = given or ""
    if "\n" not in text and (":" not in text or text.endswith(".lark")):
        try:
            return Path(text).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"grammar {text!r} is neither a Lark grammar (it has no rule 'start: …') nor a file that can be read"
            ) from None
    return text


def first_line(error: str) -> str:
    """What llguidance says, as one sentence."""
    return " ".join(error.split())[:300] or json.dumps(error)
