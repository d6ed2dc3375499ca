"""The exact kernels against torch's own, which change their bits with the batch: `python bench/kernels.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timing import medians, row

from harken.nn.attend import Look, attend
from harken.nn.linear import Linear, linear
from harken.nn.mask import Mask


def products() -> None:
    """linear() packed, against F.linear; the last column counts silu into both."""
    for outputs, inputs in ((128, 128), (512, 128), (768, 768), (3072, 768)):
        layer, packed = (Linear(inputs, outputs, bias=False) for _ in range(2))
        packed.load_state_dict(layer.state_dict())
        packed.pack()
        for rows in (1, 4, 32, 256):
            x = torch.randn(rows, inputs)
            found = medians({"ours": lambda x=x, p=packed: linear(x, p), "torch": lambda x=x, w=layer.weight: F.linear(x, w)})
            print(row(f"product {rows} × {inputs} → {outputs}", found, "ours", "torch"))


def attentions() -> None:
    """attend() exact, against scaled_dot_product_attention."""
    for batch, heads, groups, queries, keys, width in (
        (1, 4, 4, 1, 256, 32),
        (8, 8, 4, 1, 256, 64),
        (1, 12, 12, 1, 1024, 64),
        (4, 4, 4, 256, 256, 32),
    ):
        q, k, v = (torch.randn(batch, n, m, width) for n, m in ((heads, queries), (groups, keys), (groups, keys)))
        k = k.mT.contiguous().mT  # as the cache holds it
        positions = torch.arange(keys - queries, keys)[None]
        exact, fused = (Look.of(Mask(causal=True), positions, keys, past=keys - queries, exact=e) for e in (True, False))
        found = medians({"ours": lambda a=(q, k, v), e=exact: attend(*a, e), "torch": lambda a=(q, k, v), e=fused: attend(*a, e)})
        print(row(f"attention {batch} × {heads}/{groups} heads, {queries} → {keys}, {width} wide", found, "ours", "torch"))


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}; medians, float32")
    with torch.no_grad():
        products()
        attentions()
