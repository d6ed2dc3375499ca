"""Every way of writing a checkpoint that is met on the Hub gives the same model, and transformers opens what harken writes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from harken.base.errors import InputError
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.commands.info import info
from harken.families.table import FAMILIES, MODEL_TYPES, build, config_class
from harken.families.tasks import tasks_of
from harken.text.train import train_characters

TEXT = "To be, or not to be: that is the question."
DECODER = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
ENCODER = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "type_vocab_size": 2}
T5 = {"decoder_start_token_id": 0, "d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 2, "num_heads": 4, "n_positions": 32}
BART = {
    "d_model": 24,
    **{
        f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 40))
    },
}
GPT = {"n_positions": 32, "n_embd": 24, "n_layer": 2, "n_head": 4}
# Tiny models made by transformers: one row a family, every head the family has. A family that harken gains must be added here.
ZOO: dict[str, tuple[type, dict[str, Any]]] = {
    "openai-gpt": (hf.OpenAIGPTConfig, GPT),
    "gpt2": (hf.GPT2Config, GPT),
    "llama": (hf.LlamaConfig, {**DECODER, "attention_bias": True, "tie_word_embeddings": True}),
    "mistral": (hf.MistralConfig, {**DECODER, "sliding_window": 5}),
    "qwen2": (hf.Qwen2Config, {**DECODER, "tie_word_embeddings": True}),
    "qwen3": (hf.Qwen3Config, {**DECODER, "head_dim": 6}),
    "bert": (hf.BertConfig, ENCODER),
    "roberta": (hf.RobertaConfig, {**ENCODER, "max_position_embeddings": 33, "type_vocab_size": 1}),
    "distilbert": (hf.DistilBertConfig, {"dim": 24, "hidden_dim": 40, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 32}),
    "t5": (hf.T5Config, T5),
    "bart": (hf.BartConfig, BART),
    "marian": (hf.MarianConfig, {**BART, "decoder_start_token_id": 0, "forced_eos_token_id": 2, "scale_embedding": True}),
    "modernbert": (hf.ModernBertConfig, {**ENCODER, "local_attention": 4, "cls_token_id": 3, "sep_token_id": 4}),
    "albert": (hf.AlbertConfig, {**ENCODER, "embedding_size": 16, "max_position_embeddings": 32}),
}
KINDS = [(name, task) for name in ZOO for task, architecture in tasks_of({"model_type": name}).items() if hasattr(hf, architecture)]
FIRST = [(name, next(task for each, task in KINDS if each == name)) for name in ZOO]


def make(name: str, task: str, **changes: Any) -> Any:
    """A model of transformers with weights that are all different, biases and norms too."""
    kind, sizes = ZOO[name]
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = kind(**{"vocab_size": 48, "max_position_embeddings": 32, **sizes, **ends, **changes})
    torch.manual_seed(0)
    model = getattr(hf, tasks_of({"model_type": name})[task])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter) * parameter.requires_grad  # Marian's waves are as they are
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias += torch.randn_like(model.final_logits_bias)
    return model


def write(model: Any, folder: Path, **options: Any) -> Path:
    """Save it as transformers does, with a tokenizer, and with keys in its files that harken does not know."""
    model.save_pretrained(folder, **options)
    train_characters([TEXT]).save(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"a key we do not know": {"nested": [1, None]}}))
    return folder


def answer(model: Any, ids: torch.Tensor) -> list[torch.Tensor]:
    """Everything a model of transformers says of some ids."""
    with torch.no_grad():
        out = model(ids, decoder_input_ids=ids) if model.config.is_encoder_decoder and model.can_generate() else model(ids)
    return [value for value in out.values() if isinstance(value, torch.Tensor)]


IDS = torch.randint(3, 30, (2, 9), generator=torch.Generator().manual_seed(0))
IDS[:, -1] = 2  # the end of a text, by which some judge it
every = pytest.mark.parametrize(("name", "task"), KINDS)
one_each = pytest.mark.parametrize(("name", "task"), FIRST)
JUDGES = [(name, task) for name, task in KINDS if name in ("t5", "bart") and task != "text2text"]


def same(got: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> None:
    """To the bit."""
    assert list(got) == list(want)
    for key, value in got.items():
        assert value.dtype == want[key].dtype and torch.equal(value.view(torch.uint8), want[key].view(torch.uint8)), key


def test_every_family_is_here() -> None:
    known = {MODEL_TYPES.get(name, name) for name in FAMILIES} & set(hf.CONFIG_MAPPING)
    assert known <= set(ZOO), "add the new family to the zoo"


@every
def test_there_and_back(name: str, task: str, tmp_path: Path) -> None:
    theirs = make(name, task)
    write(theirs, tmp_path / "theirs")
    if theirs.can_generate():
        generation = json.loads((tmp_path / "theirs" / "generation_config.json").read_text())
        (tmp_path / "theirs" / "generation_config.json").write_text(json.dumps(generation | {"top_k": 7, "a key": 1}))
    model, tokenizer = load(tmp_path / "theirs")
    assert model.config.task == task
    save(model, tokenizer, tmp_path / "ours")
    settings = json.loads((tmp_path / "theirs" / "config.json").read_text())
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert {key: written.get(key) for key in settings if settings[key] is not None} == {k: v for k, v in settings.items() if v is not None}
    back, report = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    same(back.state_dict(), theirs.state_dict())
    ids = IDS[:, None].repeat(1, 2, 1) if task == "multiple-choice" else IDS
    for got, want in zip(answer(back.eval(), ids), answer(theirs, ids), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=2e-6)  # a product of few outputs depends on where its weights lie in memory
    if theirs.can_generate():
        kept = json.loads((tmp_path / "ours" / "generation_config.json").read_text())
        assert (kept["top_k"], kept["a key"]) == (7, 1) and kept | generation == kept and back.generation_config.top_k == 7


@every
def test_info_counts_what_torch_counts(name: str, task: str, tmp_path: Path) -> None:
    theirs = make(name, task)
    found = info(str(write(theirs, tmp_path)))
    assert found["parameters"] == sum(parameter.numel() for parameter in theirs.parameters() if parameter.requires_grad)
    assert "other" not in found["parameters_by_part"] and found["task"] == task and task in found["tasks"]
    sizes = {"layers": 2, "width": 24, "heads": 4, "context": 32, "vocabulary": 48, "dtype": "float32"}
    assert found | sizes == found and found["memory"] == 4 * found["parameters"]
    tied_once_more(tmp_path, theirs)
    assert info(str(tmp_path))["parameters"] == found["parameters"]


@pytest.mark.parametrize("name", [name for name in FAMILIES if MODEL_TYPES.get(name, name) in hf.CONFIG_MAPPING])
def test_made_from_scratch(name: str, tmp_path: Path) -> None:
    config = config_class(name).sized(24, 2, 4, 32, 48, 0.1)
    model = build(config, seed=1)
    save(model, train_characters([TEXT]), tmp_path)
    back, report = getattr(hf, config.architecture).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    same(load(tmp_path)[0].state_dict(), model.state_dict())
    with torch.no_grad():
        ours = model(IDS, IDS) if model.reads == "source" else model(IDS)
    torch.testing.assert_close(ours, answer(back.eval(), IDS)[0], rtol=1e-5, atol=2e-6)


# ---- layouts: each changes a folder that transformers wrote


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    return tensors


def sharded(folder: Path, theirs: Any) -> None:
    tensors_of(folder)
    theirs.save_pretrained(folder, max_shard_size="6KB")
    assert (folder / "model.safetensors.index.json").is_file()


def pickled(folder: Path, theirs: Any) -> None:
    tensors_of(folder)
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin")  # tied tensors twice, as transformers used to


def pickled_long_ago(folder: Path, theirs: Any) -> None:
    tensors_of(folder)
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def pickled_shards(folder: Path, theirs: Any, zipped: bool = True) -> None:
    tensors = tensors_of(folder)
    names, table = list(tensors), {}
    for n, part in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-{n:05}-of-00002.bin"
        torch.save({name: tensors[name] for name in part}, folder / file, _use_new_zipfile_serialization=zipped)
        table |= dict.fromkeys(part, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))


def pickled_shards_long_ago(folder: Path, theirs: Any) -> None:
    pickled_shards(folder, theirs, zipped=False)


def without_prefix(folder: Path, theirs: Any) -> None:
    prefix = theirs.base_model_prefix + "."
    save_file({name.removeprefix(prefix): value for name, value in tensors_of(folder).items()}, folder / "model.safetensors")


def gamma_and_beta(folder: Path, theirs: Any) -> None:
    def old(name: str) -> str:
        norm = "norm" in name.lower().rpartition(".")[0].split(".")[-1] or ".ln_" in name
        return name.replace(".weight", ".gamma").replace(".bias", ".beta") if norm else name

    tensors = tensors_of(folder)
    assert any(old(name) != name for name in tensors)
    save_file({old(name): value for name, value in tensors.items()}, folder / "model.safetensors")


def leftovers(folder: Path, theirs: Any) -> None:
    extra = {
        "gpt2": {"transformer.h.0.attn.bias": torch.ones(1, 1, 32, 32).byte(), "transformer.h.1.attn.masked_bias": torch.tensor(-1e4)},
        "t5": {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.ones(32, 4)},
        "bart": {f"model.{side}.version": torch.tensor([3.0]) for side in ("encoder", "decoder")},
        "marian": {f"model.{side}.embed_positions.weight": torch.ones(32, 24) for side in ("encoder", "decoder")},
        "openai-gpt": {"transformer.h.0.attn.bias": torch.ones(1, 1, 32, 32), "transformer.position_ids": torch.arange(32)},
    }
    rotary = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3)}
    counter = {f"{theirs.base_model_prefix}.embeddings.position_ids": torch.arange(32)[None]}
    default = rotary if theirs.base_model_prefix == "model" else counter
    save_file(tensors_of(folder) | extra.get(theirs.config.model_type, default), folder / "model.safetensors")


def tied_once_more(folder: Path, theirs: Any) -> None:
    tensors = {name: value.clone() for name, value in theirs.state_dict().items()}
    tensors_of(folder)
    save_file(tensors, folder / "model.safetensors")


def the_other_twin(folder: Path, theirs: Any) -> None:
    """Of every two tied tensors the one that transformers does not write."""
    held = tensors_of(folder)
    tied = theirs.all_tied_weights_keys if theirs.config.tie_word_embeddings else {}
    tensors = {name: value.clone() for name, value in theirs.state_dict().items() if name in held or name in tied}
    for twin, source in tied.items():
        if twin not in held:
            tensors.pop(source, None)
    save_file(tensors, folder / "model.safetensors")


def spelled_as_before(folder: Path, theirs: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["torch_dtype"] = config.pop("dtype")
    if rope := config.pop("rope_parameters", None):
        if "rope_theta" in rope:
            config |= {"rope_theta": rope["rope_theta"], "rope_scaling": None}
        else:
            assert config.pop("layer_types") == ["full_attention", "sliding_attention"]
            kinds = {"global": "full_attention", "local": "sliding_attention"}
            config |= {f"{kind}_rope_theta": rope[key]["rope_theta"] for kind, key in kinds.items()} | {"global_attn_every_n_layers": 2}
    (folder / "config.json").write_text(json.dumps(config))


LAYOUTS: list[Callable[[Path, Any], None]] = [
    *(sharded, pickled, pickled_long_ago, pickled_shards, pickled_shards_long_ago, without_prefix, gamma_and_beta),
    *(leftovers, tied_once_more, the_other_twin, spelled_as_before),
]


@pytest.mark.parametrize(("name", "task"), FIRST + JUDGES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_the_same_model_in_every_layout(
    name: str, task: str, layout: Callable[[Path, Any], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = make(name, task)
    want = load(write(theirs, tmp_path / "plain"))[0].state_dict()
    folder = write(theirs, tmp_path / "other")
    layout(folder, theirs)
    capsys.readouterr()
    same(load(folder)[0].state_dict(), want)
    assert capsys.readouterr().err == "", "there is nothing to say: all is used, nothing is new"


def test_gpt2_and_bert_base_uncased_as_the_hub_has_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several of these at once: no prefix and masks in the one; gamma and beta, and both heads of pre-training, in the other."""
    theirs = make("gpt2", "language-modeling")
    want = load(write(theirs, tmp_path / "plain"))[0].state_dict()
    folder = write(theirs, tmp_path / "gpt2")
    leftovers(folder, theirs)
    without_prefix(folder, theirs)
    capsys.readouterr()
    same(load(folder)[0].state_dict(), want)
    assert capsys.readouterr().err == ""
    theirs = make("bert", "pretraining")
    folder = write(theirs, tmp_path / "bert")
    gamma_and_beta(folder, theirs)
    config = json.loads((folder / "config.json").read_text())
    config = {key: value for key, value in config.items() if key not in ("dtype", "tie_word_embeddings", "is_decoder")}
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    capsys.readouterr()
    model, _ = load(folder)
    assert model.config.task == "masked-language-modeling"
    assert capsys.readouterr().err.endswith("these are not used for masked-language-modeling: bert.pooler.dense, cls.seq_relationship\n")
    with torch.no_grad():
        torch.testing.assert_close(model(IDS), theirs(IDS).prediction_logits, rtol=1e-5, atol=1e-5)


# ---- heads


def bodies(model: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if name.startswith(("stack.", "encoder."))}


@every
def test_a_body_alone_gets_a_new_head(name: str, task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = make(name, task)
    whole = load(write(theirs, tmp_path / "whole"))[0]
    folder = write(theirs.base_model, tmp_path / "alone")
    state = torch.random.get_rng_state()
    capsys.readouterr()
    model, again = (load(folder, task=task)[0] for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    same(model.state_dict(), again.state_dict())
    same(bodies(model), bodies(whole))
    heads = {key: value for key, value in model.state_dict().items() if key not in bodies(model)}
    said = capsys.readouterr().err
    learned = heads.keys() & dict(model.named_parameters()).keys()
    alone = theirs.base_model is not theirs  # T5 has its answers to questions on the body itself
    assert ("these were made new: " in said) == bool(learned and alone) and ": ;" not in said
    for key, value in heads.items():
        if key not in learned:
            assert theirs.base_model is theirs or not value.any(), "what is never learned is nothing to speak of"
            continue
        taken = torch.equal(value, whole.state_dict()[key])  # a pooler that came with the body
        fresh = bool((value == ("norm.weight" in key)).all()) if value.dim() == 1 else 0.01 < float(value.std()) < 0.03
        assert taken or fresh, key


def test_what_is_made_new_and_what_is_not_used_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(make("bert", "pretraining"), tmp_path / "bert")
    capsys.readouterr()
    load(folder, task="classification")
    new, unused = capsys.readouterr().err.splitlines()
    assert new.endswith("these were made new: classifier; they know nothing until they are trained")
    modules = "cls.predictions, cls.predictions.transform.LayerNorm, cls.predictions.transform.dense, cls.seq_relationship"
    assert unused.endswith(f"these are not used for classification: {modules}")
    load(folder)
    load(folder, task="masked-language-modeling")
    assert capsys.readouterr().err.endswith("these are not used for masked-language-modeling: bert.pooler.dense, cls.seq_relationship\n")


def test_a_task_that_the_family_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a gpt2 model cannot be built for 'masked-language-modeling'"):
        load(write(make("gpt2", "language-modeling"), tmp_path), task="masked-language-modeling")


@pytest.mark.parametrize(("name", "head"), [("mistral", "lm_head.weight"), ("bert", "cls.predictions.transform.dense.bias")])
def test_a_head_that_config_json_promises_must_be_there(name: str, head: str, tmp_path: Path) -> None:
    folder = write(make(name, dict(FIRST)[name]), tmp_path)
    save_file({key: value for key, value in tensors_of(folder).items() if key != head}, folder / "model.safetensors")
    with pytest.raises(InputError, match=f"model.safetensors lacks the tensor {head}"):
        load(folder)


def test_half_a_head_is_not_made_whole(tmp_path: Path) -> None:
    folder = write(make("bert", "masked-language-modeling"), tmp_path)
    gone = "cls.predictions.transform.dense.bias"
    save_file({key: value for key, value in tensors_of(folder).items() if key != gone}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["BertModel"]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"lacks the tensor {gone}"):
        load(folder)


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, task in FIRST if ZOO[name][0](**ZOO[name][1]).tie_word_embeddings])
def test_a_tied_head_that_is_not_the_same_is_used_as_transformers_uses_it(
    name: str, task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = make(name, task)
    folder = write(theirs, tmp_path)
    tensors = {key: value.clone() for key, value in theirs.state_dict().items()}
    twin = next(key for key in theirs._tied_weights_keys if tensors[key].dim() == 2 and "embed_tokens" not in key)
    tensors[twin] += 1.0
    if name in ("t5", "bart"):  # the copies of the token vectors need not be there
        tensors = {key: value for key, value in tensors.items() if "embed_tokens" not in key}
    tensors_of(folder)
    save_file(tensors, folder / "model.safetensors")
    capsys.readouterr()
    model, _ = load(folder)
    assert f"{twin} is not the same as the token vectors, though config.json ties them" in capsys.readouterr().err
    assert model.config.tie_word_embeddings is False
    want = answer(type(theirs).from_pretrained(folder).eval(), IDS)[0]
    with torch.no_grad():
        torch.testing.assert_close(model(IDS, IDS) if model.reads == "source" else model(IDS), want, rtol=1e-5, atol=1e-5)
    if "classification" not in tasks_of(model.config):
        return
    judge, _ = load(folder, task="classification")
    assert judge.config.tie_word_embeddings and "not the same" not in capsys.readouterr().err, "a task that has no use for it"


SIDED = [("t5", "text2text"), ("bart", "text2text"), ("marian", "text2text"), *JUDGES]


@pytest.mark.parametrize("differs", [["encoder"], ["decoder"], ["encoder", "decoder"], ["decoder", "lm_head"]], ids="+".join)
@pytest.mark.parametrize(("name", "task"), SIDED)
def test_sides_that_do_not_share_though_they_should_are_used_as_transformers_uses_them(
    name: str, task: str, differs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = make(name, task)
    folder, tensors = write(theirs, tmp_path / "in"), {key: value.clone() for key, value in theirs.state_dict().items()}
    twins = [key for key in tensors if key.endswith("embed_tokens.weight") or key == "lm_head.weight"]
    apart = [key for key in twins if any(side in key for side in differs)]
    for n, key in enumerate(apart, 1):
        tensors[key] += n
    tensors_of(folder)
    save_file({key: value for key, value in tensors.items() if key not in twins or key in apart}, folder / "model.safetensors")
    capsys.readouterr()
    model, tokenizer = load(folder)
    said = capsys.readouterr().err
    if not apart:  # an encoder alone
        assert said == ""
        return
    assert f"{', '.join(sorted(apart))} {'is' if len(apart) == 1 else 'are'} not the same as the token vectors, though config.json" in said
    want = answer(type(theirs).from_pretrained(folder).eval(), IDS)
    save(model, tokenizer, tmp_path / "out")
    again, back = load(tmp_path / "out")[0], type(theirs).from_pretrained(tmp_path / "out")
    assert "not the same" not in capsys.readouterr().err, "said once: what is written says so itself"
    with torch.no_grad():
        for ours in (model, again):
            got = ours(IDS, IDS) if task == "text2text" else ours(IDS)
            parts = got.unbind(-1) if task == "span" else [got]
            for one, other in zip(parts, want, strict=False):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    for one, other in zip(answer(back.eval(), IDS), want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


# ---- precision


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "t5", "bart", "marian"])
def test_precision(family: str, stored: torch.dtype, tmp_path: Path) -> None:
    theirs = make(family, dict(FIRST)[family]).to(stored)
    folder, name = write(theirs, tmp_path / "theirs"), str(stored).removeprefix("torch.")
    exact = load(folder)[0]
    assert {parameter.dtype for parameter in exact.parameters()} == {torch.float32}
    for asked, dtype in (("auto", stored), ("bfloat16", torch.bfloat16), ("float16", torch.float16)):
        model = load(folder, dtype=asked)[0]
        for key, value in model.state_dict().items():
            assert value.dtype == dtype and torch.equal(value, exact.state_dict()[key].to(dtype))
        with torch.no_grad():
            got, want = (each(*(IDS, IDS)[: 1 + (each.reads == "source")]) for each in (model, exact))
        assert got.dtype == dtype and (got.float() - want).abs().max() < 0.1 * want.abs().max()  # rotary positions were not rounded
    model, tokenizer = load(folder, dtype="auto")
    save(model, tokenizer, tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["dtype"] == name
    same(load_file(tmp_path / "ours" / "model.safetensors"), load_file(folder / "model.safetensors"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu(tmp_path: Path) -> None:
    folder = write(make("llama", "language-modeling"), tmp_path)
    model, exact = load(folder, device="cuda", dtype="bfloat16")[0], load(folder)[0]
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"cuda"}
    with torch.no_grad():
        assert (model(IDS.cuda()).float().cpu() - exact(IDS)).abs().max() < 0.1 * exact(IDS).abs().max()


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    folder = write(make("gpt2", "language-modeling"), tmp_path)
    for asked, words in (({"dtype": "float8"}, "dtype 'float8' is not known"), ({"device": "gpu"}, "device 'gpu' is not there")):
        with pytest.raises(InputError, match=words) as caught:
            load(folder, **asked)  # pyright: ignore[reportArgumentType, reportCallIssue]
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="revision 'v1' is for a model on the Hub"):
        load(folder, revision="v1")


# ---- models that read a source


@pytest.mark.parametrize("name", ["bart", "marian"])
def test_a_bias_that_is_never_learned(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the body alone, as facebook/bart-base is, has none: zeros, of which nothing is said. One of another size is an error."""
    theirs = make(name, "text2text")
    folder = write(theirs.base_model, tmp_path / "alone")
    capsys.readouterr()
    model, _ = load(folder)
    assert capsys.readouterr().err == "" and not model.head.bias.any()  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    theirs.final_logits_bias.zero_()
    with torch.no_grad():
        torch.testing.assert_close(model(IDS, IDS), answer(theirs, IDS)[0], rtol=1e-5, atol=2e-6)
    folder = write(theirs, tmp_path / "whole")
    save_file(tensors_of(folder) | {"final_logits_bias": torch.zeros(1, 47)}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"final_logits_bias has shape \(1, 47\), config.json asks for \(1, 48\)"):
        load(folder)


def test_what_a_target_begins_with_may_stand_in_generation_config_json(tmp_path: Path) -> None:
    folder = write(make("bart", "text2text"), tmp_path / "in")
    config, generation = (json.loads((folder / name).read_text()) for name in ("config.json", "generation_config.json"))
    config = {key: value for key, value in config.items() if key not in ("decoder_start_token_id", "forced_bos_token_id")}

    def begun(settings: dict[str, Any], **said: Any) -> tuple[int | None, int | None]:
        (folder / "config.json").write_text(json.dumps(settings))
        (folder / "generation_config.json").write_text(json.dumps({**generation, **said}))
        found: Any = load(folder)[0].config
        return found.decoder_start_token_id, found.forced_bos_token_id

    assert begun(config) == (2, None)
    assert begun(config, decoder_start_token_id=5, forced_bos_token_id=7) == (5, 7)
    assert begun(config | {"decoder_start_token_id": 3, "forced_bos_token_id": 0}, forced_bos_token_id=7) == (3, 0)
    (folder / "generation_config.json").unlink()
    assert load(folder)[0].config.forced_bos_token_id == 0  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match="forced_bos_token_id must be a token id below 48, not 99"):
        begun(config, forced_bos_token_id=99)
    assert begun(config, forced_bos_token_id=7) == (2, 7)
    save(*load(folder), tmp_path / "out")
    again: Any = load(tmp_path / "out")[0].config
    assert again.forced_bos_token_id == 7


# ---- shards


def test_shards_that_harken_writes(tmp_path: Path) -> None:
    theirs = make("gpt2", "language-modeling")
    model, tokenizer = load(write(theirs, tmp_path / "theirs"))
    save(model, tokenizer, tmp_path / "ours", max_shard_size="6KB")
    index = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text())
    files = sorted((tmp_path / "ours").glob("model-*"))
    assert len(files) > 2 and {path.name for path in files} == set(index["weight_map"].values())
    assert index["metadata"]["total_size"] == sum(value.nbytes for path in files for value in load_file(path).values())
    assert all(index["weight_map"][key] == path.name for path in files for key in load_file(path))
    back, report = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    same(back.state_dict(), theirs.state_dict())
    same(load(tmp_path / "ours")[0].state_dict(), model.state_dict())
    save(model, tokenizer, tmp_path / "ours", max_shard_size=10_000)  # fewer and larger
    assert len(list((tmp_path / "ours").glob("model-*"))) < len(files)
    same(load(tmp_path / "ours")[0].state_dict(), model.state_dict())
    save(model, tokenizer, tmp_path / "ours")
    assert [path.name for path in (tmp_path / "ours").glob("model*")] == ["model.safetensors"]
    same(load(tmp_path / "ours")[0].state_dict(), model.state_dict())


@pytest.mark.parametrize("size", ["", "big", "5 GBs", "-1", "0", 0, "5PB"])
def test_sizes_that_are_none(size: str | int, tmp_path: Path) -> None:
    model, tokenizer = load(write(make("gpt2", "language-modeling"), tmp_path / "theirs"))
    with pytest.raises(InputError, match="max_shard_size must be a size such as 5GB"):
        save(model, tokenizer, tmp_path / "ours", max_shard_size=size)
