"""An Inspection as a file, by its ending: .html the page, .svg one attention map, .npz the arrays."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from ..base.files import replacing, write_text
from ..draw.heatmap import heat_map
from .inspect import Inspection
from .page import page

ENDINGS = (".html", ".svg", ".npz")


def save(found: Inspection, path: str | os.PathLike[str]) -> list[str]:
    """Write a file, whole or not at all. Returns what is to be said about it: what it shows, what it leaves out.

    InputError for another ending, and for a picture of maps where there are none. RunError when it cannot be written.
    """
    ending = Path(path).suffix.lower()
    if ending == ".html":
        text, left_out = page(found)
        write_text(path, text)
        return left_out
    if ending == ".svg":
        return [save_map(found, path)]
    if ending == ".npz":
        save_arrays(found, path)
        return []
    raise InputError(f"{path}: the ending says what to write, one of {', '.join(ENDINGS)}")


def save_map(found: Inspection, path: str | os.PathLike[str]) -> str:
    """One heat map: of the only layer there is or the last, of the only head that was kept or their mean. Returns which, in words."""
    found.maps  # noqa: B018  (says so where there are none)
    kind = next((kind for kind in ("cross", "alignment") if kind in found.attention), next(iter(found.attention)))
    maps = found.attention[kind]
    layer, one = maps.layers[-1], len(maps.heads) == 1
    weights = maps.weights[-1, 0] if one else maps.mean[-1]
    of = f"head {maps.heads[0]}" if one else f"mean of {maps.all_heads} heads"
    source = found.source if kind in ("cross", "alignment", "encoder") and found.source else found.tokens
    rows = found.source if kind == "encoder" and found.source else found.tokens
    title = f"{found.model['name']}: layer {layer}, {of}"
    words = ("source", "target") if source is not rows else ("the tokens it looks at", "a token as it is read")
    heat_map(path, weights, rows=rows.shown, columns=source.shown, title=title, x=words[0], y=words[1], unit="attention weight")
    return f"{path} shows layer {layer} of 0 to {maps.all_layers - 1}, {of}"


def save_arrays(found: Inspection, path: str | os.PathLike[str]) -> None:
    """NumPy's .npz, without pickled objects: the arrays under their own names, `tokens` as strings, `maps_self` and the like."""
    arrays = {name: getattr(found, name) for name in ("logprobs", "ranks", "entropies", "top_ids", "top_logprobs")}
    for prefix, tokens in (("", found.tokens), ("source_", found.source)):
        if tokens is not None:
            arrays |= {f"{prefix}tokens": np.array(tokens.shown), f"{prefix}ids": tokens.ids, f"{prefix}offsets": tokens.offsets}
    for kind, maps in found.attention.items():
        arrays |= {f"maps_{kind}": maps.weights, f"layers_{kind}": np.array(maps.layers), f"heads_{kind}": np.array(maps.heads)}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
