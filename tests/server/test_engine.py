"""The engine's invariant: whatever else is asked at the same time, an answer is what `harken.generate` gives for the request alone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import replace
from typing import Any

import pytest

from harken.base.errors import InputError
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.server import batch
from harken.server.flight import Flight
from harken.server.limits import Limits
from harken.server.refusal import Refusal
from harken.server.served import Served
from harken.server.turns import Asked, Turns
from harken.server.writing import Ended
from harken.tasks.pipeline import pipeline

WORDS = "abcdefghijklmnopqrstuvwxyz"


def prompt_of(rng: random.Random, kept: list[str], most: int = 40) -> str:
    """A prompt that may begin as another did."""
    text = rng.choice(kept)[: rng.randint(1, most)] if kept and rng.random() < 0.6 else ""
    text += "".join(rng.choices(WORDS, k=rng.randint(1, max(1, most - len(text)))))
    kept.append(text := text[:most])
    return text


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bart", "gru"])
def test_answers_do_not_depend_on_the_load(kind: str, kinds: Any, drawn: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PART", 5)  # prompts are read in several parts
    monkeypatch.setattr(batch, "PARTS", 11)
    model, tokenizer = kinds(kind)
    served = Served(kind, model, tokenizer)
    rng, kept = random.Random(kind), []
    asked, alone = [], []
    while len(asked) < 45:
        prompts, options = [prompt_of(rng, kept) for _ in range(rng.choice([1, 1, 2]))], drawn(rng, model.reads)
        with contextlib.suppress(InputError):  # not all of it goes together, or with every model
            alone.append(generate(model, tokenizer, prompts, options))
            asked.append((prompts, options))

    async def work(engine: Any) -> list[Any]:
        async def ask(prompts: list[str], options: DecodeOptions, wait: float, leave: int | None, stream: bool) -> Any:
            await asyncio.sleep(wait)
            async with await engine.write(served, prompts, options, stream=stream) as writing:
                seen = 0
                texts: dict[int, str] = {}
                async for event in writing:
                    texts[event.index] = texts.get(event.index, "") + event.text
                    seen += 1
                    if seen == leave:
                        return None
                found = [writing.found[i] for i in range(writing.wanted)]
                if stream:
                    shown = [writing.rows[i].prompt.shown for i in range(writing.wanted)]
                    if (options.num_beams or 1) == 1:
                        assert [texts[i] for i in range(writing.wanted)] == [g.text[len(s) :] for g, s in zip(found, shown, strict=True)]
                        assert [tuple(t.id for t in writing.tokens(i)) for i in range(writing.wanted)] == [g.ids for g in found]
                return found

        leave = [rng.choice([None, None, 1, 3]) for _ in asked]
        answers = await asyncio.gather(
            *(ask(p, o, rng.random() * 0.3, n, rng.random() < 0.5 or n is not None) for (p, o), n in zip(asked, leave, strict=True))
        )
        for one in engine.batches.values():
            while one.busy:
                await asyncio.sleep(0.01)
            assert not one.flying and one.slots.nbytes + one.prefixes.nbytes <= 2 * one.room
        return answers

    answers = run([served], work, Limits(max_running=7, cache_memory=0.001))
    for (_prompts, options), found, right in zip(asked, answers, alone, strict=True):
        assert found is None or found == right, options
    assert sum(found is not None for found in answers) > 15


def test_what_was_read_is_not_read_again(kinds: Any, run: Any) -> None:
    model, tokenizer = kinds("llama")
    served, text = Served("a", model, tokenizer), "thequickbrownfoxjumpsover"
    first, options = generate(model, tokenizer, [text], o := DecodeOptions(max_new_tokens=8)), o

    async def work(engine: Any) -> Any:
        found = []
        for prompt in (text, text, text + "thelazy"):
            async with await engine.write(served, [prompt], options) as writing:
                found.append((await writing.all(), writing.cached))
        return found

    (one, none), (two, some), (_, more) = run([served], work)
    assert one == two == first
    assert none == 0 and some == len(tokenizer.encode(text, special=False)) - 1 + len(tokenizer.prefix)
    assert more >= some


def test_top_logprobs_and_log_probabilities_of_a_text(kinds: Any, run: Any) -> None:
    import torch

    model, tokenizer = kinds("gpt2")
    served, ids = Served("a", model, tokenizer), kinds("gpt2")[1].encode("abcdefgh", special=False)

    async def work(engine: Any) -> Any:
        async with await engine.write(served, [ids], DecodeOptions(max_new_tokens=3), top=4) as writing:
            await writing.all()
            return writing.tokens(0), await engine.weigh(served, ids, 2)

    tokens, weighed = run([served], work)
    assert len(tokens) == 3 and all(len(token.top) == 4 and token.top[0] == (token.id, token.logprob) for token in tokens)
    right = model.score(torch.tensor([ids]))[0].tolist()
    assert [token.logprob for token in weighed] == right and [token.id for token in weighed] == ids
    assert all(token.top[0][1] >= token.logprob for token in weighed[1:])


def test_too_many_are_told_to_come_again(kinds: Any, run: Any) -> None:
    served = Served("a", *kinds("gpt2"))

    async def work(engine: Any) -> list[Any]:
        async def one() -> Any:
            async with await engine.write(served, ["abc"], DecodeOptions(max_new_tokens=30)) as writing:
                return await writing.all()

        return await asyncio.gather(*(one() for _ in range(30)), return_exceptions=True)

    found = run([served], work, Limits(max_running=2, max_waiting=4))
    refused = [one for one in found if isinstance(one, Refusal)]
    assert refused and all(one.status == 429 and one.retry for one in refused)
    answered = [one for one in found if isinstance(one, list)]
    assert len(answered) + len(refused) == 30 and len(answered) >= 4 and all(one == answered[0] for one in answered)


def test_time_and_drain_end_answers_properly(kinds: Any, run: Any) -> None:
    model, tokenizer = kinds("gpt2")
    served, options = Served("a", model, tokenizer), DecodeOptions(max_new_tokens=4000, overflow="window")

    async def late(engine: Any) -> Any:
        async with await engine.write(served, ["abc"], options) as writing:
            return await writing.all()

    (one,) = run([served], late, Limits(max_seconds=0.3))
    assert one.finish_reason == "time" and 0 < len(one.ids) < 4000

    async def drained(engine: Any) -> Any:
        async with await engine.write(served, ["abc"], options, stream=True) as writing:
            await writing.started()
            ending = asyncio.ensure_future(engine.drain(0.1))
            found = await writing.all()
            with pytest.raises(Refusal, match="shutting down"):
                await engine.write(served, ["abc"], options)
            await ending
            return found

    (two,) = run([served], drained)
    assert two.finish_reason == "time" and 0 < len(two.ids) < 4000


def test_a_request_that_fails_fails_alone(kinds: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = kinds("gpt2")
    served = Served("a", model, tokenizer)
    right = generate(model, tokenizer, ["abcdef"], options := DecodeOptions(max_new_tokens=20))
    whole = type(model).hidden

    def hidden(self: Any, ids: Any, *rest: Any, **more: Any) -> Any:
        if tokenizer.encode("z", special=False)[0] in ids:
            raise RuntimeError("can't allocate memory: you tried to allocate 1 bytes")
        return whole(self, ids, *rest, **more)

    monkeypatch.setattr(type(model), "hidden", hidden)

    first, failed, last = run([served], at_once(served, ["abcdef", "zzzzzzzz", "abcdef"], options))
    assert first == last == right
    assert isinstance(failed, Refusal) and failed.status == 503 and failed.code == "out_of_memory"


def at_once(served: Served, prompts: list[str], options: DecodeOptions) -> Any:
    """What becomes of each prompt, all asked together."""

    async def work(engine: Any) -> Any:
        async def one(prompt: str) -> Any:
            async with await engine.write(served, [prompt], options) as writing:
                return await writing.all()

        return await asyncio.gather(*map(one, prompts), return_exceptions=True)

    return work


def test_a_text_that_cannot_be_told_fails_alone(kinds: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = kinds("gpt2")
    served, told = Served("a", model, tokenizer), Flight.told
    options = DecodeOptions(max_new_tokens=20, num_return_sequences=2, do_sample=True)
    right = generate(model, tokenizer, ["abcdef"], options)

    def untold(self: Flight) -> Any:
        if self.row.prompt.text == "zz":
            raise RuntimeError("there is no text")
        return told(self)

    monkeypatch.setattr(Flight, "told", untold)

    first, failed, last = run([served], at_once(served, ["abcdef", "zz", "abcdef"], options))
    assert first == last == right and isinstance(failed, RuntimeError)


def test_what_cannot_be_is_refused(kinds: Any, run: Any) -> None:
    model, tokenizer = kinds("gpt2")
    served = Served("a", model, tokenizer)

    async def work(engine: Any) -> None:
        with pytest.raises(Refusal, match="does not exist"):
            engine.find("b")
        with pytest.raises(Refusal, match="context length is 48 tokens") as found:
            await engine.write(served, ["a" * 60], DecodeOptions())
        assert found.value.code == "context_length_exceeded"
        with pytest.raises(Refusal, match="exact"):
            await engine.write(served, ["a"], DecodeOptions(exact=False))
        with pytest.raises(Refusal, match="at most"):
            await engine.write(served, ["a"], DecodeOptions(max_new_tokens=100_000))
        with pytest.raises(Refusal, match="alternatives"):
            await engine.write(served, ["a"], DecodeOptions(num_beams=2), top=2)

    run([served], work)


def test_the_servers_limit_stands_where_nothing_is_said(kinds: Any, run: Any) -> None:
    model, tokenizer = kinds("gpt2")
    served = Served("a", model, tokenizer)

    async def work(engine: Any) -> list[int]:
        counts = []
        for said in ({}, {"max_new_tokens": 20}, {"max_length": 30}, {"max_new_tokens": 3}):
            model.generation = {"min_new_tokens": 3, **said}
            async with await engine.write(served, ["abc"], DecodeOptions()) as writing:
                counts.append(len((await writing.all())[0].ids))
        model.generation = {"max_length": 3}  # counts the prompt, also where it is more than the server writes
        with pytest.raises(InputError, match="max_length counts the prompt"):
            await engine.write(served, ["abcdefgh"], DecodeOptions())
        with pytest.raises(InputError, match="consensus compares whole texts"):
            await engine.write(served, ["abc"], DecodeOptions(consensus=3))
        model.generation = {}
        with pytest.raises(Refusal, match="writes 5 at most"):
            await engine.write(served, ["abc"], DecodeOptions(max_new_tokens=6))
        return counts

    *clipped, own = run([served], work, Limits(max_new_tokens=5))
    assert own == 3 and all(3 <= count <= 5 for count in clipped)


def test_many_rows_take_several_turns(kinds: Any) -> None:
    """And whoever has gone is not read for."""
    model, tokenizer = kinds("gpt2")
    texts = ["x" * count for count in range(10, 42)]
    right = pipeline("feature-extraction", (model, tokenizer))(texts, pooling="mean")
    for leaves in (None, 2):
        going, told, count = Turns(), [], 0
        asked = Asked(Served("a", model, tokenizer), "feature-extraction", texts, {"pooling": "mean"}, told.append, lambda: count == leaves)  # noqa: B023
        going.add(asked)
        while going.waiting:
            going.turn()
            count += 1
        assert told == ([] if leaves else [right]) and (count > 3 if leaves is None else count == 3)


def test_several_models_take_turns(kinds: Any, run: Any) -> None:
    models = [Served(kind, *kinds(kind)) for kind in ("gpt2", "llama", "bart")]
    options = DecodeOptions(max_new_tokens=12)
    right = [generate(one.model, one.tokenizer, ["abc"], options) for one in models]

    async def work(engine: Any) -> Any:
        async def one(served: Served) -> Any:
            async with await engine.write(served, ["abc"], options) as writing:
                return await writing.all()

        return await asyncio.gather(
            *map(one, models), *(engine.ask(models[0], "text-generation", ["a", "b"], max_new_tokens=4) for _ in "ab")
        )

    *found, asked, again = run(models, work)
    assert found == right
    pipeline = [generate(models[0].model, models[0].tokenizer, [text], replace(options, max_new_tokens=4))[0].text for text in "ab"]
    assert [one[0]["generated_text"] for one in asked] == pipeline and asked == again
    assert isinstance(Ended, type)


def test_what_is_asked_alike_is_read_together(kinds: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from harken.tasks import pipeline as pipelines

    model, tokenizer = kinds("gpt2")
    served, calls = Served("a", model, tokenizer), []
    texts = ["abc", "de", "fghij", "", "x" * 90, "klm"]
    whole = pipelines.Pipeline.parts
    right = [pipelines.pipeline("feature-extraction", (model, tokenizer))([text], pooling="mean") for text in texts[:4]]

    def counted(self: Any, inputs: Any, **more: Any) -> Any:
        calls.append(len(inputs))
        return whole(self, inputs, **more)

    monkeypatch.setattr(pipelines.Pipeline, "parts", counted)

    async def work(engine: Any) -> Any:
        async def blocking() -> None:
            await engine.work(lambda: (time.sleep(0.2) for _ in "a"))

        async def asking(text: str) -> Any:
            await asyncio.sleep(0.05)
            return await engine.ask(served, "feature-extraction", [text], pooling="mean")

        _, *found = await asyncio.gather(blocking(), *map(asking, texts), return_exceptions=True)
        return found

    *found, long, last = run([served], work)
    assert found == right and isinstance(last, list)
    assert isinstance(long, InputError) and max(calls) == len(texts)
