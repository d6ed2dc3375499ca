"""Multi30k, English to French: the Transformer of 2017 in its tiny size.

29,000 pairs to learn from, 1,014 to validate on, 1,000 of test 2016. Small letters, Moses' tokens (sacremoses), one byte-level BPE of
10,000 pieces for both sides; 4 + 4 layers of width 128, hidden 256, 4 heads, dropout 0.3, labels smoothed by 0.1, one hour on two cores;
the weights are a running average of the last thousand steps or so, where the paper takes the mean of the last ten epochs; five beams. Wu
et al. 2021 (https://aclanthology.org/2021.acl-long.480), text only, report 61.8.
"""

from __future__ import annotations

from harken.results.lab import Lab

from .multi30k import tiny_transformer


def steps(lab: Lab) -> None:
    """Train, translate, measure."""
    tiny_transformer(lab, "en", "fr", 60.5, {"tokens": "61.8 (Wu et al. 2021), the goal"})
