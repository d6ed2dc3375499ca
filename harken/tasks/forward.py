"""Rows read by a model: those of similar length together, so that next to nothing is padding; each answer depends on its row alone.

B rows · L tokens · D width · N outputs · P places · V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..decode.reader import padded
from ..nn.mask import Mask
from ..nn.models import Model
from .task import Row, Wants

TOKENS, ROWS = 8_192, 64
"""Read at once at most, padding included."""
ENOUGH = 256
"""Tokens that keep a CPU busy: beyond them a row a tenth shorter begins a batch of its own (measured: a third less time)."""


@torch.inference_mode()
def read(model: Model, rows: Sequence[Row], wants: Wants, batch: int | None, read_on: Callable[[int], None]) -> list[np.ndarray]:
    """What the model makes of each row, float32: "answers": (N,) or (L, N), as its head has it · "states": (L, D) · "words": (P, V).

    `batch`: rows at once at most · `read_on`: told how many more are done. In float32 on a CPU every answer has the same bits in every
    batch."""
    model.pack()
    model.eval()
    found: list[Any] = [None] * len(rows)
    enough = ENOUGH if model.device.type == "cpu" else TOKENS
    for group in alike([len(row.ids) for row in rows], batch or ROWS, enough):
        some = [rows[i] for i in group]
        ids, mask = padded([row.ids for row in some], model.device)
        mask = mask if len({len(row.ids) for row in some}) > 1 else Mask()
        outputs = answer(model, ids, mask, kinds(model, some, ids), some, wants)
        for i, row, output in zip(group, some, outputs, strict=True):
            whole = wants != "answers" or output.dim() == 1
            found[i] = (output if whole else output[: len(row.ids)]).float().cpu().numpy()
        read_on(len(group))
    return found


def alike(lengths: Sequence[int], batch: int, enough: int) -> Iterator[list[int]]:
    """The rows by falling length, in groups that are read together: of like length once there are `enough` tokens in one."""
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        first, size = (lengths[group[0]], len(group)) if group else (0, 0)
        shorter = size * first >= enough and lengths[i] < 0.9 * first
        if group and (size >= batch or (size + 1) * first > TOKENS or shorter):
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def kinds(model: Model, rows: Sequence[Row], ids: Tensor) -> dict[str, Tensor]:
    """The kind of each token, for a model that tells kinds apart, where some are not 0."""
    stack: Any = getattr(model, "stack", None)
    if all(row.types is None for row in rows) or getattr(getattr(stack, "embed", None), "types", None) is None:
        return {}
    found = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        if row.types is not None:
            found[i, : len(row.types)] = torch.tensor(row.types)
    return {"types": found}


def answer(model: Any, ids: Tensor, mask: Mask, types: dict[str, Tensor], rows: Sequence[Row], wants: Wants) -> Sequence[Tensor]:
    """Of each row, as `read` has it; answers of its tokens with those of the padding."""
    if wants == "answers":
        said = model(ids, mask, **types)
        return list(said if isinstance(said, Tensor) else said.nsp)
    x = states(model, ids, mask, types)
    if wants == "states":
        return [x[i, : len(row.ids)] for i, row in enumerate(rows)]
    asked = torch.cat([x[i, row.places] for i, row in enumerate(rows)])  # (P, D): a head over the vocabulary is dear
    said = model.head(asked[None], model.stack.embed.tokens, Mask())[0]
    return said.split([len(row.places or ()) for row in rows])


def states(model: Any, ids: Tensor, mask: Mask, types: dict[str, Tensor]) -> Tensor:
    """(B, L, D) the last hidden state of each token; of a model that reads a source, what its encoder makes of it."""
    if hasattr(model, "encoder"):
        begun = torch.zeros(len(ids), 1, dtype=torch.int64, device=ids.device)
        call = model.prepare(ids, None if model.reads == "text" else begun, mask)
        return model.encoder(call.source, call.reading)
    return model.stack(ids, model.prepare(ids, mask, **types))
