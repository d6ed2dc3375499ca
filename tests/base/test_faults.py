"""A full disk, or a kill, in the middle of every kind of write: afterwards there is the old file or the new one, never a half.

A limit on the size of a file (EFBIG) stands for a full disk. The kill is real: the process dies by SIGKILL at its n-th system call of
those that writing is made of.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from harken.base.errors import RunError
from harken.base.files import write_json, write_text
from harken.checkpoint.save import save, save_tensors
from harken.draw.chart import line_chart
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.fit.folder import RunFolder
from harken.fit.schedule import Schedule
from harken.text.train import train_bpe, train_characters


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def tokenizer(folder: Path, n: int) -> None:
    train_bpe([f"some words to learn from {n} " * 20], 300).save(folder)


def model(folder: Path, n: int) -> None:
    known = train_characters(["abc"])
    save(build(LlamaConfig.sized(16, 1, 2, 16, known.vocab_size, 0.0), seed=n), known, folder)


WRITES: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "text": ("a.txt", lambda folder, n: write_text(folder / "a.txt", f"line {n}\n" * 1000)),
    "json": ("a.json", lambda folder, n: write_json(folder / "a.json", {str(i): n for i in range(1000)})),
    "tensors": ("a.safetensors", lambda folder, n: save_tensors(folder / "a.safetensors", {"x": torch.full((5000,), float(n))}, {})),
    "picture": ("a.svg", lambda folder, n: line_chart(folder / "a.svg", {"a": [(0, n), (1, 2)]}, title="t", x="x", y="y")),
    "tokenizer": ("tokenizer.json", tokenizer),
    "model": ("model.safetensors", model),
    "samples": ("samples.md", lambda folder, n: RunFolder(folder).write_samples([f"sample {n} " * 500])),
    "schedule": ("schedule.json", lambda folder, n: RunFolder(folder).write_schedule(Schedule([float(n)] * 500, [1] * 500, [n]))),
}


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_full_disk_leaves_the_old_file_whole(kind, share, tmp_path):
    name, write = WRITES[kind]
    write(tmp_path, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limit = int(share * len(before[name]))
    with full_disk(limit), pytest.raises(RunError, match=r"no space left|cannot be written"):
        write(tmp_path, 2)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after.keys() == before.keys()  # nothing temporary is left behind
    assert after[name] == before[name]


KILLED = """
import os, signal, sys
from pathlib import Path
at, count = int(sys.argv[1]), [0]
def dying(call):
    def counted(*args, **options):
        count[0] += 1
        if count[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **options)
    return counted
import torch, harken.cli
for name in ("replace", "fsync", "open", "chmod", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
code = harken.cli.main(sys.argv[2:])
print(count[0])
sys.exit(code)
"""


def whole(folder: Path) -> None:
    """Every file of a run can be read to its end."""
    for path in folder.rglob("*"):
        if path.name.endswith(".part") or not path.is_file():
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118
                    file.get_tensor(key)
        elif path.suffix == ".svg":
            assert path.read_text().rstrip().endswith("</svg>")
        elif path.name == "metrics.jsonl":
            for line in path.read_text().splitlines():
                json.loads(line)


@pytest.mark.parametrize("kills", [1, pytest.param(60, marks=pytest.mark.slow)])
def test_a_kill_at_any_call_leaves_whole_files_and_a_run_that_goes_on(tmp_path, kills):
    (tmp_path / "text.txt").write_text("anna\nhanna\njohanna\nsusanna\nrosanna\n")
    size = ["--width", "16", "--layers", "1", "--heads", "2", "--steps", "8", "--save-every", "0", "--eval-every", "3"]
    words = ["train", str(tmp_path / "text.txt"), *size, "--out"]

    def run(at: int, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(at), *(options or words), str(out)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run(0, tmp_path / "whole")
    assert done.returncode == 0
    calls, died = int(done.stdout.split()[-1]), 0
    for at in sorted(random.Random(0).sample(range(1, calls + 1), min(kills, calls))):
        out = tmp_path / f"killed{at}"
        killed = run(at, out)
        died += killed.returncode == -9
        whole(out)
        if (out / "state" / "last.safetensors").is_file():
            went_on = run(0, out, "train", "--resume", "--out")
            assert went_on.returncode == 0, went_on.stderr
            assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert died >= min(kills, calls) // 2  # a first run may make more calls than the others: it also compiles kernels


def test_what_a_killed_process_left_is_cleared_by_the_next_write(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".a.txt.{dead.pid}.part").write_text("half")
    (tmp_path / ".a.txt.1.part").write_text("of a process that lives")
    write_text(tmp_path / "a.txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.txt.1.part", "a.txt"]
