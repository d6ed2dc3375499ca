"""One loop over the model protocol: read the prompts, then a token a step for every unfinished row.

An answer does not depend on the other prompts of the batch: prompts of different length share it without gaps, sums run in
a fixed order, and chance is keyed by the prompt. The prompt of a model that reads a source is its source; what is written then
begins with a token of its own, and is the whole text.   A unfinished rows · V vocabulary
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

    prompt: list[int]  # what the text begins with
    sample: int
    limit: int  # new tokens at most
    chance: Chance
    ids: list[int]
    logprobs: list[float]
    source: list[int] | None = None  # what is read before it is written
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
    """(V,) natural log-probabilities of the token that follows `text`, or with which what is written about it begins."""
    model.pack()
    with torch.no_grad():
        rows = start_rows(model, [encode_prompt(model, tokenizer, text)], DecodeOptions(max_new_tokens=1))
        return read_prompts(model, rows, 1)[1][0].float().log_softmax(-1)


def encode_prompt(model: Model, tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The ids a prompt begins with, the template's special tokens included; of a source all of them, its end too, as it was learned from.
    InputError when it is empty or fills the context."""
    reads = model.reads == "source"
    ids = tokenizer.prefix + tokenizer.encode(prompt, special=False)  # what the template puts behind a text would end it
    if reads:
        ids += tokenizer.closing
    if not ids:
        raise InputError("the prompt is empty and this tokenizer has no token to begin with: give at least one character")
    over = len(ids) - model.context + (0 if reads else 1)
    if over > 0:
        left = "" if reads else " and one must be left to write"
        raise InputError(
            f"the prompt has {len(ids):,} tokens, but this model reads at most {model.context:,}{left}: shorten it by {over:,} tokens"
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
    first = first_ids(model) if model.reads == "source" else None

    def row(ids: list[int], sample: int) -> Row:
        begun = ids if first is None else first
        limit = min(options.max_new_tokens or DEFAULT_NEW_TOKENS, model.context - len(begun))
        return Row(begun, sample, limit, Chance(options.seed, ids, sample), [], [], None if first is None else ids)

    return [row(ids, n) for ids in prompts for n in range(options.num_return_sequences)]


def first_ids(model: Model) -> list[int]:
    """What all that a model with a source writes begins with."""
    start, forced = model.config.decoder_start_token_id, model.config.forced_bos_token_id
    if start is None:
        raise InputError("config.json has no decoder_start_token_id, so what a target starts with is not known: put it there")
    return [start] if forced is None else [start, forced]


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
    each, room = rows[::samples], max(len(row.prompt) + row.limit for row in rows)
    sources = [row.source for row in each if row.source is not None]
    source, mask = padded(sources, model.device) if sources else (None, None)
    cache = model.begin(len(each), room, source, mask)
    ids, mask = padded([row.prompt for row in each], model.device)
    logits = model(ids, mask, cache=cache, last=True)
    if samples > 1:
        repeat = torch.arange(len(each)).repeat_interleave(samples)
        cache.select(repeat)
        logits = logits[repeat.to(logits.device)]
    return cache, logits


def padded(texts: Sequence[list[int]], device: torch.device) -> tuple[torch.Tensor, Mask]:
    """Ids as rows (B, L), and their lengths."""
    lengths = torch.tensor([len(ids) for ids in texts])
    rows = torch.zeros(len(texts), int(lengths.max()), dtype=torch.int64)
    for i, ids in enumerate(texts):
        rows[i, : len(ids)] = torch.tensor(ids)
    return rows.to(device), Mask(lengths=lengths)


def finished(tokenizer: Tokenizer, row: Row, prompt: str) -> Generated:
    """A filled row as a result. The prompt stands in the text as it was given, also where the tokenizer cannot spell it; a source does
    not."""
    given = prompt if row.source is None else ""
    if row.watch is not None:
        row.watch.flush()
        return Generated(given + row.watch.text, tuple(row.ids), tuple(row.logprobs), row.finish or "length", prompt, row.sample)
    before, whole = tokenizer.decode(row.prompt), tokenizer.decode(row.prompt + row.ids)
    new = whole[len(before) :] if whole.startswith(before) else tokenizer.decode(row.ids)
    return Generated(given + new, tuple(row.ids), tuple(row.logprobs), row.finish or "length", prompt, row.sample)
