"""What a request comes to before anything is computed: its prompts as ids, its options as a plan, a row for each text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..decode.generate import check_pieces
from ..decode.options import DecodeOptions
from ..decode.plan import Plan, plan
from ..decode.prompt import Prompt, encode_prompt, read_prompt
from ..decode.rows import Row, start_rows
from ..decode.watch import Watch
from .refusal import Refusal, too_long
from .served import Served

MOST_ROWS = 128
"""Texts of one request at most."""


def planned_rows(served: Served, prompts: Sequence[Any], options: DecodeOptions, most: int, stream: bool) -> tuple[list[Row], Plan]:
    """The rows of a request, and how they are written. `most`: new tokens that may be asked for, and that are written where nothing is
    said of them.

    It is no work for an event loop, since a constraint may take a while. Refusal for what cannot be done."""
    model, tokenizer = served.model, served.tokenizer
    if not served.writes:
        raise Refusal(f"the model {served.name!r} was built for {model.config.task} and writes no text", param="model")
    if options.exact is False:
        raise Refusal("exact=False would change how the answers of others are computed: leave it out", param="exact")
    if (options.max_new_tokens or 0) > most:
        raise Refusal(f"{options.max_new_tokens:,} new tokens are asked for, and this server writes {most:,} at most")
    check_pieces(options)
    planned = plan(model, tokenizer, options, usual=served.usual)
    if len(prompts) * planned.width > MOST_ROWS:
        raise Refusal(f"a request has {MOST_ROWS} texts at most, and this one asks for {len(prompts) * planned.width:,}")
    encoded = [encoded_prompt(served, prompt, window=options.overflow == "window") for prompt in prompts]
    rows = start_rows(model, tokenizer, encoded, planned, most)
    for row in rows:
        if stream and row.watch is None:
            row.watch = Watch(tokenizer.target, row.begun, planned.options.stop_strings)
    return rows, planned


def within(asked: DecodeOptions, options: DecodeOptions, most: int) -> DecodeOptions:
    """What options come to that were worked out from what is asked: where that says nothing of new tokens, `most` of them at most."""
    if asked.max_new_tokens is not None or (options.max_new_tokens or 0) <= most:
        return options
    return dataclasses.replace(options, max_new_tokens=most)


def encoded_prompt(served: Served, prompt: Any, *, window: bool = False) -> Prompt:
    """A prompt as ids, or one that is read already. Refusal when it does not fit the context."""
    if isinstance(prompt, Prompt):
        return prompt
    read = read_prompt(served.model, served.tokenizer, prompt)
    least = int(served.model.reads != "source")
    if not window and len(read.ids) > served.context - least:
        raise too_long(len(read.ids), served.context, least)
    return encode_prompt(served.model, served.tokenizer, prompt, window=window)


def together(served: Served, planned: Plan) -> bool:
    """Whether a batch can write it, a token after the other."""
    asked = planned.options
    plain = (asked.num_beams or 1) == 1 and not asked.penalty_alpha and not asked.speculate and planned.assistant is None
    return plain and asked.guidance_scale in (None, 1) and asked.use_cache is not False and served.batched
