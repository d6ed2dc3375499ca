"""Models of the Hugging Face Hub: from its cache without a network, and from a server that answers as the Hub does."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from harken.base.errors import InputError
from harken.checkpoint.files import WEIGHTS
from harken.checkpoint.hub import ID, located, wanted
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.commands.convert import convert
from harken.commands.info import info
from harken.families.gpt2 import GPT2Config
from harken.families.table import build
from harken.text.train import train_characters

SHA, OTHER = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny GPT-2."""
    folder = tmp_path_factory.mktemp("model")
    config = GPT2Config(vocab_size=40, n_positions=16, n_embd=12, n_layer=1, n_head=3)
    save(build(config, seed=1), train_characters(["To be, or not to be"]), folder)
    return folder


# ---- without a network: the cache as huggingface_hub lays it out


@pytest.fixture
def cache(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HF_HOME with org/name (branch main) and the bare name tiny (branch v1) in it, and nothing else within reach."""
    for repo, ref, sha in (("org--name", "main", SHA), ("tiny", "v1", OTHER)):
        home = tmp_path / "hub" / f"models--{repo}"
        for folder in ("refs", "blobs", f"snapshots/{sha}"):
            (home / folder).mkdir(parents=True)
        (home / "refs" / ref).write_text(sha)
        for path in model.iterdir():
            blob = hashlib.sha256(path.read_bytes()).hexdigest()
            (home / "blobs" / blob).write_bytes(path.read_bytes())
            (home / "snapshots" / sha / path.name).symlink_to(Path("../../blobs") / blob)
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def test_from_the_cache(cache: Path, model: Path) -> None:
    want = load(model)[0].state_dict()
    for name, revision in (("org/name", None), ("org/name", "main"), ("org/name", SHA), ("tiny", "v1")):
        got, words = load(name, revision=revision)
        assert all(torch.equal(value, want[key]) for key, value in got.state_dict().items())
        assert words.decode(words.encode("to be")) == "to be"
    assert info("org/name")["parameters"] == info(str(model))["parameters"]
    record = convert("org/name", cache / "out")
    assert (record["source"], record["revision"], record["proof"]["max_difference"]) == ("org/name", SHA, 0)


def test_a_folder_comes_before_the_hub(cache: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "name").symlink_to(model)
    assert located("org/name") == Path("org/name")
    assert located(Path("tiny")) == Path("tiny"), "a Path is a folder"


@pytest.mark.parametrize(
    ("name", "revision", "words"),
    [
        ("org/nome", None, r"there is no model folder org/nome, and .*hub holds no model org/nome; HF_HUB_OFFLINE is set: unset it"),
        ("tiny", None, "holds no model tiny; HF_HUB_OFFLINE is set"),
        ("org/name", "v2", "holds no model org/name at revision v2"),
        ("a/b/c", None, "there is no model folder a/b/c$"),
        ("./tiny", None, "there is no model folder tiny$"),
        ("no such thing", None, "there is no model folder no such thing$"),
    ],
)
def test_what_is_not_in_the_cache(cache: Path, name: str, revision: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load(name, revision=revision)
    assert "\n" not in str(caught.value)


def test_a_shard_that_was_never_downloaded(cache: Path) -> None:
    (cache / "models--org--name" / "snapshots" / SHA / WEIGHTS).unlink()
    with pytest.raises(InputError, match=f"{WEIGHTS} does not exist: the weights are missing"):
        load("org/name")


@pytest.mark.parametrize("name", ["gpt2", "org/name", "openai-community/gpt2-xl", "a.b/c_d", "1/2"])
def test_ids(name: str) -> None:
    assert ID.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", "/abs", "a/b/c", "../up", "a/../b", "a b", "a--b/c", "x" * 97, "a/", "-a", "a/b-", "é", "C:\\a", "a.."]
)
def test_no_ids(name: str) -> None:
    assert not ID.fullmatch(name)


def test_weights_are_wanted_once() -> None:
    small = ["config.json", "tokenizer.json", "merges.txt", "spiece.model", "chat_template.jinja", "README.md", "LICENSE"]
    other = [
        "tf_model.h5",
        "flax_model.msgpack",
        "onnx/model.onnx",
        "onnx/config.json",
        "training_args.bin",
        "modeling.py",
        ".gitattributes",
    ]
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index, pickled = "model.safetensors.index.json", [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    assert set(wanted([*small, *other, WEIGHTS, "pytorch_model.bin", *shards])) == {*small, WEIGHTS}
    assert set(wanted([*small, *other, index, *shards, *pickled])) == {*small, index, *shards}
    assert set(wanted([*small, *other, "pytorch_model.bin", *pickled])) == {*small, "pytorch_model.bin"}
    assert set(wanted(["pytorch_model.bin.index.json", *pickled])) == {"pytorch_model.bin.index.json", *pickled}
    assert set(wanted([*small, WEIGHTS, "pytorch_model.bin"], weights=False)) == set(small)
    pooled = ["1_Pooling/config.json", "2_Dense/config.json", "onnx/model.onnx"]
    assert set(wanted([*small, *pooled, WEIGHTS])) == {*small, pooled[0], WEIGHTS}


# ---- with a network: a small server, and a process of its own, because huggingface_hub reads its environment once


class Hub(BaseHTTPRequestHandler):
    """Answers as https://huggingface.co does, from folders: {repo: {revision: (commit, folder)}}."""

    repos: ClassVar[dict[str, dict[str, tuple[str, Path]]]] = {}
    seen: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path, token = self.path.partition("?")[0], (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        type(self).seen.append(f"{self.command} {path} {self.headers.get('Range') or ''}".strip())
        found = re.fullmatch(r"(?:/api/models)?/(?P<repo>.+?)(?:/(?:revision|tree|resolve)/(?P<revision>[^/]+)(?:/(?P<file>.+))?)?", path)
        assert found, path
        repo = found["repo"]
        if repo == "org/broken":
            return self.refuse(500, "", "out of order")
        if token not in ("", "secret"):
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        if repo not in self.repos or (repo == "org/private" and not token):
            return self.refuse(401, "RepoNotFound", "Repository not found")
        if repo == "org/gated" and not token:
            return self.refuse(403, "GatedRepo", "Access is restricted")
        commits = self.repos[repo] | {commit: (commit, folder) for commit, folder in self.repos[repo].values()}
        if (found["revision"] or "main") not in commits:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        commit, folder = commits[found["revision"] or "main"]
        if "/tree/" in path:
            files = [{"type": "file", "path": p.name, "size": p.stat().st_size, "oid": "0"} for p in sorted(folder.iterdir())]
            return self.send(json.dumps(files).encode(), commit)
        if "/resolve/" not in path:
            names = [{"rfilename": p.name} for p in sorted(folder.iterdir())]
            return self.send(json.dumps({"id": repo, "sha": commit, "siblings": names}).encode(), commit)
        if not (folder / str(found["file"])).is_file():
            return self.refuse(404, "EntryNotFound", "Entry not found")
        return self.send((folder / str(found["file"])).read_bytes(), commit, body)

    def send(self, data: bytes, commit: str, body: bool = True) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        part = data[int(asked[1]) : int(asked[2] or len(data)) + 1] if asked else data
        self.send_response(206 if asked else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(part)))
        if asked:
            self.send_header("Content-Range", f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(data)}")
        self.end_headers()
        if body:
            self.wfile.write(part)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hub(model: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a Hub with a few repositories."""
    old, bin_only = tmp_path / "old", tmp_path / "bin"
    for folder in (old, bin_only):
        folder.mkdir()
        for path in model.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    (bin_only / WEIGHTS).rename(bin_only / "pytorch_model.bin")
    (old / "README.md").write_text("the first version")
    both = tmp_path / "both"
    both.mkdir()
    for path in model.iterdir():
        (both / path.name).write_bytes(path.read_bytes())
    (both / "pytorch_model.bin").write_bytes(b"never read")
    (both / "tf_model.h5").write_bytes(b"never read")
    Hub.repos = {
        "org/both": {"main": (SHA, both), "v1": (OTHER, old)},
        "tiny": {"main": (SHA, both)},
        "org/bin": {"main": (SHA, bin_only)},
        "org/private": {"main": (SHA, both)},
        "org/gated": {"main": (SHA, both)},
    }
    Hub.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ASK = """
import contextlib, io, json, sys
from harken.base.errors import HarkenError
from harken.checkpoint.hub import headers, located
from harken.commands.info import info
for question in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            if question.pop("headers", False):
                found, size = headers(**question)
                result = [sorted(each.name for each in found), size]
            elif question.pop("info", False):
                found = info(question["source"])
                result = [found["parameters"], found["bytes"]]
            else:
                folder = located(**question)
                result = [folder.name, sorted(path.name for path in folder.iterdir())]
        except HarkenError as error:
            result = [type(error).__name__, str(error)]
    print(json.dumps([*result, said.getvalue()]))
assert "torch" not in sys.modules
"""


def ask(endpoint: str, home: Path, *questions: dict[str, Any]) -> list[list[Any]]:
    """What `located` answers in a fresh process that may use the network."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_ETAG_TIMEOUT": "2"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(questions)], cwd=root, env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_from_the_hub(hub: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    told, main, again, v1, bare, bin_only, small, parts = ask(
        hub,
        home,
        {"source": "org/both", "info": True},
        {"source": "org/both"},
        {"source": "org/both"},
        {"source": "org/both", "revision": "v1"},
        {"source": "tiny"},
        {"source": "org/bin"},
        {"source": "org/private", "token": "secret", "weights": False},
        {"source": "org/gated", "token": "secret", "headers": True},
    )
    here = info(str(tmp_path / "both"))
    assert told[0] == here["parameters"] and 0 < told[1] < here["bytes"], "before any weight was downloaded"
    files = ["config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"]
    assert main[:2] == again[:2] == bare[:2] == [SHA, files]
    assert v1[0] == OTHER and "README.md" in v1[1]
    assert "pytorch_model.bin" in bin_only[1] and WEIGHTS not in bin_only[1]
    assert small[1] == [name for name in files if name != WEIGHTS]
    assert "transformer.wte.weight" in parts[0] and parts[1] < (tmp_path / "both" / WEIGHTS).stat().st_size
    fetched = [line.split()[1] for line in Hub.seen if line.startswith("GET") and "/resolve/" in line]
    assert not [line for line in fetched if "tf_model" in line or ("pytorch_model" in line and "org/bin" not in line)]
    assert fetched.count(f"/org/both/resolve/{SHA}/{WEIGHTS}") == 1, "a file in the cache is not fetched again"
    assert not [line for line in fetched if "org/private" in line and WEIGHTS in line]


def test_what_the_hub_says_no_to(hub: str, tmp_path: Path) -> None:
    cases = [
        ({"source": "org/none"}, "InputError", "the Hub has no model org/none that you may read: a private one needs token="),
        ({"source": "org/private"}, "InputError", "the Hub has no model org/private that you may read"),
        ({"source": "org/gated"}, "InputError", "org/gated is gated: accept its terms at https://huggingface.co/org/gated"),
        (
            {"source": "org/both", "revision": "v9"},
            "InputError",
            "org/both has no revision 'v9': name one of its branches, tags or commits",
        ),
        ({"source": "org/private", "token": "wrong-one"}, "InputError", "the Hub refuses the token for org/private (HTTP 401)"),
        ({"source": "org/bin", "headers": True}, "InputError", "org/bin has no safetensors"),
    ]
    for got, (_, kind, words) in zip(ask(hub, tmp_path / "home", *(question for question, _, _ in cases)), cases, strict=True):
        assert got[0] == kind and words in got[1] and "\n" not in got[1] and "wrong-one" not in got[1], got


def test_a_hub_that_is_down_or_out_of_reach(hub: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    down = ask(hub, home, {"source": "org/broken"}, {"source": "org/both"})
    assert down[0][:2] == ["RunError", "the Hub answers HTTP 500 for org/broken: try again later"]
    there, gone = ask("http://127.0.0.1:9", home, {"source": "org/both"}, {"source": "org/never"})
    assert there[0] == SHA and "the Hub cannot be reached (ConnectError); org/both is read from the cache" in there[2]
    assert gone[0] == "RunError" and "the Hub cannot be reached to look for org/never (ConnectError): check the connection" in gone[1]
