"""Text that appears token by token: the pieces of a stream add up to `decode(ids)`, and no piece ends inside a character."""

from __future__ import annotations

import codecs
import copy
import re
from collections.abc import Sequence

from .tokenizer import Tokenizer

_BEFORE = 8  # tokens in front that a decoder may need to see: more than it takes to spell one character
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins: printable bytes stand for themselves, the others for the code points from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(hidden)}


BYTE_OF = _byte_alphabet()


def token_bytes(raw: str) -> bytes:
    """The bytes of a byte-level token given as it stands in the vocabulary ("Ġthe" → b" the"); added tokens are plain text."""
    try:
        return bytes(BYTE_OF[character] for character in raw)
    except KeyError:
        return raw.encode("utf-8")


class Stream:
    """Decodes ids as they come, in constant time for each.

    `push(id)` returns the text that became certain with this id ("" while a character is incomplete), `flush()` the rest. `after`: the
    ids that stand in front, such as a prompt's; they are not said again.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special: bool = True, after: Sequence[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.skip_special = skip_special
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        # Some decoders treat the first token differently: what was said last is decoded again in front of what follows.
        self._context = list(after[-_BEFORE:])
        self._said = tokenizer.decode(self._context, skip_special)  # the text of the context
        self._pending: list[int] = []

    def push(self, id: int) -> str:
        """The newly completed text; InputError on an id outside the vocabulary."""
        tokenizer, id = self.tokenizer, int(id)
        raw = tokenizer.inner.id_to_token(id) if 0 <= id < tokenizer.vocab_size else None
        if raw is None:
            tokenizer.decode([id])  # raises for an id outside; a hole in the vocabulary decodes to nothing
            return ""
        if self.skip_special and id in tokenizer.special_ids:
            return ""
        if tokenizer.byte_level:
            return self._utf8.decode(token_bytes(raw))
        self._pending.append(id)
        # A run of byte tokens is decoded as one: a later byte can turn all of it into U+FFFD. So it is held back until it ends.
        return "" if tokenizer.byte_fallback and _BYTE_TOKEN.fullmatch(raw) else self._release(final=False)

    def flush(self) -> str:
        """The text that was held back (an incomplete character becomes U+FFFD); the stream is then as new."""
        text = self._utf8.decode(b"", final=True) + self._release(final=True)
        self._utf8.reset()
        self._context, self._pending, self._said = [], [], ""
        return text

    def fork(self) -> Stream:
        """The same stream once more, to go on another way from here."""
        other = copy.copy(self)
        other._utf8, other._pending = codecs.getincrementaldecoder("utf-8")("replace"), list(self._pending)
        other._utf8.setstate(self._utf8.getstate())
        return other

    def _release(self, final: bool) -> str:
        if not self._pending:
            return ""
        window = self.tokenizer.decode(self._context + self._pending, self.skip_special)
        if not final and window.endswith("\ufffd"):
            return ""
        text = window[len(self._said) :]
        if text:
            self._context, self._pending = self._pending, []
            self._said = self.tokenizer.decode(self._context, self.skip_special)
        return text
