"""What OpenAI's requests have in common: fields that are known, what they ask of decoding, usage, log-probabilities, the error body."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ...base.errors import InputError
from ...decode.options import DecodeOptions
from ...decode.settle import inherited
from ...tasks.speech import Spoken
from ...text.stream import token_bytes
from ...text.tokenizer import Tokenizer
from ..refusal import Refusal
from ..served import Served
from ..writing import Token, Writing
from .protocol import Body, Fault

NAMES = {
    "max_new_tokens": "max_tokens",
    "num_return_sequences": "n",
    "stop_strings": "stop",
    "json_schema": "response_format",
    "min_new_tokens": "min_tokens",
}
"""Options of decoding by the names of these fields."""


def only(*values: Any) -> Any:
    """A field that may be there, with a value that asks for nothing."""

    def check(value: Any) -> Any:
        if value is not None and not any(value == one and type(value) is type(one) for one in values):
            raise ValueError("this server does not support it: leave it out")
        return value

    return Annotated[Any, AfterValidator(check)]


class StreamOptions(BaseModel):
    """`include_usage`: whether the last event counts tokens."""

    model_config = ConfigDict(extra="forbid")
    include_usage: bool = False
    include_obfuscation: bool | None = None


class Sampling(Body):
    """What chat and completions share; the last line is harken's own, as other servers name them."""

    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    n: int | None = Field(None, ge=1, le=128)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    user: str | None = None
    max_tokens: int | None = Field(None, ge=0)

    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0)
    min_tokens: int | None = Field(None, ge=0)

    @property
    def usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


def check_stream(asked: Sampling) -> None:
    """Refusal for options of a stream that is none."""
    if asked.stream_options is not None and not asked.stream:
        raise Refusal("stream_options are for stream: true", param="stream_options")


def decoding(served: Served, asked: Sampling, most: int | None, **more: Any) -> DecodeOptions:
    """The options of a request, `most` new tokens. Where it says nothing of chance, a text is drawn, as in OpenAI's; without a seed each
    time anew. Refusal in the names of the fields."""
    draws = {name: getattr(asked, name) for name in ("temperature", "top_p", "top_k", "min_p")}
    if asked.temperature == 0:  # then these say nothing
        draws = {"temperature": 0.0}
    given = {
        **draws,
        "max_new_tokens": most,
        "min_new_tokens": asked.min_tokens,
        "num_return_sequences": None if asked.n == 1 else asked.n,
        "stop_strings": (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        "presence_penalty": asked.presence_penalty,
        "frequency_penalty": asked.frequency_penalty,
        "repetition_penalty": asked.repetition_penalty,
        "logit_bias": asked.logit_bias,
        "seed": secrets.randbelow(2**31) if asked.seed is None else asked.seed,
        **more,
    }
    given = {name: value for name, value in given.items() if value is not None}
    said = inherited(served.usual, given, {})
    searched = (said.get("num_beams") or 1) > 1 or said.get("penalty_alpha")
    if served.model.reads == "text" and not searched and not {"temperature", "top_p", "top_k", "min_p"} & given.keys():
        given["do_sample"] = True
    with translated():
        return DecodeOptions(**given)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """In `with`: an InputError of harken becomes a Refusal in the names of the fields."""
    try:
        yield
    except Refusal:
        raise
    except InputError as error:
        text, param = str(error), None
        for name, theirs in NAMES.items():
            if name in text:
                param, text = param or theirs, text.replace(name, theirs)
        raise Refusal(text, param=param) from error


def response_format(asked: Mapping[str, Any] | None) -> dict[str, Any]:
    """The constraint that a format asks for. Refusal for one that is not known."""
    if asked is None or asked.get("type") == "text":
        return {}
    if asked.get("type") == "json_object":
        own = asked.get("value", asked.get("schema"))  # as others say it: Hugging Face's client, llama.cpp's server
        return {"json_schema": dict(own) if isinstance(own, Mapping) and own else {"type": "object"}}
    if asked.get("type") == "json_schema":
        given = asked.get("json_schema", asked)
        schema = given.get("schema") if isinstance(given, Mapping) else None
        if not isinstance(schema, Mapping):
            raise Refusal("response_format needs json_schema.schema: an object, the schema", param="response_format")
        return {"json_schema": dict(schema)}
    raise Refusal(f"response_format.type must be text, json_object or json_schema, not {asked.get('type')!r}", param="response_format")


def usage_of(writing: Writing | None, prompt: int = 0, more: int = 0) -> dict[str, Any]:
    """Tokens read and written."""
    read = prompt if writing is None else writing.prompt_tokens
    wrote = more + (0 if writing is None else writing.completion_tokens)
    return {
        "prompt_tokens": read,
        "completion_tokens": wrote,
        "total_tokens": read + wrote,
        "prompt_tokens_details": {"cached_tokens": 0 if writing is None else writing.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def finish(reason: str) -> str:
    """Why a text ended, in OpenAI's words."""
    return "stop" if reason == "stop" else "length"


def said(tokenizer: Tokenizer, id: int) -> tuple[str, bytes]:
    """(text, bytes) of one token; half a character is U+FFFD in the text."""
    words = tokenizer.target
    raw = words.inner.id_to_token(id)
    if raw is None:
        return "", b""
    if words.byte_level and id not in words.special_ids:
        spelled = token_bytes(raw)
        return spelled.decode("utf-8", "replace"), spelled
    if id in words.special_ids:
        return raw, raw.encode()
    text = words.decode([id]) or raw
    return (" " + text if raw.startswith("\u2581") and not text.startswith(" ") else text), text.encode("utf-8", "replace")


def chat_logprobs(tokenizer: Tokenizer, tokens: Iterable[Token]) -> dict[str, Any]:
    """Of a chat: each token, and the likeliest in its place."""

    def one(id: int, logprob: float) -> dict[str, Any]:
        text, spelled = said(tokenizer, id)
        return {"token": text, "logprob": finite(logprob), "bytes": list(spelled)}

    content = [{**one(token.id, token.logprob), "top_logprobs": [one(*each) for each in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def text_logprobs(tokenizer: Tokenizer, tokens: Sequence[Token], offset: int, *, first: bool = False) -> tuple[dict[str, Any], int]:
    """Of a completion: tokens, their log-probabilities, the likeliest, and where each begins from `offset` on; and where they end. `first`:
    nothing stands before the first of them."""
    texts = [said(tokenizer, token.id)[0] for token in tokens]
    *offsets, end = itertools.accumulate(map(len, texts), initial=offset)
    known: list[float | None] = [finite(token.logprob) for token in tokens]
    tops: list[dict[str, float] | None] = []
    for token in tokens:
        found: dict[str, float] = {}
        for id, logprob in token.top:
            found.setdefault(said(tokenizer, id)[0], finite(logprob))
        tops.append(found)
    if first and tokens:
        known[0] = tops[0] = None
    return {"tokens": texts, "token_logprobs": known, "top_logprobs": tops, "text_offset": offsets}, end


def finite(logprob: float) -> float:
    """-9999 for what cannot be, as OpenAI has it: JSON knows no infinity."""
    return logprob if logprob > -9999.0 else -9999.0


def reply_of(served: Served, text: str) -> str:
    """A reply as it is shown: without its role in front, and blanks at its ends."""
    spoken = Spoken(served.speech)
    return spoken.push(text) + spoken.flush()


def number(kind: str) -> tuple[str, int]:
    """(the id of an answer, when it was made)."""
    return f"{kind}-{secrets.token_hex(12)}", int(time.time())


def error_body(fault: Fault) -> dict[str, Any]:
    """What is wrong, as OpenAI's clients read it."""
    return {"error": {"message": fault.message, "type": fault.type, "param": fault.param, "code": fault.code}}
