"""Plain words for counting: lower case, no signs, no white space. What is left of a text are its words, the frequent ones first."""

from __future__ import annotations

from collections.abc import Iterable

import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers

from ..base.errors import InputError
from .pieces import pieces
from .tokenizer import Tokenizer

UNKNOWN = "<unk>"
# Letters and digits with the ending behind an apostrophe ("don't"); of scripts without blanks each character is a word.
_ALONE = "".join(rf"\p{{{name}}}" for name in ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"))
_LETTERS = rf"[\p{{L}}\p{{N}}\p{{M}}&&[^{_ALONE}]]+"
PLAIN = rf"[{_ALONE}]\p{{M}}*|{_LETTERS}(?:['’]{_LETTERS})*"


def train_plain_words(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """The most frequent words in lower case behind <unk> (id 0), at most `vocab_size` with it, falling; of equals the first by code point.

    Signs and white space are no tokens, so a text does not come back. The texts are read once. InputError when they hold no word.
    """
    inner = tokenizers.Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    inner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(PLAIN), "removed", invert=True)
    trainer = trainers.WordLevelTrainer(vocab_size=vocab_size, special_tokens=[UNKNOWN], show_progress=False)
    inner.train_from_iterator((piece for text in texts for piece in pieces(text)), trainer)
    if inner.get_vocab_size() < 2:
        raise InputError("there is no word to learn from: give a text with at least one")
    return _finished(inner)


def first_words(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """The same tokenizer with the first `size` tokens of its vocabulary alone."""
    assert isinstance(tokenizer.inner, tokenizers.Tokenizer)
    inner = tokenizers.Tokenizer.from_str(tokenizer.inner.to_str())
    inner.model = models.WordLevel({word: i for word, i in inner.get_vocab().items() if i < size}, unk_token=UNKNOWN)
    return _finished(inner)


def _finished(inner: tokenizers.Tokenizer) -> Tokenizer:
    return Tokenizer(inner, {"unk": UNKNOWN}, {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False})
