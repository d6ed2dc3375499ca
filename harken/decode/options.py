"""What a caller may ask of decoding, and what comes back. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.errors import InputError
from ..base.options import option


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How to continue a text. Neutral values leave the model's own distribution as it is."""

    max_new_tokens: int | None = option(None, "new tokens at most (default: 256, or until the context is full)", min=1)
    min_new_tokens: int = option(0, "new tokens before the text may end", min=0)
    temperature: float = option(1.0, "below 1 likelier tokens, above 1 more surprising ones, 0 always the likeliest", min=0)
    top_k: int = option(0, "choose among the k likeliest tokens (0: all)", min=0)
    top_p: float = option(1.0, "choose among the likeliest tokens that together reach this probability", above=0, max=1)
    min_p: float = option(0.0, "choose among tokens at least this likely, as a share of the likeliest", min=0, max=1)
    repetition_penalty: float = option(1.0, "above 1: divide the score of what the text holds already (below 0: multiply it)", above=0)
    stop_strings: tuple[str, ...] = option((), "end in front of this text; may be given again", short="--stop")
    num_return_sequences: int = option(1, "texts for each prompt", min=1)
    seed: int = option(0, "of what is drawn")

    def __post_init__(self) -> None:
        if self.max_new_tokens is not None and self.min_new_tokens > self.max_new_tokens:
            raise InputError(f"min_new_tokens ({self.min_new_tokens}) is more than max_new_tokens ({self.max_new_tokens})")
        if "" in self.stop_strings:
            raise InputError("a stop string is empty, which would end every text before it begins: give at least one character")


@dataclass(frozen=True)
class Generated:
    """One continuation.

    `text`: the prompt and what follows it, up to a stop string; of a model that reads a source, which is its prompt, the output alone ·
    `ids`, `logprobs`: the new tokens (the end token and those of a stop string included) and their natural log-probability under the model
    itself, before temperature and filters · `finish_reason`: "stop" (the model ended the text, or a stop string came) or "length" ·
    `prompt` · `index`: which of the prompt's `num_return_sequences` it is.
    """

    text: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: str
    prompt: str
    index: int
