"""Training GPT-2 (124M, random weights) on rows of 512 tokens beside transformers' Trainer, both with bf16: `python bench/train.py`, on
Linux. A process each, in turns.

Tokens a second are those of the median step after the first; "cpu" divides by the processor time of all threads instead, which other work
on the machine changes least. Memory is the peak of anonymous resident memory above what the imports take and above 16 bytes a parameter:
the parameter, its gradient and AdamW's two moments.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

WAYS = ("harken", "trainer")
VOCABULARY = 50_257


def anonymous() -> int:
    """Bytes of this process's anonymous resident memory."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


def harken(rows: int, tokens: int, steps: int, checkpoint: bool) -> None:
    """Steps as `harken train` makes them."""
    import torch

    from harken.data.batches import Spans
    from harken.families.gpt2 import GPT2Config
    from harken.families.table import build
    from harken.fit.fit import Whole, learn
    from harken.fit.options import TrainOptions
    from harken.fit.plan import Plan, choose_plan

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    print(json.dumps(anonymous()), flush=True)
    ids = np.random.default_rng(0).integers(0, VOCABULARY, rows * tokens * steps + 1).astype(np.int32)
    starts = np.arange(0, len(ids) - 1, tokens)
    source = Spans(ids, np.stack([starts, starts + tokens], 1) + 1, None, tokens)
    model = build(GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0), seed=0)
    asked = TrainOptions(data="-", steps=steps, batch_size=rows, optimizer="adamw", checkpoint_activations=checkpoint)
    plan = choose_plan(asked, targets=source.targets, rows=len(source.spans))
    plan = Plan.read({**plan.write(), "dtype": "bfloat16", "pack": True})
    whole = Whole.of(model, source, plan, None)
    model.train()
    whole.layers.thaw(0)
    for step in range(steps):
        began, busy = time.perf_counter(), time.process_time()
        learn(whole, source, whole.batches.next(), plan, 0, 1e-4, step)
        print(json.dumps([time.perf_counter() - began, time.process_time() - busy]), flush=True)


def trainer(rows: int, tokens: int, steps: int, checkpoint: bool) -> None:
    """The same through transformers."""
    import torch
    import transformers as hf

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    marks: list[tuple[float, float]] = []

    class Clock(hf.TrainerCallback):
        def on_step_begin(self, *given, **named):
            marks.append((time.perf_counter(), time.process_time()))

        def on_step_end(self, *given, **named):
            print(json.dumps([time.perf_counter() - marks[-1][0], time.process_time() - marks[-1][1]]), flush=True)

    arguments = hf.TrainingArguments(
        output_dir="/nonexistent", use_cpu=True, bf16=True, per_device_train_batch_size=rows, max_steps=steps, save_strategy="no",
        report_to="none", disable_tqdm=True, gradient_checkpointing=checkpoint, logging_strategy="no",
    )  # fmt: skip
    print(json.dumps(anonymous()), flush=True)
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, (rows * steps, tokens)))
    model = hf.GPT2LMHeadModel(hf.GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    data = [{"input_ids": row, "labels": row} for row in ids]
    hf.Trainer(model=model, args=arguments, train_dataset=data, callbacks=[Clock()]).train()


def watched(way: str, asked: argparse.Namespace) -> tuple[list[list[float]], float]:
    """(seconds of each step, wall and processor; peak memory above the imports in bytes) of one fresh process."""
    command = [
        sys.executable,
        __file__,
        "--way",
        way,
        "--rows",
        str(asked.rows),
        "--tokens",
        str(asked.tokens),
        "--steps",
        str(asked.steps),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": str(asked.threads), "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
    child = subprocess.Popen(
        command + ["--checkpoint"] * asked.checkpoint, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    most = 0
    while child.poll() is None:
        try:
            lines = Path(f"/proc/{child.pid}/status").read_text("utf-8").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            break
        most = max(most, next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0))
        time.sleep(0.01)
    assert child.stdout is not None
    told = [json.loads(line) for line in child.stdout.read().splitlines() if line[:1].isdigit() or line.startswith("[")]
    return told[1:], most * 1024 - told[0]


def main() -> None:
    """One line a way, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--checkpoint", action="store_true", help="activation checkpointing, on both sides")
    asked = parser.parse_args()
    if asked.way:
        return {"harken": harken, "trainer": trainer}[asked.way](asked.rows, asked.tokens, asked.steps, asked.checkpoint)
    seen: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    for _ in range(asked.rounds):
        for way in WAYS:
            steps, peak = watched(way, asked)
            if len(steps) < asked.steps:
                sys.exit(f"the process of {way} ended after {len(steps)} of {asked.steps} steps: run it alone, bench/train.py --way {way}")
            wall, busy = (statistics.median(step[i] for step in steps[1:]) for i in (0, 1))
            seen[way].append((asked.rows * asked.tokens / wall, asked.rows * asked.tokens / busy, peak - 16 * 124_439_808))
            print(f"{way:<8} {seen[way][-1][0]:8.0f} tokens/s   {seen[way][-1][1]:8.0f} tokens/s of cpu   "
                  f"{seen[way][-1][2] / 2**20:8,.0f} MiB above the state", flush=True)  # fmt: skip
    for i, name in enumerate(("tokens/s", "tokens/s of cpu", "memory")):
        print(f"{name}: {statistics.median(a[i] / b[i] for a, b in zip(seen['harken'], seen['trainer'], strict=True)):.2f} of Trainer")
    return None


if __name__ == "__main__":
    main()
