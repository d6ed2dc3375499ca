"""Output that is only copied: the source itself as its translation, the first three sentences as a summary."""

from __future__ import annotations

from collections.abc import Iterable

from ..sentences import spans


def copied(sources: Iterable[str]) -> list[str]:
    """Each source as it is: what a BLEU owes to names, numbers and marks, and a correction or simplification to leaving all alone."""
    return list(sources)


def lead(documents: Iterable[str], sentences: int = 3) -> list[str]:
    """The first sentences of each document, a line each, as ROUGE-Lsum reads them: in news, lead-3 is hard to beat
    (See et al., 2017, https://aclanthology.org/P17-1099)."""
    return ["\n".join(" ".join(text[begin:end].split()) for begin, end in spans(text)[:sentences]) for text in documents]
