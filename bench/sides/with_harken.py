"""harken's side of every benchmark, and the limits of the machine."""

from __future__ import annotations

import ctypes
import dataclasses
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from worker import Run, anonymous, pairs, serve

import harken

STREAM = r"""
#include <stddef.h>
float read_all(const float *x, size_t n) {
    float total = 0;
    #pragma omp parallel for simd schedule(static) reduction(+ : total)
    for (size_t i = 0; i < n; i++) total += x[i];
    return total;
}
"""


def machine(threads: int, gigabytes: float) -> Run:
    """Bytes a second of the fastest way to read, and float32 and bfloat16 operations a second."""
    from harken.measure.speed import Machine

    torch.set_num_threads(threads)
    here = Machine(gigabytes)
    ways = {**here.reading(), **compiled(here.memory, threads)}

    def run() -> Mapping[str, Any]:
        read = {way: call() for way, call in ways.items()}
        return {"read": read, "multiply": here.multiplying(), "bfloat16": here.multiplying(torch.bfloat16)}

    return run


def compiled(memory: torch.Tensor, threads: int) -> dict[str, Any]:
    """A loop in C that reads all of it, where there is a compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return {}
    folder = Path(tempfile.mkdtemp())
    (folder / "stream.c").write_text(STREAM)
    flags = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC"]
    done = subprocess.run([compiler, *flags, "stream.c", "-o", "stream.so"], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        return {}
    library = ctypes.CDLL(str(folder / "stream.so"))
    library.read_all.argtypes, library.read_all.restype = [ctypes.c_void_p, ctypes.c_size_t], ctypes.c_float

    def call() -> float:
        began = time.perf_counter()
        library.read_all(memory.data_ptr(), memory.numel())
        return 4 * memory.numel() / (time.perf_counter() - began)

    return {f"C, {Path(compiler).name}": call}


def decode(folder: str, dtype: str, threads: int) -> Run:
    """Greedy texts of so many new tokens after prompts of ids; `size`: bytes of weights that a token waits for."""
    from harken.decode.generate import generate
    from harken.decode.options import DecodeOptions
    from harken.measure.speed import weights_read

    torch.set_num_threads(threads)
    model, tokenizer = harken.load(folder, dtype=dtype)
    model.pack()
    size = weights_read(model)[0]

    def run(prompts: list[list[int]], new: int) -> Mapping[str, Any]:
        found = generate(model, tokenizer, prompts, DecodeOptions(max_new_tokens=new, min_new_tokens=new, temperature=0))
        return {"ids": list(found[0].ids), "size": size}

    return run


def encode(folder: str, dtype: str, threads: int, pooling: str | None) -> Run:
    """A vector a text, or with no `pooling` one a token."""
    torch.set_num_threads(threads)
    ask = harken.pipeline("feature-extraction", folder, dtype=dtype)
    options = {} if pooling is None else {"pooling": pooling}

    def run(texts: list[str]) -> Mapping[str, Any]:
        found = ask(texts, **options)
        return {"first": list(found[0])[:4] if pooling else None}

    return run


def translate(folder: str, dtype: str, threads: int) -> Run:
    """The best of so many beams, of so many tokens."""
    from harken.decode.generate import generate
    from harken.decode.options import DecodeOptions

    torch.set_num_threads(threads)
    model, tokenizer = harken.load(folder, dtype=dtype)
    model.pack()

    def run(sources: list[list[int]], beams: int, new: int) -> Mapping[str, Any]:
        options = DecodeOptions(num_beams=beams, max_new_tokens=new, min_new_tokens=new, temperature=0)
        return {"ids": list(generate(model, tokenizer, sources, options)[0].ids)}

    return run


def train(folder: str, text: str, rows: int, tokens: int, threads: int) -> Run:
    """One step of `harken train`, bfloat16 and AdamW; what it holds at its peak is told by who started it."""
    from harken.data.ledger import Ledger
    from harken.data.read import read
    from harken.fit.fit import Whole, learn
    from harken.fit.options import TrainOptions
    from harken.fit.plan import choose_plan
    from harken.objectives.causal import spans
    from harken.objectives.objective import packs

    torch.set_num_threads(threads)
    before = anonymous()
    model, tokenizer = harken.load(folder)
    if model.reads == "source":
        source = paired(rows, tokens, tokenizer.vocab_size)
    else:
        source = spans(read(text, examples="running"), tokenizer, tokens, Ledger(), overflow="window")
    asked = TrainOptions(data="-", steps=100, batch_size=rows, dtype="bfloat16", optimizer="adamw", dropout=0.0)
    plan = dataclasses.replace(choose_plan(asked, targets=source.targets, rows=len(source.rows())), dtype=asked.dtype)
    plan = dataclasses.replace(plan, pack=packs(model, source))
    whole, step = Whole.of(model, source, plan, None), 0
    model.train()
    numbers = sum(each.numel() for each in model.parameters())

    def run() -> Mapping[str, Any]:
        nonlocal step
        whole.layers.thaw(step)
        nats, count, _ = learn(whole, source, whole.batches.next(), plan, tokenizer.pad_id or 0, 1e-4, step)
        step += 1
        return {"tokens": count, "loss": nats / count, "before": before, "parameters": numbers}

    return run


def paired(rows: int, most: int, vocabulary: int) -> Any:
    """Pairs of random tokens, as many as a step reads."""
    from harken.data.batches import Spans
    from harken.data.pairs import PairSpans

    sides = []
    for lengths in zip(*pairs(rows, most), strict=True):
        ends = np.cumsum(lengths)
        ids = np.random.default_rng(0).integers(10, vocabulary - 10, ends[-1]).astype(np.int32)
        sides.append(Spans(ids, np.stack([ends - lengths, ends], 1), 0, most))
    return PairSpans(*sides)


if __name__ == "__main__":
    serve({"machine": machine, "decode": decode, "encode": encode, "translate": translate, "train": train})
