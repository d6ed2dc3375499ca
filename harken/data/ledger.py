"""The ledger: what became of every line, example and token, so that nothing is lost without a number that says so."""

from __future__ import annotations

from collections.abc import Mapping

from ..base.errors import RunError


class Ledger:
    """Counts by (stage, what), in the order of their first mention, e.g. ("read", "blank lines")."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, stage: str, what: str, n: int = 1) -> None:
        """Add `n` to a count; a count that was never mentioned starts at 0."""
        stages = self._counts.setdefault(stage, {})
        stages[what] = stages.get(what, 0) + int(n)

    def get(self, stage: str, what: str) -> int:
        """A count; 0 when it was never mentioned."""
        return self._counts.get(stage, {}).get(what, 0)

    def rows(self) -> list[tuple[str, str, int]]:
        """(stage, what, count) for every count."""
        return [(stage, what, n) for stage, counts in self._counts.items() for what, n in counts.items()]

    def summary(self) -> list[str]:
        """One line per stage, without what is 0: "read: 10 lines, 1 blank lines, 9 examples"."""
        return [f"{stage}: " + ", ".join(f"{n:,} {what}" for what, n in counts.items() if n) for stage, counts in self._counts.items()]

    def balance(self, stage: str, total: str | tuple[str, ...], *parts: str) -> None:
        """Check that the counts `parts` of a stage add up to its count `total`, or to several together; RunError when something was lost
        or counted twice."""
        totals = (total,) if isinstance(total, str) else total
        got, wanted = sum(self.get(stage, part) for part in parts), sum(self.get(stage, part) for part in totals)
        if got != wanted:
            listed = " + ".join(f"{self.get(stage, part):,} {part}" for part in parts)
            whole = " + ".join(f"{self.get(stage, part):,} {part}" for part in totals)
            raise RunError(f"the ledger does not balance at {stage!r}: {listed} make {got:,}, not {whole}; please report this")

    def merge(self, other: Ledger) -> None:
        """Add every count of `other`."""
        for stage, what, n in other.rows():
            self.add(stage, what, n)

    def copy(self) -> Ledger:
        """A ledger with the same counts that goes its own way."""
        copy = Ledger()
        copy.merge(self)
        return copy

    def to_json(self) -> dict[str, dict[str, int]]:
        """{stage: {what: count}}"""
        return {stage: dict(counts) for stage, counts in self._counts.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Mapping[str, int]]) -> Ledger:
        """The inverse of `to_json`."""
        ledger = cls()
        for stage, counts in value.items():
            for what, n in counts.items():
                ledger.add(stage, what, n)
        return ledger

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ledger({self._counts})"
