"""An Inspection as the JSON that its page reads: labels that are safe to show, and maps small enough to mail.

A map becomes one byte a weight, as a share of the largest weight of its row, then zlib, then base64: an attention row is a
distribution, and many of its weights are small, so that one scale for a whole map would round most of them to nothing.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..draw.colours import RAMPS, ramp
from ..draw.labels import printable, right_to_left
from .inspect import Inspection, Tokens
from .maps import Maps

MOST_CHARACTERS = 24_000_000
"""Base64 that the maps of a page may take: with the rest below what mail servers accept, and a browser opens it in a second."""
STEPS = 255
KINDS = {
    "self": ("the text, looking back at itself", "tokens", "tokens"),
    "encoder": ("the source, looking at itself", "source", "source"),
    "decoder": ("the target, looking back at itself", "tokens", "tokens"),
    "cross": ("the target, looking at the source", "tokens", "source"),
    "alignment": ("the target, aligned with the source", "tokens", "source"),
}


def payload(found: Inspection, *, most: int = MOST_CHARACTERS) -> tuple[dict[str, Any], list[str]]:
    """(what the page reads, what it does not show in sentences)."""
    maps, left_out = _maps(found, most)
    data = {
        "vocabulary": found.model["vocabulary"],
        "tokens": _tokens(found.tokens),
        "source": None if found.source is None else _tokens(found.source),
        "logprobs": _numbers(found.logprobs),
        "ranks": found.ranks.tolist(),
        "entropies": _numbers(found.entropy_bits),
        "top_ids": found.top_ids.tolist(),
        "top_logprobs": [_numbers(row) for row in found.top_logprobs],
        "names": {str(i): printable(name) for i, name in found.names.items()},
        "maps": maps,
        "ramps": {name: ramp(name).tobytes().hex() for name in RAMPS},
    }
    return data, left_out


def script_safe(data: Any) -> str:
    """JSON that can stand inside a `<script>` whatever its strings hold: plain ASCII without "<", ">" and "&"."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def pack(weights: np.ndarray) -> str:
    """weights (L, M) -> base64 of zlib of L float32 (the largest weight of each row), then L · M bytes (255 for that weight)."""
    tops = weights.max(1, initial=0).astype("<f4")
    shares = weights / np.where(tops > 0, tops, 1)[:, None]
    return base64.b64encode(zlib.compress(tops.tobytes() + np.round(shares * STEPS).astype(np.uint8).tobytes(), 6)).decode("ascii")


def unpack(packed: str, rows: int, columns: int) -> np.ndarray:
    """The inverse of `pack`, as the page does it: each weight within 1/510 of the largest of its row."""
    raw = zlib.decompress(base64.b64decode(packed))
    tops, shares = np.frombuffer(raw[: 4 * rows], "<f4"), np.frombuffer(raw[4 * rows :], np.uint8).reshape(rows, columns)
    return tops[:, None] * shares.astype(np.float32) / STEPS


def _tokens(tokens: Tokens) -> dict[str, Any]:
    """`shown`: as they are · `labels`: with every sign visible · `pieces`: [text that no token stands for, text of this token], to be read
    on; of a character that several tokens share the first has it, the others an ellipsis."""
    pieces, at = [], int(tokens.offsets[0, 0])
    before = (-1, -1)
    for (start, end), label, special in zip(tokens.offsets.tolist(), tokens.shown, tokens.special.tolist(), strict=True):
        gap = tokens.text[at:start] if start > at else ""
        shared = (start, end) == before and not special
        piece = label if special else "⋯" if shared else printable(tokens.text[start:end], running=True)
        pieces.append([printable(gap, running=True), piece])
        before, at = (start, end), max(at, end)
    return {
        "shown": list(tokens.shown),
        "labels": [printable(label) for label in tokens.shown],
        "pieces": pieces,
        "ids": tokens.ids.tolist(),
        "special": np.flatnonzero(tokens.special).tolist(),
        "rtl": right_to_left(tokens.text),
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    """Six digits; null for what is not a number, and for the logarithm of nothing."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]


def _maps(found: Inspection, most: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The mean of every layer, then the heads, layer by layer, as long as they fit."""
    out, left_out, size = [], [], 0
    for kind, maps in found.attention.items():
        title, rows, columns = KINDS.get(kind, (kind, "tokens", "tokens" if found.source is None else "source"))
        means = [pack(mean) for mean in maps.mean]
        size += sum(map(len, means))
        shown = {"kind": kind, "title": title, "rows": rows, "columns": columns, "layers": maps.layers, "heads": maps.heads}
        causal = rows == columns and not np.triu(maps.mean, 1).any()
        out.append({**shown, "all_heads": maps.all_heads, "causal": causal, "means": means, "maps": []})
    for entry, maps in zip(out, found.attention.values(), strict=True):
        missing = []
        for layer, number in zip(maps.weights, maps.layers, strict=True):
            packed = [pack(head) for head in layer] if not missing else []
            length = sum(map(len, packed))
            if missing or size + length > most:
                missing.append(number)
                packed = None
            else:
                size += length
            entry["maps"].append(packed)
        if missing:
            left_out.append(
                f"to keep the page below {most / 1e6:.3g} MB it shows only the mean over the heads for "
                f"{_span('layer', missing)}: --layer {missing[0]} shows the heads of one."
            )
        left_out += _chosen(maps)
    return out, left_out


def _chosen(maps: Maps) -> list[str]:
    """What was not asked for."""
    parts = [
        f"{_span(what, numbers)} of {count}"
        for what, numbers, count in (("layer", maps.layers, maps.all_layers), ("head", maps.heads, maps.all_heads))
        if len(numbers) < count
    ]
    return [f"as asked, the page holds {' and '.join(parts)}; a mean is over all heads."] if parts else []


def _span(what: str, numbers: Sequence[int]) -> str:
    """layer 3 · layers 4 to 7 · layers 0, 3, 5"""
    if len(numbers) == 1:
        return f"{what} {numbers[0]}"
    whole = len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1
    return f"{what}s {f'{numbers[0]} to {numbers[-1]}' if whole else ', '.join(map(str, numbers))}"
