"""`harken look MODEL TEXT -o page.html`: what a model attends to, what it expects, how sure it is."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..base.errors import InputError
from ..base.options import argument, option
from ..base.report import count, say
from .command import command
from .held import HoldOptions

if TYPE_CHECKING:
    from ..view.inspect import Inspection

ENDINGS = (".html", ".svg", ".npz")


@dataclass(frozen=True)
class LookOptions(HoldOptions):
    """Look inside a model as it reads a text: what it attends to, what it expects, how sure it is. Without --out, a table."""

    model: Any = argument("folder of the model")
    text: str = argument("the text to read; with --target, its source")
    target: str | None = option(None, "what the text becomes, for a model that translates")
    out: str | None = option(
        None, "what to write: a page (.html), one attention map (.svg) or all arrays (.npz)", short="-o", metavar="FILE"
    )
    layer: Any = option(None, "only these layers, the first is 0: 3, or 0,2,5-7 (default: all; an .svg shows the last)", metavar="N[,N...]")
    head: Any = option(None, "only these heads, the first is 0 (default: all; an .svg shows their mean)", metavar="N[,N...]")
    maps: bool = option(True, "keep the attention maps")
    top: int = option(5, "how many alternatives to keep for each token", min=1)
    overflow: Literal["error", "window"] = option("error", "what to do with a text longer than the context; window: look at its last part")
    json: bool = option(False, "print one JSON object")

    def __post_init__(self) -> None:
        if self.out is not None and Path(self.out).suffix.lower() not in ENDINGS:
            raise InputError(f"--out {self.out}: the ending says what to write, one of {', '.join(ENDINGS)}")


@command("look", LookOptions)
def look(options: LookOptions) -> Inspection:
    """An `Inspection`: its arrays, and `maps` by kind. InputError for a text longer than the context, for layers and heads that the
    model has not, and for a picture of a model without attention."""
    from ..view.inspect import inspect
    from ..view.maps import chosen
    from ..view.save import save

    layers, heads = chosen("--layer", options.layer), chosen("--head", options.head)
    model, tokenizer = options.opened(options.model)
    name = Path(options.model).resolve().name if isinstance(options.model, str | os.PathLike) else None
    found = inspect(
        model,
        tokenizer,
        options.text,
        target=options.target,
        top=options.top,
        layers=layers,
        heads=heads,
        maps=options.maps,
        overflow=options.overflow,
        name=name,
    )
    for note in (*found.notes, *([] if options.out is None else save(found, options.out))):
        say(note)
    if options.out is not None:
        say(f"{options.out}: {count(Path(options.out).stat().st_size)}B")
    return found


@look.show
def show(found: Inspection, options: LookOptions) -> None:
    """A table, or one JSON object; nothing where a file was written."""
    if options.json:
        print(json.dumps(facts(found), ensure_ascii=False))
    elif options.out is None:
        print(table(found))


def table(found: Inspection) -> str:
    """A line a token, what would follow, and what it all comes to."""
    from ..draw.table import text_table
    from ..view.page import HEADER, likeliest, table_rows

    rows = [[repr(row[0]), *row[1:]] for row in table_rows(found, alternatives=3)]
    rows.append(["what follows", "", "", f"{found.entropy_bits[-1]:.2f}", likeliest(found, len(found.tokens.ids), 3)])
    lines = [text_table([*HEADER, "likeliest"], rows, right=(1, 2, 3)), ""]
    said = f"{len(found.tokens.ids):,} tokens"
    if found.loss is not None:
        bits = "" if found.bits_per_byte is None else f", {found.bits_per_byte:.4f} bits per byte"
        said += f", loss {found.loss:.4f} nats per token (perplexity {found.perplexity:.2f}){bits}"
    return "\n".join([*lines, said])


def facts(found: Inspection) -> dict[str, Any]:
    """Everything but the maps, as JSON has it: null for what is not there."""

    def number(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else float(value)

    def expected(place: int) -> dict[str, Any]:
        pairs = zip(found.top_ids[place].tolist(), found.top_logprobs[place].tolist(), strict=True)
        top = [{"token": found.names[i], "id": i, "logprob": number(value)} for i, value in pairs if i >= 0]
        return {"entropy_bits": number(found.entropy_bits[place]), "top": top}

    read = found.tokens
    tokens = [
        {
            **{"token": token, "id": int(read.ids[i]), "start": int(read.offsets[i, 0]), "end": int(read.offsets[i, 1])},
            **{"logprob": number(found.logprobs[i]), "rank": int(found.ranks[i]) or None},
            **expected(i),
        }
        for i, token in enumerate(read.shown)
    ]
    return {
        **found.model,
        **{"text": read.text, "source": None if found.source is None else found.source.text},
        **{"loss": number(found.loss), "perplexity": number(found.perplexity), "bits_per_byte": number(found.bits_per_byte)},
        **{"unknown": read.unknown, "dropped": read.dropped, "tokens": tokens, "next": expected(len(tokens))},
    }
