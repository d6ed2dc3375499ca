"""A request that is being answered: what the thread that computes tells whoever asked, and how they take it back.

async with await engine.write(served, [prompt], options) as writing:
    async for event in writing: ...              # Said and Ended, as they come
    found = await writing.all()                  # or only the end: a Generated for each row
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..decode.options import Generated
from ..decode.plan import Plan
from ..decode.rows import Row
from .refusal import Refusal

if TYPE_CHECKING:
    from .served import Served


@dataclass(frozen=True)
class Token:
    """`logprob`: natural, under the model itself · `top`: the likeliest tokens there, with theirs, where they were asked for."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Said:
    """More of a row. `index`: which · `text`: what is certain now, where it is wanted piece by piece · `tokens`: those written."""

    index: int
    text: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Ended:
    """A row is whole. `text`: its last piece · `tokens`: what was written last and is not text, such as an end."""

    index: int
    found: Generated
    text: str = ""
    tokens: tuple[Token, ...] = ()


Event = Said | Ended


@dataclass(frozen=True)
class Who:
    """Who asks. `key`: the name of their key · `id`: of the request, for the log · `route`: what was asked."""

    key: str = "anonymous"
    id: str = ""
    route: str = ""


@dataclass(eq=False)
class Writing:
    """`rows`: the texts under way · `top`: likeliest tokens to tell of each place · `stream`: whether it is told piece by piece ·
    `deadline`: of `time.monotonic()` · `closed`: told when nobody waits any more · `cached`: tokens of the prompts that need not be read ·
    `first`: when the first token came · `written`, `found`: what was told of each text until now, and those that have ended."""

    served: Served
    plan: Plan
    rows: Sequence[Row]
    prompts: int
    who: Who
    top: int = 0
    stream: bool = False
    deadline: float = float("inf")
    closed: Callable[[Writing], None] = lambda writing: None
    cached: int = 0
    began: float = field(default_factory=time.monotonic)
    first: float | None = None  # when the first token came
    cancelled: bool = False
    found: dict[int, Generated] = field(default_factory=dict)
    written: dict[int, tuple[Token, ...]] = field(default_factory=dict)
    failed: Exception | None = None
    events: asyncio.Queue[Event | Exception] = field(default_factory=asyncio.Queue)
    _first: list[Event | Exception] = field(default_factory=list)

    @property
    def each(self) -> int:
        """Texts of every prompt."""
        return self.plan.options.num_return_sequences or 1

    @property
    def wanted(self) -> int:
        """Texts that are told when they are whole: of beams fewer than are under way."""
        return self.prompts * self.each

    def tokens(self, index: int) -> tuple[Token, ...]:
        """All that was written in a row that has ended."""
        return self.written.get(index, ())

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompts, each counted once."""
        return sum(len(row.prompt.ids) for row in self.rows[:: max(1, len(self.rows) // self.prompts)])

    @property
    def completion_tokens(self) -> int:
        """Tokens written until now."""
        return sum(len(row.ids) for row in self.rows)

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.failed is not None or len(self.found) == self.wanted

    def cancel(self) -> None:
        """Nobody wants the answer any more."""
        self.cancelled = True
        self.closed(self)

    async def __aenter__(self) -> Writing:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events in order; what went wrong is raised."""
        ended = 0
        while ended < self.wanted:
            event = self._first.pop() if self._first else await self.events.get()
            if isinstance(event, Exception):
                raise event
            ended += isinstance(event, Ended)
            yield event

    async def started(self) -> None:
        """When there is something to tell; what went wrong before is raised."""
        if not self._first:
            self._first.append(await self.events.get())
        if isinstance(first := self._first[0], Exception):
            raise first

    async def all(self) -> list[Generated]:
        """Every row, in the order of the prompts."""
        async for _ in self:
            pass
        return [self.found[index] for index in range(self.wanted)]

    def tell(self, event: Event | Exception) -> None:
        """In the loop of whoever asked: one more event."""
        if isinstance(event, Exception):
            self.failed = self.failed or event
        else:
            self.written[event.index] = self.written.get(event.index, ()) + event.tokens
            if isinstance(event, Ended):
                self.found[event.index] = event.found
        self.events.put_nowait(event)


def failure(error: BaseException) -> Exception:
    """What a request is told of an error in the middle of it: input errors as they are, everything else as one sentence."""
    if isinstance(error, Refusal):
        return error
    short = "memory" in str(error).lower() or isinstance(error, MemoryError)
    if short:
        return Refusal("there is not enough memory for this request: ask for less, or in a moment", 503, code="out_of_memory", retry=5)
    return error if isinstance(error, Exception) else RuntimeError(str(error))
