"""Memory does not grow with the data: read, split, compared, sampled, tokenised and ordered in a process that is watched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORK = """
import json, sys, threading, time
import numpy as np
from harken.data.batches import Batches
from harken.data.blob import Blob
from harken.data.ledger import Ledger
from harken.data.overlap import overlap
from harken.data.read import read
from harken.data.sample import alphabet, sample
from harken.data.split import split
from harken.data.texts import digest
from harken.objectives.causal import spans
from harken.text.train import train_bpe, train_characters

def own():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) * 1024

def watch():
    while True:
        peak[0] = max(peak[0], own())
        time.sleep(0.005)

def work(path, bpe):
    corpus = read(path)
    train, valid = split(corpus)
    overlap(train, valid)
    digest(train.texts, valid.texts)
    if bpe:
        tokenizer = train_bpe((piece for _, piece in sample(train.texts, 100_000).parts()), 400)
    else:
        tokenizer = train_characters([alphabet(train.texts)])
    found = spans(train, tokenizer, 64, Ledger(), overflow="window")
    order = Batches(found, 64, 0).order(0)
    rows = found.take(order[len(order) // 2], 0)
    return {"kind": corpus.kind, "texts": len(train.texts), "targets": found.targets, "read": rows[2].sum().item()}

path, bpe, held = sys.argv[1], sys.argv[2] == "bpe", int(sys.argv[3])
Blob.HELD = held
work(sys.argv[4], bpe)  # whatever is there once: imports, tables, the allocator's pools
before = own()
peak = [before]
threading.Thread(target=watch, daemon=True).start()
began = time.process_time()
facts = work(path, bpe)
print(json.dumps({**facts, "grown": peak[0] - before, "seconds": time.process_time() - began}))
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's own memory")


def watched(path: Path, small: Path, tokenizer: str, held: int) -> dict:
    """What the work found, and by how many bytes the process grew beyond what it needed for a small file."""
    done = subprocess.run([sys.executable, "-c", WORK, path, tokenizer, str(held), small], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def repeated(path: Path, unit: str, size: int) -> Path:
    """A file of about `size` bytes in which no two lines are the same."""
    with open(path, "w", encoding="utf-8") as file:
        for i in range(size // (len(unit.encode()) + 9)):
            file.write(f"{i:08} {unit}")
    return path


PROSE = "it is a truth universally acknowledged that a single man in\npossession of a good fortune must be in want of a wife é\n\n"
LINE = "two dogs play in the snow near a house. " * 5 + "\n"


@needs_proc
@pytest.mark.parametrize("unit", [PROSE, pytest.param(LINE, marks=pytest.mark.slow)], ids=["running", "lines"])
def test_memory_does_not_grow_with_the_file(tmp_path, unit):
    """20 and 60 MB: what grows is less than a quarter of what is added."""
    small = repeated(tmp_path / "small.txt", unit, 6_000_000)
    grown = {}
    for megabytes in (20, 60):
        found = watched(repeated(tmp_path / f"{megabytes}.txt", unit, megabytes * 1_000_000), small, "char", 1 << 20)
        assert found["targets"] > megabytes * 900_000 and found["kind"] == ("running" if unit is PROSE else "lines")
        grown[megabytes] = found["grown"]
    assert grown[60] - grown[20] < 10e6, grown  # of 40 MB more; the allocator's own pools come and go by some
    assert grown[60] < 60e6, grown


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize(("unit", "tokenizer"), [("word ", "bpe"), ("日本🙂", "char"), ("x", "char")])
def test_a_line_of_100_megabytes(tmp_path, unit, tokenizer):
    small, path = repeated(tmp_path / "small.txt", PROSE, 6_000_000), tmp_path / "long.txt"
    path.write_text(unit * (100_000_000 // len(unit.encode())), "utf-8")
    found = watched(path, small, tokenizer, 1 << 20)
    assert found["kind"] == "running" and found["texts"] == 1
    assert found["grown"] < 300e6 and found["seconds"] < 200, found
