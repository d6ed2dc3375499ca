"""Text of Hugging Face's inference API, with the parameters, details and stream of text-generation-inference.

A summary or a translation is asked of the model as `harken.pipeline` asks it: what config.json says for the task counts where the request
says nothing.

https://huggingface.co/docs/text-generation-inference/reference/api_reference
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field, ValidationError

from ...data.ledger import Ledger
from ...decode.options import DecodeOptions
from ...tasks.opening import head_of
from ...tasks.table import task_named
from ...tasks.task import Tools
from ...tasks.writing import WriteOptions
from ..answering import Json, Streamed, data, seed_of
from ..planning import within
from ..refusal import Refusal
from ..served import Served
from ..writing import Ended, Token, Writing
from .openai_fields import Sampling, decoding, finite, only, said
from .protocol import Body, Fault
from .worded import Answer, Talk, answer_of, stop_of, worded

NAMES = {"max_tokens": "max_new_tokens", "n": "num_return_sequences", "min_tokens": "min_new_tokens", "response_format": "grammar"}
KEYS = {"summarization": "summary_text", "translation": "translation_text"}
"""How the text of a task is called, where it is not generated_text."""
STOPS = 16
"""Texts that end an answer, at most."""


class Parameters(Body):
    """How to go on; without chance where nothing asks for it."""

    max_new_tokens: int | None = Field(None, ge=1)
    min_new_tokens: int | None = Field(None, ge=0)
    do_sample: bool | None = None
    temperature: float | None = Field(None, gt=0, le=2)
    top_k: int | None = Field(None, ge=1)
    top_p: float | None = Field(None, gt=0, le=1)
    typical_p: float | None = Field(None, gt=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    no_repeat_ngram_size: int | None = Field(None, ge=0)
    num_beams: int | None = Field(None, ge=1, le=16)
    num_return_sequences: int | None = Field(None, ge=1, le=128)
    seed: int | None = Field(None, ge=0, lt=2**63)
    stop: list[str] | None = Field(None, max_length=STOPS)
    stop_sequences: list[str] | None = Field(None, max_length=STOPS)
    return_full_text: bool | None = None
    details: bool | None = None
    grammar: dict[str, Any] | None = None
    src_lang: str | None = None
    tgt_lang: str | None = None
    generate_parameters: dict[str, Any] | None = None
    best_of: only(1) = None  # pyright: ignore[reportInvalidTypeForm]
    decoder_input_details: only(False) = None  # pyright: ignore[reportInvalidTypeForm]
    top_n_tokens: only(0) = None  # pyright: ignore[reportInvalidTypeForm]
    truncate: only() = None  # pyright: ignore[reportInvalidTypeForm]
    truncation: only("do_not_truncate") = None  # pyright: ignore[reportInvalidTypeForm]
    watermark: only(False) = None  # pyright: ignore[reportInvalidTypeForm]
    adapter_id: only() = None  # pyright: ignore[reportInvalidTypeForm]
    clean_up_tokenization_spaces: only(False) = None  # pyright: ignore[reportInvalidTypeForm]

    @property
    def stops(self) -> list[str]:
        """Texts that end an answer, by both names."""
        return [*(self.stop or ()), *(self.stop_sequences or ())]


def read(given: Mapping[str, Any]) -> Parameters:
    """Parameters, checked. Refusal with the name of the first that is wrong."""
    nested = given.get("generate_parameters")
    try:
        return Parameters(**{**given, **(nested if isinstance(nested, Mapping) else {})})
    except ValidationError as error:
        first = error.errors()[0]
        name = f"parameters.{'.'.join(map(str, first['loc']))}"
        says = "is not supported here: leave it out" if first["type"] == "extra_forbidden" else f"is wrong: {first['msg']}"
        raise Refusal(f"{name} {says}", param=name) from None


async def write(talk: Talk, served: Served, task: str, inputs: Any, given: Mapping[str, Any], stream: bool, request: Request) -> Response:
    """What a task makes of the inputs: a list, with details an object, or a stream of tokens."""
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
        raise Refusal("inputs should be a text, or a list of texts", param="inputs")
    asked = read(given)
    if (stream or asked.details) and (len(texts) > 1 or (asked.num_return_sequences or 1) > 1):
        raise Refusal("details and streams are of one text: give one input, and leave num_return_sequences out", param="inputs")
    if (count := len(asked.stops)) > STOPS:
        raise Refusal(f"parameters.stop and parameters.stop_sequences have {count} texts: give {STOPS} at most", param="parameters.stop")
    draws = (asked.temperature, asked.top_k, asked.top_p, asked.typical_p)
    chance = asked.do_sample or (asked.do_sample is None and any(one is not None for one in draws))
    sampling = Sampling.model_validate(
        {
            "model": served.name,
            "temperature": (1.0 if asked.temperature is None else asked.temperature) if chance else 0.0,
            "top_k": asked.top_k,
            "top_p": asked.top_p,
            "n": asked.num_return_sequences,
            "seed": asked.seed,
            "stop": asked.stops,
            "frequency_penalty": asked.frequency_penalty,
            "repetition_penalty": asked.repetition_penalty,
            "min_tokens": asked.min_new_tokens,
            "stream": stream,
        }
    )
    more: dict[str, Any] = {"no_repeat_ngram_size": asked.no_repeat_ngram_size, "num_beams": asked.num_beams}
    more |= {"typical_p": asked.typical_p if chance else None, **constraint(asked.grammar)}
    with worded(talk.names):
        options = decoding(served, sampling, asked.max_new_tokens, **more)
        limit = talk.server.engine.limits.max_new_tokens
        prefix, options = await asyncio.to_thread(told, served, task, options, limit, asked)
    writing = await talk.written(request, served, [prefix + text for text in texts], options, stream)
    if stream:
        return Streamed(writing, events(writing, asked), stream_error, seed_of(writing))
    answers = await talk.answers(request, writing, spoken=False)
    found, key = [], KEYS.get(task_named(task).name, "generated_text")
    for index, one in enumerate(answers):
        shown = writing.rows[index].prompt.shown if asked.return_full_text else ""
        item: dict[str, Any] = {key: shown + one.text}
        if asked.details:
            tokens = [token_of(writing, token) for token in writing.tokens(index)]
            item["details"] = {**details(writing, index, one, asked), "prefill": [], "tokens": tokens}
        found.append(item)
    several = isinstance(inputs, list) and (asked.num_return_sequences or 1) > 1
    each = writing.each
    return Json([found[i : i + each] for i in range(0, len(found), each)] if several else found, headers=seed_of(writing))


def told(served: Served, task: str, options: DecodeOptions, limit: int, asked: Parameters) -> tuple[str, DecodeOptions]:
    """(what stands in front of every input, the options with what config.json says for the task). `limit`: as of `within`.

    InputError for a model that was not made for the task, and for languages that are missing, or that it was not taught."""
    found, tools = task_named(task), Tools(served.model, served.tokenizer, task, Ledger(), served.own)
    if found.name != "text-generation":  # which a model that reads a source answers, too
        head_of(found, task, served.model.config, f"the model {served.name!r}", own=True)
    settled = found.once(tools, WriteOptions(**vars(options), src_lang=asked.src_lang, tgt_lang=asked.tgt_lang))
    if found.name == "translation" and settled.prefix is None:
        found.prepare("", tools, settled)  # says which languages there are
    return settled.prefix or "", within(options, settled.decoding, limit)


def constraint(grammar: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a grammar asks for. Refusal for one that is not known."""
    kinds = {"json": "json_schema", "json_schema": "json_schema", "regex": "regex"}
    if grammar is None:
        return {}
    if grammar.get("type") not in kinds or "value" not in grammar:
        raise Refusal("parameters.grammar should be of the type json or regex, with its value", param="parameters.grammar")
    return {kinds[grammar["type"]]: grammar["value"]}


def details(writing: Writing, index: int, answer: Answer, asked: Parameters) -> dict[str, Any]:
    """How a text ended."""
    reason = "length" if answer.reason != "stop" else "stop_sequence" if stop_of(writing, index, asked.stops) else "eos_token"
    return {"finish_reason": reason, "generated_tokens": len(writing.tokens(index)), "seed": writing.plan.options.seed}


def token_of(writing: Writing, token: Token, text: str | None = None) -> dict[str, Any]:
    """A token; `text`: what it added, where that is not its own."""
    tokenizer = writing.served.tokenizer
    shown = said(tokenizer, token.id)[0] if text is None else text
    return {"id": token.id, "text": shown, "logprob": finite(token.logprob), "special": token.id in tokenizer.target.special_ids}


async def events(writing: Writing, asked: Parameters) -> AsyncIterator[bytes]:
    """A token at a time, whose texts together are the text; the last one says how it ended."""
    held: tuple[Token, str] | None = None
    count = 0

    def event(token: Token, text: str, more: Mapping[str, Any] | None = None) -> bytes:
        return data({"index": count, "token": token_of(writing, token, text), "generated_text": None, "details": None, **(more or {})})

    async with writing:
        async for one in writing:
            for token in one.tokens:
                if held is not None:
                    yield event(*held)
                count, held = count + 1, (token, "")
            if held is not None:
                held = held[0], held[1] + one.text
            if isinstance(one, Ended):
                answer = answer_of(writing, one.index, one.found.text, False)
                ended = {**details(writing, one.index, answer, asked), "input_length": writing.prompt_tokens}
                yield event(*(held or (Token(0, 0.0), one.text)), {"generated_text": answer.text, "details": ended})


def stream_error(fault: Fault) -> dict[str, Any]:
    """What is wrong, in the middle of a stream."""
    return {"error": fault.message, "error_type": "incomplete_generation"}
