"""Files of weights: nothing in them runs, nothing outside the folder is read, every fault is one sentence, and memory stays bounded."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from harken.base.errors import InputError
from harken.checkpoint.load import WEIGHTS, load
from harken.checkpoint.save import save, save_tensors
from harken.checkpoint.write import size_of
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.text.train import train_characters

BIN, INDEX = "pytorch_model.bin", "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny LLaMA, to be damaged."""
    config = LlamaConfig(
        vocab_size=40, hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=16
    )
    save(build(config, seed=1), train_characters(["To be, or not to be"]), tmp_path / "run")
    return tmp_path / "run"


def refusal(folder: Path, *words: str) -> str:
    """load() refuses in one sentence that has these words."""
    with pytest.raises(InputError) as caught:
        load(folder)
    said = str(caught.value)
    assert all(each in said for each in words) and "\n" not in said, said
    return said


def shards(folder: Path) -> dict[str, Any]:
    """Make two shards of the folder's weights; the index."""
    model, words = load(folder)
    save(model, words, folder, max_shard_size="11KB")
    index = json.loads((folder / INDEX).read_text())
    assert len(set(index["weight_map"].values())) == 2
    return index


# ---- pickles


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle", "inside a tensor's place", "shard"])
def test_a_pickle_that_asks_to_run_code_does_not_run(folder: Path, tmp_path: Path, form: str) -> None:
    tensors: dict[str, Any] = dict(load_file(folder / WEIGHTS))
    (folder / WEIGHTS).unlink()
    bad = {"a": Payload(tmp_path / "ran")} if form != "inside a tensor's place" else tensors | {"lm_head.weight": Payload(tmp_path / "ran")}
    if form == "bare pickle":
        (folder / BIN).write_bytes(pickle.dumps(Payload(tmp_path / "ran"), protocol=4))
        refusal(folder, "it holds something else than weights, and nothing of that was run")
        (folder / BIN).write_bytes(pickle.dumps(Payload(tmp_path / "ran"), protocol=2))
    elif form == "shard":
        names = {name: f"pytorch_model-0000{n % 2 + 1}-of-00002.bin" for n, name in enumerate(tensors)}
        torch.save({name: tensors[name] for name, file in names.items() if "00001-of" in file}, folder / "pytorch_model-00001-of-00002.bin")
        torch.save(bad, folder / "pytorch_model-00002-of-00002.bin")
        (folder / f"{BIN}.index.json").write_text(json.dumps({"weight_map": names}))
    else:
        torch.save(bad, folder / BIN, _use_new_zipfile_serialization=form != "legacy")
    refusal(folder, ".bin asks to run", "system when it is read", "nothing was run")
    assert not (tmp_path / "ran").exists()


def test_the_payload_is_a_real_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(2)], "holds a list, not named tensors"),
        ({"epoch": 3, "state_dict": {"a": torch.ones(2)}}, "holds more than plain tensors ('epoch' is none)"),
        ({1: torch.ones(2)}, "holds more than plain tensors (1 is none)"),
        ({"lm_head.weight": torch.eye(3).to_sparse()}, "holds more than plain tensors ('lm_head.weight' is none)"),
    ],
)
def test_a_bin_that_is_not_a_state_dictionary(folder: Path, content: object, words: str) -> None:
    (folder / WEIGHTS).unlink()
    torch.save(content, folder / BIN)
    refusal(folder, f"{BIN} {words}", "save the state dictionary of the model alone")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_bin(folder: Path, zipped: bool) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / BIN, _use_new_zipfile_serialization=zipped)
    (folder / WEIGHTS).unlink()
    whole = (folder / BIN).read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 50):
        (folder / BIN).write_bytes(whole[:size])
        refusal(folder, f"{BIN} is damaged or not a PyTorch file", "copy it again")
    (folder / BIN).write_bytes(b"hello" * 1000)
    refusal(folder, f"{BIN} is damaged or not a PyTorch file")
    with zipfile.ZipFile(folder / BIN, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02]q\x00.")
    refusal(folder, BIN)


# ---- indices


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "sub/part.safetensors", "..", "a\\b.safetensors", ""])
def test_an_index_that_leads_out_of_its_folder(folder: Path, name: str) -> None:
    index = shards(folder)
    (folder.parent / "outside.safetensors").write_bytes(next(folder.glob("model-*")).read_bytes())
    index["weight_map"]["lm_head.weight"] = name
    (folder / INDEX).write_text(json.dumps(index))
    refusal(folder, f"{INDEX} names {name!r}, which is not a file beside it: this is refused")


def test_a_missing_shard(folder: Path) -> None:
    shards(folder)
    last = sorted(folder.glob("model-*"))[-1]
    last.unlink()
    refusal(folder, f"{last} does not exist: 1 of the 2 files that {INDEX} names are missing; copy them too")


@pytest.mark.parametrize("table", [None, [], {}, {"a": 1}, "x"])
def test_an_index_without_a_table(folder: Path, table: object) -> None:
    index = shards(folder)
    (folder / INDEX).write_text(json.dumps(index | {"weight_map": table}))
    refusal(folder, f"{INDEX} has no weight_map: copy it again")


def test_shards_that_do_not_fit_together(folder: Path) -> None:
    shards(folder)
    one, two = sorted(folder.glob("model-*"))
    held, other = load_file(one), load_file(two)
    name = next(iter(held))
    save_file(other | {name: held[name]}, two)
    refusal(folder, f"{two} holds {name}, and so does {one}: which one is meant cannot be known")
    save_file({key: value for key, value in held.items() if key != name}, one)
    load(folder)  # it has moved, and all is there
    save_file(other, two)
    refusal(folder, f"run lacks the tensor {name}")


def test_a_name_twice(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file(tensors | {"norm.weight": tensors["model.norm.weight"].clone()}, folder / WEIGHTS)
    refusal(folder, "holds model.norm.weight twice, as model.norm.weight and as norm.weight")


# ---- what is not there, or is something else


@pytest.mark.parametrize(("name", "kind"), [("tf_model.h5", "TensorFlow"), ("flax_model.msgpack", "Flax")])
def test_weights_of_other_libraries(folder: Path, name: str, kind: str) -> None:
    (folder / WEIGHTS).rename(folder / name)
    refusal(folder, f"{WEIGHTS} does not exist: the weights are missing: the folder has only {kind} weights ({name})")


@pytest.mark.parametrize("name", [WEIGHTS, BIN])
def test_a_pointer_of_git_lfs(folder: Path, name: str) -> None:
    (folder / WEIGHTS).unlink()
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n")
    refusal(folder, f"{name} is only Git LFS's pointer to the weights: run `git lfs pull`")


def test_no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    refusal(folder, "tokenizer.json does not exist", "; or load the model alone, with tokenizer=False")
    model, words = load(folder, tokenizer=False)
    assert words is None and model(torch.tensor([[1, 2]])).shape == (1, 2, 40)


# ---- writing


def test_the_same_bytes_as_the_library_writes(tmp_path: Path) -> None:
    """Our writer goes tensor by tensor; its twin takes all at once."""
    tensors = {
        "b": torch.randn(3, 5),
        "a.ä": torch.randn(7).bfloat16(),
        "c": torch.arange(4),
        "d": torch.randn(2, 3).half(),
        "e": torch.tensor(1.5),
        "f": torch.tensor([True, False, True]),
        "g": torch.arange(5, dtype=torch.uint8),
        "h": torch.zeros(0, 3),
    }
    save_tensors(tmp_path / "ours", tensors | {"b": tensors["b"].T.contiguous().T}, {"format": "pt"})
    save_file(tensors, tmp_path / "theirs", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    with safe_open(tmp_path / "ours", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_sizes() -> None:
    found = [size_of(text) for text in ("5GB", "300MB", "2gib", "1.5 MB", 1000, "1000", "10KB")]
    assert found == [5_000_000_000, 300_000_000, 2**31, 1_500_000, 1000, 1000, 10_000]


# ---- memory

LOADED = """
import sys
import torch
from harken.checkpoint.load import load
anonymous = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
torch.ones(1 << 20).sum()
print(anonymous(), flush=True)
model, _ = load(sys.argv[1], tokenizer=False)
print(anonymous(), sum(p.numel() for p in model.parameters()), flush=True)
if len(sys.argv) > 2:
    from harken.checkpoint.save import save
    save(model, None, sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read the memory of a process from")
@pytest.mark.parametrize("form", ["gpt2", "llama", "shards", "bin", "legacy bin", "bfloat16"])
def test_memory_while_loading_and_saving(tmp_path: Path, form: str) -> None:
    """300 MB: anonymous memory stays within 1.15 × the weights, in float32, above what the imports take; saving adds one tensor."""
    if form == "gpt2":
        config: Any = GPT2Config(vocab_size=8_000, n_embd=768, n_head=12, n_layer=10)
    else:
        config = LlamaConfig(vocab_size=8_000, hidden_size=768, intermediate_size=2_048, num_hidden_layers=9, num_attention_heads=12)
    folder = tmp_path / "model"
    save(build(config, seed=0), None, folder, max_shard_size="60MB" if form == "shards" else "5GB")
    if form == "bfloat16":
        save_file({key: value.bfloat16() for key, value in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    elif "bin" in form:
        torch.save(load_file(folder / WEIGHTS), folder / BIN, _use_new_zipfile_serialization=form == "bin")
        (folder / WEIGHTS).unlink()
    command = [sys.executable, "-c", LOADED, str(folder), str(tmp_path / "again")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    peak = 0
    while child.poll() is None:
        try:
            lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            break
        peak = max(peak, next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0))
        time.sleep(0.002)
    out, _ = child.communicate()
    assert child.returncode == 0
    before, after, parameters = map(int, out.split())
    limit = 1.5 if form == "legacy bin" else 1.15  # such a file is read whole, and given back tensor by tensor
    assert parameters > 70e6 and peak - before < limit * parameters * 4 / 1024, f"{(peak - before) * 1024 / parameters / 4:.3f}"
    assert after - before > 0.95 * parameters * 4 / 1024, "the weights are in memory, not in the file"
