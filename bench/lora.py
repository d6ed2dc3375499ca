"""Adapters beside the whole model, at the shape of GPT-2 (124M, random weights): `python bench/lora.py --rows 4 --tokens 128`, on Linux.

Memory: the peak of a fresh process that takes two steps of AdamW, all weights beside LoRA and DoRA of rank 8 on all matrices, the weights
also held as int8 and int4, and of one that only reads the same rows; anonymous resident memory above what the imports take. Speed: tokens
in a second of processor time, greedy, one row, of the model alone, with the adapter beside it and with the adapter merged, in turns;
medians.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from shapes import checkpoint

from harken.checkpoint.adapter_config import ALL, Setting
from harken.checkpoint.adapters import begin
from harken.checkpoint.load import config_of, model_of
from harken.families.gpt2 import GPT2Config
from harken.families.table import build
from harken.fit.layers import Layers
from harken.fit.optimizer import Optimizer
from harken.fit.options import TrainOptions
from harken.fit.plan import choose_plan
from harken.nn.models import Model

WAYS = ("reading", "full", "lora", "dora", "lora-int8", "lora-int4")


def made() -> Model:
    """GPT-2 of random weights."""
    return build(GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0), seed=0)


def adapted(model: Model, *, dora: bool = False) -> Model:
    """With an adapter that says something."""
    begin(model, Setting(rank=8, alpha=16, targets=ALL, dora=dora))
    with torch.no_grad():
        for name, each in model.adapters.learned().items():
            if ".b." in name:
                each.normal_(0, 0.02)
    return model


def anonymous() -> float:
    """Bytes of this process's anonymous resident memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


def steps(way: str, rows: int, tokens: int) -> None:
    """Two steps; prints the bytes before the model is there, and the parameters that learn. Whoever started this watches the peak."""
    print(anonymous(), flush=True)
    torch.manual_seed(0)
    kind = way.partition("-")[2]
    folder = checkpoint("gpt2-124m")
    model = model_of(folder, config_of(folder), mapped=bool(kind)).model
    ids = torch.randint(50_000, (rows, tokens))
    if way == "reading":
        with torch.no_grad():
            model(ids)
        print(0)
        return
    model = model if way == "full" else adapted(model, dora=way == "dora")
    if kind:
        model.freeze(kind)
    layers = Layers(model, choose_plan(TrainOptions(data="-", steps=2), targets=1, rows=1))
    optimizer = Optimizer(model, "adamw", 1e-4, 0.1, layers.scales)
    layers.thaw(0)
    model.train()
    for _ in range(2):
        F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
        optimizer.step(1e-4)
    print(sum(each.numel() for each in layers.depths))


def peak(way: str, rows: int, tokens: int) -> tuple[float, int]:
    """(bytes at the peak above the imports, parameters that learn) of one fresh process."""
    command = [sys.executable, __file__, "--way", way, "--rows", str(rows), "--tokens", str(tokens)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    most = 0
    while child.poll() is None:
        try:
            lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            break
        most = max(most, next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0))
        time.sleep(0.01)
    assert child.stdout is not None
    held, learned = child.stdout.read().split()
    return most * 1024 - float(held), int(learned)


def decoded(model: Model, new: int) -> float:
    """Tokens of one row in a second of processor time, which other work on the machine changes least."""
    cache, ids = model.begin(1, new + 1), torch.tensor([[7]])
    began = time.process_time()
    with torch.no_grad():
        for _ in range(new):
            ids = model(ids, cache=cache)[:, -1:].argmax(-1)
    return new / (time.process_time() - began)


def speed(new: int, rounds: int) -> None:
    """One model in three states, in turns; one line each."""
    model, seen = adapted(made()), {"alone": [], "beside": [], "merged": []}
    model.pack()
    decoded(model, 4)
    for turn in range(rounds):
        for name in list(seen)[:: 1 if turn % 2 else -1]:
            if name == "merged":
                model.adapters.merge()
            with contextlib.nullcontext() if name == "merged" else model.adapters.use("default" if name == "beside" else None):
                seen[name].append(decoded(model, new))
            if name == "merged":
                model.adapters.unmerge()
    for name, each in seen.items():
        ratio = statistics.median(a / b for a, b in zip(each, seen["alone"], strict=True))
        print(f"decoding  {name:<8} {statistics.median(each):8.1f} tokens/s   {ratio:.3f} of the model alone")


def main() -> None:
    """Both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    if asked.way:
        return steps(asked.way, asked.rows, asked.tokens)
    checkpoint("gpt2-124m")  # made here, if it is not there
    found = {way: peak(way, asked.rows, asked.tokens) for way in WAYS}
    for way, (size, learned) in found.items():
        print(f"memory    {way:<9} {size / 2**20:8,.0f} MiB   {size / found['full'][0]:.2f} of full   {learned:,} parameters learn")
    return speed(asked.new, asked.rounds)


if __name__ == "__main__":
    main()
