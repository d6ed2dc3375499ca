"""What tasks that write have in common: their options, prompts that fit, and the new text behind each.

Options are those of decoding, under Hugging Face's names, and a few of its pipelines. Where config.json has task_specific_params for the
task, as T5's and BART's have for summaries and translations, they count wherever the caller says nothing.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import InputError
from ..base.options import option
from ..decode.options import DecodeOptions, Generated
from ..decode.prompt import Prompt, encode_prompt, read_prompt
from ..decode.settle import settle
from .task import Tools, kind

LEFT = 256
"""New tokens that a prompt which is cut leaves room for, where nobody says how many: at most half of the context."""
_TIGHT = re.compile(r" (?=[.?!,])| (?=n't\b)| (?='(?:s|m|ve|re)\b)")


@dataclass(frozen=True, kw_only=True)
class WriteOptions(DecodeOptions):
    """How to write."""

    prefix: str | None = option(None, "text in front of every input (default: as config.json has it for the task)")
    return_full_text: bool | None = option(None, "the input too (default), or only what was added")
    return_text: bool | None = option(None, "give texts (default)")
    return_tensors: bool | None = option(None, "give the new token ids instead of texts")
    clean_up_tokenization_spaces: bool | None = option(None, "no blank in front of punctuation (default: as it was written)")
    stop_sequence: tuple[str, ...] = option((), "as stop_strings")
    truncation: bool = option(False, "cut inputs that are longer than the model reads")
    src_lang: str | None = option(None, "of translation: the language of the input, as in en")
    tgt_lang: str | None = option(None, "of translation: the language to write")

    @property
    def decoding(self) -> DecodeOptions:
        """The part of them that decoding reads."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(DecodeOptions)}
        return DecodeOptions(**{**found, "stop_strings": (*self.stop_strings, *self.stop_sequence)})


def checked(tools: Tools, options: WriteOptions) -> WriteOptions:
    """InputError for options of a translation where none is asked for, and for what decoding refuses."""
    if options.src_lang or options.tgt_lang:
        raise InputError(f"src_lang and tgt_lang are for translation, not for {tools.asked}: leave them out")
    return options


def with_task(tools: Tools, options: WriteOptions, said: Mapping[str, Any] | None = None) -> WriteOptions:
    """Options with what config.json says for this task (`said`: for another name of it) where the caller says nothing."""
    said = task_params(tools).get(tools.asked) if said is None else said
    said = said if isinstance(said, dict) else {}
    prefix = said.get("prefix", tools.model.config.extra.get("prefix")) if options.prefix is None else options.prefix
    file = {name: value for name, value in said.items() if name != "prefix"}
    settled = settle(options.decoding, {**tools.usual, **file}, tools.model.reads).options if file else options.decoding
    values = {f.name: getattr(settled, f.name) for f in dataclasses.fields(DecodeOptions)}
    return dataclasses.replace(options, **values, prefix=prefix or "", stop_sequence=())


def task_params(tools: Tools) -> dict[str, Any]:
    """config.json's task_specific_params."""
    found = tools.model.config.extra.get("task_specific_params")
    return found if isinstance(found, dict) else {}


def prompt_of(tools: Tools, given: Any, options: WriteOptions) -> tuple[Any, str]:
    """What decoding takes, a text or the ids of one that was cut, and what stands in front of the new text in its answer.

    InputError when it is too long and may not be cut; what is cut is counted."""
    if isinstance(given, str):
        given = (options.prefix or "") + given
    elif not isinstance(given, list | tuple):
        raise InputError(f"the input should be text, not {kind(given)}")
    model, window = tools.model, options.overflow == "window"
    if not options.truncation:
        prompt = encode_prompt(model, tools.tokenizer, given, window=window)
        tools.ledger.add("inputs", "tokens", len(prompt.ids))
        return given, prompt.shown
    prompt = read_prompt(model, tools.tokenizer, given)
    tools.ledger.add("inputs", "tokens", len(prompt.ids))
    kept = fitted(tools, prompt, options)
    if len(kept) == len(prompt.ids):
        return given, prompt.shown
    tools.ledger.add("inputs", "cut", 1)
    tools.ledger.add("inputs", "tokens cut off", len(prompt.ids) - len(kept))
    return kept, "" if model.reads == "source" else tools.tokenizer.decode(kept)


def fitted(tools: Tools, prompt: Prompt, options: WriteOptions) -> list[int]:
    """The ids of a prompt, cut to fit: of a source its beginning and its end token, of a text to go on from its last part."""
    ids, context = prompt.ids, tools.model.context
    if tools.model.reads == "source":
        closing = tools.tokenizer.closing
        return ids if len(ids) <= context else [*ids[: context - len(closing)], *closing]
    most = min(context, options.max_length or context)
    wanted = options.max_new_tokens or min(LEFT, most // 2)
    room = max(1, most - wanted)
    front = tools.tokenizer.prefix
    return ids if len(ids) <= room else [*front, *ids[len(ids) - max(1, room - len(front)) :]]


def new_text(generated: Generated, shown: str, options: WriteOptions) -> str:
    """What was added to a prompt."""
    text = generated.text[len(shown) :]
    return _TIGHT.sub("", text) if options.clean_up_tokenization_spaces else text


def chat_of(given: Any) -> list[dict[str, Any]] | None:
    """A list of messages, copied; None for anything else. InputError when there is nothing to answer."""
    if not isinstance(given, list | tuple) or not given or not all(isinstance(each, Mapping) for each in given):
        return None
    if given[-1].get("role") == "assistant":
        raise InputError("the last message is the assistant's own: end with one to answer")
    return [dict(each) for each in given]
