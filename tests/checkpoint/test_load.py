"""Folders: what is saved is loaded to the bit, transformers opens it too, and every fault is one sentence that names the file."""

from __future__ import annotations

import errno
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harken.base.errors import InputError, RunError
from harken.checkpoint import write as write_module
from harken.checkpoint.load import WEIGHTS, load
from harken.checkpoint.save import save
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.ngram import NgramConfig
from harken.families.table import build
from harken.nn.models import Model
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_bpe, train_characters

TEXT = "To be, or not to be: that is the question."
CONFIGS = {
    "gpt2": GPT2Config(vocab_size=40, n_positions=16, n_embd=12, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2, pad_token_id=0),
    "llama": LlamaConfig(
        vocab_size=40,
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=16,
        attention_bias=True,
        bos_token_id=1,
        eos_token_id=[2, 3],
        extra={"note": "kept"},
    ),
}
names = pytest.mark.parametrize("name", CONFIGS)


def make(name: str) -> tuple[Model, Tokenizer]:
    model = build(CONFIGS[name], seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model, train_characters([TEXT])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole LLaMA folder, to be damaged."""
    save(*make("llama"), tmp_path / "run")
    return tmp_path / "run"


def refusal(folder: Path, sentence: str, kind: type[Exception] = InputError) -> str:
    """load() says `sentence` (a part of it), in one line, naming the path."""
    with pytest.raises(kind) as caught:
        load(folder)
    said = str(caught.value)
    assert sentence in said and "\n" not in said and folder.name in said
    return said


@names
def test_saved_is_loaded_to_the_bit(name: str, tmp_path: Path) -> None:
    model, tokenizer = make(name)
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    model.pack()
    save(model, tokenizer, tmp_path / "a" / "run")
    back, words = load(str(tmp_path / "a" / "run"))
    assert not back.training and back.config == model.config
    for key, value in back.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value.view(torch.int32), kept[key].view(torch.int32))
    assert words.encode(TEXT) == tokenizer.encode(TEXT) and words.kind == "char"
    names = {path.name for path in (tmp_path / "a" / "run").iterdir()}
    assert names == {"config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"}
    save(back, words, tmp_path / "b")
    assert all((tmp_path / "b" / each).read_bytes() == (tmp_path / "a" / "run" / each).read_bytes() for each in names)


def test_loading_leaves_the_random_state_alone(folder: Path) -> None:
    state = torch.random.get_rng_state()
    load(folder)
    assert torch.equal(torch.random.get_rng_state(), state)


@names
@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_transformers_opens_what_is_saved(name: str, kind: str, tmp_path: Path) -> None:
    import transformers as hf

    tokenizer = train_characters([TEXT]) if kind == "characters" else train_bpe([TEXT], 300)
    config = type(CONFIGS[name]).read(CONFIGS[name].write() | {"vocab_size": 300})
    model = build(config, seed=1)
    save(model, tokenizer, tmp_path)
    theirs = hf.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    words = hf.AutoTokenizer.from_pretrained(tmp_path)
    for text in (TEXT, "not to be <eos>", "be"):
        assert words(text)["input_ids"] == tokenizer.encode(text)
    ids = torch.tensor([tokenizer.encode("to be, or not")])
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, rtol=1e-5, atol=1e-6)
    assert theirs.generation_config.eos_token_id == config.eos_token_id and words.pad_token_id == 0


def test_no_folder(folder: Path) -> None:
    assert refusal(folder.with_name("rum"), "there is no model folder").endswith("(did you mean 'run'?)")
    assert refusal(folder.with_name("something else"), "there is no model folder").endswith("something else")
    folder.with_name("meaning").mkdir()
    assert refusal(folder.with_name("zzz"), "there is no model folder").endswith("zzz")
    refusal(folder / "no" / "such" / "path", "there is no model folder")


def test_a_file_instead_of_a_folder(folder: Path) -> None:
    refusal(folder / WEIGHTS, f"is a file; name the folder of a model (it holds config.json and {WEIGHTS})")


def test_config_missing_or_broken(folder: Path) -> None:
    config = folder / "config.json"
    settings = json.loads(config.read_text())
    for text, sentence in [
        ("{", "config.json is not a readable JSON file"),
        ("", "config.json is not a readable JSON file"),
        ("[1]", "config.json holds a JSON list, not an object"),
        ("{}", "config.json has no model_type"),
        (json.dumps(settings | {"model_type": ["llama"]}), "config.json has no model_type"),
    ]:
        config.write_text(text)
        refusal(folder, sentence)
    config.write_bytes(b"\xff\xfe\x00")
    refusal(folder, "config.json is not a readable JSON file")
    config.write_text(json.dumps(settings | {"model_type": "lama"}))
    with pytest.raises(InputError, match=r"model family 'lama' is not known \(did you mean 'llama'\?\)"):
        load(folder)
    config.unlink()
    refusal(folder, "holds no model: config.json is missing")


def test_tokenizer_missing_broken_or_too_large(folder: Path) -> None:
    train_bpe([TEXT], 300).save(folder)
    refusal(folder, "the model only 40 rows for them")
    (folder / "tokenizer.json").write_text("{}")
    refusal(folder, "tokenizer.json is not a tokenizer file")
    (folder / "tokenizer.json").unlink()
    refusal(folder, "tokenizer.json does not exist")


def test_weights_missing_or_truncated(folder: Path) -> None:
    file = folder / WEIGHTS
    whole = file.read_bytes()
    header = struct.unpack("<Q", whole[:8])[0] + 8
    for size in (0, 1, 7, 8, 9, header - 1, header, header + 1, len(whole) - 1):
        file.write_bytes(whole[:size])
        refusal(folder, f"{WEIGHTS} is damaged or not a safetensors file")
    file.write_bytes(whole + b"\0")
    refusal(folder, f"{WEIGHTS} is damaged or not a safetensors file")
    file.write_bytes(b"\x80\x04pickle" * 100)
    refusal(folder, f"{WEIGHTS} is damaged or not a safetensors file")
    file.unlink()
    refusal(folder, f"{WEIGHTS} does not exist: the weights are missing")


def test_a_flipped_bit_in_the_header(folder: Path) -> None:
    """It is refused in one sentence, or does no harm (the header holds a comment, {"format": "pt"}, and blanks at its end)."""
    file = folder / WEIGHTS
    whole = bytearray(file.read_bytes())
    kept = load(folder)[0].state_dict()
    header = struct.unpack("<Q", whole[:8])[0] + 8
    comment = whole.index(b"__metadata__") + 12, whole.index(b"}") + 1
    harmless = 0
    for place in range(0, header):
        if place > 400 and place < header - 16 and place % 11:  # every name is like the next
            continue
        for bit in range(8) if place < 16 else (place % 8,):
            whole[place] ^= 1 << bit
            file.write_bytes(whole)
            whole[place] ^= 1 << bit
            try:
                model = load(folder)[0]
            except InputError as error:
                assert str(file) in str(error) and "\n" not in str(error)
            else:
                harmless += 1
                assert comment[0] <= place < comment[1] or place >= header - 8
                assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())
    assert harmless < 60


def damaged(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


Q, K, V = (f"model.layers.1.self_attn.{x}_proj.weight" for x in "qkv")
DAMAGE: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "missing": (lambda t: t.pop("model.layers.1.mlp.up_proj.weight"), "lacks the tensor model.layers.1.mlp.up_proj.weight"),
    "missing part": (lambda t: t.pop(K), f"lacks the tensor {K}"),
    "missing bias": (lambda t: t.pop("model.layers.0.self_attn.o_proj.bias"), "lacks the tensor model.layers.0.self_attn.o_proj.bias"),
    "missing head": (lambda t: t.pop("lm_head.weight"), "lacks the tensor lm_head.weight"),
    "foreign": (lambda t: t.update({"adapter.a": torch.zeros(1)}), "1 tensor(s) this family does not know, the first is adapter.a"),
    "more layers": (lambda t: t.update({Q.replace("1", "2", 1): t[Q].clone()}), "the first is model.layers.2.self_attn.q_proj.weight"),
    "rows": (
        lambda t: t.update({"lm_head.weight": torch.zeros(41, 12)}),
        "lm_head.weight has shape (41, 12), config.json asks for (40, 12)",
    ),
    "part rows": (lambda t: t.update({V: torch.zeros(6, 12)}), f"{V} has shape (6, 12), config.json asks for (4, 12)"),
    "part columns": (lambda t: t.update({V: torch.zeros(4, 13)}), f"{V} has shape (4, 13), config.json asks for (4, 12)"),
    "parts that only add up": (
        lambda t: t.update({Q: torch.zeros(4, 12), K: torch.zeros(12, 12)}),
        f"{K} has shape (12, 12), config.json asks for (4, 12)",
    ),
    "dimensions": (lambda t: t.update({"model.norm.weight": torch.zeros(12, 1)}), "model.norm.weight has shape (12, 1)"),
    "a single number": (lambda t: t.update({V: torch.tensor(1.0)}), f"{V} has shape ()"),
    "whole numbers": (lambda t: t.update({V: torch.zeros(4, 12, dtype=torch.int8)}), f"{V} holds int8, not floating-point weights"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_tensors_that_do_not_fit(folder: Path, what: str) -> None:
    change, sentence = DAMAGE[what]
    damaged(folder, change)
    refusal(folder, sentence)


def test_a_transposed_tensor_that_does_not_fit(tmp_path: Path) -> None:
    save(*make("gpt2"), tmp_path / "run")
    key = "transformer.h.0.attn.c_attn.weight"
    damaged(tmp_path / "run", lambda t: t.update({key: torch.zeros(36, 12)}))
    refusal(tmp_path / "run", f"{key} has shape (36, 12), config.json asks for (12, 36)")


def test_counts_are_as_many_as_were_counted(tmp_path: Path) -> None:
    tokenizer = train_characters(["abc"])
    save(build(NgramConfig.sized(8, 1, 1, 8, tokenizer.vocab_size, 0.0)), tokenizer, tmp_path / "run")
    damaged(tmp_path / "run", lambda t: t.update({"counts.tokens": torch.arange(5, dtype=torch.int32)}))
    assert load(tmp_path / "run")[0].state_dict()["counts.tokens"].tolist() == [0, 1, 2, 3, 4]
    damaged(tmp_path / "run", lambda t: t.update({"counts.tokens": torch.zeros(5, 1, dtype=torch.int32)}))
    refusal(tmp_path / "run", "counts.tokens has shape (5, 1), config.json asks for (1,)")


def test_leftovers_of_older_checkpoints_are_known(tmp_path: Path) -> None:
    """Masks, frequencies and the second copy of a tied head."""
    save(*make("gpt2"), tmp_path / "a")
    extra = {"transformer.h.0.attn.bias": torch.ones(1, 1, 16, 16), "transformer.h.1.attn.masked_bias": torch.tensor(-1e4)}
    damaged(tmp_path / "a", lambda t: t.update(extra | {"lm_head.weight": t["transformer.wte.weight"].clone()}))
    load(tmp_path / "a")
    config = LlamaConfig.read(CONFIGS["llama"].write() | {"tie_word_embeddings": True})
    save(build(config, seed=0), train_characters([TEXT]), tmp_path / "b")
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(1)}
    damaged(tmp_path / "b", lambda t: t.update(extra | {"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    load(tmp_path / "b")


def test_half_precision_is_read_as_float32(folder: Path) -> None:
    damaged(folder, lambda t: t.update({key: value.bfloat16() for key, value in t.items()}))
    model, _ = load(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


FULL = """
import resource, sys
from pathlib import Path
from harken.base.errors import RunError
from harken.checkpoint.load import load
from harken.checkpoint.save import save

folder = Path(sys.argv[1])
model, tokenizer = load(folder)
for parameter in model.parameters():
    parameter.data.add_(1)
model.config.initializer_range = 0.5
for limit in sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        save(model, tokenizer, folder)
    except RunError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes to set")
def test_a_full_disk_leaves_the_old_folder_whole(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    limits = [0, 8, 4096, len(before[WEIGHTS]) - 1]
    done = subprocess.run([sys.executable, "-c", FULL, str(folder), *map(str, limits)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = f"no space left to write {folder / WEIGHTS}; what was there before is unchanged: free some space and go on"
    assert done.stdout.splitlines() == [said] * len(limits)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before  # nothing half, no temporary name


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_while_writing(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = load(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def write(path: Path, tensors: dict, metadata: dict) -> None:
        path.write_bytes(b"half")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(write_module, "_stream", write)
    with pytest.raises(RunError, match="what was there before is unchanged") as caught:
        save(model, tokenizer, folder)
    assert str(folder / WEIGHTS) in str(caught.value) and "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        save(*make("gpt2"), tmp_path / "file" / "run")


def test_other_ends_than_before_are_written(folder: Path) -> None:
    """generation_config.json is the folder's own, but for what has changed since."""
    generation = folder / "generation_config.json"
    generation.write_text(json.dumps({"eos_token_id": [3, 9], "temperature": 0.5}))
    model, tokenizer = load(folder)
    save(model, tokenizer, folder)
    assert json.loads(generation.read_text()) == {"bos_token_id": 1, "eos_token_id": [3, 9], "temperature": 0.5}
    model.config.eos_token_id = 7
    save(model, tokenizer, folder)
    assert json.loads(generation.read_text()) == {"bos_token_id": 1, "eos_token_id": 7, "temperature": 0.5}


def test_quantised_weights_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq", "bits": 4}}))
    refusal(folder, "run holds weights quantised by gptq, which are not read here: take the model as it was before")


def test_an_export_is_not_said_of_another_model(folder: Path) -> None:
    (folder / "export.json").write_text("{}")
    model, tokenizer = load(folder)
    save(model, tokenizer, folder)
    assert not (folder / "export.json").exists()
