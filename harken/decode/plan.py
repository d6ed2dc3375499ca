"""What a call of decoding will do, worked out before the first token: the search, and the chain of what changes the scores.

print(plan(model, tokenizer, DecodeOptions(temperature=0.7, top_p=0.9)))
sampling: Temperature(temperature=0.7) → TopP(p=0.9); ends at 2
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..base.errors import InputError
from ..checkpoint.load import opened
from ..data.segments import speakers_of
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from . import bars, filters, processors
from .options import DecodeOptions
from .processors import Processor
from .settle import Settled, settle

if TYPE_CHECKING:
    from .constrain.constraint import Constraint


@dataclass(frozen=True)
class Plan:
    """`options`: settled · `search`: how tokens are found · `processors`: what changes the scores, in order · `filters`: what else does
    where tokens are drawn · `ends`: ids that end a text · `dropped`: what generation_config.json says and does not apply, and why ·
    `deadline`: the moment, of `time.monotonic()`, when every text ends · `assistant`: the smaller model that guesses · `constraint`: what a
    text may be · `first`: the id that each begins with, whatever the model says."""

    options: DecodeOptions
    search: str
    processors: tuple[Processor, ...]
    filters: tuple[Processor, ...]
    ends: tuple[int, ...]
    dropped: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None
    assistant: Model | None = None
    constraint: Constraint | None = None
    first: int | None = None

    @property
    def width(self) -> int:
        """Rows for each prompt."""
        asked = self.options
        return max(asked.num_beams or 1, asked.num_return_sequences or 1, asked.consensus or 1)

    def __str__(self) -> str:
        chain = processors.described((*self.processors, *self.filters)) or "the model's own scores"
        guided = f"guidance {self.options.guidance_scale:g}; " if self.options.guidance_scale not in (None, 1) else ""
        chain = chain if self.constraint is None else f"{chain}; {self.constraint.label}"
        return f"{self.search}: {guided}{chain}; " + (f"ends at {', '.join(map(str, self.ends))}" if self.ends else "has no end token")


def plan(
    model: Model, tokenizer: Tokenizer, asked: DecodeOptions, *, streamed: bool = False, usual: Mapping[str, Any] | None = None
) -> Plan:
    """What `asked` means for this model. `streamed`: whether the text is wanted as it is written · `usual`: how it is to write where nobody
    says, in place of the model's own `generation`.

    InputError for what contradicts itself, does not apply or names no token."""
    found = settle(asked, model.generation if usual is None else usual, model.reads, streamed=streamed)
    options, vocab = found.options, model.config.writes
    ends = options.eos_token_id or listed(model.config.eos_token_id)
    for name in ("suppress_tokens", "begin_suppress_tokens", "forced_eos_token_id", "eos_token_id"):
        check_ids(name, getattr(options, name), vocab)
    check_ids("logit_bias", options.logit_bias, vocab)
    for name in ("forced_bos_token_id", "decoder_start_token_id"):
        check_ids(name, listed(getattr(options, name)), vocab)
    deadline = None if options.max_time is None else time.monotonic() + options.max_time
    keep = 1 if options.num_beams == 1 else 1 + len(ends)  # beams must have something to go on with beside the ends
    drawn = tuple(drawing(options, keep)) if options.do_sample else ()
    chain, assistant = tuple(changing(found, model, tokenizer, ends)), assistant_of(options, tokenizer)
    held, first = constrained(options, tokenizer, vocab, ends), first_id(options, model)
    return Plan(options, found.search, chain, drawn, tuple(ends), found.dropped, deadline, assistant, held, first)


def constrained(options: DecodeOptions, tokenizer: Tokenizer, vocab: int, ends: Sequence[int]) -> Constraint | None:
    """What the text may be, if that is said."""
    if not options.constraints:
        return None
    from .constrain.constraint import constraint  # many files that most texts do not need

    return constraint(options, tokenizer, vocab, ends)


def first_id(asked: DecodeOptions, model: Model) -> int | None:
    """The id that every text is made to begin with."""
    if asked.forced_bos_token_id is None and model.reads == "source":
        return model.config.forced_bos_token_id
    return asked.forced_bos_token_id


def assisted(options: DecodeOptions) -> DecodeOptions:
    """The same options with the smaller model that guesses in memory, so that not every plan reads it from its folder."""
    return options if options.assistant_model is None else replace(options, assistant_model=opened(options.assistant_model))


def assistant_of(options: DecodeOptions, tokenizer: Tokenizer) -> Model | None:
    """The smaller model that guesses. InputError unless it has the same tokens."""
    if options.assistant_model is None:
        return None
    assistant, words = opened(options.assistant_model)
    if words.inner.get_vocab(with_added_tokens=True) != tokenizer.inner.get_vocab(with_added_tokens=True):
        raise InputError("assistant_model has other tokens than the model: train it with the tokenizer of the model")
    if assistant.reads != "text":
        raise InputError("assistant_model reads a source, and a guess is a text continued: take one such as ngram, gpt2 or llama")
    return assistant


def changing(found: Settled, model: Model, tokenizer: Tokenizer, ends: Sequence[int]) -> Iterable[Processor]:
    """What changes the scores in every search, in the order of Hugging Face's library."""
    asked = found.options
    if asked.logit_bias:
        yield processors.LogitBias(asked.logit_bias)
    if asked.repetition_penalty not in (None, 1):
        yield processors.RepetitionPenalty(asked.repetition_penalty)
    if asked.frequency_penalty:
        yield processors.Frequency(asked.frequency_penalty)
    if asked.presence_penalty:
        yield processors.Presence(asked.presence_penalty)
    if asked.no_repeat_ngram_size:
        yield bars.NoRepeatNgram(asked.no_repeat_ngram_size)
    if asked.encoder_no_repeat_ngram_size:
        yield bars.EncoderNoRepeatNgram(asked.encoder_no_repeat_ngram_size)
    if words := bad_words(asked.bad_words, tokenizer, ends) + found.bad_words:
        yield bars.BadWords(words)
    if asked.min_length and ends:
        yield bars.MinLength(asked.min_length, tuple(ends))
    if asked.min_new_tokens and ends:
        yield bars.MinNewTokens(asked.min_new_tokens, tuple(ends))
    if (first := first_id(asked, model)) is not None:
        yield processors.ForcedBos(first)
    if asked.forced_eos_token_id:
        yield processors.ForcedEos(asked.forced_eos_token_id)
    who = speakers_of(tokenizer)  # a reply is one turn
    if never := tuple(dict.fromkeys((*asked.suppress_tokens, *(() if who is None else (who.first, who.second))))):
        yield bars.Suppress(never)
    if asked.begin_suppress_tokens:
        yield bars.BeginSuppress(asked.begin_suppress_tokens, at=0 if first is None else 1)


def drawing(asked: DecodeOptions, keep: int) -> Iterable[Processor]:
    """What else does where tokens are drawn, in the same order; at least `keep` tokens stay."""
    if asked.temperature not in (None, 1):
        yield filters.Temperature(asked.temperature)
    if asked.top_k:
        yield filters.TopK(asked.top_k, keep)
    if asked.top_p not in (None, 1):
        yield filters.TopP(asked.top_p, keep)
    if asked.min_p:
        yield filters.MinP(asked.min_p, keep)
    if asked.typical_p not in (None, 1):
        yield filters.Typical(asked.typical_p, keep)
    if asked.epsilon_cutoff:
        yield filters.Epsilon(asked.epsilon_cutoff, keep)
    if asked.eta_cutoff:
        yield filters.Eta(asked.eta_cutoff, keep)


def bad_words(words: Sequence[str], tokenizer: Tokenizer, ends: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Each word as tokens, as it stands at the start of a text and inside one. InputError when it cannot be written at all."""
    found: dict[tuple[int, ...], None] = {}
    for word in words:
        bare, inside = (tuple(tokenizer.target.encode(text, special=False)) for text in (word, f" {word.lstrip()}"))
        if tokenizer.target.unk_id in bare:
            raise InputError(f"the bad word {word!r} cannot be written with this tokenizer: leave it out")
        found[bare] = None
        if inside[-len(bare) :] != bare and tokenizer.target.unk_id not in inside:
            found[inside] = None
    return tuple(ids for ids in found if ids and ids not in [(end,) for end in ends])


def listed(given: int | Sequence[int] | None) -> tuple[int, ...]:
    """None, one id or several, as several."""
    return () if given is None else (given,) if isinstance(given, int) else tuple(given)


def check_ids(name: str, ids: Iterable[int], vocab: int) -> None:
    """InputError when an id is not in the vocabulary."""
    for i in ids:
        if not 0 <= i < vocab:
            raise InputError(f"{name}: {i} is no token id: the vocabulary has {vocab:,} ids, 0 to {vocab - 1}")
