"""Harken beside its peers: every side in a process of its own, asked in turns by one parent, medians and ratios.

What a side cannot do is said and left out. All have the same number of threads. Tables are printed, and with --write put into
docs/speed.md, between the marks of their workload.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import peers

PAGE = peers.HERE.parent / "docs" / "speed.md"
MINE = "harken"


def options(what: str) -> argparse.Namespace:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3, help="turns that count; one more comes before them")
    parser.add_argument("--quick", action="store_true", help="less of everything, for a first look")
    parser.add_argument("--tiny", action="store_true", help="toys instead of models: whether it runs, not how fast")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/speed.md")
    return parser.parse_args()


@dataclass
class Side:
    """One alternative: `peer` is its environment and its script, `setting` what it makes ready. Started by `with`."""

    name: str
    peer: str
    setting: dict[str, Any]
    home: str | None = None  # the environment, if it is not the peer's own
    process: subprocess.Popen[str] | None = None
    why: str | None = None  # it is left out
    facts: dict[str, Any] = field(default_factory=dict)  # what its last run told

    def start(self) -> None:
        """Start it and let it get ready."""
        home = self.home or self.peer
        python = peers.python_of(home)
        if python is None:
            self.why = f"no environment for {home}: python bench/peers.py {home}"
            print(f"  {self.name} is left out: {self.why}", flush=True)
            return
        script = peers.HERE / "sides" / f"with_{self.peer.replace('-', '_')}.py"
        one = str(self.setting["threads"])
        threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), one)
        env = {**os.environ, **threads, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true" if int(one) > 1 else "false"}
        log: Any = subprocess.DEVNULL if "BENCH_LOG" not in os.environ else None
        self.process = subprocess.Popen(
            [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env, cwd=peers.HERE.parent
        )
        self._ask({"setting": self.setting})

    def run(self, asked: Mapping[str, Any]) -> float | None:
        """Seconds; None where it cannot, and then `why` says so."""
        answer = self._ask({"run": dict(asked)}) if self.why is None else {}
        self.facts = answer
        return answer.get("seconds")

    def stop(self) -> None:
        """Let the process end."""
        if self.process is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self.process.communicate(timeout=10)
            self.process.kill()
            self.process = None

    def peak(self) -> int | None:
        """Bytes of memory it held at most since `reset`, mapped files included."""
        return self._status("VmHWM")

    def reset(self) -> None:
        """Let the peak begin anew."""
        if self.process is not None:
            with contextlib.suppress(OSError):
                Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def files(self) -> int | None:
        """Bytes of mapped files it holds now."""
        return self._status("RssFile")

    def _status(self, what: str) -> int | None:
        if self.process is None:
            return None
        lines = Path(f"/proc/{self.process.pid}/status").read_text("ascii", "replace").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(what)), None)

    def _ask(self, line: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process and self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(line) + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            answer = {"error": "the process ended"}
        if "error" in answer:
            self.why = answer["error"]
            print(f"  {self.name} is left out: {self.why}", flush=True)
        return answer


def turns(sides: Sequence[Side], asked: Mapping[str, Any], rounds: int) -> dict[str, float]:
    """Median seconds of each side that can: every round asks all of them in turn, and the first does not count."""
    seen: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for side in sides:
            seconds = side.run(asked)
            if turn and seconds is not None:
                seen.setdefault(side.name, []).append(seconds)
    return {name: statistics.median(times) for name, times in seen.items()}


class Limits:
    """The machine itself, asked between the others: the fastest way to read, in bytes a second, and products."""

    def __init__(self, threads: int, gigabytes: float):
        self.side = Side("the machine", "harken", {"what": "machine", "threads": threads, "gigabytes": gigabytes})
        self.side.start()
        self.read: dict[str, list[float]] = {}
        self.multiply: list[float] = []

    def ask(self) -> None:
        """Once more."""
        if self.side.run({}) is not None:
            for way, value in self.side.facts["read"].items():
                self.read.setdefault(way, []).append(value)
            self.multiply.append(self.side.facts["multiply"])

    @property
    def best(self) -> tuple[str, float]:
        """(the way, bytes a second)."""
        found = {way: statistics.median(values) for way, values in self.read.items()}
        return max(found.items(), key=lambda each: each[1]) if found else ("", float("nan"))

    def said(self) -> str:
        """One line."""
        way, read = self.best
        rate = statistics.median(self.multiply) / 1e9 if self.multiply else float("nan")
        return f"limits in this run: {read / 1e9:.1f} GB/s read ({way}), {rate:.0f} GFLOP/s float32 (torch)"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown has it, aligned to be read as it is."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines)


def ratio(theirs: float | None, mine: float | None) -> str:
    """How many times faster mine is."""
    return "" if theirs is None or mine is None else f"{theirs / mine:.2f} ×"


def machine(threads: int) -> str:
    """What all this was measured on."""
    name = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        text = Path("/proc/cpuinfo").read_text()
        name = re.search(r"model name\s*: (.*)", text)[1]  # pyright: ignore[reportOptionalSubscript]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in ("torch", "numba", "numpy"))
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {versions}; {threads} threads"


def versions(*names: str) -> str:
    """Of the peers' packages, as their environments have them."""
    said = []
    for name in names:
        package = {"llama": "llama-cpp-python"}.get(name, name)
        python = peers.python_of(name)
        if python is None:
            said.append(f"{package} not installed")
            continue
        code = f"from importlib.metadata import version; print(version({package!r}))"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        said.append(f"{package} {done.stdout.strip()}".strip())
    return ", ".join(said)


def report(workload: str, title: str, lines: Sequence[str], asked: argparse.Namespace, peers_used: Sequence[str]) -> None:
    """Print what was found; with --write put it into docs/speed.md in the place of what was found before."""
    load = os.getloadavg()[0]
    facts = f"{time.strftime('%Y-%m-%d')}, {machine(asked.threads)}. {versions(*peers_used)}. Load of the machine at the end: {load:.1f}."
    body = "\n\n".join([f"### {title}", *lines, facts])
    print(f"\n{body}\n", flush=True)
    if not asked.write:
        return
    begin, end = f"<!-- bench:{workload} -->", f"<!-- end:{workload} -->"
    page = PAGE.read_text("utf-8")
    if begin not in page:
        page = f"{page.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = page.partition(begin)
    PAGE.write_text(f"{before}{begin}\n\n{body}\n\n{end}{rest.partition(end)[2]}", "utf-8")
