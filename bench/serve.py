"""A live server under load: `python bench/serve.py`, of its own (GPT-2 124M with random weights), or `--url http://… --model NAME`.

Each request is asked alone first, twice: for its answer, and for the time. Then 4, 16 … clients ask at the same time, and every answer must
be what it was alone. It prints tokens a second of all together, how many times those of one client that is, and the seconds to the first
token; of a server of its own also tokens for each second that the processors worked for it, which others on the machine change little.
`--minutes` keeps the last number of clients asking for so long.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

WORDS = "the sea was calm and a small boat came in from the north with five men who sang of home"


def ask(url: str, body: dict[str, Any], key: str) -> tuple[str, float, float]:
    """(the text, seconds to its first piece, seconds in all) of one request, as a stream."""
    begun, first, text = time.perf_counter(), 0.0, []
    wire = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    with contextlib.closing(wire):
        path = urlsplit(url).path.rstrip("/") + "/v1/completions"
        wire.request("POST", path, json.dumps(body), {"content-type": "application/json", "authorization": f"Bearer {key}"})
        answer = wire.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {answer.read().decode()}")
        for line in answer:
            if line.startswith(b"data: {"):
                said = json.loads(line[6:])
                if "error" in said:
                    raise SystemExit(f"broke off: {said['error']}")
                first = first or time.perf_counter() - begun
                text += [choice["text"] for choice in said["choices"]]
    return "".join(text), first, time.perf_counter() - begun


def bodies(model: str, count: int, new: int) -> list[dict[str, Any]]:
    """Requests of different prompts, some greedy and some drawn; no text ends early."""
    shared = {"model": model, "max_tokens": new, "min_tokens": new, "stream": True}
    prompts = [" ".join(WORDS.split()[: 4 + n % 14]) + f" {n}" for n in range(count)]
    ways: list[dict[str, Any]] = [{"temperature": 0}, {"temperature": 0.8, "top_p": 0.9}, {"temperature": 1.1, "top_k": 40}]
    return [{**shared, "prompt": prompt, "seed": n, **ways[n % 3]} for n, prompt in enumerate(prompts)]


def worked(process: int | None) -> float:
    """Seconds that the processors worked for a process until now."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(url: str, asked: list[dict[str, Any]], alone: dict[str, str], clients: int, key: str, seconds: float = 0) -> dict[str, Any]:
    """What so many clients see who ask at the same time, each the next request as soon as it has an answer."""
    lock, place = threading.Lock(), iter(range(10**9))
    firsts, wrong, answers, begun = [], 0, 0, time.perf_counter()
    most = max(len(asked) if not seconds else 0, clients)

    def client() -> None:
        nonlocal wrong, answers
        while True:
            with lock:
                n = next(place)
            if (n >= most and not seconds) or (seconds and time.perf_counter() - begun > seconds):
                return
            body = asked[n % len(asked)]
            text, first, _ = ask(url, body, key)
            with lock:
                firsts.append(first)
                answers += 1
                wrong += text != alone[json.dumps(body)]

    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(client) for _ in range(clients)]:
            done.result()
    took = time.perf_counter() - begun
    firsts.sort()
    rate = answers * asked[0]["max_tokens"] / took
    return {
        "clients": clients,
        "answers": answers,
        "wrong": wrong,
        "seconds": round(took, 2),
        "tokens_per_second": round(rate, 2),
        "first_p50": round(firsts[len(firsts) // 2], 3),
        "first_p95": round(firsts[int(len(firsts) * 0.95)], 3),
    }


def words() -> list[str]:
    """A vocabulary of GPT-2's size."""
    known = ["<end>", "<unknown>", *dict.fromkeys(WORDS.split()), *map(str, range(1000))]
    return known + [f"word{n}" for n in range(len(known), 50_257)]


def make(folder: Path, layers: int) -> None:
    """A checkpoint of GPT-2's shape with random weights, and as many words; no text of it ends early."""
    import tokenizers

    from harken.checkpoint.save import save
    from harken.families.gpt2 import GPT2Config
    from harken.families.table import build
    from harken.text.tokenizer import Tokenizer

    model = build(GPT2Config(n_layer=layers, initializer_range=0.06), seed=0)
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: n for n, word in enumerate(words())}, "<unknown>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(["<end>"])
    model.config.eos_token_id = model.config.bos_token_id = 0
    save(model, Tokenizer(inner, {"eos": "<end>"}), folder)


@contextlib.contextmanager
def own(dtype: str, layers: int) -> Iterator[tuple[str, str, int | None]]:
    """(address, name, process) of a server of such a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "gpt2", layers)
        command = [sys.executable, "-m", "harken", "serve", f"{folder}/gpt2", "--port", "0", "--dtype", dtype]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            found = next(hit[1] for line in process.stderr if (hit := re.search(r" at (http://\S+)", line)))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield found, "gpt2", process.pid
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    """Print one JSON object a number of clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a server that runs (default: one of its own)")
    parser.add_argument("--model", help="name of the model there")
    parser.add_argument("--key", default="none")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--dtype", default="float32", help="of its own server")
    parser.add_argument("--layers", type=int, default=12, help="of its own server")
    given = parser.parse_args()
    with (
        own(given.dtype, given.layers) if given.url is None else contextlib.nullcontext((given.url, given.model, None)) as (
            url,
            model,
            process,
        )
    ):
        asked = bodies(model, given.requests, given.tokens)
        alone = {json.dumps(body): ask(url, body, given.key)[0] for body in asked}
        begun, before = time.perf_counter(), worked(process)
        again = [ask(url, body, given.key) for body in asked]
        one, work = len(asked) * given.tokens / (time.perf_counter() - begun), worked(process) - before
        by_work = len(asked) * given.tokens / max(work, 1e-9)
        if [text for text, _, _ in again] != list(alone.values()):
            raise SystemExit("the same request was answered otherwise")
        dtype = given.dtype if given.url is None else None
        print(
            json.dumps({"clients": 1, "tokens_per_second": round(one, 2), "dtype": dtype, "tokens_per_cpu_second": round(by_work, 2)}),
            flush=True,
        )
        for clients in given.clients[given.clients[0] == 1 :]:
            seconds = 60 * given.minutes if clients == given.clients[-1] else 0
            before = worked(process)
            found = load(url, asked, alone, clients, given.key, seconds)
            found["times_one"] = round(found["tokens_per_second"] / one, 2)
            if process is not None:
                mine = found["answers"] * given.tokens / max(worked(process) - before, 1e-9)
                found |= {"tokens_per_cpu_second": round(mine, 2), "times_one_by_cpu": round(mine / by_work, 2)}
            print(json.dumps(found), flush=True)
            if found["wrong"]:
                raise SystemExit("answers changed with the load")


if __name__ == "__main__":
    main()
