"""Train a tokenizer of each kind.

Byte-level BPE: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909, over bytes as in GPT-2. WordPiece: as in BERT, Devlin et al. 2019,
https://arxiv.org/abs/1810.04805. Unigram: Kudo 2018, https://arxiv.org/abs/1804.10959.
"""

from __future__ import annotations

import itertools
import math
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from ..base.errors import InputError
from .frames import BERT, PLAIN, Frame
from .pieces import line_pieces, pieces, without_long_runs
from .tokenizer import EVERY_CHARACTER, LINE_START, Tokenizer, with_roles

# A word takes the blank in front of it along, an ending behind an apostrophe is a word, scripts without blanks give each character.
_SCRIPTS = "".join(rf"\p{{{name}}}" for name in ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"))
WORDS = rf"(?<=\w)['’]\w+| ?[{_SCRIPTS}]\p{{M}}*| ?[\w&&[^{_SCRIPTS}]]+| ?[^\w\s]\p{{M}}*|\s"
# The same, except that neither scripts nor runs of signs or of white space are cut: the pieces are to be learned.
STRETCHES = r"(?<=\w)['’]\w+| ?\w+| ?[^\w\s]+|\s+(?!\S)|\s"

LONGEST_WORD = 2_000  # characters; the time to train grows with the length of the words that share a pair
LONGEST_WORDPIECE = 100  # characters; longer words are unknown to a WordPiece tokenizer
COVERAGE = 0.9995  # of a text's characters have a piece of their own in a unigram tokenizer; the rest are spelled in bytes
NEVER = -1e5  # log-probability of what must not be found in a text: special tokens, and bytes while there is another way
_COUNTED = 20_000  # characters: the library splits short texts faster


def train_characters(texts: Iterable[str], *, specials: Sequence[str] = (), frame: Frame = PLAIN) -> Tokenizer:
    """One token per distinct Unicode code point, in order, behind <pad> <bos> <eos> <unk> (ids 0 to 3), or what another `frame` has, and
    the further `specials`.

    Text over the alphabet comes back exactly; every other character becomes <unk>. InputError when there is no text.
    """
    alphabet: set[str] = set()
    for text in texts:
        alphabet.update(text)
    if not alphabet:
        raise InputError("there is no text to take characters from: give at least one example that is not empty")
    _whole("".join(sorted(alphabet)))
    words = _distinct([*frame.specials, *specials]) + sorted(alphabet)
    inner = tokenizers.Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=frame.names["unk"]))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(EVERY_CHARACTER), "isolated")
    inner.decoder = decoders.Fuse()
    return _finished(inner, frame, specials)


def train_words(texts: Iterable[str], vocab_size: int | None = None, *, specials: Sequence[str] = (), frame: Frame = PLAIN) -> Tokenizer:
    """The most frequent words, at most `vocab_size` tokens with <pad> <bos> <eos> <unk> (ids 0 to 3), or what another `frame` has,
    `specials`, "\\n" and " ".

    A word keeps its case and takes the blank in front of it along (behind a bracket it has none, and is a token of its own); the first of
    a line is given one. Every sign is a word, so is an ending behind an apostrophe ("don" "'t"), a line end, a further white space, and
    each character of scripts that use no blanks. Text of known words comes back exactly, white space included; every other is one <unk>.
    InputError when there is no text, or when `vocab_size` has no room for one word.
    """
    lead = [*_distinct([*frame.specials, *specials]), "\n", " "]
    inner = tokenizers.Tokenizer(models.WordLevel({}, unk_token=frame.names["unk"]))
    inner.normalizer = normalizers.Replace(Regex(LINE_START), " ")
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
    inner.decoder = _line_decoder()
    counts, characters = _counted(texts, inner, line_pieces)
    size = _room(
        vocab_size, len(lead) + 1, f"{len(lead) - 2} special tokens, the line end, the blank and one word", 4 * usual_size(characters)
    )
    ranked = sorted(counts.keys() - {*lead}, key=lambda word: (-counts[word], word))
    inner.model = models.WordLevel({word: i for i, word in enumerate([*lead, *ranked][:size])}, unk_token=frame.names["unk"])
    return _finished(inner, frame, specials)


def train_bpe(texts: Iterable[str], vocab_size: int | None = None, *, specials: Sequence[str] = (), frame: Frame = PLAIN) -> Tokenizer:
    """Byte-level BPE with at most `vocab_size` tokens: <pad> <bos> <eos> (ids 0 to 2), or what another `frame` has, the further
    `specials`, the 256 bytes, then merges. Bytes leave nothing unknown.

    Every Unicode text comes back exactly. The same texts give the same file. InputError when `vocab_size` has no room for all bytes; when
    it is left out the texts are read twice, and must not be an iterator.
    """
    frame = frame._replace(names={role: name for role, name in frame.names.items() if role != "unk"})
    lead = _distinct([*frame.specials, *specials])
    if vocab_size is None and iter(texts) is texts:
        raise InputError("texts can be read only once: name a vocab_size, or give a list")
    usual = usual_size(sum(map(len, texts))) if vocab_size is None else 0
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_room(vocab_size, 256 + len(lead), f"the 256 bytes and {len(lead)} special tokens", usual),
        special_tokens=lead,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(_portions(texts, pieces), trainer)
    return _finished(inner, frame, specials)


def train_wordpiece(
    texts: Iterable[str],
    vocab_size: int | None = None,
    *,
    specials: Sequence[str] = (),
    lowercase: bool = False,
    frame: Frame = BERT,
) -> Tokenizer:
    """WordPiece as BERT has it: [PAD] [UNK] [CLS] [SEP] [MASK] (ids 0 to 4), `specials`, every character alone and as "##x", then merges.

    White space and signs separate words, and what kind of white space it was is not kept: text comes back up to white space.
    A word with a character that the texts did not have, or of more than 100 characters, becomes one [UNK]; nothing is dropped.
    `lowercase` also takes accents off, as the uncased BERT. InputError when `vocab_size` has no room for the characters.
    """
    lead, unknown = _distinct([*frame.specials, *specials]), frame.names["unk"]
    inner = tokenizers.Tokenizer(models.WordPiece({}, unk_token=unknown, max_input_chars_per_word=LONGEST_WORDPIECE))
    # clean_text would drop control characters without a word.
    inner.normalizer = normalizers.BertNormalizer(clean_text=False, strip_accents=lowercase, lowercase=lowercase)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    counts, characters = _counted(texts, inner, pieces)
    alphabet = sorted({*"".join(counts)})
    alphabet += [f"##{character}" for character in alphabet if len(_words(inner, f"a{character}a")) == 1]
    words = f"{len(lead)} special tokens and the {len(alphabet):,} forms of the characters"
    size = _room(vocab_size, len(lead) + len(alphabet), words, usual_size(characters))
    # The trainer numbers "##x" as it meets them, in no fixed order, and breaks ties by number: named as specials they have their places.
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=[*lead, *alphabet], show_progress=False)
    worker = tokenizers.Tokenizer(models.WordPiece({}, unk_token=unknown))
    worker.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    worker.train_from_iterator(_repeated(counts), trainer)
    inner.model = models.WordPiece(worker.get_vocab(), unk_token=unknown, max_input_chars_per_word=LONGEST_WORDPIECE)
    return _finished(inner, frame, specials)


def train_unigram(texts: Iterable[str], vocab_size: int | None = None, *, specials: Sequence[str] = (), frame: Frame = PLAIN) -> Tokenizer:
    """Unigram pieces: at most `vocab_size` with <pad> <bos> <eos> <unk> (ids 0 to 3), or what another `frame` has, `specials` and the 256
    bytes <0x00> to <0xFF>.

    Words, signs and white space are stretches of their own, as in `train_words`, and pieces never cross them. Characters that are rare in
    the texts, and all others, are spelled in bytes, so every Unicode text comes back exactly.
    InputError when there is no text, or when `vocab_size` has no room for the bytes and the characters.
    """
    from .unigram import learn

    lead = _distinct([*frame.specials, *specials, *(f"<0x{byte:02X}>" for byte in range(256))])
    inner = tokenizers.Tokenizer(models.Unigram())
    inner.normalizer = normalizers.Replace(Regex(LINE_START), " ")
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(STRETCHES), "isolated")
    inner.decoder = _line_decoder(decoders.ByteFallback())
    counts, characters = _counted(texts, inner, line_pieces)
    # Whatever a special token or a byte's name is made of must have pieces too, so that a text with that name in it can be spelled.
    alphabet = {*_frequent(counts), *string.printable, *"".join(specials)}
    words = f"the 256 bytes, {len(lead) - 256} special tokens and {len(alphabet):,} characters"
    size = _room(vocab_size, len(lead) + len(alphabet), words, usual_size(characters))
    spelled: Counter[str] = Counter()
    for word, often in counts.items():
        for known, part in itertools.groupby(word, alphabet.__contains__):
            if known:
                spelled["".join(part)] += often
    learned = learn(spelled, alphabet, size - len(lead))
    inner.model = models.Unigram([*((name, NEVER) for name in lead), *learned], unk_id=lead.index(frame.names["unk"]), byte_fallback=True)
    return _finished(inner, frame, specials)


# ---- what they share


def _portions(texts: Iterable[str], cut: Callable[[str, int], Iterator[str]], size: int = 1_000_000) -> Iterator[str]:
    for text in texts:
        for piece in cut(text, size):
            _whole(piece)
            yield from without_long_runs(piece, LONGEST_WORD)


def _whole(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise InputError(f"the text holds half a character (the lone surrogate U+{half:04X}): repair it where it was cut") from None


def _counted(texts: Iterable[str], inner: tokenizers.Tokenizer, cut: Callable[[str, int], Iterator[str]]) -> tuple[Counter[str], int]:
    """How often each word of `texts` occurs, and the number of characters."""
    counts: Counter[str] = Counter()
    characters = 0
    for portion in _portions(texts, cut, _COUNTED):
        characters += len(portion)
        counts.update(_words(inner, portion))
    if not counts:
        raise InputError("there is no text to learn from: give at least one example that is not empty")
    return counts, characters


def _words(inner: tokenizers.Tokenizer, text: str) -> list[str]:
    assert inner.normalizer and inner.pre_tokenizer
    return [word for word, _ in inner.pre_tokenizer.pre_tokenize_str(inner.normalizer.normalize_str(text))]


def _repeated(counts: Counter[str]) -> Iterator[str]:
    """Texts in which each word occurs as often as it was counted."""
    for word, often in counts.items():
        if len(word) <= LONGEST_WORDPIECE:
            for done in range(0, often, 10_000):
                yield f"{word} " * min(10_000, often - done)


def _frequent(counts: Counter[str]) -> Iterator[str]:
    """The characters that make up COVERAGE of the text, the most frequent first."""
    often: Counter[str] = Counter()
    for word, times in counts.items():
        for character in word:
            often[character] += times
    rest = often.total() * COVERAGE
    for character in sorted(often, key=lambda each: (-often[each], each)):
        if rest <= 0:
            return
        rest -= often[character]
        yield character


def _line_decoder(*first: Any) -> Any:
    """Undoes LINE_START: every line loses the blank that it was given."""
    return decoders.Sequence([*first, decoders.Fuse(), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)])


def usual_size(characters: int) -> int:
    """A vocabulary size that suits a text of so many characters: it grows as the root of the data."""
    return min(max(2 ** round(math.log2(math.sqrt(max(characters, 1)))), 512), 16_384)


def _room(vocab_size: int | None, fewest: int, words: str, usual: int) -> int:
    """The vocabulary size as asked, or what is usual, with room for more than the least."""
    if vocab_size is None:
        return max(usual, fewest * 3 // 2)
    if vocab_size < fewest:
        raise InputError(f"vocab_size is {vocab_size}, but {words} need at least {fewest}")
    return vocab_size


def _distinct(specials: list[str]) -> list[str]:
    wrong = sorted({name for name in specials if specials.count(name) > 1 or len(name) < 2})
    if wrong:
        raise InputError(f"special tokens must differ and be longer than one character: {', '.join(map(repr, wrong))}")
    return specials


def _finished(inner: tokenizers.Tokenizer, frame: Frame, specials: Sequence[str]) -> Tokenizer:
    """With its template and names; a further special token <mask> or <sep> takes that role."""
    inner.add_special_tokens([*frame.specials, *specials])
    single, pair = frame.template(frame.single), frame.template(frame.pair)
    around = [(name, inner.token_to_id(name)) for name in frame.specials if name in pair.replace(":1", "").split()]
    inner.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=around)
    extra: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # "<eos>" in a text is text for transformers too
    }
    if ":1" in pair:
        extra["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]  # transformers leaves the types out otherwise
    tokenizer = Tokenizer(inner, with_roles(frame.names, specials), extra)
    for special in specials:
        for text in (special, f"({special}", f"a{special}", f"a{special.removeprefix('##')}"):
            if inner.token_to_id(special) in tokenizer.encode(text, special=False):
                raise InputError(
                    f"the special token {special!r} is also an ordinary piece of text: choose one with signs, as in '<|user|>'"
                )
    return tokenizer
