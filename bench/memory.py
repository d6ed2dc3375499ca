"""Training on text that is larger than memory should be: `python bench/memory.py --gigabytes 2`, on Linux, with some 8 GB of free disk.

Writes a text of seeded words (wrapped prose, or one example a line), trains 20 steps on it in a process of its own, and watches that
process: the peak of its memory (VmHWM: pages of mapped files included, which the system takes back when it needs them), the peak of
what nothing but the process can give back (RssAnon), and the seconds. Ends with 1 where the peak is above --limit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS = 40_000
AT_ONCE = 1_000_000  # words


def write(path: Path, size: int, kind: str) -> None:
    """About `size` bytes: prose in lines of about 70 characters and paragraphs, or examples of about 60 characters, one a line."""
    rng = np.random.default_rng(0)
    syllables = ["".join(rng.choice(list(letters)) for letters in ("bdfgklmnprstvwz", "aeiou", "nrlstm")) for _ in range(300)]
    words = np.array(["".join(rng.choice(syllables, rng.integers(1, 4))) for _ in range(WORDS)], object)
    with open(path, "wb") as file:
        while file.tell() < size:
            rank = WORDS ** rng.random(AT_ONCE)  # the share of a word falls as 1 / rank, as in any language
            text = np.frombuffer(" ".join(words[rank.astype(int) - 1]).encode() + b" ", np.uint8).copy()
            spaces = np.flatnonzero(text == 32)
            widths = np.full(len(text) // 60, 70) if kind == "prose" else rng.integers(20, 100, len(text) // 50)
            ends = np.cumsum(widths)
            text[spaces[np.searchsorted(spaces, ends[ends < spaces[-1]])]] = 10
            if kind == "prose":
                lines = np.flatnonzero(text == 10)
                text = np.insert(text, lines[6::7], 10)  # a blank line between paragraphs
            file.write(text[: size - file.tell()].tobytes())


def watched(command: list[str]) -> tuple[int, int, float]:
    """(peak memory, peak of its own part, seconds) of a process, in bytes; RuntimeError when it fails."""
    began, peak, own = time.monotonic(), 0, 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text("ascii", "replace")
        found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in status.splitlines() if line.endswith(" kB")}
        peak, own = max(peak, found.get("VmHWM", 0)), max(own, found.get("RssAnon", 0))
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return peak, own, time.monotonic() - began


def main() -> None:
    """One line for each kind of text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--kinds", default="prose,lines")
    parser.add_argument("--limit", type=float, default=3.0, help="GiB")
    parser.add_argument("options", nargs="*", help="for harken train, behind --")
    asked = parser.parse_args()
    over = False
    for kind in asked.kinds.split(","):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{kind}.txt"
            write(path, int(asked.gigabytes * 1e9), kind)
            train = [sys.executable, "-m", "harken", "train", str(path), "--steps", "20", "--tokenizer", "bpe", "--out", f"{folder}/run"]
            peak, own, seconds = watched([*train, *asked.options])
        over |= peak > asked.limit * 2**30
        print(f"{kind}: {asked.gigabytes:g} GB in {seconds:.0f} s, peak {peak / 2**30:.2f} GiB, of its own {own / 2**30:.2f} GiB", flush=True)
    sys.exit(over)


if __name__ == "__main__":
    main()
