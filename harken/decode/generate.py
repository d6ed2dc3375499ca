"""One loop over the model protocol: read the prompts, then a token a step for every unfinished row.

An answer does not depend on the other prompts of the batch: prompts of different length share it without gaps, sums run in
a fixed order, and chance is keyed by the prompt.   A unfinished rows · V vocabulary
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from ..base.errors import InputError
from ..nn.mask import Mask
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .options import DecodeOptions, Generated
from .sample import Chance, choose
from .watch import Watch

ROWS = 64
"""Rows decoded together; more are taken in turn."""
DEFAULT_NEW_TOKENS = 256


@dataclass
class Row:
    """One sequence under way."""

    prompt: list[int]
    sample: int
    limit: int  # new tokens at most
    chance: Chance
    ids: list[int]
    logprobs: list[float]
    watch: Watch | None = None  # where its text is wanted as it grows, or stop strings may end it
    finish: str | None = None


def generate(model: Model, tokenizer: Tokenizer, prompts: Sequence[str], options: DecodeOptions) -> list[Generated]:
    """Continue every prompt `num_return_sequences` times; the answers stand in the order of the prompts.

    InputError when a prompt leaves no room in the model's context.
    """
    encoded = [encode_prompt(model, tokenizer, prompt) for prompt in prompts]
    out: list[Generated] = []
    together = max(1, ROWS // options.num_return_sequences)
    for at in range(0, len(prompts), together):
        rows = start_rows(model, encoded[at : at + together], options)
        if options.stop_strings:
            for row in rows:
                row.watch = Watch(tokenizer, row.prompt, options.stop_strings)
        for _ in decode(model, rows, options, end_ids(model), silent_ids(tokenizer)):
            pass
        texts = [p for p in prompts[at : at + together] for _ in range(options.num_return_sequences)]
        out += [finished(tokenizer, row, prompt) for row, prompt in zip(rows, texts, strict=True)]
    return out


def stream(model: Model, tokenizer: Tokenizer, prompt: str, options: DecodeOptions) -> Iterator[str]:
    """The continuation of one prompt in pieces of whole characters, as they come; together they are what `generate` adds."""
    options = replace(options, num_return_sequences=1)
    rows = start_rows(model, [encode_prompt(model, tokenizer, prompt)], options)
    rows[0].watch = watch = Watch(tokenizer, rows[0].prompt, options.stop_strings)
    for _ in decode(model, rows, options, end_ids(model), silent_ids(tokenizer)):
        yield watch.piece
    watch.flush()
    yield watch.piece


def next_distribution(model: Model, tokenizer: Tokenizer, text: str) -> torch.Tensor:
    """(V,) natural log-probabilities of the token that follows `text`."""
    model.pack()
    with torch.no_grad():
        ids = torch.tensor([encode_prompt(model, tokenizer, text)], device=model.device)
        return model(ids, last=True)[0].float().log_softmax(-1)


def encode_prompt(model: Model, tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The ids a prompt begins with, the template's special tokens included. InputError when it is empty or fills the context."""
    ids = tokenizer.prefix + tokenizer.encode(prompt, special=False)  # what the template puts behind a text would end it
    if not ids:
        raise InputError("the prompt is empty and this tokenizer has no token to begin with: give at least one character")
    if len(ids) >= model.context:
        raise InputError(
            f"the prompt has {len(ids):,} tokens, but this model reads at most {model.context:,} and one must be left to write: "
            f"shorten it by {len(ids) - model.context + 1:,} tokens"
        )
    return ids


def end_ids(model: Model) -> list[int]:
    """The ids that end a text."""
    end = model.config.eos_token_id
    return [] if end is None else list(end) if isinstance(end, list | tuple) else [end]


def silent_ids(tokenizer: Tokenizer) -> list[int]:
    """The ids that say nothing where a text is written: padding, its beginning, a mask, an unknown character."""
    silent = (tokenizer.pad_id, tokenizer.bos_id, tokenizer.cls_id, tokenizer.mask_id, tokenizer.unk_id)
    return sorted({i for i in silent if i is not None})


def start_rows(model: Model, prompts: Sequence[list[int]], options: DecodeOptions) -> list[Row]:
    """One row for every sample of every prompt."""
    return [
        Row(ids, n, min(options.max_new_tokens or DEFAULT_NEW_TOKENS, model.context - len(ids)), Chance(options.seed, ids, n), [], [])
        for ids in prompts
        for n in range(options.num_return_sequences)
    ]


def decode(
    model: Model, rows: list[Row], options: DecodeOptions, ends: Sequence[int], silent: Sequence[int] = ()
) -> Iterator[tuple[Row, int]]:
    """Fill the rows; yields (row, id) for each token of text as it is chosen, an end token excepted. `silent` ids are never chosen."""
    silent = [i for i in silent if i not in ends]
    model.pack()
    with torch.inference_mode():
        cache, logits = read_prompts(model, rows, options.num_return_sequences)
        active = list(rows)
        for step in range(max(row.limit for row in rows)):
            barred = [*silent, *ends] if step < options.min_new_tokens else silent
            texts = [row.prompt + row.ids for row in active] if options.repetition_penalty != 1 else ()
            ids, logprobs = choose(logits, options, [row.chance.at(step) for row in active], barred, texts)
            for row, token, logprob in zip(active, ids.tolist(), logprobs.tolist(), strict=True):
                if row.finish is None:
                    row.ids.append(token)
                    row.logprobs.append(logprob)
                    row.finish = "stop" if token in ends else "length" if len(row.ids) >= row.limit else None
                    if token not in ends:
                        if row.watch is not None:
                            row.watch.push(token)
                            row.finish = "stop" if row.watch.found else row.finish
                        yield row, token
            going = [i for i, row in enumerate(active) if row.finish is None]
            if not going:
                return
            if len(going) <= 0.75 * len(active):  # copying the cache pays once a quarter of the rows is done
                cache.select(torch.tensor(going))
                active, ids = [active[i] for i in going], ids[going]
            counts = None if all(row.finish is None for row in active) else torch.tensor([int(row.finish is None) for row in active])
            logits = model(ids[:, None], Mask(lengths=counts), cache=cache, last=True)


def read_prompts(model: Model, rows: list[Row], samples: int):
    """Read each prompt once; (cache, logits (A, V) of the first new token) with a row for every sample."""
    prompts = [row.prompt for row in rows[::samples]]
    lengths = torch.tensor([len(p) for p in prompts])
    longest = int(lengths.max())
    ids = torch.zeros(len(prompts), longest, dtype=torch.int64)
    for i, prompt in enumerate(prompts):
        ids[i, : len(prompt)] = torch.tensor(prompt)
    room = max(len(row.prompt) + row.limit for row in rows)
    cache = model.begin(len(prompts), room)
    logits = model(ids.to(model.device), Mask(lengths=lengths), cache=cache, last=True)
    if samples > 1:
        repeat = torch.arange(len(prompts)).repeat_interleave(samples)
        cache.select(repeat)
        logits = logits[repeat.to(logits.device)]
    return cache, logits


def finished(tokenizer: Tokenizer, row: Row, prompt: str) -> Generated:
    """A filled row as a result. The prompt stands in the text as it was given, also where the tokenizer cannot spell it."""
    if row.watch is not None:
        row.watch.flush()
        return Generated(prompt + row.watch.text, tuple(row.ids), tuple(row.logprobs), row.finish or "length", prompt, row.sample)
    before, whole = tokenizer.decode(row.prompt), tokenizer.decode(row.prompt + row.ids)
    new = whole[len(before) :] if whole.startswith(before) else tokenizer.decode(row.ids)
    return Generated(prompt + new, tuple(row.ids), tuple(row.logprobs), row.finish or "length", prompt, row.sample)
