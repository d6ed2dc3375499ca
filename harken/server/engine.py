"""The engine: one thread in which all models compute, and what the rest of the server asks of it.

    engine = Engine(read_models(["runs/a", "b=runs/b"]), Limits())
    engine.start()
    async with await engine.write(engine.find("a"), ["Once upon"], DecodeOptions(max_new_tokens=20)) as writing:
        found = await writing.all()

The thread goes round: a step of every batch that has texts under way, and one turn of one piece of other work. Kernels are only called from
it, so it needs no lock; whoever asks waits in an event loop, and is told of every step at once.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ..base.errors import did_you_mean
from ..base.report import say
from ..decode.options import DecodeOptions
from . import turns
from .batch import Batch, Told
from .limits import Limits
from .planning import MOST_ROWS, planned_rows, together
from .refusal import Refusal, closing, full, overdue
from .served import Served
from .tally import Tally
from .writing import Token, Who, Writing

Result = TypeVar("Result")


class Engine:
    """`models`: by name · `limits` · `tally`: what is counted."""

    def __init__(self, models: Sequence[Served], limits: Limits | None = None, tally: Tally | None = None) -> None:
        self.models = {one.name: one for one in models}
        self.limits, self.tally = limits or Limits(), tally or Tally()
        self.batches: dict[tuple[int, bool, str | None], Batch] = {}
        self.turns = turns.Turns()
        self.closing = self.cutting = False
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._open: set[Writing] = set()  # not answered yet; of the event loop
        self._works = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="harken-engine", daemon=True)

    # ---- what is asked, in the event loop

    def find(self, name: str) -> Served:
        """The model of a name. Refusal (404) where there is none."""
        if name not in self.models:
            raise Refusal(f"the model {name!r} does not exist{did_you_mean(name, self.models)}", 404, param="model", code="model_not_found")
        return self.models[name]

    def start(self) -> None:
        """Begin to compute, for the event loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def write(
        self, served: Served, prompts: Sequence[Any], options: DecodeOptions, *, top: int = 0, stream: bool = False, who: Who | None = None
    ) -> Writing:
        """Begin to continue every prompt, as `harken.generate` would; what comes is told by the `Writing`.

        `top`: so many of the likeliest tokens are told of each place · `stream`: the text comes in pieces, else only its end does. Refusal
        (and InputError) for what cannot be done, with 429 when too many wait already."""
        began = time.monotonic()
        self._admit(1)
        rows, planned = await asyncio.to_thread(planned_rows, served, prompts, options, self.limits.max_new_tokens, stream)
        one_by_one = not (planned.width > 1 and (planned.options.num_beams or 1) > 1) and not planned.options.penalty_alpha
        if top and not (one_by_one and together(served, planned)):
            raise Refusal("alternatives are known where one token is chosen after the other: leave them or the search out")
        self._admit(len(rows))
        deadline = began + self.limits.max_seconds
        writing = Writing(served, planned, rows, len(prompts), who or Who(), top, stream, deadline, self._close, began=began)
        if together(served, planned):
            batch = self._batch(served, turns.typed(writing))
            longest = max(min(row.length + row.limit, served.context) for row in rows)
            if not batch.holds(longest):
                raise Refusal(f"a text of {longest:,} tokens needs more memory than the server has for it: ask for fewer tokens")
        self._open.add(writing)
        self._inbox.put(writing)
        return writing

    async def ask(self, served: Served, task: str, inputs: Sequence[Any], *, who: Who | None = None, **options: Any) -> list[Any]:
        """The answers of `harken.pipeline(task, model)` to a list of inputs; what others ask alike is read with them."""
        found = await self._answer(lambda tell, gone: turns.Asked(served, task, inputs, options, tell, gone))
        self.tally.inputs.labels(served.name, (who or Who()).key, task).inc(len(inputs))
        return found

    async def weigh(self, served: Served, ids: Sequence[int], top: int = 0) -> list[Token]:
        """Every token of a text with its log-probability given those before it, and the likeliest in its place; 0 for the first."""

        def parts() -> Iterator[list[Token]]:
            found = turns.weighed(served.model, ids, top)
            while True:
                turns.choose(served.model, served.adapter)
                part = next(found, None)
                if part is None:
                    return
                yield part

        return [token for part in await self.work(parts) for token in part]

    async def work(self, begin: Callable[[], Iterator[Result]]) -> list[Result]:
        """All that an iterator gives, each `next` of it a turn in the thread of the models; what it raises is raised here."""
        return await self._answer(lambda tell, gone: turns.Work(begin, tell, gone))

    async def _answer(self, made: Callable[[Callable[[Any], None], Callable[[], bool]], Any]) -> Any:
        """What becomes of some work, made of how it is told and whether anybody waits. Refusal when it takes too long."""
        loop = asyncio.get_running_loop()
        self._admit(1)
        answer: asyncio.Future[Any] = loop.create_future()

        def settle(found: Any) -> None:
            if not answer.done():
                answer.set_exception(found) if isinstance(found, Exception) else answer.set_result(found)

        def tell(found: Any) -> None:
            loop.call_soon_threadsafe(settle, found)

        self._works += 1
        self._inbox.put(made(tell, answer.cancelled))
        try:
            return await asyncio.wait_for(answer, self.limits.max_seconds)
        except TimeoutError:
            raise overdue(self.limits.max_seconds) from None
        finally:
            self._works -= 1

    async def drain(self, seconds: float) -> None:
        """Begin nothing new, wait for what is under way, and after so many seconds end it where it is; then the thread ends."""
        self.closing, end = True, time.monotonic() + seconds
        while (self._open or self._works) and time.monotonic() < end:
            await asyncio.sleep(0.02)
        now = time.monotonic()
        for writing in self._open:
            writing.deadline = min(writing.deadline, now)
        end = now + 5
        while (self._open or self._works) and time.monotonic() < end:
            await asyncio.sleep(0.02)
        self.cutting = True
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join, 5)

    @property
    def alive(self) -> bool:
        """Whether anything is computed."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Texts and other work that nothing was done for yet."""
        batched = sum(len(batch.waiting) for batch in list(self.batches.values()))
        return self._inbox.qsize() + batched + self.turns.waiting

    @property
    def running(self) -> int:
        """Texts under way."""
        return sum(len(batch.flying) for batch in list(self.batches.values()))

    def _admit(self, more: int) -> None:
        """Refusal when there is no place left to wait."""
        if self.closing:
            raise closing()
        if more > MOST_ROWS:
            raise Refusal(f"a request has {MOST_ROWS} texts at most, and this one asks for {more:,}")
        free = max(0, self.limits.max_running - self.running)
        if self.waiting + more > self.limits.max_waiting + max(free, 1):
            raise full(retry=max(1, math.ceil(self.waiting / 32)))

    def _batch(self, served: Served, typed: bool) -> Batch:
        """The batch that a request belongs to: one for each model, apart for dialogues and for adapters with parts of their own."""
        model = served.model
        typed = typed and model.named_types
        key = id(model), typed, served.adapter if model.adapters.kept else None
        if key not in self.batches:
            room = int(self.limits.cache_memory * 2**30)
            self.batches[key] = Batch(model, self.limits.max_running, room, typed=typed)
        return self.batches[key]

    def _deliver(self, told: Told) -> None:
        """Pass on what happened in a step."""
        for writing, event in told:
            writing.tell(event)
            if writing.done:
                self._close(writing)

    def _close(self, writing: Writing) -> None:
        """Nothing more will come of a request, or be asked of it."""
        if writing in self._open:
            self._open.remove(writing)
            self.tally.ended(writing)

    # ---- what is computed, in the thread

    def _run(self) -> None:
        while not self.cutting:
            if not self._take(wait=not self._busy):
                return
            begun = time.monotonic()
            told: Told = []
            for batch in list(self.batches.values()):
                if batch.busy:
                    told += self._stepped(batch)
            try:
                told += self.turns.turn()
            except Exception as error:  # of a turn that does not tell it itself
                say(f"a turn failed: {type(error).__name__}: {error}")
            self._gauge(time.monotonic() - begun)
            self._tell(told)

    @property
    def _busy(self) -> bool:
        return bool(self.turns.waiting) or any(batch.busy for batch in list(self.batches.values()))

    def _take(self, *, wait: bool) -> bool:
        """What was asked since; False when that is to end."""
        while True:
            try:
                given = self._inbox.get(block=wait)
            except queue.Empty:
                return True
            wait = False
            if given is None:
                return False
            if isinstance(given, Writing) and together(given.served, given.plan):
                self._batch(given.served, turns.typed(given)).add(given)
            else:
                self.turns.add(given)

    def _stepped(self, batch: Batch) -> Told:
        """A step; what goes wrong in it beyond what a batch expects ends all its texts, and nothing else."""
        try:
            return batch.step()
        except Exception as error:
            return batch.fail_all(error)

    def _gauge(self, seconds: float) -> None:
        self.tally.steps.observe(seconds)
        self.tally.waiting.set(self.waiting)
        self.tally.running.set(self.running)
        self.tally.memory.set(sum(batch.nbytes for batch in list(self.batches.values())))

    def _tell(self, told: Told) -> None:
        if told and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, told)
