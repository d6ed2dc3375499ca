"""Every family equals transformers: logits whole, padded, packed and cached, gradients, names, files, on configs drawn at random."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers as hf

from harken.base.errors import InputError
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.families import names
from harken.families.table import build, family, read_config
from harken.nn.mask import Mask
from harken.text.train import train_characters

Make = Callable[..., Any]
WRITERS = ["gpt", "gpt2", "llama", "mistral", "qwen2", "qwen3"]
READERS = ["bert", "roberta", "distilbert", "albert", "modernbert"]
LENGTHS = torch.tensor([11, 7, 1])
REAL = torch.arange(11) < LENGTHS[:, None]
STARTS = torch.tensor([0, 11, 18, 19])
writers = pytest.mark.parametrize(("name", "seed"), [(name, seed) for name in WRITERS for seed in range(8)])
readers = pytest.mark.parametrize(("name", "seed"), [(name, seed) for name in READERS for seed in range(6)])
every = pytest.mark.parametrize(("name", "seed"), [(name, seed) for name in WRITERS + READERS for seed in range(5)])
one_each = pytest.mark.parametrize("name", WRITERS + READERS)


def close(got: torch.Tensor, want: torch.Tensor, limit: float = 1e-5) -> None:
    assert got.shape == want.shape and (got - want).abs().max() <= limit * want.abs().max()


def ids_of(theirs: Any, *shape: int) -> torch.Tensor:
    return torch.randint(5, theirs.config.vocab_size, shape)  # none of them padding, which has positions of its own in RoBERTa


@writers
def test_logits_of_decoders(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    theirs = theirs_of(name, seed)
    ours = ours_of(theirs)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    ids = ids_of(theirs, 3, 11)
    with torch.no_grad():
        want = theirs(ids).logits
        want_padded = theirs(ids, attention_mask=REAL.long()).logits[REAL]
        for packed in (False, True):
            if packed:
                ours.pack()
            assert ours.packed == packed
            close(ours(ids), want)
            close(ours(ids, Mask(lengths=LENGTHS))[REAL], want_padded)
            close(ours(ids[REAL], Mask(starts=STARTS)), want_padded)
            for fixed in (False, True):
                cache, parts = ours.begin(3, 11), []
                cache.fixed = fixed
                for part in ids.split([5, 1, 1, 4], 1):
                    parts.append(ours(part, cache=cache))
                close(torch.cat(parts, 1), want)
            cache = ours.begin(3, 14)
            ours(ids[:, :9], Mask(lengths=LENGTHS.clamp(max=9)), cache=cache)
            close(ours(ids[:, 9:], Mask(lengths=torch.tensor([2, 0, 0])), cache=cache)[0], want[0, 9:])
            for place in (1, 6, 10):
                other = torch.cat([ids[:, :place], ids_of(theirs, 3, 11 - place)], 1)
                assert torch.equal(ours(other)[:, :place], ours(ids)[:, :place])


@readers
def test_logits_of_encoders(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    """Padded rows are those read alone: within rounding, and to the bit once packed to answer."""
    theirs = theirs_of(name, seed)
    ours = ours_of(theirs)
    mine = {id(p): p.numel() for p in ours.parameters()}
    assert sum(mine.values()) == sum(p.numel() for p in theirs.parameters()) - unread(theirs)
    ids = ids_of(theirs, 3, 11)
    padded = ids.masked_fill(~REAL, theirs.config.pad_token_id)
    kinds = {} if name in ("distilbert", "modernbert") else {"token_type_ids": torch.randint(theirs.config.type_vocab_size, (3, 11))}
    types = kinds.get("token_type_ids")
    with torch.no_grad():
        want, plain = theirs(ids, **kinds).logits, theirs(ids).logits
        want_padded = theirs(padded, attention_mask=REAL.long(), **kinds).logits[REAL]
        for packed in (False, True):
            if packed:
                ours.pack()
            close(ours(ids), plain)
            close(ours(ids, types=types), want)
            got = ours(padded, Mask(lengths=LENGTHS), types=types)
            close(got[REAL], want_padded)
            close(ours(ids[REAL], Mask(starts=STARTS), types=None if types is None else types[REAL]), want_padded)
            for row, length in enumerate(LENGTHS):
                alone = ours(ids[row, None, :length], types=None if types is None else types[row, None, :length])[0]
                close(got[row, :length], alone) if not packed else torch.testing.assert_close(got[row, :length], alone, rtol=0, atol=0)


def unread(theirs: Any) -> int:
    """Parameters of theirs that no forward pass reads: an untied head has its own bias and keeps the tied one's."""
    state, untied = theirs.state_dict(), not theirs.config.tie_word_embeddings
    return sum(
        value.numel() for key, value in state.items() if untied and key in ("cls.predictions.bias", "lm_head.bias", "predictions.bias")
    )


@pytest.mark.parametrize("name", ["gpt", "gpt2"])
def test_a_kind_of_token_is_named_by_a_token(theirs_of: Make, ours_of: Make, name: str) -> None:
    theirs = theirs_of(name, 1)
    ours = ours_of(theirs)
    ids, types = ids_of(theirs, 2, 9), ids_of(theirs, 2, 9)
    with torch.no_grad():
        want = theirs(ids, token_type_ids=types).logits
        close(ours(ids, types=types), want)
        cache = ours.begin(2, 9)
        parts = [ours(ids[:, :6], types=types[:, :6], cache=cache), ours(ids[:, 6:], types=types[:, 6:], cache=cache)]
        close(torch.cat(parts, 1), want)
    with pytest.raises(InputError, match="token id 900 is out of range"):
        ours(ids, types=torch.full_like(types, 900))


@every
def test_attention_maps(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    theirs = theirs_of(name, seed)
    ours, maps = ours_of(theirs), []
    theirs.set_attn_implementation("eager")
    ids = ids_of(theirs, 2, 9)
    with torch.no_grad():
        want = theirs(ids, output_attentions=True).attentions
        ours(ids, maps=maps)
    assert len(maps) == len(want)
    for got, wanted in zip(maps, want, strict=True):
        close(got, wanted)


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name in WRITERS + READERS for seed in (1, 3)])
def test_gradients(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    theirs = theirs_of(name, seed)
    ours = ours_of(theirs)
    ids = ids_of(theirs, 3, 11)
    for logits in (theirs(ids).logits, ours(ids)):
        F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    wanted = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    table = family(ours.config.model_type).names(ours.config)
    for key, parameter in ours.named_parameters():
        keys, transposed = names.resolve(key, table)
        parts = [wanted[k].T if transposed and wanted[k].dim() == 2 else wanted[k] for k in keys]
        assert parameter.grad is not None, key
        close(parameter.grad, torch.cat(parts), 1e-4)


@every
def test_names_there_and_back(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    theirs = theirs_of(name, seed)
    ours, want = ours_of(theirs), theirs.state_dict()
    back = dict(names.write(ours, family(ours.config.model_type).names(ours.config)))
    assert back
    for key, value in back.items():
        assert torch.equal(value.contiguous().view(torch.int32), want[key].contiguous().view(torch.int32)), key
    missing = {key for key in want if key not in back}
    twice = {key for key in missing if any(torch.equal(want[key], each) for each in back.values() if each.shape == want[key].shape)}
    assert sum(want[key].numel() for key in missing - twice) == unread(theirs), missing - twice


@every
def test_files_there_and_back(theirs_of: Make, name: str, seed: int, tmp_path: Path) -> None:
    theirs = theirs_of(name, seed)
    theirs.save_pretrained(tmp_path / "theirs")
    train_characters(["abcdefghij"]).save(tmp_path / "theirs")
    settings = json.loads((tmp_path / "theirs" / "config.json").read_text())
    settings |= {"a key we do not know": {"nested": [1, None]}}
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(settings))
    model, tokenizer = load(tmp_path / "theirs")
    model.pack()
    save(model, tokenizer, tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert {key: written[key] for key in settings if settings[key] is not None} == {k: v for k, v in settings.items() if v is not None}
    back, report = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert unread(theirs) or not any(report.values())
    want, state = theirs.state_dict(), back.state_dict()
    for key in state.keys() - report["missing_keys"]:
        assert torch.equal(state[key].view(torch.int32), want[key].view(torch.int32)), key
    ids = ids_of(theirs, 2, 9)
    with torch.no_grad():
        assert torch.equal(back.eval()(ids).logits, theirs(ids).logits)


def test_half_precision_on_disk_becomes_float32_and_says_so(theirs_of: Make, tmp_path: Path) -> None:
    theirs = theirs_of("llama", 0).bfloat16()
    theirs.save_pretrained(tmp_path / "theirs")
    tokenizer = train_characters(["abcdefghij"])
    tokenizer.save(tmp_path / "theirs")
    model, _ = load(tmp_path / "theirs")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1e-5 * torch.randn_like(parameter)  # training: no longer bfloat16's values
    save(model, tokenizer, tmp_path / "ours")
    ids = torch.randint(29, (2, 9))
    with torch.no_grad():
        back = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
        close(model(ids), back(ids).logits)


SLIDING = ["full_attention", "sliding_attention"]
REFUSED = [
    ("llama", {"hidden_act": "swoosh"}, "activation 'swoosh' is not known"),
    ("llama", {"num_key_value_heads": 3}, r"num_attention_heads \(4\) is not a multiple of num_key_value_heads \(3\)"),
    ("llama", {"hidden_size": 30}, r"hidden_size \(30\) is not a multiple of num_attention_heads \(4\)"),
    ("llama", {"head_dim": 5}, "a head is 5 wide"),
    ("llama", {"head_dim": -4}, "head_dim must be a positive whole number, not -4"),
    ("llama", {"num_hidden_layers": 0}, "num_hidden_layers must be a positive whole number, not 0"),
    ("llama", {"num_hidden_layers": True}, "num_hidden_layers must be a positive whole number, not True"),
    ("llama", {"vocab_size": "29"}, "vocab_size must be a positive whole number, not '29'"),
    ("llama", {"rms_norm_eps": "small"}, "rms_norm_eps must be a number, not 'small'"),
    ("llama", {"mlp_bias": "yes"}, "mlp_bias must be true or false, not 'yes'"),
    ("llama", {"hidden_act": 3}, "hidden_act must be a name, not 3"),
    ("llama", {"classifier_dropout": "high"}, "classifier_dropout must be a number, not 'high'"),
    ("llama", {"id2label": {"1": "a", "2": "b"}}, "id2label must give every label from 0 on a name"),
    ("llama", {"id2label": ["a", "b"]}, "id2label must give every label from 0 on a name"),
    ("llama", {"problem_type": "hard"}, "problem_type must be one of regression, single_label_classification, multi_label_classification"),
    ("mistral", {"sliding_window": -1}, "sliding_window must be a positive whole number, not -1"),
    ("qwen2", {"layer_types": SLIDING}, "layer_types must name one of full_attention, sliding_attention for each of 1 layers"),
    ("qwen2", {"layer_types": ["chunked_attention"]}, "layer_types must name one of full_attention, sliding_attention"),
    ("qwen3", {"layer_types": SLIDING, "num_hidden_layers": 2}, "layer_types has sliding layers, so use_sliding_window must be true"),
    ("gpt2", {"n_embd": 30}, r"n_embd \(30\) is not a multiple of n_head \(4\)"),
    ("gpt2", {"add_cross_attention": True}, "add_cross_attention: true"),
    ("openai-gpt", {"n_embd": 30}, r"n_embd \(30\) is not a multiple of n_head \(4\)"),
    ("bert", {"is_decoder": True}, "is_decoder: True; this version reads only bert models with False"),
    (
        "roberta",
        {"position_embedding_type": "relative_key"},
        "position_embedding_type: 'relative_key'; this version reads only roberta models",
    ),
    ("bert", {"hidden_size": 30}, r"hidden_size \(30\) is not a multiple of num_attention_heads \(4\)"),
    ("distilbert", {"dim": 30, "n_heads": 4}, r"dim \(30\) is not a multiple of n_heads \(4\)"),
    ("albert", {"num_hidden_groups": 2}, "2 num_hidden_groups cannot share 1 num_hidden_layers"),
    ("roberta", {"max_position_embeddings": 2}, "max_position_embeddings is 2, but padding takes the first 2 positions"),
    ("modernbert", {"classifier_pooling": "max"}, "classifier_pooling must be cls or mean, not 'max'"),
    ("modernbert", {"layer_types": SLIDING}, "layer_types must name one of full_attention, sliding_attention for each of 1 layers"),
    ("modernbert", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "asks for stretched rotary positions"),
    ("gpt3", {}, r"model family 'gpt3' is not known \(did you mean 'gpt' or 'gpt2'\?\)"),
    ("xlnet", {}, r"model family 'xlnet' is not known \(known: albert.*llama"),
    (None, {}, "has no model_type"),
]


@pytest.mark.parametrize(("model_type", "changes", "sentence"), REFUSED)
def test_what_cannot_be_built_is_refused_in_one_sentence(model_type: str | None, changes: dict, sentence: str) -> None:
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 1, "intermediate_size": 8}
    sizes |= {"num_key_value_heads": 2} if model_type in ("mistral", "qwen2", "qwen3") else {}
    sizes |= {"n_embd": 32, "n_head": 4, "n_layer": 1, "vocab_size": 29}
    with pytest.raises(InputError, match=sentence) as caught:
        build(read_config({"model_type": model_type, **sizes, **changes}, "run/config.json"))
    assert "\n" not in str(caught.value)


@one_each
def test_what_cannot_be_read_is_refused_in_one_sentence(theirs_of: Make, ours_of: Make, name: str) -> None:
    model = ours_of(theirs_of(name, 0))
    ids = torch.full((2, 4), 5)
    refused = [
        (lambda: model(ids + 900), "token id 905 is out of range"),
        (lambda: model(ids[:, :0]), "there is no token to read"),
        (lambda: model(ids, Mask(lengths=torch.tensor([4]))), "has 1 lengths for a batch of 2 rows"),
        (lambda: model(ids[:, None], Mask(lengths=torch.tensor([4, 4]))), "2 lengths for a batch of 2 rows: give one for each choice"),
        (lambda: model(ids.repeat(1, 100)), r"a sequence of 400 tokens does not fit: this model reads at most \d+$"),
        (lambda: model(ids, types=ids[:, :2]), "give every token its type"),
        (lambda: model(ids[0], Mask(starts=torch.tensor([0, 3]))), "runs from 0 to 3, the packed row from 0 to 4"),
    ]
    if name in READERS:
        reads = "reads, it does not write"
        refused += [
            (lambda: model.begin(2, 4), reads),
            (lambda: model.score(ids), reads),
            (lambda: model(ids, last=True), reads),
        ]
    wrong = (
        "leave types out" if name in ("distilbert", "modernbert") else f"token {'id' if name in WRITERS else 'type'} 905 is out of range"
    )
    refused.append((lambda: model(ids, types=ids + 900), wrong))
    for call, sentence in refused:
        with pytest.raises(InputError, match=sentence) as caught:
            call()
        assert "\n" not in str(caught.value)
