"""Mixture: a neural and a counting model, interpolated.   Jelinek & Mercer 1980; for neural models Mikolov et al. 2011,
https://www.isca-archive.org/interspeech_2011/mikolov11b_interspeech.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from ..base.errors import InputError
from ..nn.counts import NGram
from ..nn.mixture import Mixture
from . import table
from .config import Config
from .names import Cat, Rule, Transposed


@dataclass(kw_only=True)
class MixtureConfig(Config):
    """`parts`: the config of the neural part, then of the counting one, as in a config.json of their own · `gate`: whether they are
    weighed by "context" or in one "global" way · `recent`: tokens after which what was just read counts half (None: not at all)."""

    model_type: ClassVar[str] = "mixture"

    parts: list[dict[str, Any]] = field(default_factory=list)
    gate: str = "context"
    recent: int | None = None

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """LLaMA of the asked size, and counts."""
        return cls.of(*(table.config_class(name).sized(width, layers, heads, context, vocab, dropout) for name in ("llama", "ngram")))

    @classmethod
    def of(cls, neural: Config, counting: Config) -> Self:
        """A mixture of two models over one vocabulary."""
        return cls(vocab_size=neural.vocab_size, initializer_range=neural.initializer_range, parts=[neural.write(), counting.write()])

    def configs(self) -> list[Config]:
        """The configs of the parts. InputError when they do not make a mixture."""
        if not isinstance(self.parts, list) or len(self.parts) != 2:
            raise InputError("config.json: parts must be a list of two configs, a neural model's and a counting one's")
        found = [table.read_config(part, f"config.json, part {n}") for n, part in enumerate(self.parts)]
        kinds = [table.family(c.model_type).LEARNS for c in found]
        if kinds != ["gradients", "counts"] or found[0].task != "language-modeling":
            raise InputError("config.json: the parts of a mixture are a neural language model and a counting one, in this order")
        if any(c.vocab_size != self.vocab_size for c in found):
            raise InputError("config.json: the parts of a mixture must share its vocabulary")
        return found


def build(c: MixtureConfig) -> Mixture:
    neural, counting = (table.build(part) for part in c.configs())
    if not isinstance(counting, NGram):
        raise InputError(f"{type(counting).__name__} does not count")
    return Mixture(neural, counting, c.recent)


def names(c: MixtureConfig) -> dict[str, Rule]:
    found: dict[str, Rule] = {"gate": "gate"} if c.recent is None else {"gate": "gate", "lately": "lately"}
    for n, part in enumerate(c.configs()):
        for ours, theirs in table.family(part.model_type).names(part).items():
            found[f"parts.{n}.{ours}"] = _under(f"parts.{n}.", theirs)
    return found


def _under(prefix: str, rule: Rule) -> Rule:
    if isinstance(rule, Cat):
        return Cat(*(prefix + name for name in rule))
    return Transposed(prefix + rule) if isinstance(rule, Transposed) else prefix + rule


IGNORE = ()
LEARNS = "mixture"
