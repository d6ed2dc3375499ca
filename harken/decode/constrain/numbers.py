"""Numbers between bounds, as JSON writes them: at most 15 digits, so that a reader's floating point keeps every one of them apart."""

from __future__ import annotations

from decimal import Decimal
from math import ceil, floor

from .characters import DIGITS, between, of
from .grammar import Alternatives, Literal, Node, Run, Sequence, either, maybe, repeat, sequence

DIGITS_MOST, WHOLE, FRACTION = 15, 9, 6
LISTED = 2_000
"""Multiples that are named one by one."""
ZERO = of("0")
SOME = of("123456789")
NEVER = Alternatives(())


def integer(low: int | None, high: int | None) -> Node:
    """Whole numbers from `low` to `high`; None: as far as 15 digits go."""
    low, high = (bound if bound is None else max(-(10**DIGITS_MOST) + 1, min(10**DIGITS_MOST - 1, bound)) for bound in (low, high))
    if low is None and high is None:
        return sequence(maybe(Literal("-")), either(["0", sequence(Run(SOME), Run(DIGITS, 0, DIGITS_MOST - 1))]))
    low, high = -(10**DIGITS_MOST) + 1 if low is None else low, 10**DIGITS_MOST - 1 if high is None else high
    parts = []
    if low < 0:
        parts.append(sequence("-", natural(max(1, -high), -low)) if -low >= max(1, -high) else NEVER)
    if high >= 0:
        parts.append(natural(max(0, low), high))
    return either(part for part in parts if part != NEVER)


def natural(low: int, high: int) -> Node:
    """Whole numbers from 0 up, without zeros in front."""
    if low > high:
        return NEVER
    parts = []
    for size in range(len(str(low)), len(str(high)) + 1):
        first, last = max(low, 10 ** (size - 1) if size > 1 else 0), min(high, 10**size - 1)
        parts.append(digits(str(first), str(last)))
    return either(parts)


def digits(low: str, high: str) -> Node:
    """As many digits as `low` has, from `low` to `high`."""
    if not low:
        return Sequence()
    if low[0] == high[0]:
        return sequence(low[0], digits(low[1:], high[1:]))
    rest, parts = len(low) - 1, []
    first, last = int(low[0]), int(high[0])
    if low[1:].strip("0"):
        parts.append(sequence(low[0], digits(low[1:], "9" * rest)))
        first += 1
    if high[1:].strip("9"):
        parts.append(sequence(high[0], digits("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        parts.append(sequence(Run(between(str(first), str(last))), repeat(Run(DIGITS), rest, rest)))
    return either(parts)


def multiples(of_: int, low: int | None, high: int | None) -> Node | None:
    """Multiples of a whole number between bounds; None where there are too many to name, and no pattern says them."""
    if low is not None and high is not None and (high // of_ - -(-low // of_)) < LISTED:
        found = [str(of_ * k) for k in range(-(-low // of_), high // of_ + 1)]
        return either(found) if found else NEVER
    size = next((size for size in range(1, 4) if 10**size % of_ == 0), None)
    if size is None or low is not None or high is not None:
        return None
    tails = [f"{number:0{size}d}" for number in range(0, 10**size, of_)]
    small = [str(number) for number in range(of_, 10**size, of_)]
    return either(["0", sequence(maybe(Literal("-")), either([*small, sequence(Run(SOME), Run(DIGITS, 0, 11), either(tails))]))])


def number(low: Decimal | None, high: Decimal | None, without: tuple[bool, bool] = (False, False)) -> Node:
    """Numbers from `low` to `high`, the bounds excluded where `without` says so."""
    if low is None and high is None:
        whole = either(["0", sequence(Run(SOME), Run(DIGITS, 0, WHOLE - 1))])
        power = sequence(Run(of("eE")), maybe(Run(of("+-"))), Run(DIGITS, 1, 2))
        return sequence(maybe(Literal("-")), whole, maybe(sequence(".", Run(DIGITS, 1, FRACTION))), maybe(power))
    most = Decimal(10) ** max([WHOLE, *(len(str(abs(int(bound)))) for bound in (low, high) if bound is not None)])
    low, high = -most if low is None else low, most if high is None else high
    if low > high or (low == high and any(without)):
        return NEVER
    parts = []
    if high >= 0:
        parts.append(positive(max(low, Decimal(0)), high, (without[0] and low >= 0, without[1])))
    if low < 0:
        parts.append(_negative(positive(max(-high, Decimal(0)), -low, (without[1] and high <= 0, without[0]))))
    return either(part for part in parts if part != NEVER)


def _negative(node: Node) -> Node:
    return NEVER if node == NEVER else sequence("-", node)


def positive(low: Decimal, high: Decimal, without: tuple[bool, bool]) -> Node:
    """Numbers between bounds that are not negative. Every digit in front of the point takes one from behind it."""
    first, last = floor(low), floor(high)
    room = min(FRACTION, DIGITS_MOST - len(str(last)))
    room = max(room, *(len(fraction_of(bound)) for bound in (low, high)), 1)
    if first == last:
        return sequence(str(first), fraction(fraction_of(low), fraction_of(high), room, without))
    parts = [sequence(str(first), fraction(fraction_of(low), None, room, without))]
    if (between_ := natural(first + 1, last - 1)) != NEVER:
        parts.append(sequence(between_, maybe(sequence(".", Run(DIGITS, 1, room)))))
    if (top := fraction("", fraction_of(high), room, (False, without[1]))) != NEVER:
        parts.append(sequence(str(last), top))
    return either(part for part in parts if NEVER not in getattr(part, "parts", ()))


def fraction_of(bound: Decimal) -> str:
    """The digits behind the point, without zeros at the end."""
    text = format(abs(bound), "f")
    return text.partition(".")[2].rstrip("0")


def fraction(low: str, high: str | None, room: int, without: tuple[bool, bool]) -> Node:
    """ "" or a point and digits, from .low to .high (None: no bound)."""
    parts: list[Node] = []
    if not low.strip("0") and not without[0] and not (high == "" and without[1]):
        parts.append(Sequence())
    inside = decimals(low, high, room, without)
    if inside != NEVER:
        parts.append(sequence(".", inside))
    return either(parts) if parts else NEVER


def decimals(low: str, high: str | None, room: int, without: tuple[bool, bool]) -> Node:
    """One digit or more behind the point, at most `room`, from .low to .high."""
    if room <= 0:
        return NEVER
    least, most = int(low[:1] or "0"), 9 if high is None else int(high[:1] or "0")
    if least > most:
        return NEVER
    parts: list[Node] = []
    tight_low, tight_high = bool(low) or without[0], high is not None

    def behind(digit: int) -> Node:
        """What may stand behind a first digit."""
        lower = low[1:] if digit == least and tight_low else ""
        upper = high[1:] if high is not None and digit == most else None
        open = (without[0] and digit == least and tight_low, without[1] and upper is not None)
        if not lower and not open[0] and upper is None:
            return Run(DIGITS, 0, room - 1)
        ways: list[Node] = []
        if not lower.strip("0") and not open[0] and not (upper == "" and open[1]):
            ways.append(Sequence())  # it may end here
        more = decimals(lower, upper, room - 1, open)
        if more != NEVER:
            ways.append(more)
        return either(ways) if ways else NEVER

    edges = sorted({least, most} if tight_high else {least})
    for digit in edges:
        if (tail := behind(digit)) != NEVER:
            parts.append(sequence(str(digit), tail))
    first, last = least + 1, most - (1 if tight_high else 0)
    if first <= last:
        parts.append(sequence(Run(between(str(first), str(last))), Run(DIGITS, 0, room - 1)))
    return either(parts) if parts else NEVER


def whole_bounds(low: Decimal | None, high: Decimal | None, without: tuple[bool, bool]) -> tuple[int | None, int | None]:
    """The whole numbers between bounds: the least and the greatest."""
    first = None if low is None else (floor(low) + 1 if without[0] else ceil(low))
    last = None if high is None else (ceil(high) - 1 if without[1] else floor(high))
    return first, last
