"""Families that read a source equal transformers: logits whole, padded, cached and packed to answer, gradients, maps, names, files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from harken.base.errors import InputError
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.families import names
from harken.families.table import build, config_class, family, read_config
from harken.nn.attention import CrossAttention
from harken.nn.mask import Mask
from harken.text.train import train_characters

Make = Callable[..., Any]
NAMES = ["t5", "bart", "marian"]
LENGTHS = torch.tensor([13, 6, 1])
REAL = torch.arange(13) < LENGTHS[:, None]
every = pytest.mark.parametrize(("name", "seed"), [(name, seed) for name in NAMES for seed in range(6)])
one_each = pytest.mark.parametrize("name", NAMES)


def close(got: torch.Tensor, want: torch.Tensor, limit: float = 1e-5) -> None:
    assert got.shape == want.shape and (got - want).abs().max() <= limit * want.abs().max()


def ids_of(theirs: Any, *shape: int) -> torch.Tensor:
    return torch.randint(5, theirs.config.vocab_size, shape)


def same(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=0)


def unread(theirs: Any) -> int:
    """Parameters of theirs that no forward pass reads: where nothing is tied, each side has vectors of its own beside the shared."""
    shared = None if theirs.config.tie_word_embeddings else getattr(theirs.model, "shared", None)
    return 0 if shared is None else shared.weight.numel()


PAIRS = {
    "transformer": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24},
    "t5": {
        "d_model": 16,
        "d_kv": 8,
        "num_heads": 2,
        "d_ff": 24,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 12,
    },
    "bart": {"d_model": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24},
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("narrow", [False, True])
def test_pairs_end_to_end_teach_what_padded_ones_do(name: str, narrow: bool) -> None:
    """Losses and gradients, by torch's attention in float32 and by the kernels of bfloat16."""
    off = {"dropout": 0.0, "dropout_rate": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    model = build(read_config({"model_type": name, "vocab_size": 61, **off, **PAIRS[name]}, name), seed=0).train()
    random = torch.Generator().manual_seed(1)
    lengths = torch.tensor([[13, 7], [6, 9], [1, 11]])  # of each source and target
    source, target, wanted = (torch.randint(5, 61, (3, n), generator=random) for n in (13, 11, 11))
    there, real = torch.arange(13) < lengths[:, :1], torch.arange(11) < lengths[:, 1:]
    starts = [F.pad(each.cumsum(0), (1, 0)) for each in lengths.mT]
    packed = source[there], target[real], Mask(starts=starts[1], sources=starts[0])
    losses, slopes = [], []
    for given in ((source, target, Mask(lengths=lengths[:, 0])), packed):
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            logits = model(*given)
        loss = F.cross_entropy((logits[real] if logits.dim() == 3 else logits).float(), wanted[real])
        losses.append(loss.item())
        slopes.append(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))
    assert losses[1] == pytest.approx(losses[0], rel=2e-2 if narrow else 1e-5)
    for one, other in zip(*slopes, strict=True):
        if one is not None:
            assert (one - other).norm() <= (0.1 if narrow else 1e-4) * one.norm() + 1e-6
    with pytest.raises(InputError, match="give a mask with starts and as many sources"):
        model(source[there], target[real], Mask(starts=starts[1]))


@every
def test_logits(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    theirs = theirs_of(name, seed)
    ours = ours_of(theirs)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters() if p.requires_grad) - unread(theirs)
    source, target = ids_of(theirs, 3, 13), ids_of(theirs, 3, 11)
    mask = Mask(lengths=LENGTHS)
    with torch.no_grad():
        want = theirs(source, decoder_input_ids=target).logits
        want_padded = theirs(source, attention_mask=REAL.long(), decoder_input_ids=target).logits
        for packed in (False, True):
            if packed:
                ours.pack()
            close(ours(source, target), want)
            close(ours(source, target, mask), want_padded)
            close(ours(source, target, mask, last=True), want_padded[:, -1])
            for fixed in (False, True):
                cache, parts = ours.begin(3, 11, source, mask), []
                cache.fixed = fixed
                for part in target.split([5, 1, 1, 4], 1):
                    parts.append(ours(part, cache=cache))
                close(torch.cat(parts, 1), want_padded)
            known = want_padded.log_softmax(-1)[:, :-1].gather(-1, target[:, 1:, None])[..., 0]
            scored = ours.score(target, source=source, source_mask=mask)
            assert not scored[:, 0].any()
            close(scored[:, 1:], known)


@every
def test_an_answer_does_not_depend_on_what_else_is_in_the_batch(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    """Sources and targets of every length, padded by anything: the bits of each pair read alone."""
    theirs = theirs_of(name, seed)
    ours = ours_of(theirs)
    ours.pack()
    source, target, counts = ids_of(theirs, 3, 13), ids_of(theirs, 3, 9), torch.tensor([2, 5, 4])
    together = ours(source, target, Mask(lengths=LENGTHS))
    cache = ours.begin(3, 9, source, Mask(lengths=LENGTHS))
    first = ours(target[:, :5], Mask(lengths=counts), cache=cache)
    after = ours(target[:, 5:], cache=cache)
    for row, length in enumerate(LENGTHS):
        alone = source[row, None, :length]
        same(together[row], ours(alone, target[row, None])[0])
        own = torch.cat([target[row, : counts[row]], target[row, 5:]])[None]
        want = ours(alone, own)[0]
        same(first[row, : counts[row]], want[: counts[row]])
        same(after[row], want[counts[row] :])


@pytest.mark.parametrize("name", [*NAMES, "transformer", "seq2seq"])
def test_a_source_is_read_once(name: str) -> None:
    """However many tokens are written: its keys and values are worked out once a layer."""
    ours: Any = build(config_class(name).sized(16, 2, 2, 24, 29, 0.0), seed=0)
    once = [ours.align.score.key] if name == "seq2seq" else [ours.encoder]
    once += [part.kv for part in ours.modules() if isinstance(part, CrossAttention)]
    calls: list[Any] = []
    for part in once:
        part.register_forward_hook(lambda *given: calls.append(given[0]))
    source, target = torch.randint(29, (2, 13)), torch.randint(29, (2, 6))
    cache = ours.begin(2, 6, source)
    for token in target.split(1, 1):
        ours(token, cache=cache)
    assert len(calls) == len(once) and all(one is other for one, other in zip(calls, once, strict=True))


@one_each
def test_rows_of_a_cache_are_chosen_forgotten_and_restored(theirs_of: Make, ours_of: Make, name: str) -> None:
    theirs = theirs_of(name, 2)
    ours = ours_of(theirs)
    ours.pack()
    source, target = ids_of(theirs, 3, 13), ids_of(theirs, 3, 8)
    mask = Mask(lengths=LENGTHS)
    want = ours(source, target, mask)
    cache = ours.begin(3, 8, source, mask)
    empty = cache.nbytes
    ours(target[:, :4], cache=cache)
    kept = cache.snapshot()
    ours(target[:, 1:4], cache=cache)
    cache.restore(kept)
    same(ours(target[:, 4:6], cache=cache), want[:, 4:6])
    cache.trim(torch.tensor([3, 3, 3]))
    rows = torch.tensor([2, 0, 0, 1])
    cache.select(rows)
    assert cache.nbytes > empty
    same(ours(target[rows, 3:], cache=cache), want[rows, 3:])


@every
def test_gradients(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    theirs = theirs_of(name, seed)
    ours = ours_of(theirs)
    source, target, wanted = ids_of(theirs, 3, 13), ids_of(theirs, 3, 11), ids_of(theirs, 3, 11)
    for logits in (
        theirs(source, attention_mask=REAL.long(), decoder_input_ids=target).logits,
        ours(source, target, Mask(lengths=LENGTHS)),
    ):
        F.cross_entropy(logits.flatten(0, 1), wanted.flatten()).backward()
    grads = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    table = family(name).names(ours.config)
    for key, parameter in ours.named_parameters():
        keys, _ = names.resolve(key, table)
        want = torch.cat([grads[k] for k in keys])
        limit = 1e-4 * want.abs().max() + (1e-6 if key.endswith(("qkv.bias", "kv.bias")) else 0)  # a key's bias has no true gradient
        assert parameter.grad is not None and (parameter.grad - want).abs().max() <= limit, key


@every
def test_attention_maps(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    theirs = theirs_of(name, seed)
    ours = ours_of(theirs)
    theirs.set_attn_implementation("eager")
    source, target = ids_of(theirs, 2, 13), ids_of(theirs, 2, 9)
    maps: dict[str, list] = {"encoder": [], "decoder": [], "cross": [], "alignment": []}
    with torch.no_grad():
        want = theirs(source, decoder_input_ids=target, output_attentions=True)
        ours(source, target, maps=maps)
    for kind, wanted in zip(maps.values(), (want.encoder_attentions, want.decoder_attentions, want.cross_attentions, ()), strict=True):
        assert len(kind) == len(wanted)
        for got, each in zip(kind, wanted, strict=True):
            close(got, each)


@every
def test_names_there_and_back(theirs_of: Make, ours_of: Make, name: str, seed: int) -> None:
    theirs = theirs_of(name, seed)
    ours, want = ours_of(theirs), theirs.state_dict()
    back = dict(names.write(ours, family(name).names(ours.config)))
    for key, value in back.items():
        assert torch.equal(value.contiguous().view(torch.int32), want[key].contiguous().view(torch.int32)), key
    for key in want.keys() - back.keys():
        tied = any(torch.equal(want[key], each) for each in back.values() if each.shape == want[key].shape)
        assert tied or key.endswith("embed_positions.weight") or (key == "model.shared.weight" and unread(theirs)), key


@every
def test_files_there_and_back(theirs_of: Make, name: str, seed: int, tmp_path: Path) -> None:
    theirs = theirs_of(name, seed)
    theirs.save_pretrained(tmp_path / "theirs")
    train_characters(["abcdefghij"]).save(tmp_path / "theirs")
    settings = json.loads((tmp_path / "theirs" / "config.json").read_text())
    settings |= {"a key we do not know": {"nested": [1, None]}}
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(settings))
    model, tokenizer = load(tmp_path / "theirs")
    source, target = ids_of(theirs, 2, 9), ids_of(theirs, 2, 7)
    with torch.no_grad():
        want = theirs(source, decoder_input_ids=target).logits
        close(model(source, target), want)
    model.pack()
    save(model, tokenizer, tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    if model.config.tie_word_embeddings:
        assert {key: written[key] for key in settings if settings[key] is not None} == {k: v for k, v in settings.items() if v is not None}
    again, _ = load(tmp_path / "ours")
    with torch.no_grad():
        close(again(source, target), want)
    back = type(theirs).from_pretrained(tmp_path / "ours").eval()
    for key, value in back.state_dict().items():
        assert (key == "model.shared.weight" and unread(theirs)) or torch.equal(
            value.view(torch.int32), theirs.state_dict()[key].view(torch.int32)
        ), key
    with torch.no_grad():
        assert torch.equal(back(source, decoder_input_ids=target).logits, want)


@one_each
def test_shared_vectors_under_any_of_their_names(theirs_of: Make, name: str, tmp_path: Path) -> None:
    """`shared`, either side's own name for it, the head: any one of them is enough, and all of them together are one."""
    from safetensors.torch import load_file, save_file

    theirs = theirs_of(name, 0)
    theirs.save_pretrained(tmp_path)
    prefix = "" if name == "t5" else "model."
    whole = load_file(tmp_path / "model.safetensors")
    vectors = whole.pop(f"{prefix}shared.weight")
    whole = {key: value for key, value in whole.items() if not key.endswith(("embed_tokens.weight", "lm_head.weight"))}
    spellings = [f"{prefix}shared.weight", f"{prefix}encoder.embed_tokens.weight", f"{prefix}decoder.embed_tokens.weight", "lm_head.weight"]
    source, target = ids_of(theirs, 2, 9), ids_of(theirs, 2, 7)
    want = theirs(source, decoder_input_ids=target).logits
    for chosen in [*([each] for each in spellings), spellings]:
        save_file(whole | {each: vectors.clone() for each in chosen}, tmp_path / "model.safetensors", {"format": "pt"})
        close(load(tmp_path, tokenizer=False)[0](source, target), want)


REFUSED = [
    ("t5", {"feed_forward_proj": "gated-swoosh"}, "activation 'swoosh' is not known"),
    ("t5", {"relative_attention_num_buckets": 2}, "relative_attention_num_buckets must be at least 4"),
    ("bart", {"encoder_attention_heads": 7}, r"d_model \(1024\) is not a multiple of attention_heads \(7\)"),
    ("transformer", {"num_attention_heads": 7}, r"hidden_size \(512\) is not a multiple of num_attention_heads \(7\)"),
]


@pytest.mark.parametrize(("model_type", "changes", "sentence"), REFUSED)
def test_what_cannot_be_built_is_refused_in_one_sentence(model_type: str, changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build(read_config({"model_type": model_type, **changes}, "config.json"))


@pytest.mark.parametrize("name", [*NAMES, "transformer", "seq2seq"])
def test_what_cannot_be_read_is_refused_in_one_sentence(name: str) -> None:
    model = build(config_class(name).sized(16, 1, 2, 24, 29, 0.0), seed=0)
    ids = torch.full((2, 4), 5)
    cache = model.begin(2, 4, ids)
    refused: list[tuple[Callable, str]] = [
        (lambda: model(ids), "this model reads a source first"),
        (lambda: model.begin(2, 4), "this model reads a source first"),
        (lambda: model.score(ids), "this model reads a source first"),
        (lambda: model(ids, ids, cache=cache), "the cache holds the source already"),
        (lambda: model(ids[:1], ids), "1 sources for 2 targets"),
        (lambda: model(ids, ids, Mask(lengths=torch.tensor([4]))), "has 1 lengths for a batch of 2 rows"),
        (lambda: model(ids, ids[:, :0]), "there is no token to read"),
        (lambda: model(ids + 900, ids), "token id 905 is out of range"),
        (lambda: model(ids, ids + 900), "token id 905 is out of range"),
        (lambda: model(ids[0], ids), "not packed and not choices|4 sources for 2 targets"),
        (lambda: model(ids, ids, maps=[]), "a list for each kind"),
        (lambda: model(ids.repeat(1, 2), cache=cache), "the cache has room for 4 tokens"),
    ]
    if name not in ("t5", "seq2seq"):
        refused.append((lambda: model(ids.repeat(1, 9), ids), "a sequence of 36 tokens does not fit"))
    for call, sentence in refused:
        with pytest.raises(InputError, match=sentence) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_distances_of_every_size(theirs_of: Make, ours_of: Make) -> None:
    """T5 reads on for ever: beyond the last bucket, in one piece and in portions."""
    for seed in range(4):
        theirs = theirs_of(
            "t5", seed, relative_attention_num_buckets=(32, 8, 7, 4)[seed], relative_attention_max_distance=(128, 20, 33, 17)[seed]
        )
        ours = ours_of(theirs)
        ours.pack()
        source, target = ids_of(theirs, 1, 300), ids_of(theirs, 1, 200)
        with torch.no_grad():
            want = theirs(source, decoder_input_ids=target).logits
        close(ours(source, target), want, 2e-5)
        cache = ours.begin(1, 200, source)
        same(torch.cat([ours(part, cache=cache) for part in target.split([150, 1, 49], 1)], 1), ours(source, target))


def test_a_file_of_the_body_alone(theirs_of: Make, tmp_path: Path) -> None:
    """As facebook/bart-base is: no head, no bias of it, and no `model.` in front."""
    theirs = theirs_of("bart", 0)
    theirs.final_logits_bias.zero_()
    theirs.model.save_pretrained(tmp_path)
    source, target = ids_of(theirs, 2, 9), ids_of(theirs, 2, 7)
    close(load(tmp_path, tokenizer=False)[0](source, target), theirs(source, decoder_input_ids=target).logits)


def torchs_own(model: Any) -> torch.nn.Transformer:
    """torch's layers of 2017, of our model's sizes and with its weights."""
    c = model.config
    sizes = {"dim_feedforward": c.intermediate_size, "dropout": 0.0, "activation": c.hidden_act, "batch_first": True}
    kinds = (torch.nn.TransformerEncoderLayer, torch.nn.TransformerDecoderLayer)
    one, two = (kind(c.hidden_size, c.num_attention_heads, layer_norm_eps=c.layer_norm_eps, **sizes) for kind in kinds)
    sides: dict[str, Any] = {  # without the norm behind all layers, which the paper does not have
        "custom_encoder": torch.nn.TransformerEncoder(one, c.num_hidden_layers, enable_nested_tensor=False),
        "custom_decoder": torch.nn.TransformerDecoder(two, c.num_hidden_layers),
    }
    theirs = torch.nn.Transformer(c.hidden_size, c.num_attention_heads, batch_first=True, **sides)
    state = {}
    for ours, side, parts in (
        (model.encoder, "encoder", [("attn", "self_attn", "norm1")]),
        (model.stack, "decoder", [("attn", "self_attn", "norm1"), ("cross", "multihead_attn", "norm2")]),
    ):
        for n, block in enumerate(ours.blocks):
            named = {"linear1": block.mlp.up, "linear2": block.mlp.down, f"norm{len(parts) + 1}": block.mlp_norm}
            for part, their, norm in parts:
                attn = getattr(block, part)
                products = [attn.qkv] if part == "attn" else [attn.q, attn.kv]
                for leaf in ("weight", "bias"):
                    state[f"{side}.layers.{n}.{their}.in_proj_{leaf}"] = torch.cat([getattr(each, leaf) for each in products])
                named |= {f"{their}.out_proj": attn.out, norm: getattr(block, f"{part}_norm")}
            state |= {f"{side}.layers.{n}.{key}.{leaf}": getattr(each, leaf) for key, each in named.items() for leaf in ("weight", "bias")}
    theirs.load_state_dict(state)
    return theirs.eval()


@pytest.mark.parametrize("changes", [{}, {"num_hidden_layers": 3, "hidden_act": "gelu"}, {"tie_word_embeddings": False}])
def test_the_transformer_of_2017_is_torchs(changes: dict) -> None:
    """Which transformers does not have: logits whole, padded, cached and packed to answer, and the gradients of every layer."""
    config = config_class("transformer").sized(24, 2, 4, 16, 29, 0.0)
    vars(config).update(changes)
    ours: Any = build(config, seed=0)
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=chance)
    theirs = torchs_own(ours)
    source, target = (torch.randint(5, 29, (3, length), generator=chance) for length in (13, 11))
    angle = torch.arange(16)[:, None] / 10000 ** (torch.arange(0, 24, 2) / 24)
    waves = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)  # (16, D)
    words, head = ours.stack.embed.tokens.weight, ours.head.out or ours.stack.embed.tokens

    def logits() -> torch.Tensor:
        x, y = (words[ids] * 24**0.5 + waves[: ids.shape[1]] for ids in (source, target))
        later = torch.nn.Transformer.generate_square_subsequent_mask(11)
        y = theirs(x, y, tgt_mask=later, tgt_is_causal=True, src_key_padding_mask=~REAL, memory_key_padding_mask=~REAL)
        return y @ head.weight.T

    weights = torch.randn(3, 11, 29, generator=chance)
    (logits() * weights).sum().backward()
    (ours(source, target, Mask(lengths=LENGTHS)) * weights).sum().backward()
    got = torchs_own_gradients(ours)
    for key, parameter in theirs.named_parameters():
        assert parameter.grad is not None and (parameter.grad - got[key]).abs().max() <= 1e-4 * parameter.grad.abs().max() + 1e-6, key
    with torch.no_grad():
        want = logits()
        for packed in (False, True):
            if packed:
                ours.pack()
            close(ours(source, target, Mask(lengths=LENGTHS)), want)
            cache = ours.begin(3, 11, source, Mask(lengths=LENGTHS))
            close(torch.cat([ours(part, cache=cache) for part in target.split([4, 1, 6], 1)], 1), want)


def torchs_own_gradients(model: Any) -> dict[str, torch.Tensor]:
    """The gradients under torch's names: those of the same layers with the gradients for weights."""
    grads = build(model.config, seed=0)
    with torch.no_grad():
        for mine, its in zip(grads.parameters(), model.parameters(), strict=True):
            mine.copy_(its.grad)
    return dict(torchs_own(grads).named_parameters())


OWN = [
    ("transformer", {}),
    ("transformer", {"tie_word_embeddings": False}),
    *(
        ("seq2seq", {"attention": attention, "window": 3})
        for attention in ("none", "additive", "dot", "general", "concat", "local-m", "local-p")
    ),
    ("seq2seq", {"attention": "dot", "input_feeding": True, "cell": "gru", "embedding_size": 12, "num_hidden_layers": 2}),
    ("seq2seq", {"attention": "additive", "cell": "rnn", "tie_word_embeddings": False}),
]


@pytest.mark.parametrize(("name", "changes"), OWN)
def test_families_of_our_own_there_and_back(name: str, changes: dict, tmp_path: Path) -> None:
    config = config_class(name).sized(16, 1, 2, 24, 29, 0.0)
    vars(config).update(changes, initializer_range=0.3)
    model, (source, target) = build(config, seed=0), torch.randint(29, (2, 3, 9))
    save(model, None, tmp_path)
    back, _ = load(tmp_path, tokenizer=False)
    assert back.config == model.config
    with torch.no_grad():
        same(back(source, target), model(source, target))
    assert len({tuple(row.tolist()) for row in model(source, target[:1].expand(3, 9))[:, -1]}) == 3  # each source has its own answer
