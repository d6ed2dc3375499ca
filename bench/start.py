"""From the command to the first token: `python bench/start.py`. A checkpoint of 500 MB (GPT-2, 124M, float32), in the page cache.

A new process each time, in environments that hold nothing else: Python, the imports, the weights, one greedy token, printed. Beside it
`import torch` alone, which both wait for. `harken generate` is the command as people type it; transformers is the shortest program.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from pathlib import Path

import peers
from beside import MINE, options, ratio, report, table
from shapes import checkpoint, letter

TORCH = "import torch"
THEIRS = """
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
words, model = AutoTokenizer.from_pretrained({folder!r}), AutoModelForCausalLM.from_pretrained({folder!r}, dtype=torch.float32)
ids = words({text!r}, return_tensors="pt").input_ids
with torch.inference_mode():
    print(words.decode(model.generate(ids, max_new_tokens=1, do_sample=False, pad_token_id=0)[0]))
"""


def main() -> None:
    """Every program in turn, several times."""
    asked = options(__doc__ or "")
    model = "gpt2" if asked.tiny else "gpt2-124m"
    folder = checkpoint(model)
    text = letter(4) + letter(5)
    programs = {
        "import torch": ("harken", ["-c", TORCH]),
        MINE: ("harken", ["-m", "harken", "generate", str(folder), text, "--max-new-tokens", "1"]),
        "transformers": ("transformers", ["-c", THEIRS.format(folder=str(folder), text=text)]),
    }
    seen: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(asked.rounds + 1):
        for name, (peer, program) in programs.items():
            python = peers.python_of(peer)
            if python is None:
                continue
            seconds = timed(python, program, asked.threads)
            if turn and seconds is not None:
                seen[name].append(seconds)
    found = {name: statistics.median(times) for name, times in seen.items() if times}
    torch = found.get("import torch", float("nan"))
    rows = [
        [name, f"{seconds:.2f} s", "" if name == "import torch" else f"{seconds - torch:.2f} s", ratio(seconds, found.get(MINE))]
        for name, seconds in found.items()
    ]
    size = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    lines = [
        f"One token of a checkpoint of {size / 1e6:,.0f} MB that is in the page cache; all of the process, from Python's start to its end.",
        table(["", "in all", "beyond `import torch`", f"{MINE} beside it"], rows),
    ]
    report("start", "Starting", lines, asked, ("transformers",))


def timed(python: Path, program: list[str], threads: int) -> float | None:
    """Seconds of a whole process; None, and its last words, when it fails."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    env.pop("PYTHONPATH", None)
    began = time.perf_counter()
    done = subprocess.run([python, *program], capture_output=True, text=True, env=env, cwd=peers.ROOT, check=False)
    if done.returncode:
        print((done.stderr.strip().splitlines() or ["it failed"])[-1])
        return None
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
