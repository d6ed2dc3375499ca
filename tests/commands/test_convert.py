"""`convert` writes a folder that transformers opens with the same answers, proves it, and is loud when it is not so."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from harken.base.errors import InputError, RunError
from harken.checkpoint import convert as convert_module
from harken.checkpoint import write as write_module
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.cli import main
from harken.commands.convert import convert
from harken.commands.info import info
from harken.families.ngram import NgramConfig
from harken.families.table import build
from harken.text.train import train_characters

COMMANDS = {"convert": "harken.commands.convert"}
TEXT = "To be, or not to be: that is the question."
IDS = torch.arange(3, 21).view(2, 9)
SIZES = {"vocab_size": 48, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
WEIGHTS = "model.safetensors"


def llama(folder: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A LLaMA that transformers wrote, with a tokenizer and what else such folders hold; the model."""
    torch.manual_seed(0)
    theirs = hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, max_position_embeddings=32)).to(dtype).eval()
    theirs.save_pretrained(folder, **options)
    train_characters([TEXT]).save(folder)
    for name in ("chat_template.jinja", "LICENSE", "README.md", "special_tokens_map.json", "added_tokens.json", "tokenizer.model"):
        (folder / name).write_text("{}" if name.endswith("json") else f"this is {name}")
    (folder / "modeling_llama.py").write_text("raise SystemExit")
    (folder / "onnx").mkdir()
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"a key we do not know": [1, None]}))
    (folder / "generation_config.json").write_text('{"temperature": 0.5, "do_sample": true, "a key": {"b": 1}}')
    return theirs


def logits(folder: Path) -> torch.Tensor:
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(IDS).logits


def broken(folder: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Let `change` damage what `step` of the conversion wrote."""
    real = getattr(convert_module, step)

    def damage(*args: Any, **kwargs: Any) -> Any:
        done = real(*args, **kwargs)
        change(next(each for each in args if isinstance(each, Path) and each.name.endswith(".part")))
        return done

    monkeypatch.setattr(convert_module, step, damage)


@pytest.mark.parametrize("form", ["whole", "shards", "bin"])
def test_the_same_model(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = llama(tmp_path / "in", **({"max_shard_size": "6KB"} if form == "shards" else {}))
    if form == "bin":
        (tmp_path / "in" / WEIGHTS).unlink()
        torch.save(theirs.state_dict(), tmp_path / "in" / "pytorch_model.bin")
    capsys.readouterr()
    record = convert(tmp_path / "in", tmp_path / "out")
    assert capsys.readouterr().err == "not copied, because a model does not need it: modeling_llama.py, onnx/\n"
    with torch.no_grad():
        assert torch.equal(logits(tmp_path / "out"), theirs(IDS).logits)
    assert json.loads((tmp_path / "out" / "export.json").read_text()) == record
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "out").iterdir()}
    del found["export.json"]
    assert {name: facts["sha256"] for name, facts in record["files"].items()} == found
    for path in (tmp_path / "in").iterdir():
        if path.suffix in (".jinja", ".md", ".model") or path.name in ("LICENSE", "special_tokens_map.json", "tokenizer.json"):
            assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    settings = json.loads((tmp_path / "out" / "config.json").read_text())
    assert settings["a key we do not know"] == [1, None] and settings["architectures"] == ["LlamaForCausalLM"]
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert generation | {"temperature": 0.5, "do_sample": True, "a key": {"b": 1}} == generation
    assert record["tensors"] == record["proof"]["tensors_equal"] == len(load_file(tmp_path / "out" / WEIGHTS))
    assert record["proof"]["max_difference"] == record["proof"]["rounding_difference"] == 0
    assert record["parameters"] == info(str(tmp_path / "out"))["parameters"] == sum(p.numel() for p in theirs.parameters())
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    again = convert(tmp_path / "out", tmp_path / "again", max_shard_size="20KB")  # and what was converted converts
    assert again["proof"]["texts"] == 5 and torch.equal(logits(tmp_path / "again"), logits(tmp_path / "out"))


@pytest.mark.parametrize("dtype", ["auto", "float16"])
def test_a_model_that_reads_a_source(dtype: str, tmp_path: Path) -> None:
    sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))}
    torch.manual_seed(0)
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}
    theirs = hf.BartForConditionalGeneration(hf.BartConfig(vocab_size=48, d_model=24, max_position_embeddings=32, **sides, **ends)).eval()
    theirs.final_logits_bias += torch.randn(1, 48)
    theirs.half().save_pretrained(tmp_path / "in")
    train_characters([TEXT]).save(tmp_path / "in")
    record = convert(tmp_path / "in", tmp_path / "out", dtype=dtype)
    assert record["dtype"] == ["float16"] and record["proof"]["max_difference"] == 0
    assert record["parameters"] == info(str(tmp_path / "out"))["parameters"] == sum(p.numel() for p in theirs.parameters())
    before, after = (load_file(tmp_path / name / WEIGHTS) for name in ("in", "out"))
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    assert {tensor.dtype for tensor in after.values()} == {torch.float16}


@pytest.mark.parametrize(("name", "end"), [(n, e) for n in ("T5", "Bart") for e in ("SequenceClassification", "QuestionAnswering")])
def test_a_model_that_judges_a_source(name: str, end: str, tmp_path: Path) -> None:
    sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))}
    sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2} if name == "T5" else {"max_position_embeddings": 32, **sides}
    torch.manual_seed(0)
    ends = {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    kind = getattr(hf, f"{name}For{end}")
    theirs = kind(getattr(hf, f"{name}Config")(vocab_size=48, d_model=24, **sizes, **ends)).eval()
    theirs.save_pretrained(tmp_path / "in")
    train_characters([TEXT]).save(tmp_path / "in")
    record = convert(tmp_path / "in", tmp_path / "out")
    assert record["proof"]["max_difference"] == 0 and not record["made_new"] and not record["not_used"]
    back, report = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    ids = torch.cat([IDS, torch.full((2, 1), 2)], 1)
    with torch.no_grad():
        for got, want in zip(back.eval()(ids).to_tuple(), theirs(ids).to_tuple(), strict=True):
            assert not isinstance(got, torch.Tensor) or torch.equal(got, want)
        assert load(tmp_path / "out")[0](ids).isfinite().all()


def test_another_precision_is_stated_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    llama(tmp_path / "in")
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out"), "--dtype", "bfloat16"], COMMANDS) == 0
    out = capsys.readouterr().out
    assert "answers differ by 0\n" in out and "rounding  bfloat16 moves answers by up to 0.0" in out
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    moved = (logits(tmp_path / "out") - logits(tmp_path / "in")).abs().max()
    assert 0 < record["proof"]["rounding_difference"] < 10 * moved and record["dtype"] == ["bfloat16"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    before, after = (load_file(tmp_path / name / WEIGHTS) for name in ("in", "out"))
    assert all(torch.equal(after[name], before[name].bfloat16()) for name in before)
    assert main(["convert", str(tmp_path / "out"), str(tmp_path / "wide"), "--dtype", "float32", "--json"], COMMANDS) == 0
    assert json.loads(capsys.readouterr().out)["proof"]["rounding_difference"] == 0


def test_every_tensor_keeps_its_own_precision(tmp_path: Path) -> None:
    llama(tmp_path / "in", torch.float16)
    tensors = load_file(tmp_path / "in" / WEIGHTS)
    tensors = {name: value.float() if "norm" in name else value for name, value in tensors.items()}
    save_file(tensors, tmp_path / "in" / WEIGHTS, {"format": "pt"})
    assert convert(tmp_path / "in", tmp_path / "out")["dtype"] == ["float16", "float32"]
    for name, value in load_file(tmp_path / "out" / WEIGHTS).items():
        assert value.dtype == tensors[name].dtype and torch.equal(value, tensors[name])


def test_for_another_task(tmp_path: Path) -> None:
    config = hf.BertConfig(**SIZES, max_position_embeddings=32, id2label={0: "no", 1: "yes", 2: "perhaps"})
    torch.manual_seed(0)
    theirs = hf.BertForMaskedLM(config)
    theirs.save_pretrained(tmp_path / "in")
    record = convert(tmp_path / "in", tmp_path / "out", task="classification")  # and without a tokenizer
    assert (record["task"], record["made_new"], record["proof"]["texts"]) == ("classification", ["bert.pooler.dense", "classifier"], 0)
    assert "cls.predictions.bias" in record["not_used"]
    back, report = hf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values()) and back.config.id2label == {0: "no", 1: "yes", 2: "perhaps"}
    ours, _ = load(tmp_path / "out", tokenizer=False)
    with torch.no_grad():
        torch.testing.assert_close(ours(IDS), back.eval()(IDS).logits, rtol=1e-5, atol=1e-6)
    assert torch.equal(back.bert.embeddings.word_embeddings.weight, theirs.bert.embeddings.word_embeddings.weight)
    assert not (tmp_path / "out" / "generation_config.json").exists()


def test_a_model_of_counts(tmp_path: Path) -> None:
    model, words = build(NgramConfig(vocab_size=30, order=3)), train_characters(["abc"])
    model.counts.fill(torch.randint(0, 30, (500,)).int().numpy(), torch.tensor([0, 100, 300]).numpy(), 3)
    save(model, words, tmp_path / "in")
    assert convert(tmp_path / "in", tmp_path / "out")["proof"]["max_difference"] == 0
    before, after = (load_file(tmp_path / name / WEIGHTS) for name in ("in", "out"))
    assert all(value.dtype == before[name].dtype and torch.equal(value, before[name]) for name, value in after.items())


def flip(part: Path) -> None:
    """One bit of one weight."""
    data = bytearray((part / WEIGHTS).read_bytes())
    data[-10] ^= 1
    (part / WEIGHTS).write_bytes(data)


def set_in(name: str, key: str, value: object) -> Callable[[Path], object]:
    def change(part: Path) -> None:
        (part / name).write_text(json.dumps(json.loads((part / name).read_text()) | {key: value}))

    return change


@pytest.mark.parametrize(
    ("step", "change", "words"),
    [
        ("save_weights", flip, "model.safetensors holds another model."),
        ("save_setting", set_in("config.json", "rms_norm_eps", 0.5), "read again, it answers differently (by up to "),
        (
            "copy_others",
            set_in("tokenizer.json", "normalizer", {"type": "Lowercase"}),
            "its tokenizer reads 'To be, or not to be.' differently",
        ),
    ],
)
def test_a_proof_that_fails_is_loud(
    step: str,
    change: Callable[[Path], object],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    llama(tmp_path / "in")
    broken(tmp_path, change, monkeypatch, step)
    capsys.readouterr()
    for n in ("", "-2"):
        assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out")], COMMANDS) == 1
        out, err = capsys.readouterr()
        said = err.splitlines()[-1]
        assert out == "" and f"{tmp_path / 'out'} was not made: " in said and words in said
        assert said.endswith(f"what was written is in {tmp_path / 'out.failed'}{n}, do not use it")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out.failed", "out.failed-2"}
    assert not (tmp_path / "out.failed" / "export.json").exists()


def test_a_source_that_is_not_what_its_export_says(tmp_path: Path) -> None:
    llama(tmp_path / "in")
    convert(tmp_path / "in", tmp_path / "out")
    flip(tmp_path / "out")  # nothing in a safetensors file tells that a weight was changed: it loads
    load(tmp_path / "out")
    with pytest.raises(
        InputError, match=r"model.safetensors is not the file that export.json beside it describes: it was damaged or changed"
    ):
        convert(tmp_path / "out", tmp_path / "again")
    (tmp_path / "out" / "export.json").unlink()
    convert(tmp_path / "out", tmp_path / "again")
    (tmp_path / "again" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json is not the file that"):
        convert(tmp_path / "again", tmp_path / "third")


def test_what_cannot_be_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llama(tmp_path / "in")
    (tmp_path / "file").write_text("")
    cases: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        (("in", "in"), {}, "in is there already: name a folder that is not, or empty it first"),
        (("in", "file"), {}, "file is there already"),
        (("gone", "out"), {}, "there is no model folder"),
        (("in", "out"), {"task": "pretraining"}, "a llama model cannot be built for 'pretraining'"),
        (("in", "out"), {"max_shard_size": "much"}, "max_shard_size must be a size"),
        (("in", "out"), {"revision": "v1"}, "revision 'v1' is for a model on the Hub"),
    ]
    for (source, out), options, words in cases:
        with pytest.raises(InputError, match=words):
            convert(tmp_path / source, tmp_path / out, **options)
    tensors = load_file(tmp_path / "in" / WEIGHTS)
    save_file(tensors | {"lm_head.weight": tensors["lm_head.weight"] * 1e8}, tmp_path / "in" / WEIGHTS)
    with pytest.raises(InputError, match=r"lm_head.weight has numbers too large for float16: take bfloat16"):
        convert(tmp_path / "in", tmp_path / "out", dtype="float16")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(write_module, "_stream", full)
    with pytest.raises(RunError, match="no space left to write"):
        convert(tmp_path / "in", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "file"}, "nothing half is left"


def test_an_empty_folder_may_be_there(tmp_path: Path) -> None:
    llama(tmp_path / "in")
    (tmp_path / "out").mkdir()
    convert(tmp_path / "in", tmp_path / "out")
    assert torch.equal(logits(tmp_path / "out"), logits(tmp_path / "in"))
