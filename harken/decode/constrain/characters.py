"""Sets of characters as ranges of code points, and their bytes in UTF-8. Surrogates, which are no characters, are never in one."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

Range = tuple[int, int]
LAST = 0x10FFFF
HALVES = (0xD800, 0xDFFF)


@dataclass(frozen=True)
class Characters:
    """`ranges`: first and last code point each, in order, apart from each other · `spelled`: strings that stand for a character in its
    place, as \\n does in JSON; none begins with a character of the ranges, or with another of them."""

    ranges: tuple[Range, ...]
    spelled: tuple[str, ...] = ()

    def __or__(self, other: Characters) -> Characters:
        return Characters(joined([*self.ranges, *other.ranges]), tuple(dict.fromkeys(self.spelled + other.spelled)))

    def __and__(self, other: Characters) -> Characters:
        return self - (ALL - other)

    def __sub__(self, other: Characters) -> Characters:
        left: list[Range] = []
        cuts = list(other.ranges)
        for low, high in self.ranges:
            for first, last in cuts:
                if last < low or first > high:
                    continue
                if first > low:
                    left.append((low, first - 1))
                low = last + 1
            if low <= high:
                left.append((low, high))
        return Characters(tuple(left), tuple(one for one in self.spelled if one not in other.spelled))

    def __bool__(self) -> bool:
        return bool(self.ranges or self.spelled)

    def __contains__(self, character: str) -> bool:
        return any(low <= ord(character) <= high for low, high in self.ranges)

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.ranges) + len(self.spelled)

    @functools.cached_property
    def pattern(self) -> str:
        """A regex for one of them, as both Python and llguidance read it (the code points in Python's way; see `lark`)."""
        inside = "".join(_escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}" for low, high in self.ranges)
        ways = [f"[{inside}]"] * bool(inside) + ["".join(_escaped(ord(one)) for one in text) for text in self.spelled]
        return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"

    @property
    def sample(self) -> str:
        """One of them."""
        return chr(self.ranges[0][0]) if self.ranges else self.spelled[0]

    @functools.cached_property
    def _ascii(self) -> list[bool]:
        table = [False] * 0x80
        for low, high in self.ranges:
            for point in range(low, min(high, 0x7F) + 1):
                table[point] = True
        return table

    def step(self, begun: bytes, byte: int) -> bytes | None:
        """Go on from `begun`, the bytes of one that is not whole yet: b"" where it is whole now, None where no member goes on so."""
        if not begun and byte < 0x80 and self._ascii[byte]:
            return b""
        begun += bytes((byte,))
        if any(one.encode() == begun for one in self.spelled):
            return b""
        if begun[0] >= 0x80:
            low, high, more = reach(begun)
            if any(first <= high and last >= low for first, last in self.ranges):
                return begun if more else b""
        return begun if any(one.encode().startswith(begun) for one in self.spelled) else None

    def completion(self, begun: bytes) -> bytes:
        """The least bytes that make `begun` whole."""
        for one in sorted(self.spelled, key=len):
            if begun and one.encode().startswith(begun):
                return one.encode()[len(begun) :]
        low, high, _ = reach(begun)
        point = next(max(first, low) for first, last in self.ranges if first <= high and last >= low)
        return chr(point).encode()[len(begun) :]


def _escaped(point: int) -> str:
    return chr(point) if chr(point).isascii() and chr(point).isalnum() else rf"\U{point:08x}"


def lark(pattern: str) -> str:
    """A pattern of `Characters` with code points as llguidance writes them."""
    parts = pattern.split(r"\U")
    return parts[0] + "".join(rf"\x{{{int(part[:8], 16):x}}}{part[8:]}" for part in parts[1:])


def reach(begun: bytes) -> tuple[int, int, int]:
    """(least, greatest code point whose UTF-8 begins so, bytes that are missing); an empty range where it is not UTF-8."""
    first = begun[0] if begun else 0
    if not 0xC2 <= first <= 0xF4:
        return 1, 0, 0
    more = (1 if first < 0xE0 else 2 if first < 0xF0 else 3) - (len(begun) - 1)
    point = first & (0x1F if first < 0xE0 else 0x0F if first < 0xF0 else 0x07)
    for byte in begun[1:]:
        if byte & 0xC0 != 0x80:
            return 1, 0, 0
        point = point << 6 | byte & 0x3F
    low, high = point << 6 * more, (point + 1 << 6 * more) - 1
    least = (0x80, 0x800, 0x10000)[(first >= 0xE0) + (first >= 0xF0)]
    return max(low, least), min(high, LAST), more


def joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """In order, those that touch made one, surrogates cut out."""
    found: list[Range] = []
    for low, high in sorted(ranges):
        for first, last in ((low, min(high, HALVES[0] - 1)), (max(low, HALVES[1] + 1), high)):
            if first > last:
                continue
            if found and first <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(found[-1][1], last))
            else:
                found.append((first, last))
    return tuple(found)


def of(text: Iterable[str]) -> Characters:
    """These characters."""
    return Characters(joined((ord(one), ord(one)) for one in text))


def between(low: str | int, high: str | int) -> Characters:
    """From one to another, both included."""
    low, high = (ord(one) if isinstance(one, str) else one for one in (low, high))
    return Characters(joined([(low, high)]))


def opposite(characters: Characters) -> Characters:
    """All others."""
    return ALL - characters


@functools.cache
def category(name: str) -> Characters:
    """What Python's \\w and \\s and \\d mean in a text: every alphabet's."""
    holds = {
        "word": lambda one: one.isalnum() or one == "_",
        "space": str.isspace,
        "digit": lambda one: unicodedata.category(one) == "Nd",
    }[name]
    return of(one for one in map(chr, range(LAST + 1)) if holds(one))


ALL = between(0, LAST)
DIGITS = between("0", "9")
SPACE = of(" \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | between("\u2000", "\u200a")
"""What str.strip takes away."""
