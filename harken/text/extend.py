"""A tokenizer with words of a field of its own, and whether one tokenizer is another one with more tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import tokenizers

from ..base.errors import InputError
from .tokenizer import Tokenizer

_AROUND = ("{}", "a {} b", "({}), {}.", "{}\n{}")


def with_words(tokenizer: Tokenizer, words: Sequence[str]) -> Tokenizer:
    """The tokenizer with a token of its own for each of `words`, wherever it stands as a whole word; they take the next ids.

    InputError where the tokens are characters, for what is a token already, and for a word that would not come back from its token.
    """
    if not isinstance(tokenizer.inner, tokenizers.Tokenizer) or tokenizer.kind == "char":
        kind = "characters" if tokenizer.kind == "char" else "a vocabulary of Marian's own"
        raise InputError(f"this tokenizer reads {kind}, in which there can be no further words")
    inner = tokenizers.Tokenizer.from_str(tokenizer.inner.to_str())
    for word in words:
        if not word or word != word.strip() or len(word.split()) != 1:
            raise InputError(f"{word!r} is not one word: give each without blanks")
        ids = tokenizer.encode(word, special=False)
        if inner.token_to_id(word) is not None or (len(ids) == 1 and ids[0] != tokenizer.unk_id):
            raise InputError(f"{word!r} is a token of this tokenizer already: leave it out")
        inner.add_tokens([tokenizers.AddedToken(word, single_word=True)])
    limits, tokenizer_with = tokenizer._limits, Tokenizer(inner, tokenizer.names, tokenizer.extra)
    tokenizer_with._limits = limits
    for n, word in enumerate(words):
        if tokenizer.vocab_size + n not in tokenizer_with.encode(f"a {word}", special=False):
            raise InputError(f"this tokenizer marks words in a way that leaves no place for {word!r}: train one anew to have such words")
        for frame in _AROUND:
            text = frame.replace("{}", word)
            known = tokenizer.unknown_characters(text) == 0
            plain = tokenizer.decode(tokenizer.encode(text, special=False)) if known else ""
            if known and tokenizer_with.decode(tokenizer_with.encode(text, special=False)) != plain:
                raise InputError(f"{word!r} would not come back from its token as it was in {text!r}: leave it out")
    return tokenizer_with


def added(old: Tokenizer, new: Tokenizer) -> dict[int, list[int]]:
    """Ids that only `new` has -> the ids of `old` their text was made of; none for a special token.

    InputError unless `new` is `old` with more tokens behind its own: a model would read any other text as it never learned to.
    """
    mine, theirs = ({} if not isinstance(each.inner, tokenizers.Tokenizer) else each.inner.get_vocab(True) for each in (old, new))
    moved = next((token for token, i in sorted(mine.items(), key=lambda each: each[1]) if theirs.get(token) != i), None)
    if moved is not None or not mine:
        has = f"{moved!r} is {mine[moved]} there and {theirs.get(moved, 'missing')} here" if moved is not None else "it is Marian's"
        raise InputError(
            f"the tokenizer is no extension of the model's ({has}): give the model's own, or one that harken tokenizer extend made"
        )
    if _parts(old) != _parts(new):
        raise InputError(
            "the tokenizer is no extension of the model's (it has the same tokens but cuts texts in another way): give the model's own, "
            "or one that harken tokenizer extend made"
        )
    more = sorted(i for token, i in theirs.items() if token not in mine)
    texts = {i: "" if i in new.special_ids else new.inner.id_to_token(i) or "" for i in more}
    return {i: [piece for piece in old.encode(text, special=False) if piece != old.unk_id] for i, text in texts.items()}


def _parts(tokenizer: Tokenizer) -> list[object]:
    """What decides how a text is cut, beside its tokens: normalizer, pre-tokenizer, and of the model all but its vocabulary."""
    inner: Any = tokenizer.inner
    state = json.loads(inner.to_str())
    return [state.get("normalizer"), state.get("pre_tokenizer"), state["model"].get("type"), state["model"].get("merges")]
