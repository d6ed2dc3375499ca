"""Servers beside each other under load: harken, llama.cpp's llama-server and `transformers serve`, of one checkpoint (GPT-2 124M, random
weights), in turns: `python bench/servers.py` (--write for docs/speed.md).

Each is started, asked by one client, then by 16 at the same time, and stopped; the median of several turns counts. All answers are 48
tokens, greedy. transformers serve is asked twice: as it comes, and with --continuous-batching.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peers
from beside import MINE, options, ratio, report, table
from serve import ask, bodies, load, make, words
from shapes import ROOT

NEW, CLIENTS, REQUESTS, ROOM = 48, 16, 32, 128


def commands(folder: Path, gguf: Path, threads: int) -> dict[str, list[str]]:
    """How each server is started, but for its port; those that can be."""
    found = {MINE: [sys.executable, "-m", "harken", "serve", f"m={folder}", "--port"]}
    server = peers.ROOT / "llama-server" / "bin" / "llama-server"
    if server.is_file() and gguf.is_file():
        slots = ["-c", str(CLIENTS * ROOM), "-np", str(CLIENTS), "-t", str(threads), "-tb", str(threads)]
        found["llama-server"] = [str(server), "-m", str(gguf), *slots, "-fa", "auto", "--port"]
    if python := peers.python_of("transformers-serve"):
        start = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; sys.exit(main())"
        plain = [str(python), "-c", start, "serve", str(folder), "--device", "cpu", "--dtype", "float32"]
        found["transformers serve"] = [*plain, "--port"]
        found["transformers serve, continuous"] = [*plain, "--continuous-batching", "--port"]
    return found


@contextlib.contextmanager
def running(command: list[str], threads: int, log: Path) -> Iterator[str]:
    """The address of a server, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = str(threads)
    env = {**os.environ, "OMP_NUM_THREADS": one, "NUMBA_NUM_THREADS": one, "HF_HUB_OFFLINE": "1"}
    with open(log, "w") as file:
        process = subprocess.Popen([*command, str(port)], stdout=file, stderr=file, env=env)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"it ended with {process.returncode}: see {log}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def asked_of(name: str, folder: Path) -> list[dict[str, Any]]:
    """Requests as a server understands them: llama-server gets the ids of the same words, as what it knows of words is not the same."""
    known = {word: n for n, word in enumerate(words())}
    found = []
    for body in bodies("m" if name == MINE else str(folder), REQUESTS, NEW):
        prompt = body["prompt"]
        given = [known[word] for word in prompt.split()] if name == "llama-server" else prompt
        found.append({"model": body["model"], "prompt": given, "max_tokens": NEW, "temperature": 0, "stream": True})
    return found


def measured(url: str, asked: list[dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    """Tokens a second of one client, and what 16 see."""
    few = asked[:8]
    ask(url, asked[0], "none")
    begun = time.perf_counter()
    for body in few:
        ask(url, body, "none")
    one = len(few) * NEW / (time.perf_counter() - begun)
    return one, load(url, asked, {json.dumps(body): "" for body in asked}, CLIENTS, "none")


def main() -> None:
    """Turn by turn."""
    given = options(__doc__ or "")
    name = "served-tiny" if given.tiny else "served"
    folder, gguf = ROOT / name, ROOT / f"{name}.gguf"
    if not (folder / "config.json").is_file():
        make(folder, 1 if given.tiny else 12)
        path = folder / "generation_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": None}))
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": None}))
    if (python := peers.python_of("llama")) and not gguf.is_file():
        (ROOT / "served-words.json").write_text(json.dumps(words()))
        subprocess.run([python, peers.HERE / "sides" / "with_llama.py", folder, gguf, ROOT / "served-words.json", "words"], check=True)
    seen: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for _ in range(1 if given.quick else given.rounds):
        for name, command in commands(folder, gguf, given.threads).items():
            try:
                with running(command, given.threads, ROOT / f"{name.replace(' ', '-')}.log") as url:
                    found = measured(url, asked_of(name, folder))
            except (OSError, RuntimeError, SystemExit) as error:
                print(f"  {name} is left out: {error}", flush=True)
                continue
            seen.setdefault(name, []).append(found)
            print(f"{name:32} one {found[0]:7.1f} tokens/s, {CLIENTS} {json.dumps(found[1])}", flush=True)
    rates = {name: statistics.median(each["tokens_per_second"] for _, each in found) for name, found in seen.items()}
    rows = [
        [
            name,
            f"{statistics.median(one for one, _ in found):,.1f}",
            f"{rates[name]:,.1f}",
            f"{rates[name] / statistics.median(one for one, _ in found):.1f} ×",
            f"{statistics.median(each['first_p95'] for _, each in found):.2f} s",
            "" if name == MINE or MINE not in rates else ratio(rates[MINE], rates[name]),
        ]
        for name, found in seen.items()
    ]
    header = ["", "one client, tokens/s", f"{CLIENTS} clients", "of one", "first token, p95", f"{MINE} beside it"]
    lines = [
        f"Greedy, {NEW} tokens an answer, float32; {CLIENTS} clients, each with its next request as it has an answer.",
        table(header, rows),
    ]
    report("servers", "Serving", lines, given, ("transformers", "llama"))


if __name__ == "__main__":
    main()
