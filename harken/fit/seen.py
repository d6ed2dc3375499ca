"""Which texts a run has learned from, as hashes, so that measuring can say how many of its examples are not new at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from ..checkpoint.save import save_tensors
from ..data.corpus import Corpus
from ..data.numbers import room

SEEN = "seen.safetensors"


def remember(corpus: Corpus, folder: Path) -> None:
    """Write the sorted hashes of a corpus of examples; running text has no examples to meet again."""
    if corpus.kind == "lines":
        hashes, at = room(len(corpus.texts), np.uint64), 0
        for some in corpus.texts.fingerprints():
            hashes[at : at + len(some)] = some
            at += len(some)
        hashes.sort()
        hashes = hashes[np.append(True, hashes[1:] > hashes[:-1])].view(np.int64)
        save_tensors(folder / SEEN, {"hashes": torch.from_numpy(hashes)}, {"format": "pt"})


def seen(corpus: Corpus, folder: Path) -> np.ndarray | None:
    """(examples,) bool: which of these examples the run in `folder` has learned from; None where it did not record any."""
    if corpus.kind != "lines" or not (folder / SEEN).is_file():
        return None
    known = load_file(folder / SEEN)["hashes"].numpy().view(np.uint64)
    if not len(known):
        return np.zeros(len(corpus.texts), bool)
    return np.concatenate([known[np.searchsorted(known[:-1], hashes)] == hashes for hashes in corpus.texts.fingerprints()])
