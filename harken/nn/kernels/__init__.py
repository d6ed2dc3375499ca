"""Exact CPU kernels (Numba): every sum in a fixed order, so an answer does not depend on what else is in the batch.

product(x, packed, bias, act)      y = act(x Wᵀ + b)                      linear()'s fast path
attention(q, k, v, start, stop)    softmax(q kᵀ · scale) v over [start, stop)   attend()'s exact path
"""
