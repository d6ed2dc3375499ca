"""What every token says, in bytes, for every kind of tokenizer: llguidance wants to know, and so does whoever must end a text in time.

A token may say less where a text or a line begins: most tokenizers that put a blank in front of a word take the first one away again.
Such a place is called open here. That nothing else changes what a token says is tried on random texts, and refused where it is not so.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterable, Sequence
from typing import Any

import tokenizers

from ...base.errors import InputError
from ...text.stream import token_bytes
from ...text.tokenizer import Tokenizer
from .characters import Characters, of

BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
NONE = float("inf")
REMEMBERED = 20_000
"""Ends of texts of which the fewest tokens are remembered: those of a text under way are much the same from token to token."""
TRIED = 64
"""Random texts that must come out as their tokens say."""


class Lexicon:
    """What the tokens of a tokenizer say.

    `size`: of the vocabulary · `says`: the bytes of each id, b"" where it may not be written · `first`: the same at an open place, or
    None where there are none · `opens`: ids behind which the next place is open · `trims`: whether all white space around a text goes ·
    `whole`: whether tokens are words, so that not every character can be written by itself · `writable`: the characters there are, None
    where it is all of them."""

    def __init__(self, tokenizer: Tokenizer, size: int, banned: frozenset[int]):
        self.size, self.tokenizer = size, tokenizer
        self.trims = not isinstance(tokenizer.inner, tokenizers.Tokenizer)
        self.says: list[bytes] = [b""] * size
        self.first: list[bytes] | None = None
        self.opens: frozenset[int] = frozenset()
        out = banned | tokenizer.special_ids | set(tokenizer.silent_ids) | {tokenizer.eos_id}
        texts = {i: raw for i in range(min(size, tokenizer.vocab_size)) if i not in out and (raw := tokenizer.inner.id_to_token(i))}
        if tokenizer.byte_level:
            for i, raw in texts.items():
                self.says[i] = token_bytes(raw)
        else:
            self._listen(texts)
        self._index = [_indexed(self.says), _indexed(self.first or self.says)]
        self.whole = tokenizer.kind == "word" or (self.first is not None and b" " not in self._index[0][0])
        self._silent = next((i for i in texts if self.first and self.says[i] == b" " and not self.first[i]), None)
        self._known: dict[bytes, tuple[tuple[float, float], tuple[int, int]]] = {}
        every = all(bytes((byte,)) in self._index[0][0] for byte in range(256))
        self.writable = None if every else self._characters()
        self._runs: dict[Characters, list[tuple[int, int, bytes]]] = {}

    def _listen(self, texts: dict[int, str]) -> None:
        """Find out what the tokens say by having them decoded between two that are known."""
        say = functools.partial(self.tokenizer.decode, skip_special=True)
        for i, raw in list(texts.items()):
            if self.tokenizer.byte_fallback and (byte := BYTE.fullmatch(raw)) and int(byte[1], 16) >= 0x80:  # no character by itself
                self.says[i] = bytes((int(byte[1], 16),))
                del texts[i]
        tails = {i: tail for i in texts if (alone := say([i])).isalnum() and (tail := say([i, i])[len(alone) :]).strip().isalnum()}
        anchor = next((i for i, tail in tails.items() if tail[0] == " "), next(iter(tails), None))
        if anchor is None:
            raise InputError("this tokenizer has no word or letter to write with: constraints need one that has")
        lead, tail = say([anchor]), tails[anchor]
        first, opens = self.says.copy(), set()
        for i in texts:
            inside, begun = say([anchor, i, anchor])[len(lead) :], say([i, anchor])
            if not inside.endswith(tail):
                opens.add(i)
            end = len(tail.lstrip(" ")) if i in opens else len(tail)
            begun_end = end if begun.endswith(tail) or i in opens else len(tail.lstrip(" "))
            self.says[i], first[i] = inside[: len(inside) - end].encode(), begun[: len(begun) - begun_end].encode()
        self.opens = frozenset(opens)
        if first != self.says:
            self.first = first
        self._try(sorted(texts))

    def _try(self, ids: Sequence[int]) -> None:
        rng = random.Random(0)
        for _ in range(TRIED):
            chosen, text, open = rng.choices(ids, k=rng.randint(1, 9)), b"", True
            for i in chosen:
                said = self.said(i, open)
                text, open = text + said, i in self.opens or (open and not said and self.trims)
            found, expected = self.tokenizer.decode(chosen), text.decode("utf-8", "replace")
            if found != expected and not (self.trims and found.strip() == expected.strip()):
                raise InputError(
                    "what this tokenizer's tokens say depends on more than what stands in front of them, which constraints cannot follow: "
                    f"it reads {found!r} for {expected!r}"
                )

    def said(self, id: int, open: bool) -> bytes:
        """What a token says."""
        return self.first[id] if open and self.first is not None else self.says[id]

    def open_after(self, begun: Sequence[int]) -> bool:
        """Whether a token behind `begun` would lose its blank."""
        if self.first is None:
            return False
        probe = next((i for i, said in enumerate(self.says) if said[:1] == b" " and self.first[i] == said[1:].lstrip(b" ") != b""), None)
        if probe is None:
            return False
        before, whole = self.tokenizer.decode(begun), self.tokenizer.decode([*begun, probe])
        if not whole.startswith(before):
            return True
        return whole[len(before) :].encode() == self.first[probe]

    def spelled(self, text: bytes, open: bool = False) -> list[int] | None:
        """The fewest tokens that say `text`; None where none do."""
        needs, ways = self._ways(text)
        if needs[0][open] == NONE:
            return None
        at, found = 0, []
        while at < len(text):
            token = ways[at][open]
            found.append(token)
            at, open = at + len(self.said(token, open)), token in self.opens
        return found

    def needs(self, text: bytes) -> list[tuple[float, float]]:
        """For each place in `text` how many tokens the rest takes, where that place is not open, and where it is."""
        return self._ways(text)[0]

    def _ways(self, text: bytes) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
        needs: list[tuple[float, float]] = [(0, 0)] * (len(text) + 1)
        ways = [(0, 0)] * len(text)
        if len(self._known) > REMEMBERED:
            self._known.clear()
        for at in range(len(text) - 1, -1, -1):
            if (known_end := self._known.get(text[at:])) is not None:
                needs[at], ways[at] = known_end
                continue
            best = [NONE, NONE]
            way = [0, 0]
            for open in (0, 1) if self.first is not None else (0,):
                known, sizes = self._index[open]
                for size in sizes:
                    if at + size > len(text):
                        break
                    token = known.get(text[at : at + size])
                    if token is not None and (more := 1 + needs[at + size][token in self.opens]) <= best[open]:
                        best[open], way[open] = more, token
            if self.first is None:
                best[1], way[1] = best[0], way[0]
            elif self._silent is not None and 1 + best[0] < best[1]:
                best[1], way[1] = 1 + best[0], self._silent
            needs[at], ways[at] = self._known[text[at:]] = (best[0], best[1]), (way[0], way[1])
        return needs, ways

    def run(self, characters: Characters) -> list[tuple[int, int, bytes]]:
        """Ways to write some of `characters`: (how many, tokens, bytes), the longest first."""
        if characters not in self._runs:
            self._runs[characters] = self._run(characters)
        return self._runs[characters]

    def _run(self, characters: Characters) -> list[tuple[int, int, bytes]]:
        pattern, found = re.compile(f"(?:{characters.pattern})+"), {}
        for text in self._texts:
            if pattern.fullmatch(text):
                count = len(re.findall(characters.pattern, text)) if characters.spelled else len(text)
                found.setdefault(count, (count, 1, text.encode()))
        if 1 not in found:
            samples = [chr(low) for low, _ in characters.ranges[:64]] + list(characters.spelled)
            costs = [(len(ids), text) for text in samples if (ids := self.spelled(text.encode())) is not None]
            if costs:
                cost, text = min(costs)
                found[1] = (1, cost, text.encode())
        return sorted(found.values(), reverse=True)

    @functools.cached_property
    def _texts(self) -> list[str]:
        """Tokens that are whole characters, letters and digits first."""
        found = {text for said in self.says if said and "\ufffd" not in (text := said.decode("utf-8", "replace"))}
        return sorted(found, key=lambda text: (not text.isascii(), not text.isalnum(), text))

    def _characters(self) -> Characters:
        known = {character for text in {*self._texts, *(one.decode("utf-8", "replace") for one in self.first or ())} for character in text}
        if self.whole:
            return of(known - {"\ufffd"})
        return of(one for one in known - {"\ufffd"} if self.spelled(one.encode()) is not None)

    @functools.cached_property
    def judges(self) -> tuple[Any, Any]:
        """llguidance's view of the tokens, and of the same at open places. Behind the model's own ids come 256 single bytes and an end."""
        package = llguidance()
        found = []
        for says in (self.says, self.first):
            if says is None:
                found.append(found[0])
                continue
            wrapper = package.TokenizerWrapper(_Words([*says, *(bytes((byte,)) for byte in range(256)), b"<end>"]))
            found.append(package.LLTokenizer(wrapper, n_vocab=self.size + 257))
        return found[0], found[1]


class _Words:
    bos_token_id = None

    def __init__(self, tokens: list[bytes]):
        self.tokens, self.eos_token_id, self.special_token_ids = tokens, len(tokens) - 1, [len(tokens) - 1]

    def __call__(self, text: bytes) -> list[int]:
        return []  # llguidance is never asked to tokenise


def _indexed(says: Iterable[bytes]) -> tuple[dict[bytes, int], list[int]]:
    """The first id of each, and the sizes there are."""
    known: dict[bytes, int] = {}
    for i, said in enumerate(says):
        if said:
            known.setdefault(said, i)
    return known, sorted({len(said) for said in known})


@functools.lru_cache(maxsize=4)
def lexicon(tokenizer: Tokenizer, size: int, banned: frozenset[int]) -> Lexicon:
    """The lexicon of a tokenizer, for a model with `size` tokens of which `banned` may not be written; the last four are kept."""
    return Lexicon(tokenizer, size, banned)


def llguidance() -> Any:
    """The package. InputError when it is not there."""
    try:
        import llguidance
    except ImportError:
        raise InputError("constraints need the package llguidance: pip install 'harken[constrain]'") from None
    return llguidance
