"""What reading a file gives: its texts, whether they are examples or running text, and the ledger of what was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .ledger import Ledger

Examples = Literal["lines", "running"]


@dataclass(frozen=True)
class Corpus:
    """Texts with where they came from.

    `texts`: one per example; for running text one per document. `kind`: "lines" (independent examples) or "running".
    `source`: the path, or "-" for standard input. `notes`: sentences that should be said aloud.
    """

    texts: list[str]
    kind: Examples
    source: str
    ledger: Ledger = field(default_factory=Ledger)
    notes: list[str] = field(default_factory=list)

    def bytes(self) -> int:
        """UTF-8 bytes of the raw text; independent examples count one line end each."""
        size = sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in self.texts)
        return size + (len(self.texts) if self.kind == "lines" else 0)
