"""An Inspection as one HTML file that needs nothing but a browser: no network, no server, nothing to install.

A content security policy with the hashes of its own style and script keeps everything else from running or loading.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Sequence
from importlib import metadata, resources
from string import Template

from ..draw.labels import printable
from ..draw.table import html_table
from .inspect import Inspection
from .payload import MOST_CHARACTERS, payload, script_safe

SCRIPTS = ("data.js", "strip.js", "heatmap.js", "maps.js", "look.js")
MOST_ROWS = 2_000  # of the table


def page(found: Inspection, *, most: int = MOST_CHARACTERS) -> tuple[str, list[str]]:
    """(the page, what it leaves out in sentences)."""
    data, left_out = payload(found, most=most)
    style, script = _asset("look.css"), "\n".join(map(_asset, SCRIPTS))
    name = printable(str(found.model["name"]))
    text = Template(_asset("look.html")).substitute(
        title=html.escape(f"{name} · harken look"),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}",
        style=style,
        name=html.escape(name),
        facts=" · ".join(map(html.escape, _facts(found))),
        tiles="".join(f"<div><dd>{html.escape(value)}</dd><dt>{html.escape(what)}</dt></div>" for what, value in _tiles(found)),
        notes="".join(f"<li>{html.escape(note)}</li>" for note in (*found.notes, *left_out)),
        maps="" if found.attention else "hidden",
        no_maps="hidden" if found.attention else "",
        family=html.escape(str(found.model["family"])),
        source="hidden" if found.source is None else "",
        table=_table(found),
        version=html.escape(_version()),
        data=script_safe(data),
        script=script,
    )
    return text, left_out


def _asset(name: str) -> str:
    return (resources.files("harken.view") / "assets" / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _version() -> str:
    try:
        return metadata.version("harken")
    except metadata.PackageNotFoundError:  # run from its source
        return ""


def _facts(found: Inspection) -> list[str]:
    about = found.model
    facts = [about["family"], f"{about['parameters']:,} parameters", f"{about['vocabulary']:,} tokens known"]
    for maps in list(found.attention.values())[:1]:
        facts.append(f"{maps.all_layers} layer{'s' * (maps.all_layers > 1)} of {maps.all_heads} head{'s' * (maps.all_heads > 1)}")
    return [*facts, f"reads {about['context']:,} tokens"]


def _tiles(found: Inspection) -> Sequence[tuple[str, str]]:
    def said(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form) if math.isfinite(value) else "∞"

    perplexity = found.perplexity
    return (
        ("tokens read", f"{len(found.tokens.ids) + (0 if found.source is None else len(found.source.ids)):,}"),
        ("loss, nats a token", said(found.loss, ".3f")),
        ("perplexity", said(perplexity, ",.1f" if perplexity is not None and 10 <= perplexity < 1e6 else ".3g")),
        ("bits a byte", said(found.bits_per_byte, ".3f")),
    )


def _table(found: Inspection) -> str:
    """All the numbers for those who read them, with a screen reader too."""
    rows = [
        [str(number), *(printable(cell) for cell in row)] for number, row in enumerate(table_rows(found, alternatives=5, most=MOST_ROWS))
    ]
    count = len(found.tokens.ids)
    caption = "Every token with its probability" if count <= MOST_ROWS else f"The first {MOST_ROWS:,} of {count:,} tokens"
    return html_table(["", *HEADER, "likeliest"], rows, caption=caption, right=(0, 2, 3, 4))


HEADER = ("token", "probability", "rank", "bits")


def table_rows(found: Inspection, *, alternatives: int, most: int | None = None) -> list[list[str]]:
    """A line a token: its text, its probability, its rank, the entropy it was drawn from in bits, and what was likeliest."""

    def row(i: int, token: str) -> list[str]:
        if math.isnan(found.logprobs[i]):
            return [token, "", "", "", ""]
        return [token, chance(found.logprobs[i]), f"{found.ranks[i]:,}", f"{found.entropy_bits[i]:.2f}", likeliest(found, i, alternatives)]

    return [row(i, token) for i, token in enumerate(found.tokens.shown[:most])]


def likeliest(found: Inspection, place: int, count: int) -> str:
    """The first few alternatives at a place, with their probabilities."""
    pairs = zip(found.top_ids[place].tolist(), found.top_logprobs[place].tolist(), strict=True)
    return "  ".join(f"{printable(found.names[i])} {chance(value)}" for i, value in list(pairs)[:count] if i >= 0)


def chance(logprob: float) -> str:
    """A probability people can read: 42.3%, 0.12%, 1 in 40,000."""
    if logprob == -math.inf:
        return "0%"
    if logprob >= math.log(0.001):
        return f"{math.exp(logprob):.{1 if logprob >= math.log(0.1) else 2}%}"
    return f"1 in 10^{-logprob / math.log(10):.0f}" if logprob < -20 else f"1 in {math.exp(-logprob):,.0f}"
