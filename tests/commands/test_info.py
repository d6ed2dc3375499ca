"""`info` says what a folder holds, exactly what torch would count, without torch; wrong folders get one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harken.base.errors import InputError
from harken.checkpoint.save import save
from harken.cli import main
from harken.commands.info import info
from harken.commands.quantize import quantize
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.table import build, config_class
from harken.text.train import train_characters

COMMANDS = {"info": "harken.commands.info"}


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """(folder of a tiny model, its parameters as torch counts them)."""
    tokenizer = train_characters(["hello world"])
    config = {"llama": LlamaConfig, "gpt2": GPT2Config}[request.param]
    model = build(config.sized(32, 2, 4, 64, tokenizer.vocab_size, 0.0), seed=0)
    folder = tmp_path_factory.mktemp(request.param)
    save(model, tokenizer, folder)
    return folder, sum(p.numel() for p in model.parameters())


@pytest.fixture
def folder(saved: tuple[Path, int], tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(saved[0], tmp_path / "model")


def test_counts_what_torch_counts(saved: tuple[Path, int]) -> None:
    found = info(saved[0])
    assert found["parameters"] == saved[1] == sum(found["parameters_by_part"].values())
    assert set(found["parameters_by_part"]) == {"embed", "attention", "mlp", "norms"}, "the head is tied, and every tensor has its part"
    sizes = {"layers": 2, "width": 32, "heads": 4, "context": 64, "vocabulary": 12, "dtype": "float32", "tokenizer": "char"}
    assert found | sizes == found
    assert found["bytes"] == (saved[0] / "model.safetensors").stat().st_size
    assert found["model"] == str(saved[0]) and found["task"] == found["tasks"][0] == "language-modeling" and found["trained"] is None
    assert found["memory"] == 4 * saved[1]


def test_parts_of_a_llama_by_hand(tmp_path: Path) -> None:
    tokenizer = train_characters(["ab"])
    config = LlamaConfig.sized(32, 1, 4, 16, tokenizer.vocab_size, 0.0)
    config.tie_word_embeddings = False
    save(build(config, seed=0), tokenizer, tmp_path)
    table = tokenizer.vocab_size * 32
    by_hand = {"embed": table, "attention": 32 * (32 + 16 + 16 + 32), "mlp": 3 * 32 * 96, "norms": 3 * 32, "head": table}
    assert info(tmp_path)["parameters_by_part"] == by_hand


@pytest.mark.parametrize("name", ["rnn", "lstm", "seq2seq", "transformer", "t5", "bart", "marian"])
def test_every_tensor_has_its_part(name: str, tmp_path: Path) -> None:
    tokenizer = train_characters(["hello world"])
    model = build(config_class(name).sized(32, 2, 4, 64, tokenizer.vocab_size, 0.0), seed=0)
    save(model, tokenizer, tmp_path)
    found = info(tmp_path)
    assert found["parameters"] == sum(found["parameters_by_part"].values()) == sum(p.numel() for p in model.parameters())
    recurrent = name in ("rnn", "lstm", "seq2seq")
    parts = {"recurrent"} | ({"attention"} if name == "seq2seq" else set()) if recurrent else {"attention", "mlp", "norms"}
    parts |= {"head"} if name == "t5" else set()
    assert set(found["parameters_by_part"]) == parts | {"embed"}
    assert (found["layers"], found["heads"]) == (2, None if recurrent else 4)


@pytest.mark.parametrize("name", ["t5", "bart", "marian"])
def test_layers_of_both_sides_and_vectors_they_share(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_class(name).sized(32, 3, 4, 64, 12, 0.0)
    setattr(config, "num_decoder_layers" if name == "t5" else "decoder_layers", 1)
    model = build(config, seed=0)
    save(model, train_characters(["hello world"]), tmp_path)
    count = sum(p.numel() for p in model.parameters())
    assert main(["info", str(tmp_path)], COMMANDS) == 0
    assert "decoder layers   1\n" in capsys.readouterr().out
    tensors, prefix = load_file(tmp_path / "model.safetensors"), "" if name == "t5" else "model."
    vectors = tensors.pop(f"{prefix}shared.weight")
    sides = {f"{prefix}{side}.embed_tokens.weight": vectors.clone() for side in ("encoder", "decoder")}
    for held in (sides, sides | {f"{prefix}shared.weight": vectors}):
        save_file(tensors | held, tmp_path / "model.safetensors")
        found = info(tmp_path)
        assert (found["parameters"], found["layers"], found["decoder_layers"], found["width"], found["heads"]) == (count, 3, 1, 32, 4)


def test_neither_a_tied_head_nor_a_mask_is_counted(folder: Path, saved: tuple[Path, int]) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = next(
        value for name, value in tensors.items() if name.endswith(("wte.weight", "embed_tokens.weight"))
    ).clone()
    tensors["transformer.h.0.attn.bias"] = torch.ones(1, 1, 64, 64)
    save_file(tensors, folder / "model.safetensors")
    assert info(folder)["parameters"] == saved[1]


def test_shards_and_mixed_types(folder: Path, saved: tuple[Path, int]) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = list(tensors)
    tensors = {name: value.bfloat16() if "norm" not in name and ".ln_" not in name else value for name, value in tensors.items()}
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: tensors[name] for name in held}, folder / shard)
    (folder / "model.safetensors").unlink()
    table = {name: shard for shard, held in shards.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    found = info(folder)
    assert (found["parameters"], found["dtype"]) == (saved[1], "bfloat16, float32")
    (folder / "b.safetensors").unlink()
    with pytest.raises(InputError, match=r"b\.safetensors does not exist"):
        info(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_bin(folder: Path, saved: tuple[Path, int], zipped: bool) -> None:
    tensors = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    (folder / "model.safetensors").unlink()
    found = info(folder)
    assert (found["parameters"], found["dtype"]) == (saved[1], "float16")
    assert found["bytes"] == (folder / "pytorch_model.bin").stat().st_size


def test_says_how_it_was_trained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {
        "task": "causal",
        "status": "done",
        "data": {"source": "names.txt", "sha256": "…"},
        "result": {"steps": 1500, "loss": 2.01234},
    }
    (folder / "harken.json").write_text(json.dumps(record))
    assert info(folder)["task"] == "causal"
    assert info(folder)["trained"] == {"status": "done", "data": "names.txt", "steps": 1500, "loss": 2.01234}
    assert main(["info", str(folder)], COMMANDS) == 0
    out = capsys.readouterr().out
    assert "1,500" in out and "2.01234 nats per token" in out


def test_sizes_that_config_json_leaves_to_the_family(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    name = "max_position_embeddings" if config["model_type"] == "llama" else "n_positions"
    del config[name]
    (folder / "config.json").write_text(json.dumps(config))
    assert info(folder)["context"] == {"llama": 2048, "gpt2": 1024}[config["model_type"]]


def test_a_family_we_do_not_know_and_no_tokenizer(folder: Path, saved: tuple[Path, int]) -> None:
    (folder / "config.json").write_text('{"model_type": "else", "d_model": 32}')
    (folder / "tokenizer.json").unlink()
    found = info(folder)
    assert (found["family"], found["width"], found["context"], found["tokenizer"]) == ("else", 32, None, None)
    assert found["parameters"] == saved[1] and (found["task"], found["tasks"]) == (None, [])


def test_table_and_json(saved: tuple[Path, int], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(saved[0])], COMMANDS) == 0
    table = capsys.readouterr().out
    assert f"{saved[1]:,}" in table and "64 tokens" in table and "None" not in table
    assert main(["info", str(saved[0]), "--json"], COMMANDS) == 0
    assert json.loads(capsys.readouterr().out) == info(saved[0])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (shutil.rmtree, "there is no model folder"),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is not a readable JSON file"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors does not exist"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 100), "model.safetensors is damaged"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "model.safetensors is damaged"),
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-9]), "model.safetensors is damaged"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json is not a tokenizer file"),
    ],
)
def test_errors_are_one_sentence(folder: Path, spoil, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(folder)
    assert main(["info", str(folder)], COMMANDS) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("harken: ") and words in err


def test_torch_stays_out_of_it(saved: tuple[Path, int]) -> None:
    code = "import sys; from harken.commands.info import info; info(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, saved[0]], cwd=Path(__file__).parents[2], check=True, timeout=60)


@pytest.mark.parametrize("bits", [8, 4])
def test_codes_are_parameters_and_scales_are_not(bits: int, tmp_path: Path) -> None:
    tokenizer = train_characters(["hello world"])
    save(build(LlamaConfig.sized(64, 2, 4, 64, tokenizer.vocab_size, 0.0), seed=0), tokenizer, tmp_path / "in")
    before = info(tmp_path / "in")
    quantize(tmp_path / "in", tmp_path / "out", bits=bits)
    found = info(tmp_path / "out")
    assert found["parameters_by_part"] == before["parameters_by_part"]
    assert found["dtype"].split(", ")[0] == f"int{bits}" and found["memory"] < {8: 0.3, 4: 0.21}[bits] * before["memory"]
    assert abs(found["memory"] - found["bytes"]) < 10_000, "it is held as it lies in the file, but for the header"


def test_speed_says_which_kernels_run(saved: tuple[Path, int], capsys: pytest.CaptureFixture[str]) -> None:
    found = info(speed=True)["kernels"]
    assert found["threading_layer"] in ("omp", "tbb", "workqueue") and set(found["types"]) == {"float32", "bfloat16", "int8", "int4"}
    assert "training" in found["left_to_torch"] and Path(found["cache"]).is_dir()
    assert info(saved[0], speed=True)["parameters"] == saved[1]
    assert main(["info", "--speed"], COMMANDS) == 0
    assert capsys.readouterr().out.startswith("kernels") and main(["info"], COMMANDS) == 2
    assert "MODEL is missing: name a folder or an id on the Hub, or ask for --speed" in capsys.readouterr().err
