"""How a model is talked to: what was said so far becomes a prompt that fits, and what the model writes becomes a reply.

Models of two kinds can talk. Those with a chat template read messages. Those that learned dialogues with <speaker1> and <speaker2>
(https://arxiv.org/abs/1901.08149) read a persona and turns; of messages, the lines of the system's are the persona.

What outgrows the context is left out by whole exchanges, the oldest first; what the system says stays. Whatever is said is text: only the
template and the speakers write special tokens, and the first that a model writes ends its reply.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import InputError
from ..base.files import read_json
from ..checkpoint.origin import origin
from ..data.segments import HISTORY, Turns, speakers_of
from ..decode.options import DecodeOptions
from ..decode.plan import listed
from ..decode.prompt import read_prompt
from ..decode.settle import inherited, settle
from ..fit.folder import RECORD
from ..fit.options import KNOWN_AS
from ..nn.models import Model
from ..text.chat import ChatTemplate, template_of
from ..text.messages import checked
from ..text.tokenizer import Tokenizer
from ..text.turns import special_names
from .writing import LEFT

LEAST = 16
"""Tokens that a message leaves for its answer at least."""
SYSTEM = ("system", "developer")
NUCLEUS = {"temperature": 0.7, "top_p": 0.9}
"""How replies are drawn where nobody says, as in TransferTransfo's own interactive mode."""
REPLY = 40
"""Tokens of a reply in a dialogue where nobody says, from the same place."""

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Fit:
    """`prompt`: what decoding takes · `tokens`: of it · `turns`: how many of the oldest were left out, and their `tokens_out`."""

    prompt: Any
    tokens: int
    turns: int = 0
    tokens_out: int = 0


class TooLong(InputError):
    """What has to stay of a chat is more than the model reads."""


class Speech:
    """How this model is talked to. `dialogue`: with a persona and turns, not with messages · `history`: turns that it sees at most, the
    newest of them; of a dialogue as many as it learned with, else None: all that fit · `own`: how it is to write where nobody says, if
    not as the model's `generation`."""

    def __init__(self, model: Model, tokenizer: Tokenizer, history: int | None = None, *, own: Mapping[str, Any] | None = None) -> None:
        """InputError when there is no way to talk to it."""
        model.must_write()
        self.model, self.tokenizer, self.own = model, tokenizer, own
        learned, turns = learning(model)
        templated = tokenizer.extra.get("chat_template") is not None
        either = model.config.task == "double-heads" or not templated  # where nobody recorded what it learned by last
        self.dialogue = speakers_of(tokenizer) is not None and (learned == "dialogue" or (learned != "instruct" and either))
        self.history = turns if history is None and self.dialogue else history
        self.front, self.stops = ("", ()) if self.dialogue else marks(template_of(tokenizer), special_names(tokenizer.target))

    @property
    def usual(self) -> Mapping[str, Any]:
        """How it writes where nobody says."""
        return self.model.generation if self.own is None else self.own

    # ---- what was said, as a prompt

    def fit(self, messages: Sequence[Message], options: DecodeOptions, *, spare: bool = True) -> Fit:
        """The prompt of the next reply, with the newest of the exchanges that leave room for it. `spare`: for all that it may come to, or
        half of the context; else for its least.

        InputError when there is nothing to answer, or what has to stay is too long."""
        fixed, past = grouped(checked(messages) if messages else [])
        if not past:
            raise InputError("nobody has said anything yet: begin with a message of the user")
        past = self._newest(past)
        most, room = self.room(options)
        room = room if spare else most
        whole = self._size(fixed, past)
        if whole <= room:
            return Fit(self._prompt(fixed, past), whole)
        alone = self._size(fixed, past[-1:])
        if alone > most:
            raise TooLong(
                f"the message is too long: with what stands around it these are {alone:,} tokens, and this model reads "
                f"{self.model.context:,}, its answer included: shorten it by {alone - most:,} tokens"
            )
        low, high = 1, len(past) - 1  # the fewest exchanges that have to be left out lie between
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._size(fixed, past[middle:]) <= room else (middle + 1, high)
        kept = past[low:] if low < len(past) else past[-1:]
        size = self._size(fixed, kept)
        return Fit(self._prompt(fixed, kept), size, sum(map(len, past)) - sum(map(len, kept)), whole - size)

    def _newest(self, past: list[list[Message]]) -> list[list[Message]]:
        """Of the exchanges those with the newest `history` turns; whole ones, as templates want them, and at least the last."""
        if self.history is None:
            return past
        counts = list(itertools.accumulate(len(exchange) for exchange in reversed(past)))
        whole = sum(count <= self.history for count in counts)
        return past[-max(1, whole + (self.dialogue and self.history not in counts)) :]

    def check(self, system: str) -> None:
        """InputError when a model cannot be told this beforehand, or hardly anything could be said after it."""
        fixed = [{"role": "system", "content": system}] if system else []
        size = self._size(fixed, [[{"role": "user", "content": "a"}]])
        if size > (most := self.room(DecodeOptions())[0]):
            if not system:
                raise InputError(f"this model reads {self.model.context:,} tokens at once, which is too few to talk to it")
            what = "persona" if self.dialogue else "system message"
            raise InputError(f"the {what} is too long: with a message it has {size:,} tokens, and {most:,} are possible: shorten it")

    def room(self, options: DecodeOptions) -> tuple[int, int]:
        """Tokens of a prompt: how many are possible, and how many leave as much room for the reply as it may take, or half."""
        context = self.model.context
        if self.model.reads == "source":
            return context, context
        asked = settle(options, self.usual, self.model.reads).options
        context = min(context, asked.max_length or context)
        wanted = min(asked.max_new_tokens or LEFT, context // 2)
        return context - min(LEAST, wanted), context - wanted

    def _size(self, fixed: Sequence[Message], past: Sequence[Sequence[Message]]) -> int:
        return len(read_prompt(self.model, self.tokenizer, self._prompt(fixed, past)).ids)

    def _prompt(self, fixed: Sequence[Message], past: Sequence[Sequence[Message]]) -> Any:
        messages = [*fixed, *(message for exchange in past for message in exchange)]
        if self.dialogue:
            turns = turns_of(messages)
            return dataclasses.replace(turns, history=turns.history[-max(1, self.history or 1) :])
        return [{key: value for key, value in message.items() if key != "interrupted"} for message in messages]

    # ---- what is written, as a reply

    def manner(self, asked: DecodeOptions) -> DecodeOptions:
        """Options of a chat: what neither the caller nor generation_config.json says about chance and length is as people talk."""
        if asked.overflow is not None:
            raise InputError("a chat that outgrows the context leaves out its oldest exchanges: leave overflow out")
        if (asked.num_return_sequences or 1) > 1:
            raise InputError("a chat has one answer to a message: leave num_return_sequences out")
        own = asked.given
        said = inherited(self.usual, own, {})
        both, more = {**said, **own}, {}
        searches = both.get("num_beams", 1) > 1 or both.get("penalty_alpha") or own.get("do_sample") is False or own.get("temperature") == 0
        if not searches and not said.get("do_sample"):
            more |= NUCLEUS
        if self.dialogue and not {"max_new_tokens", "max_length"} & both.keys():
            more["max_new_tokens"] = max(REPLY, both.get("min_new_tokens", 0))
        if not asked.constraints and not {"min_new_tokens", "min_length"} & both.keys():
            more["min_new_tokens"] = 1
        return dataclasses.replace(asked, **{name: value for name, value in more.items() if name not in both})

    def ending(self, asked: DecodeOptions) -> DecodeOptions:
        """Options with what else ends a reply: every special token that means something, and in plain text what stands before a message
        of the user. Special tokens that say nothing are not written."""
        if asked.constraints:  # these say themselves when a text is whole
            return asked
        words, said = self.tokenizer.target, inherited(self.usual, asked.given, {})
        known = asked.eos_token_id or listed(said.get("eos_token_id")) or listed(self.model.config.eos_token_id)
        silent = set(words.silent_ids) - set(known)
        ends = (*known, *sorted(words.special_ids - silent - set(known)))
        never = (*listed(asked.suppress_tokens or said.get("suppress_tokens")), *sorted(silent))
        stops = (*asked.stop_strings, *self.stops)
        return dataclasses.replace(asked, eos_token_id=ends, suppress_tokens=tuple(dict.fromkeys(never)), stop_strings=stops)

    def unprefixed(self, text: str) -> str:
        """A reply without its role in front, where the model writes once more what the template wrote already."""
        while self.front and text.lstrip().startswith(self.front):
            text = text.lstrip()[len(self.front) :]
        return text


class Spoken:
    """A reply as it is said: `push` returns what is certain of it, without its role and blanks at its ends. `text`: so far."""

    def __init__(self, speech: Speech) -> None:
        self.speech, self.text, self._held = speech, "", ""

    def push(self, piece: str) -> str:
        """The next piece of what is written -> the next piece of the reply, which may be empty."""
        self._held += piece
        if not self.text:
            self._held = self.speech.unprefixed(self._held).lstrip()
            if self.speech.front.startswith(self._held):
                return ""
        return self._say(len(self._held.rstrip()))

    def flush(self) -> str:
        """Nothing more is written: what was held back."""
        return self._say(len(self._held.rstrip()))

    def _say(self, end: int) -> str:
        said, self._held = self._held[:end], self._held[end:]
        self.text += said
        return said


def learning(model: Model) -> tuple[str | None, int]:
    """(the task a run learned by, where the model is one of harken's, the turns of a dialogue it learned with)."""
    folder = origin(model)
    record = read_json(folder / RECORD) if folder is not None and (folder / RECORD).is_file() else {}
    options, task = record.get("options"), record.get("task")
    history = options.get("history") if isinstance(options, dict) else None
    return KNOWN_AS.get(task, task) if isinstance(task, str) else None, history if isinstance(history, int) else HISTORY


def grouped(messages: Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """(what the system says beforehand, the exchanges): each begins with what the user says, and ends before they speak again."""
    first = next((i for i, one in enumerate(messages) if one["role"] not in SYSTEM), len(messages))
    past: list[list[Message]] = []
    for before, message in zip([{"role": ""}, *messages[first:]], messages[first:], strict=False):
        if not past or (message["role"] == "user" and before["role"] != "user"):
            past.append([])
        past[-1].append(message)
    return list(messages[:first]), past


def turns_of(messages: Sequence[Message]) -> Turns:
    """Messages as a dialogue: each line of the system's is a sentence of the persona; what one says at a stretch is one turn."""
    persona: list[str] = []
    history: list[tuple[str, str]] = []
    for message in messages:
        role, text = message["role"], message.get("content", "").strip()
        if role in SYSTEM:
            persona += [line.strip() for line in text.splitlines() if line.strip()]
        elif role not in ("user", "assistant"):
            raise InputError(f"the role of a message is {role!r}, and this model knows a persona (system), user and assistant only")
        elif text and history and history[-1][0] == role:
            history[-1] = (role, f"{history[-1][1]} {text}")
        elif text:
            history.append((role, text))
    return Turns(tuple(persona), tuple(text for _, text in history))


def marks(template: ChatTemplate, special: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """(what names the assistant in front of its reply, the texts that can only begin another message), as far as a template has such text:
    special tokens are told from text anyway."""
    said = [{"role": role, "content": f"{role}-said"} for role in ("user", "assistant")]
    try:
        asked, opened = template.render(said[:1]), template.render(said[:1], add_generation_prompt=True)
        whole = template.render([*said, said[0]])
    except InputError:
        return "", ()
    front = opened[len(asked) :] if opened.startswith(asked) else ""
    for name in special:
        front = front.replace(name, "")
    _, _, behind = whole.partition("assistant-said")
    between = behind.partition("user-said")[0].rstrip()
    front = front.lstrip()
    if not between.strip() or any(name in between for name in special):
        return front, ()
    return front, (between, *([f"\n{front.rstrip()}"] if front else []))
