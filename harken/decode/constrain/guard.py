"""What may be written next in one text, and how it still ends in time.

There is always a known ending of at most as many tokens as are left: a token is only written if that holds after it, too, and otherwise the
first token of the ending is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...base.errors import RunError
from .ending import Chart
from .tokens import NONE, Lexicon

HALT = -1
"""No token: the text ends here, and the model has no token that says so."""


class Guard:
    """`accepts`: whether the text may end here · `done`: whether it can only end here · `lost`: whether it is none that
    the constraint allows: a beam that nobody will follow, or a wrong guess."""

    def __init__(
        self, lexicon: Lexicon, matchers: tuple[Any, Any], chart: Chart | None, ends: Sequence[int], first: int | None, open: bool
    ):
        """`matchers`: llguidance's, for usual places and open ones · `chart`: for endings; None where none are forced · `first`: an id that
        stands in front of the text and is not part of it · `open`: whether the text begins where blanks are swallowed."""
        self.lexicon, self.chart, self.ends, self.first = lexicon, chart, tuple(ends), first
        self._matchers, self._behind = list(matchers), [b"", b""]
        self._open, self._waiting, self._ending = open, b"", ()
        self.lost = self._stuck = False

    def fork(self) -> Guard:
        """The same text once more, to go on another way from here."""
        other = copy.copy(self)
        other._matchers = [matcher.deep_copy() for matcher in self._matchers]
        other._behind = self._behind.copy()
        other.chart = None if self.chart is None else self.chart.fork()
        return other

    @property
    def accepts(self) -> bool:
        return not self.lost and self.first is None and self._matcher().is_accepting()

    @property
    def done(self) -> bool:
        return self.accepts and self._matcher().is_stopped()

    def mask(self) -> np.ndarray:
        """(V,) bool: what may come next; anything where the text is lost already."""
        allowed = np.full(self.lexicon.size, self.lost)
        if self.lost:
            return allowed
        if self.first is not None:
            allowed[self.first] = True
            return allowed
        matcher = self._matcher()
        if not matcher.is_stopped():
            bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
            allowed = np.unpackbits(bits, count=self.lexicon.size, bitorder="little").view(bool)
            self._check(matcher)
        if matcher.is_accepting():
            allowed[list(self.ends)] = True
        if not allowed.any():
            ending = self.ending()
            self._stuck = not ending
            allowed[ending[0] if ending else 0] = True
        return allowed

    def settle(self, token: int, left: int) -> int:
        """`token`, if the text can still end within `left` tokens when it is written, else the first of those that end it."""
        if self._stuck:
            return HALT
        if self.lost or self.fits(token, left):
            return token
        ending = self.ending()
        if ending:
            return ending[0]
        if self.ends:
            return self.ends[0]
        return HALT

    def fits(self, token: int, left: int) -> bool:
        """Whether a legal text can still end within `left` tokens, `token` included."""
        if self.lost or self.first is not None:
            return not self.lost
        if token in self.ends:
            return self.accepts
        if self.chart is None or not self.pressed(left):
            return True
        if self._ending[:1] == (token,) and len(self._ending) <= left:
            return True
        self._catch_up()
        said, length = self.lexicon.said(token, self._open), len(self.chart.columns) - 1
        if not said or not self.chart.push(said):
            return False
        open = self._opened(token)
        found = self.chart.cost(open)
        if left - 1 < found < NONE:  # counted leaf by leaf; it may be spelled with less
            spelled = self.lexicon.spelled(self.chart.ending(open), open)
            found = NONE if spelled is None else len(spelled)
        self.chart.back(length)
        return found <= left - 1

    def pressed(self, left: int) -> bool:
        """Whether there may be tokens behind which the text could no longer end within `left` tokens, themselves included."""
        return not self.lost and self.first is None and self.chart is not None and self.chart.table.most > left - 1

    def fitting(self, tokens: Sequence[int], left: int) -> list[int]:
        """Those of `tokens` behind which a legal text can still end in time, and those that end it."""
        ends = self.ends if self.accepts else self.ending()[:1]
        return list(dict.fromkeys([*(token for token in tokens if self.fits(token, left)), *ends]))

    def ending(self) -> tuple[int, ...]:
        """Tokens that end the text; none where it may end here. RunError where no ending is known, which never is."""
        if self._ending:
            return self._ending
        if self.chart is None:
            return ()
        self._catch_up()
        if not self.chart.accepts:
            spelled = None if self.chart.cost(self._open) == NONE else self.lexicon.spelled(self.chart.ending(self._open), self._open)
            if not spelled:
                raise RunError("no ending of a constrained text is known, which must not be: please report the constraint and the model")
            self._ending = tuple(spelled)
        return self._ending

    def push(self, token: int) -> None:
        """One more token is written."""
        if self.first is not None:
            self.lost, self.first = token != self.first, None
            return
        if self.lost or token in self.ends:
            return
        said, place = self.lexicon.said(token, self._open), self._place
        self._sync(place)
        if said and not self._matchers[place].consume_token(token):
            self.lost = True
        if self.lexicon.first is not None:
            self._behind[1 - place] += said
        self._open = self._opened(token)
        self._waiting += said
        self._ending = self._ending[1:] if self._ending[:1] == (token,) else ()
        self._sync(self._place)

    # ---- the parts

    def _opened(self, token: int) -> bool:
        return token in self.lexicon.opens

    @property
    def _place(self) -> int:
        return int(self._open and self.lexicon.first is not None)

    def _matcher(self) -> Any:
        """llguidance's for this place."""
        return self._matchers[self._place]

    def _sync(self, i: int) -> None:
        """Show a matcher what it has not seen."""
        if self._behind[i] and not self.lost:
            self.lost = not self._matchers[i].consume_tokens([self.lexicon.size + byte for byte in self._behind[i]])
        self._behind[i] = b""

    def _catch_up(self) -> None:
        assert self.chart is not None
        if self._waiting and not self.chart.push(self._waiting):
            raise RunError(
                f"a constrained text went on with {self._waiting!r}, which its grammar does not allow: please report the constraint"
            )
        self._waiting = b""

    def _check(self, matcher: Any) -> None:
        if matcher.is_error():
            raise RunError(f"llguidance gave the constraint up ({matcher.get_error().splitlines()[0]}): ask for a smaller one")
