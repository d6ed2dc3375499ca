"""Load a checkpoint of about 2 GB, ours beside transformers: `python bench/load.py --shapes gpt2,llama --gigabytes 2 --rounds 5`.

Each load has a fresh process and the file is in the page cache. Seconds are counted beyond `import torch`, with the library's own
import, and once more of the load alone, with the processor time it took, which other work on the machine changes less. Memory is the
highest anonymous resident memory (RssAnon) above what the imports alone take, over the bytes of the weights. Both sides take turns; the
figures are medians. transformers leaves the weights in the file and reads them when they are used; ours are in memory when it is done.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIDES = {
    "harken": ("from harken.checkpoint.load import load", "model, _ = load(folder, tokenizer=False)"),
    "transformers": (
        "from transformers import AutoModelForCausalLM, GPT2LMHeadModel, LlamaForCausalLM",
        "model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)",
    ),
}
CHILD = """
import json, sys, time
import torch
folder, began = sys.argv[1], time.perf_counter()
{0}
imported, busy = time.perf_counter(), time.process_time()
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
{1}
ended, busy = time.perf_counter(), time.process_time() - busy
print(json.dumps({{"imports": imported - began, "load": ended - imported, "busy": busy, "held": held}}))
"""


def make(shape: str, gigabytes: float, folder: Path) -> int:
    """A checkpoint of random weights; returns the bytes of its weights."""
    from harken.checkpoint.save import save
    from harken.families.gpt2 import GPT2Config
    from harken.families.llama import LlamaConfig
    from harken.families.table import build

    layers = max(1, round((gigabytes * 2**30 / 4 - 2 * 32_000 * 1024) / (12 * 1024**2)))
    if shape == "gpt2":
        config = GPT2Config(vocab_size=50_257, n_embd=1024, n_head=16, n_layer=layers)
    else:
        config = LlamaConfig(vocab_size=32_000, hidden_size=1024, intermediate_size=2752, num_hidden_layers=layers, num_attention_heads=16)
    save(build(config, seed=0), None, folder)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def once(side: str, folder: Path) -> tuple[float, float, float, float]:
    """(seconds beyond `import torch`, of the load alone, of processor time, bytes of anonymous memory) of one fresh process."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(*SIDES[side]), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    peak = 0
    while child.poll() is None:
        peak = max(peak, anonymous(child.pid))
        time.sleep(0.002)
    assert child.stdout is not None
    found = json.loads(child.stdout.read().splitlines()[-1])
    return found["imports"] + found["load"], found["load"], found["busy"], (peak - found["held"]) * 1024


def anonymous(pid: int) -> int:
    """KiB of a process's anonymous resident memory; 0 when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def main() -> None:
    """Measure every shape; one line a side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shapes", default="gpt2,llama")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    for shape in asked.shapes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            size = make(shape, asked.gigabytes, Path(folder))
            print(f"{shape}: {size / 1e9:.2f} GB of float32")
            seen: dict[str, list[tuple[float, float, float, float]]] = {side: [] for side in SIDES}
            for _ in range(asked.rounds):
                for side in SIDES:
                    seen[side].append(once(side, Path(folder)))
            for side, found in seen.items():
                beyond, alone, busy, memory = (statistics.median(column) for column in zip(*found, strict=True))
                gigabytes = size / 1e9
                print(
                    f"  {side:<13} {beyond / gigabytes:5.2f} s/GB beyond import torch, load alone {alone / gigabytes:5.2f} s/GB "
                    f"(processor {busy / gigabytes:5.2f}), anonymous memory {memory / size:.3f} × the weights",
                    flush=True,
                )


if __name__ == "__main__":
    main()
