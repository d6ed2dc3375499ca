"""Learn the pieces of a unigram language model: begin with too many, give each a probability by EM, drop those that are missed least.

    P(word) = Σ over its segmentations x₁…xₙ of Π p(xᵢ)

Kudo 2018, https://arxiv.org/abs/1804.10959. Every sum over segmentations is made for all words at once, one place after the other, in a
fixed order: the same words give the same pieces, which the trainers of the field do not promise.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

LONGEST_PIECE = 16  # characters
LONGEST_PART = 32  # characters: longer words are learned from in parts, so that no probability falls below the smallest float
MOST_CHARACTERS = 1_000_000  # of distinct words: the rarest beyond them teach little and would take memory
SEEDS = 10  # candidates for each piece that is kept in the end
SURVIVORS = 0.75  # of the pieces, in each round
ROUND = 2  # steps of EM
FLOOR = 1e-3  # the expected count of a piece that is never the best choice


def learn(counts: Mapping[str, int], alphabet: Iterable[str], size: int) -> list[tuple[str, float]]:
    """At most `size` pieces with their log-probabilities, likeliest first: every character of `alphabet`, then the pieces that help most.

    `counts`: distinct words and how often each occurs, spelled in `alphabet`; there is at least one.
    """
    words, alphabet = _Words(counts), {*alphabet}
    pieces, place, at = _candidates(words, SEEDS * size)
    forward, backward = _lattices(words, at)
    inner = _inner(pieces, place, at)
    room = max(size - len(alphabet - {*pieces.texts}), pieces.characters)  # characters that never occur take their place too
    while True:
        for _ in range(ROUND):
            _step(words, pieces, forward, backward)
        if len(pieces.texts) <= room:
            break
        alive = _survivors(words, pieces, inner, max(room, int(SURVIVORS * len(pieces.texts))))
        for each in (pieces, forward, backward, inner):
            each.keep(alive)
    scores = dict(zip(pieces.texts, pieces.score.tolist(), strict=True))
    least = float(np.log(FLOOR / pieces.mass.sum()))
    scores |= {character: least for character in alphabet if character not in scores}
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


class _Words:
    """Distinct words end to end, with one more place than characters each, so that a place is also a gap between two characters.

    `texts`, `often`, `first` and `last` place: one a word · `word` and `row`: one a place, the word it is in and the number of the
    character behind it (-1 at a word's last place) · `characters` by number · `nats`: the entropy of a character, which keeps products
    of probabilities near 1.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        parts: Counter[str] = Counter()
        for word, often in counts.items():
            for cut in range(0, len(word), LONGEST_PART):
                parts[word[cut : cut + LONGEST_PART]] += often
        ranked = sorted(parts.items(), key=lambda pair: (-pair[1], pair[0]))
        ranked = ranked[: max(1, int(np.searchsorted(np.cumsum([len(part) for part, _ in ranked]), MOST_CHARACTERS, "right")))]
        self.texts = [part for part, _ in ranked]
        self.often = np.array([often for _, often in ranked], np.float64)
        sizes = np.array([len(text) for text in self.texts])
        self.last = np.cumsum(sizes + 1) - 1
        self.first = self.last - sizes
        self.word = np.repeat(np.arange(len(sizes)), sizes + 1)
        points = np.frombuffer("".join(self.texts).encode("utf-32-le"), np.uint32)
        known, numbers = np.unique(points, return_inverse=True)
        self.characters = [chr(point) for point in known]
        self.row = np.full(len(self.word), -1)
        self.row[np.delete(np.arange(len(self.row)), self.last)] = numbers
        share = np.bincount(numbers, np.repeat(self.often, sizes))
        share /= share.sum()
        self.nats = float(-(share * np.log(share)).sum())


@dataclass
class _Pieces:
    """The pieces that are still there, all `characters` first. One entry each: `mass`, the expected count · `score`, the log-probability ·
    `size` in characters · `begin`, its first of all the `places` where the candidates lie end to end."""

    texts: list[str]
    characters: int
    mass: np.ndarray
    size: np.ndarray

    def __post_init__(self) -> None:
        self.score = np.log(self.mass / self.mass.sum())
        self.begin = np.cumsum(self.size + 1) - self.size - 1
        self.places = int((self.size + 1).sum())

    def keep(self, alive: np.ndarray) -> None:
        self.texts = [text for text, kept in zip(self.texts, alive, strict=True) if kept]
        self.mass, self.score, self.size, self.begin = (each[alive] for each in (self.mass, self.score, self.size, self.begin))


class _Edges:
    """The pieces inside some strings as edges between places, sorted so that every sum has its parts ready.

    One entry an edge: `source` and `target`, places · `piece` · `depth`: how far the target, whose sum it is, lies from where its string
    begins (backward: ends).
    """

    def __init__(self, source: np.ndarray, target: np.ndarray, piece: np.ndarray, depth: np.ndarray) -> None:
        order = np.lexsort((target, depth))
        self.source, self.target, self.piece, self.depth = (each[order].astype(np.int32) for each in (source, target, piece, depth))
        self._group()

    def keep(self, alive: np.ndarray) -> None:
        """Drop the edges of pieces that are not alive, and number the other pieces anew."""
        kept = alive[self.piece]
        self.source, self.target, self.depth = self.source[kept], self.target[kept], self.depth[kept]
        self.piece = (np.cumsum(alive) - 1)[self.piece[kept]]
        self._group()

    def fill(self, total: np.ndarray, weight: np.ndarray, add: np.ufunc) -> np.ndarray:
        """`total`: one a place, given at the origins; the others become the sum (np.add) or the best (np.maximum) over their paths."""
        for edges, heads, places in self._steps:
            total[places] = add.reduceat(total[self.source[edges]] * weight[self.piece[edges]], heads)
        return total

    def _group(self) -> None:
        heads = np.flatnonzero(np.diff(self.target, prepend=-1))
        bounds = np.append(np.flatnonzero(np.diff(self.depth, prepend=-1)), len(self.depth))
        self._steps = []
        for low, high in itertools.pairwise(bounds):
            mine = heads[np.searchsorted(heads, low) : np.searchsorted(heads, high)]
            self._steps.append((slice(low, high), mine - low, self.target[mine]))


def _candidates(words: _Words, most: int) -> tuple[_Pieces, np.ndarray, np.ndarray]:
    """Every character, and the `most` strings of 2 to 16 that cover most text, of those that are whole words or lie at several places.

    Also a place where each of them begins, and (LONGEST_PIECE, places) the piece of each size that begins there, or -1.
    """
    row, often, alphabet = words.row, words.often[words.word], len(words.characters)
    gram, grams, found = row, [row], []
    for size in range(2, LONGEST_PIECE + 1):
        place = np.flatnonzero(gram[: 1 - size] >= 0)
        place = place[row[place + size - 1] >= 0]
        _, first, number = np.unique(gram[place] * alphabet + row[place + size - 1], return_index=True, return_inverse=True)
        mass, begin = np.bincount(number, often[place]), place[first]
        whole = (row[begin + size] < 0) & (words.first[words.word[begin]] == begin)
        good = np.flatnonzero((mass >= 2) & (whole | (np.bincount(number) >= 2)))
        found.append((np.full(len(good), size), good, begin[good], mass[good]))
        gram = np.full(len(row), -1)
        gram[place] = np.where(mass[number] >= 2, number, -1)  # what occurs once is part of nothing that occurs twice
        grams.append(gram.astype(np.int32))
    sizes, number, place, mass = (np.concatenate(column) for column in zip(*found, strict=True))
    best = np.sort(np.argsort(-mass * sizes, kind="stable")[:most])
    at = np.empty((LONGEST_PIECE, len(row)), np.int32)
    at[0] = row
    for size in range(2, LONGEST_PIECE + 1):
        mine = best[sizes[best] == size]
        names = np.full(grams[size - 1].max() + 2, -1)  # the last is for places where nothing of this size begins
        names[number[mine]] = alphabet + np.searchsorted(best, mine)
        at[size - 1] = names[grams[size - 1]]
    place = np.concatenate([np.unique(row, return_index=True)[1][1:], place[best]])  # [1:]: the first is -1
    sizes = np.concatenate([np.ones(alphabet, np.int64), sizes[best]])
    mass = np.concatenate([np.bincount(row[row >= 0], often[row >= 0]), mass[best]])
    word, inside = words.word[place], place - words.first[words.word[place]]
    texts = [words.texts[w][i : i + n] for w, i, n in zip(word.tolist(), inside.tolist(), sizes.tolist(), strict=True)]
    return _Pieces(texts, alphabet, mass, sizes), place, at


def _lattices(words: _Words, at: np.ndarray) -> tuple[_Edges, _Edges]:
    """Every piece at every place in the words: the edges from the first places forward, and from the last places backward."""
    size, start = np.nonzero(at >= 0)
    piece, end, word = at[size, start], start + size + 1, words.word[start]
    return _Edges(start, end, piece, end - words.first[word]), _Edges(end, start, piece, words.last[word] - start)


def _inner(pieces: _Pieces, place: np.ndarray, at: np.ndarray) -> _Edges:
    """The pieces inside each piece, itself left out."""
    found = []
    for skip in range(LONGEST_PIECE):
        for size in range(1, LONGEST_PIECE - skip + (skip > 0)):
            owner = np.flatnonzero(pieces.size >= skip + size + (skip == 0))
            part = at[size - 1, place[owner] + skip]
            begin, part = pieces.begin[owner[part >= 0]] + skip, part[part >= 0]
            found.append((begin, begin + size, part, np.full(len(part), skip + size)))
    return _Edges(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _step(words: _Words, pieces: _Pieces, forward: _Edges, backward: _Edges) -> None:
    """One step of EM: the expected counts under the present probabilities, then the probabilities that these counts make."""
    weight = np.exp(pieces.score + words.nats * pieces.size)
    before, behind = np.zeros(len(words.row)), np.zeros(len(words.row))
    before[words.first] = 1
    forward.fill(before, weight, np.add)
    behind[words.last] = words.often / before[words.last]
    backward.fill(behind, weight, np.add)
    expected = before[forward.source] * weight[forward.piece] * behind[forward.target]
    pieces.mass = np.maximum(np.bincount(forward.piece, expected, len(pieces.texts)), FLOOR)
    pieces.score = np.log(pieces.mass / pieces.mass.sum())


def _survivors(words: _Words, pieces: _Pieces, inner: _Edges, most: int) -> np.ndarray:
    """(P,) bool: `most` pieces, all characters and those whose text becomes least likely when other pieces must spell it."""
    weight = np.exp(pieces.score + words.nats * pieces.size)
    best = np.zeros(pieces.places)
    best[pieces.begin] = 1
    inner.fill(best, weight, np.maximum)
    missed = np.full(len(weight), np.inf)
    longer = slice(pieces.characters, None)
    missed[longer] = pieces.mass[longer] * np.log(weight[longer] / best[(pieces.begin + pieces.size)[longer]])
    alive = np.zeros(len(missed), bool)
    alive[np.argsort(-missed, kind="stable")[:most]] = True
    return alive
