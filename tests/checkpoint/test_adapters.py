"""peft's folders: read and written with the same answers and gradients; one that fits the model only in part is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import Tensor

import harken
from harken.base.errors import InputError
from harken.checkpoint.hub import wanted
from harken.checkpoint.matrices import matrices
from harken.nn.models import Model

IDS = torch.tensor([[5, 9, 3, 17, 22, 8], [7, 7, 30, 11, 6, 40]])
WIDE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
}
ENDS: dict[str, Any] = {"vocab_size": 60, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
GPT2: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16}
T5: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
FAMILIES: dict[str, tuple[Any, Any]] = {
    "gpt2": (hf.GPT2LMHeadModel, hf.GPT2Config(**GPT2, **ENDS)),
    "llama": (hf.LlamaForCausalLM, hf.LlamaConfig(**WIDE, **ENDS, num_key_value_heads=2)),
    "bert": (hf.BertForMaskedLM, hf.BertConfig(**WIDE, **ENDS)),
    "t5": (hf.T5ForConditionalGeneration, hf.T5Config(**T5, **ENDS)),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> dict[str, Path]:
    """A small checkpoint of every family, as transformers writes it."""
    made = {}
    for name, (kind, config) in FAMILIES.items():
        torch.manual_seed(0)
        made[name] = tmp_path_factory.mktemp("base") / name
        kind(config).save_pretrained(made[name])
    return made


def theirs_of(name: str, base: Path, adapter: Path) -> Any:
    return peft.PeftModel.from_pretrained(FAMILIES[name][0].from_pretrained(base), str(adapter)).eval()


def made(name: str, base: Path, out: Path, kind: Any = None, **asked: Any) -> Any:
    """An adapter of peft that has learned something, in `out`."""
    model: Any = peft.get_peft_model((kind or FAMILIES[name][0]).from_pretrained(base), peft.LoraConfig(**{"r": 4, **asked}))
    torch.manual_seed(1)
    with torch.no_grad():
        for each in (each for each in model.parameters() if each.requires_grad):
            each += 0.1 * torch.randn_like(each)
    model.save_pretrained(out)
    return model.eval()


def theirs(model: Any) -> Tensor:
    return model(IDS, decoder_input_ids=IDS).logits if model.config.is_encoder_decoder else model(IDS).logits


def ours(model: Model) -> Tensor:
    with torch.no_grad():
        return model(IDS, IDS) if model.reads == "source" else model(IDS)


def opened(folder: Path, **more: Any) -> Model:
    return harken.load(folder, tokenizer=False, **more)[0]


CASES = {
    "all": {"target_modules": "all-linear", "lora_alpha": 3, "lora_dropout": 0.1, "use_rslora": True},
    "dora": {"target_modules": "all-linear", "use_dora": True},
    "patterns": {"target_modules": r".*(q|c_attn|dense|wo|down_proj|q_proj)", "rank_pattern": {"q": 3, "c_attn": 2, "q_proj": 2}},
}


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_folder_of_peft_reads_and_writes_with_the_same_answers(name, case, bases, tmp_path):
    want = theirs(made(name, bases[name], tmp_path / "theirs", **CASES[case])).detach()
    model = opened(tmp_path / "theirs")
    assert (ours(model) - want).abs().max() < 1e-5
    assert (ours(opened(bases[name])) - want).abs().max() > 1e-3
    harken.save(model, None, tmp_path / "ours")
    assert not (tmp_path / "ours" / "model.safetensors").exists()
    one, two = (load_file(tmp_path / side / "adapter_model.safetensors") for side in ("theirs", "ours"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    assert (theirs(theirs_of(name, bases[name], tmp_path / "ours")) - want).abs().max() < 1e-5
    assert torch.equal(ours(opened(tmp_path / "ours")), ours(model))
    with pytest.raises(InputError, match="holds a whole model, and an adapter"):
        harken.save(model, None, bases[name])
    model.adapters.merge()
    assert (ours(model) - want).abs().max() < 1e-5
    with pytest.raises(InputError, match="holds an adapter, which others would put on"):
        harken.save(model, None, tmp_path / "ours")
    harken.save(model, None, tmp_path / "merged")
    assert torch.equal(ours(opened(tmp_path / "merged")), ours(model))


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("name", list(FAMILIES))
def test_gradients_are_those_of_peft(name, dora, bases, tmp_path):
    model = made(name, bases[name], tmp_path / "it", target_modules="all-linear", use_dora=dora)
    (theirs(model) ** 2).mean().backward()
    own = opened(tmp_path / "it")
    ((own(IDS, IDS) if own.reads == "source" else own(IDS)) ** 2).mean().backward()
    wanted = {key.replace(".default", ""): each.grad for key, each in model.named_parameters() if each.requires_grad}
    updates: dict[str, Any] = dict(own.adapters.of("default"))
    seen = 0
    for key, matrix in matrices(own).items():
        if matrix.layer not in updates:
            continue
        update = updates[matrix.layer]
        at = next(n for n, part in enumerate(update.slices) if part.start == matrix.start)
        grads = {"lora_A.weight": update.a.weight.grad.split(update.ranks)[at], "lora_B.weight": update.b[at].weight.grad}
        if update.magnitudes is not None:
            grads["lora_magnitude_vector.weight"] = update.magnitudes[at].grad
        for leaf, grad in grads.items():
            want = wanted[f"base_model.model.{key}.{leaf}"]
            assert (grad - want).abs().max() < 1e-5 * max(1, want.abs().max()), (key, leaf)
            seen += 1
    assert seen == len(wanted)


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_an_adapter_brings_its_head(name, bases, tmp_path):
    kind = {"gpt2": hf.GPT2ForSequenceClassification, "bert": hf.BertForSequenceClassification}[name]
    base = tmp_path / "base"
    torch.manual_seed(3)
    kind(FAMILIES[name][1].__class__(**{**(GPT2 if name == "gpt2" else WIDE), **ENDS}, num_labels=3)).save_pretrained(base)
    values = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(values | {"architectures": [FAMILIES[name][0].__name__]}))  # as of one that never judged
    model = made(name, base, tmp_path / "it", kind, task_type="SEQ_CLS", target_modules="all-linear")
    own = opened(tmp_path / "it")
    assert own.config.task == "classification" and own.config.num_labels == 3
    assert (ours(own) - theirs(model)).abs().max() < 1e-5
    harken.save(own, None, tmp_path / "ours")
    again = peft.PeftModel.from_pretrained(kind.from_pretrained(base), str(tmp_path / "ours")).eval()
    assert (theirs(again) - theirs(model)).abs().max() < 1e-5


def test_several_on_one_base_are_switched(bases, tmp_path):
    wants = {}
    for n, name in enumerate(("one", "two")):
        wants[name] = theirs(made("llama", bases["llama"], tmp_path / name, target_modules=["q_proj", "up_proj"][n:])).detach()
    model = opened(bases["llama"], adapters={name: tmp_path / name for name in wants})
    assert model.adapters.names == ["one", "two"] and model.adapters.chosen == "one"
    plain = ours(opened(bases["llama"]))
    for name, want in [*wants.items(), *wants.items()]:
        model.adapters.use(name)
        assert (ours(model) - want).abs().max() < 1e-5
    with model.adapters.use(None):
        assert torch.equal(ours(model), plain)
    with model.adapters.use(["two", "one"]):
        mixed = ours(model)
    assert (mixed - torch.stack([wants["two"][0], wants["one"][1]])).abs().max() < 1e-5
    with model.adapters.use("one"):
        harken.save(model, None, tmp_path / "saved")
    assert (ours(opened(tmp_path / "saved")) - wants["one"]).abs().max() < 1e-5


def test_one_that_does_not_fit_wholly_is_refused_by_name(bases, tmp_path):
    made("llama", bases["llama"], tmp_path / "it", target_modules=["q_proj", "v_proj"])
    path, settings = tmp_path / "it" / "adapter_model.safetensors", tmp_path / "it" / "adapter_config.json"
    good, config = load_file(path), json.loads(settings.read_text())
    key = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"

    def refused(match: str, tensors: dict[str, Tensor] | None = None, **changes: Any) -> None:
        save_file({name: each.clone() for name, each in (good if tensors is None else tensors).items()}, path)
        settings.write_text(json.dumps(config | changes))
        with pytest.raises(InputError, match=match):
            opened(tmp_path / "it")

    refused("holds no update of any matrix", {})
    refused(f"lacks {key}", {name: each for name, each in good.items() if name != key})
    without = {name: each for name, each in good.items() if "layers.1.self_attn.q" not in name}
    refused(rf"lacks {key}, though adapter_config.json says", without)
    refused(r"lacks .*self_attn.v_proj.lora_B.weight", {name: each for name, each in good.items() if "v_proj.lora_B" not in name})
    refused("there is no matrix model.layers.7.self_attn.q_proj", good | {key.replace("layers.1", "layers.7"): good[key]})
    refused("is no name that peft gives", {name.removeprefix("base_model."): each for name, each in good.items()})
    refused(r"has shape \(3, 32\), the base and adapter_config.json ask for \(4, 32\)", good | {key: good[key][:3]})
    refused("which adapter_config.json does not name", target_modules=["v_proj"])
    refused("model.norm.weight whole, which modules_to_save", good | {"base_model.model.model.norm.weight": torch.ones(32)})
    refused("no place for, base_model.model.other", good | {"base_model.model.other": torch.ones(32)})
    refused("lacks .*q_proj.lora_magnitude_vector", use_dora=True)
    refused("of the kind 'IA3'", peft_type="IA3")
    refused("has bias: 'all'", bias="all")
    refused("init_lora_weights: 'pissa'", init_lora_weights="pissa")
    refused("trainable_token_indices", trainable_token_indices=[3])
    refused("r must be a positive whole number", r=0)
    refused("names no base_model_name_or_path: load the base", base_model_name_or_path=None)
    refused("for a base that is not there", base_model_name_or_path=str(tmp_path / "gone"))
    refused("modules_to_save names model.embed_tokens", modules_to_save=["embed_tokens"])


def test_the_other_spellings_of_names_and_files(bases, tmp_path):
    """Of the bare body (AutoModel), and pickled, as old versions of peft wrote them; never executed."""
    want = theirs(made("llama", bases["llama"], tmp_path / "it", target_modules=["q_proj"])).detach()
    tensors = load_file(tmp_path / "it" / "adapter_model.safetensors")
    bare = {name.replace("base_model.model.model.", "base_model.model."): each for name, each in tensors.items()}
    (tmp_path / "it" / "adapter_model.safetensors").unlink()
    torch.save(bare, tmp_path / "it" / "adapter_model.bin")
    assert (ours(opened(tmp_path / "it")) - want).abs().max() < 1e-5
    torch.save({"x": print}, tmp_path / "it" / "adapter_model.bin")
    with pytest.raises(InputError, match="asks to run"):
        opened(tmp_path / "it")
    (tmp_path / "it" / "adapter_model.bin").unlink()
    with pytest.raises(InputError, match="the adapter's weights are missing"):
        opened(tmp_path / "it")
    with pytest.raises(InputError, match="is no adapter"):
        opened(bases["llama"], adapters={"one": bases["gpt2"]})


def test_converting_writes_the_merged_model(bases, tmp_path):
    want = theirs(made("gpt2", bases["gpt2"], tmp_path / "it", use_dora=True, target_modules="all-linear")).detach()
    record = harken.convert(tmp_path / "it", tmp_path / "out")
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    assert record["proof"]["max_difference"] == 0
    assert (theirs(hf.GPT2LMHeadModel.from_pretrained(tmp_path / "out").eval()) - want).abs().max() < 1e-5
    told = harken.info(tmp_path / "it")
    assert told["adapter"]["kind"] == "DoRA" and told["adapter"]["base"] == str(bases["gpt2"])
    assert told["parameters"] == harken.info(bases["gpt2"])["parameters"] == record["parameters"]


def test_of_a_repository_the_adapters_files_are_wanted():
    names = ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "training_args.bin", "optimizer.pt"]
    assert wanted(names) == ["adapter_config.json", "adapter_model.safetensors"]
    assert wanted([*names, "model.safetensors"]) == ["adapter_config.json", "model.safetensors"]
