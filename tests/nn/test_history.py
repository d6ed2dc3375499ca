"""A model over the last n tokens sees these and no others, whatever was read in whatever portions; and the scores of alikeness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harken.base.errors import InputError
from harken.nn.history import NOTHING, HistoryModel
from harken.nn.mask import Mask
from harken.nn.scores import cosine, unit


class Spy(nn.Module):
    """Its logits are the histories themselves."""

    def forward(self, history: Tensor) -> Tensor:
        return history.float()


def spy(n: int = 3) -> HistoryModel:
    return HistoryModel(Spy(), n, vocab=50, context=20)


def test_histories_of_a_whole_row() -> None:
    want = [[NOTHING, NOTHING, 7], [NOTHING, 7, 8], [7, 8, 9], [8, 9, 10]]
    assert spy()(torch.tensor([[7, 8, 9, 10]])).tolist() == [want]
    assert spy(1)(torch.tensor([[7, 8]])).tolist() == [[[7], [8]]]


def test_histories_go_on_from_a_cache_row_by_row() -> None:
    model = spy()
    cache = model.begin(2, 8)
    model(torch.tensor([[1, 2, 3], [4, 0, 0]]), Mask(lengths=torch.tensor([3, 1])), cache=cache)
    got = model(torch.tensor([[5, 6], [7, 8]]), cache=cache)
    assert got.tolist() == [[[2, 3, 5], [3, 5, 6]], [[NOTHING, 4, 7], [4, 7, 8]]]
    kept = cache.snapshot()
    model(torch.tensor([[9], [9]]), cache=cache)
    cache.restore(kept)
    cache.trim(torch.tensor([4, 9]))
    assert cache.lengths.tolist() == [4, 3]
    assert model(torch.tensor([[1], [2]]), cache=cache, last=True).tolist() == [[3, 5, 1], [7, 8, 2]]


def test_last_stands_at_the_last_real_token() -> None:
    got = spy()(torch.tensor([[1, 2, 3], [4, 5, 0]]), Mask(lengths=torch.tensor([3, 2])), last=True)
    assert got.tolist() == [[1, 2, 3], [NOTHING, 4, 5]]


def test_what_does_not_fit() -> None:
    model = spy()
    with pytest.raises(InputError, match="21 tokens does not fit: this model reads at most 20"):
        model(torch.zeros(1, 21, dtype=torch.int64))
    assert model.begin(1, 1000).size == 20
    with pytest.raises(InputError, match="token id -1 is out of range"):
        model(torch.tensor([[NOTHING]]))


def test_cosine_is_the_angle() -> None:
    random = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 5, 9, generator=random), 100 * torch.randn(2, 7, 9, generator=random)
    want = torch.nn.functional.cosine_similarity(q[:, :, None], k[:, None], dim=-1)
    torch.testing.assert_close(cosine(q, k), want, rtol=0, atol=1e-6)
    torch.testing.assert_close(cosine(q, 3 * q).diagonal(dim1=-2, dim2=-1), torch.ones(2, 5))
    assert not unit(torch.zeros(3)).any()  # no direction, no division by zero
