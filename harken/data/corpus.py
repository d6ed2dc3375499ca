"""What reading a file gives: its texts, whether they are examples or running text, and the ledger of what was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .ledger import Ledger
from .texts import Texts

Examples = Literal["lines", "running"]


@dataclass(frozen=True)
class Corpus:
    """Texts with where they came from.

    `texts`: one per example; for running text one per document; any other sequence of str is copied into one. `kind`: "lines"
    (independent examples) or "running". `source`: the path, or "-" for standard input. `notes`: sentences that should be said aloud.
    """

    texts: Texts
    kind: Examples
    source: str
    ledger: Ledger = field(default_factory=Ledger)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.texts, Texts):
            object.__setattr__(self, "texts", Texts.of(self.texts, self.source))

    def bytes(self) -> int:
        """UTF-8 bytes of the raw text; independent examples count one line end each."""
        return self.texts.size + (len(self.texts) if self.kind == "lines" else 0)
