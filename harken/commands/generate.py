"""`harken generate MODEL PROMPT…`: continue texts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..base.errors import InputError
from ..base.options import argument, option
from ..base.report import say
from ..decode.options import DecodeOptions, Generated
from .command import command


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(DecodeOptions):
    """Continue texts with a model. The same prompt, seed and options give the same answer, whatever else is asked with it."""

    model: Any = argument("folder of the model")
    prompts: tuple[str, ...] = argument((), "texts to continue (none: begin anew)", metavar="PROMPT...")
    stream: bool = option(False, "print the text as it comes (one prompt, one sequence)")
    json: bool = option(False, "print one JSON object a line")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stream and (len(self.prompts) > 1 or self.num_return_sequences > 1):
            raise InputError("--stream prints one text: give one prompt and leave --num-return-sequences at 1")

    @property
    def decoding(self) -> DecodeOptions:
        """The part of them that decoding reads."""
        return DecodeOptions(**{f.name: getattr(self, f.name) for f in dataclasses.fields(DecodeOptions)})


@dataclass
class Pieces:
    """The pieces of one text as they come. `before`: what stands in front of them: the prompt, unless it is a source."""

    before: str
    pieces: Iterator[str]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self.pieces)


@command("generate", GenerateOptions)
def generate(options: GenerateOptions) -> list[Generated] | Iterator[str]:
    """A `Generated` for every sequence of every prompt, in order; with `stream=True` the pieces of the one text, its prompt excepted."""
    from ..checkpoint.load import opened
    from ..decode import generate as decoding

    model, tokenizer = opened(options.model)
    prompts = options.prompts or ("",)
    asked = options.max_new_tokens
    for prompt in prompts:
        begun = decoding.encode_prompt(model, tokenizer, prompt)
        room = model.context - len(begun if model.reads == "text" else decoding.first_ids(model))
        if asked is not None and asked > room:
            say(f"the context of {model.context:,} tokens leaves room for {room:,} new ones, fewer than the {asked:,} asked for")
    if options.stream:
        before = prompts[0] if model.reads == "text" else ""
        return Pieces(before, decoding.stream(model, tokenizer, prompts[0], options.decoding))
    return decoding.generate(model, tokenizer, prompts, options.decoding)


@command("stream", GenerateOptions)
def stream(options: GenerateOptions) -> Iterator[str]:
    """The pieces of one continuation as they come, its prompt excepted; together they are what `generate` adds to it."""
    found = generate.run(dataclasses.replace(options, stream=True))
    assert not isinstance(found, list)
    return found


@generate.show
def show(found: list[Generated] | Iterator[str], options: GenerateOptions) -> None:
    """The texts, a blank line between them where they have lines of their own; or JSON lines; or pieces as they come."""
    if isinstance(found, list):
        texts = [json.dumps(dataclasses.asdict(one), ensure_ascii=False) for one in found] if options.json else [one.text for one in found]
        print(("\n" if options.json or not any("\n" in text for text in texts) else "\n\n").join(texts))
        return
    before = found.before if isinstance(found, Pieces) else ""
    if options.json:
        prompt = options.prompts[0] if options.prompts else ""
        print(json.dumps({"prompt": prompt, "text": before + "".join(found)}, ensure_ascii=False))
        return
    print(before, end="", flush=True)
    for piece in found:
        print(piece, end="", flush=True)
    print()
