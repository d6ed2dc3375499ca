"""A text that goes on in several ways, read at once: every way as if it were read alone."""

import dataclasses

import pytest
import torch

from harken.base.errors import InputError
from harken.families.table import build, config_class
from harken.nn.mask import Mask

TEXT, WAYS = [5, 6, 7, 8, 9, 10, 11], [(4, [20, 21, 22]), (7, [30]), (2, [40, 41]), (4, [50, 51, 52, 53])]


def branched(text, ways):
    """(ids, branches) of a text and of (the tokens it is read behind, its own)."""
    ids, both = list(text), [(i, i) for i in range(len(text))]
    for place, own in ways:
        both += [(place, len(ids))] * len(own)
        ids += own
    return ids, both


@pytest.mark.parametrize("name", ["gpt", "gpt2", "llama", "mistral", "qwen3", "cosine"])
def test_every_way_is_read_as_if_alone(name):
    config = dataclasses.replace(config_class(name).sized(24, 2, 2, 12, 60, 0.0), initializer_range=0.3)
    if name == "mistral":
        config.sliding_window = 3
    model = build(config, seed=0)
    rows = [branched(TEXT, WAYS), branched(TEXT[:4], WAYS[2:3])]
    longest = max(len(ids) for ids, _ in rows)
    ids, branches = torch.zeros(2, longest, dtype=torch.int64), torch.zeros(2, longest, 2, dtype=torch.int64)
    for row, (own, both) in enumerate(rows):
        ids[row, : len(own)], branches[row, : len(own)] = torch.tensor(own), torch.tensor(both)
        branches[row, len(own) :, 1] = torch.arange(len(own), longest)  # padding sees itself
    for packed in (False, True):
        if packed:
            model.pack()
        got = model(ids, Mask(branches=branches))
        for row, (text, ways) in enumerate([(TEXT, WAYS), (TEXT[:4], WAYS[2:3])]):
            at = len(text)
            assert torch.allclose(got[row, :at], model(torch.tensor([text]))[0], atol=1e-5)
            for place, own in ways:
                alone = model(torch.tensor([text[:place] + own]))[0, place:]
                assert torch.allclose(got[row, at : at + len(own)], alone, atol=1e-5)
                at += len(own)
    with pytest.raises(InputError, match=rf"Mask\(branches=...\) must be \(2, {longest}, 2\)"):
        model(ids, Mask(branches=branches[:, :3]))
    with pytest.raises(InputError, match="a sequence of 13 tokens does not fit"):
        model(torch.ones(1, 13, dtype=torch.int64), Mask(branches=torch.arange(13)[None, :, None].expand(1, 13, 2)))
