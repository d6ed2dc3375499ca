"""Tokens written a second, greedily, beside transformers, CTranslate2 and llama.cpp: `python bench/decode.py` (--quick for GPT-2 alone).

Texts of random weights after prompts of 16 random tokens, at batches of 1, 8 and 32; and a prompt of 512 tokens with one token after
it. Of kinds that are rounded alike (float32, bfloat16), and of int8 beside CTranslate2's int8 and llama.cpp's q8_0, int4 beside q4_0.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from beside import MINE, Limits, Side, options, ratio, report, table, turns
from shapes import SHAPES, checkpoint, derived, ids

KINDS = {"float32": ("float32", "f32"), "bfloat16": (None, "bf16"), "int8": ("int8", "q8_0"), "int4": (None, "q4_0")}
"""Of each of ours what CTranslate2 and llama.cpp call theirs."""
PROMPT = 16


@dataclass(frozen=True)
class Case:
    """`new` tokens after each of `rows` prompts."""

    rows: int
    new: int
    prompt: int = PROMPT

    @property
    def name(self) -> str:
        return f"batch {self.rows}" if self.prompt == PROMPT else f"prompt of {self.prompt}"

    @property
    def tokens(self) -> int:
        return self.rows * self.new if self.prompt == PROMPT else self.prompt


def cases(model: str, kind: str, asked: argparse.Namespace) -> list[Case]:
    """What is asked of a model, so much that a run takes about a second."""
    if asked.tiny:
        return [Case(1, 8), Case(8, 4), Case(1, 1, 64)]
    if model == "llama-1.1b":
        return [Case(1, 8 if kind == "float32" else 16)]
    prefill = [Case(1, 1, 512)] if kind == "float32" else []
    some = [Case(1, 48), Case(8, 24)] if asked.quick else [Case(1, 48), Case(8, 24), Case(32, 12)]
    return [*some, *prefill]


def sides(model: str, kind: str, asked: argparse.Namespace, some: list[Case]) -> list[Side]:
    """Everyone who has this kind; of the large model in float32 two, for the sake of memory."""
    folder, ct2, gguf = checkpoint(model), *KINDS[kind]
    setting = {"what": "decode", "threads": asked.threads}
    found = [Side(MINE, "harken", {**setting, "folder": str(folder), "dtype": kind})]
    if kind in ("float32", "bfloat16"):
        found.append(Side("transformers", "transformers", {**setting, "folder": str(folder), "dtype": kind}))
    large = model == "llama-1.1b" and kind == "float32"
    if ct2 is not None and not large and (path := derived(model, ct2)):
        found.append(Side("CTranslate2", "ctranslate2", {**setting, "folder": str(path), "dtype": ct2}))
    if gguf is not None and not large and (path := derived(model, gguf)):
        room = max(case.prompt + case.new for case in some)
        rows = max(case.rows for case in some)
        found.append(Side("llama.cpp", "llama", {**setting, "path": str(path), "rows": rows, "room": room}))
    return found


def main() -> None:
    """Model by model, kind by kind: all sides of a kind are there at once, and asked in turns."""
    asked = options(__doc__ or "")
    models = ["gpt2", "llama"] if asked.tiny else ["gpt2-124m"] if asked.quick else ["gpt2-124m", "llama-110m", "llama-1.1b"]
    limits = Limits(asked.threads, 0.01 if asked.tiny else 1.25)
    peers = ("CTranslate2", "llama.cpp", "transformers")
    rows, shares = [], []
    for model in models:
        vocabulary = SHAPES[model]["vocab_size"] if model in SHAPES else 600
        for kind in KINDS:
            some = cases(model, kind, asked)
            everyone = sides(model, kind, asked, some)
            for side in everyone:
                side.start()
            for case in some:
                prompts = ids(case.rows, case.prompt, vocabulary)
                limits.ask()
                found = turns(everyone, {"prompts": prompts, "new": case.new}, asked.rounds)
                limits.ask()
                mine = found.get(MINE)
                told = {side.name: side.facts.get("ids") for side in everyone}
                same = [name for name, text in told.items() if name != MINE and text == told[MINE]]
                rates = [f"{case.tokens / found[name]:,.1f}" if name in found else "" for name in (MINE, *peers)]
                rows.append([model, kind, case.name, *rates, *(ratio(found.get(name), mine) for name in peers)])
                print(" ".join(f"{cell:>10}" for cell in rows[-1]), f"  same text: {', '.join(same) or 'none'}", flush=True)
                if case.rows == 1 and case.prompt == PROMPT and mine is not None:
                    shares.append((model, kind, everyone[0].facts["size"] * case.tokens / mine))
            for side in everyone:
                side.stop()
    way, read = limits.best
    header = ["model", "weights", "", f"{MINE} tokens/s", *(f"{name}" for name in peers), *(f"beside {name}" for name in peers)]
    reached = [[model, kind, f"{size / 1e9:.1f} GB/s", f"{size / read:.0%}"] for model, kind, size in shares]
    lines = [
        f"Greedy, {PROMPT} tokens of prompt; *beside*: how many times as fast {MINE} is. llama.cpp's int8 is q8_0, its int4 q4_0.",
        table(header, rows),
        f"Of one text, the bytes of weights that are read a second, beside the fastest way to read ({way}, {read / 1e9:.1f} GB/s):",
        table(["model", "weights", "read", "of the limit"], reached),
        limits.said(),
    ]
    limits.side.stop()
    report("decode", "Writing", lines, asked, ("transformers", "ctranslate2", "llama"))


if __name__ == "__main__":
    main()
