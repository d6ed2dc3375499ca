"""Heads: those Hugging Face has give its numbers under its names; those it has not stand on every body and read no padding."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers as hf

from harken.base.errors import InputError
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.families import names
from harken.families.table import FAMILIES, build, config_class, family, read_config
from harken.families.tasks import TASKS, tasks_of
from harken.nn.mask import Mask
from harken.nn.models import Model
from harken.text.train import train_characters

Make = Callable[..., Any]
WRITERS = ["gpt", "gpt2", "llama", "mistral", "qwen2", "qwen3"]
READERS = ["bert", "roberta", "distilbert", "albert", "modernbert"]
SOURCES = ["t5", "bart"]
OURS = ["cosine", "rnn", "gru", "lstm"]
LENGTHS = torch.tensor([11, 7, 1])
REAL = torch.arange(11) < LENGTHS[:, None]
STARTS = torch.tensor([0, 11, 18, 19])
PAD = 4


def close(got: torch.Tensor, want: torch.Tensor, limit: float = 1e-5) -> None:
    assert got.shape == want.shape and (got - want).abs().max() <= limit * want.abs().max()


def padded(theirs: Any, *shape: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ids, their lengths and Hugging Face's mask; a padding token is never real."""
    ids = torch.randint(5, theirs.config.vocab_size, (*shape, 11))
    lengths = torch.randint(1, 12, shape)
    real = torch.arange(11) < lengths[..., None]
    return ids.masked_fill(~real, theirs.config.pad_token_id), lengths, real


def ended(theirs: Any, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The same rows, each with the token that ends a text as its last."""
    return ids.scatter(1, lengths[:, None] - 1, theirs.config.eos_token_id) if theirs.config.is_encoder_decoder else ids


def kinds_of(theirs: Any, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Types where the family knows them."""
    count = getattr(theirs.config, "type_vocab_size", 0) if theirs.config.model_type not in ("distilbert", "modernbert") else 0
    return {"token_type_ids": torch.randint(count, ids.shape)} if count else {}


def judged(ours: Model, *given: Any, packed: bool, **more: Any) -> Any:
    if packed:
        ours.pack()
    return ours(*given, **more)


both = pytest.mark.parametrize("packed", [False, True])
PER_TOKEN = [(name, task) for name in [*WRITERS[1:], *READERS, "t5"] for task in ("token-classification", "span")]


@both
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", WRITERS + READERS + SOURCES)
def test_classification(theirs_of: Make, ours_of: Make, name: str, seed: int, packed: bool) -> None:
    theirs = theirs_of(name, seed, "classification", num_labels=(2, 1, 5)[seed], pad_token_id=PAD)
    ours = ours_of(theirs)
    assert ours.config.task == "classification" and ours.config.num_labels == theirs.config.num_labels
    ids, lengths, real = padded(theirs, 4)
    ids = ended(theirs, ids, lengths)
    kinds = kinds_of(theirs, ids)
    with torch.no_grad():
        want = theirs(ids, attention_mask=real.long(), **kinds).logits
        got = judged(ours, ids, Mask(lengths=lengths), packed=packed, types=kinds.get("token_type_ids")) if kinds else None
        close(judged(ours, ids, Mask(lengths=lengths), packed=packed) if got is None else got, want)
        if not ours.packs:
            return
        starts = F.pad(lengths.cumsum(0), (1, 0))
        flat = {"types": kinds["token_type_ids"][real]} if kinds else {}
        close(ours(ids[real], Mask(starts=starts), **flat), want)


@both
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("name", "task"), [*PER_TOKEN, ("bart", "span")])
def test_answers_for_every_token(theirs_of: Make, ours_of: Make, name: str, task: str, seed: int, packed: bool) -> None:
    theirs = theirs_of(name, seed, task, num_labels=2 if task == "span" else 3 + seed, pad_token_id=PAD)
    ours = ours_of(theirs)
    assert ours.config.task == task
    ids, lengths, real = padded(theirs, 3)
    with torch.no_grad():
        given = theirs(ids, attention_mask=real.long())
        want = torch.stack([given.start_logits, given.end_logits], -1) if task == "span" else given.logits
        got = judged(ours, ids, Mask(lengths=lengths), packed=packed)
        assert got.shape == want.shape
        close(got[real], want[real])


@both
@pytest.mark.parametrize("name", READERS)
def test_multiple_choice(theirs_of: Make, ours_of: Make, name: str, packed: bool) -> None:
    theirs = theirs_of(name, 1, "multiple-choice", pad_token_id=PAD)
    ours = ours_of(theirs)
    ids, lengths, real = padded(theirs, 3, 4)
    kinds = kinds_of(theirs, ids)
    types = {"types": kinds["token_type_ids"]} if kinds else {}
    with torch.no_grad():
        want = theirs(ids, attention_mask=real.long(), **kinds).logits
        got = judged(ours, ids, Mask(lengths=lengths), packed=packed, **types)
    assert got.shape == (3, 4)
    close(got, want)


@both
@pytest.mark.parametrize("name", ["bert", "albert"])
def test_pretraining(theirs_of: Make, ours_of: Make, name: str, packed: bool) -> None:
    theirs = theirs_of(name, 0, "pretraining", pad_token_id=PAD)
    ours = ours_of(theirs)
    ids, lengths, real = padded(theirs, 3)
    kinds = kinds_of(theirs, ids)
    with torch.no_grad():
        want = theirs(ids, attention_mask=real.long(), **kinds)
        mlm, nsp = judged(ours, ids, Mask(lengths=lengths), packed=packed, types=kinds["token_type_ids"])
    close(mlm[real], want.prediction_logits[real])
    close(nsp, want.seq_relationship_logits if name == "bert" else want.sop_logits)


@both
@pytest.mark.parametrize("activation", [None, "tanh"])
@pytest.mark.parametrize("name", ["gpt", "gpt2"])
def test_double_heads(theirs_of: Make, ours_of: Make, name: str, activation: str | None, packed: bool) -> None:
    theirs = theirs_of(name, 0, "double-heads", pad_token_id=PAD, summary_activation=activation)
    ours = ours_of(theirs)
    ids, lengths, real = padded(theirs, 2, 3)
    types = torch.randint(theirs.config.vocab_size, ids.shape)
    places = (lengths * torch.rand(2, 3)).long()  # real tokens: what padding sees is anything
    flat = real.flatten(0, 1).long()  # both of theirs take rows here
    with torch.no_grad():
        want = theirs(ids, attention_mask=flat, token_type_ids=types, mc_token_ids=places)
        lm, choice = judged(ours, ids, Mask(lengths=lengths), packed=packed, types=types, places=places)
        last = theirs(ids, attention_mask=flat, token_type_ids=types, mc_token_ids=lengths - 1).mc_logits
        close(ours(ids, Mask(lengths=lengths), types=types).choice, last)
        alone = ours(ids[0], Mask(lengths=lengths[0]), types=types[0])  # rows: a language model like any other
    assert lm.shape == (2, 3, 11, theirs.config.vocab_size) and choice.shape == (2, 3)
    close(lm[real], want.logits[real])
    close(choice, want.mc_logits)
    close(alone[real[0]], want.logits[0][real[0]])


FORMS = {
    "language-modeling": lambda v: (3, 11, v),
    "masked-language-modeling": lambda v: (3, 11, v),
    "classification": lambda v: (3, 4),
    "token-classification": lambda v: (3, 11, 4),
    "span": lambda v: (3, 11, 2),
    "value": lambda v: (3, 11),
}
PER_SEQUENCE = ("classification", "multiple-choice")
EVERY = [
    (name, task)
    for name in WRITERS + READERS + SOURCES + OURS
    for task in tasks_of({"model_type": "openai-gpt" if name == "gpt" else name})
    if task != "text2text"
]


def made(name: str, task: str, vocab: int = 61) -> Model:
    config = config_class(name).sized(24, 2, 2, 16, vocab, 0.0)
    config.id2label = {n: f"label {n}" for n in range(4)}
    config.pad_token_id = 0
    model = build(config, task, seed=0)
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=chance)
    return model.requires_grad_(False)


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_every_head_on_every_body(name: str, task: str) -> None:
    """Shapes; and that padding, company, choices and packed rows change nothing, to the bit where the model is packed."""
    model = made(name, task)
    ids = torch.randint(5, 61, (3, 11), generator=torch.Generator().manual_seed(2))
    for packed in (False, True):
        if packed:
            model.pack()
        tolerance = 0 if packed else 1e-5
        if task in FORMS:
            got = model(ids, Mask(lengths=LENGTHS))
            assert got.shape == FORMS[task](61)
            for row, length in enumerate(LENGTHS):
                alone = model(ids[row, None, :length])[0]
                mine = got[row] if task in PER_SEQUENCE else got[row, :length]
                torch.testing.assert_close(mine, alone, rtol=0, atol=tolerance)
            if name not in OURS[1:] + SOURCES:
                row = model(ids[REAL], Mask(starts=STARTS))
                torch.testing.assert_close(row, got if task in PER_SEQUENCE else got[REAL], rtol=0, atol=tolerance)
        elif task != "pretraining":  # choices: each is judged as if it were alone
            got = model(ids[:, None].expand(3, 2, 11), Mask(lengths=LENGTHS[:, None].expand(3, 2)))
            choice = got.choice if task == "double-heads" else got
            assert choice.shape == (3, 2)
            for row, length in enumerate(LENGTHS):
                alone = model(ids[row, None, None, :length])
                alone = alone.choice if task == "double-heads" else alone
                torch.testing.assert_close(choice[row], alone[0].expand(2), rtol=0, atol=tolerance)
            if task == "double-heads":
                assert got.lm.shape == (3, 2, 11, 61) and model(ids).shape == (3, 11, 61)
                torch.testing.assert_close(got.lm[:, 1][REAL], model(ids)[REAL], rtol=0, atol=tolerance)
        else:
            mlm, nsp = model(ids, Mask(lengths=LENGTHS))
            assert mlm.shape == (3, 11, 61) and nsp.shape == (3, 2)


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_every_head_learns(name: str, task: str) -> None:
    """Each weight has a part in what is said; the norms and biases of a fresh head too."""
    model = made(name, task).requires_grad_().train()
    ids = torch.randint(5, 61, (2, 3, 9) if task in ("multiple-choice", "double-heads") else (6, 9))
    kinds = getattr(model.config, "type_vocab_size", 0)
    answer = model(ids, types=ids % kinds) if kinds else model(ids)
    sum((each * torch.randn_like(each)).sum() for each in (answer if isinstance(answer, tuple) else (answer,))).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        assert parameter.grad.any() or key.endswith("qkv.bias"), key


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_what_is_saved_opens_again_for_its_task(name: str, task: str, tmp_path: Path) -> None:
    tokenizer = train_characters(["abcdefghij"])
    model = made(name, task)
    save(model, tokenizer, tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["architectures"] == [tasks_of(model.config)[task]]
    assert ("id2label" in settings) == (task not in ("span", "pretraining"))  # two things to tell apart, whatever the labels
    again, _ = load(tmp_path)
    model.config.id2label = again.config.id2label if task in ("span", "pretraining") else model.config.id2label
    assert again.config == model.config and again.config.task == task
    for (key, one), (other, two) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert key == other and torch.equal(one, two)


def test_hugging_face_opens_what_it_has_a_class_for(tmp_path: Path) -> None:
    known = [(name, task) for name, task in EVERY if hasattr(hf, tasks_of(config_class(name).sized(8, 1, 1, 8, 9, 0.0))[task])]
    missing = {task for name, task in EVERY if name in WRITERS + READERS and (name, task) not in known}
    assert len(known) == 6 + 6 + 5 + 5 + 2 + 5 * 5 + 2 + 3 + 2 and missing == {
        "value",
        "multiple-choice",
        "double-heads",
        "token-classification",
        "span",
    }
    for name, task in known:
        folder = tmp_path / f"{name} {task}"
        model = made(name, task)
        save(model, train_characters(["abcdefghij"]), folder)
        theirs, report = getattr(hf, model.config.architecture).from_pretrained(folder, output_loading_info=True)
        assert not any(report.values()), (name, task, report)
        assert theirs.config.num_labels == {"double-heads": 1, "span": 2, "pretraining": 2}.get(task, 4)


@pytest.mark.parametrize("name", WRITERS + OURS)
def test_only_what_says_the_next_token_continues_a_text(name: str) -> None:
    tokenizer = train_characters(["abcdefghijklmnopqrstuvwxyz"])
    for task in tasks_of(made(name, "language-modeling").config):
        model = made(name, task, tokenizer.vocab_size)
        model.config.eos_token_id = tokenizer.eos_id
        if task in ("language-modeling", "double-heads"):
            asked = DecodeOptions(max_new_tokens=4)
            assert generate(model, tokenizer, ["abc", "a"], asked)[1] == generate(model, tokenizer, ["a"], asked)[0]
            continue
        ids = torch.ones(1, 4, dtype=torch.int64)
        for call in (lambda m: m.begin(1, 4), lambda m, ids=ids: m.score(ids), lambda m, ids=ids: m(ids, last=True)):
            with pytest.raises(InputError, match=f"built for {task}, so it cannot continue or score"):
                call(model)


JUDGES = [("t5", "classification"), ("t5", "token-classification"), ("t5", "span"), ("bart", "classification"), ("bart", "span")]


@pytest.mark.parametrize(("name", "task"), JUDGES)
def test_gradients_where_both_sides_judge(theirs_of: Make, ours_of: Make, name: str, task: str) -> None:
    """Of every tensor, the token vectors that source, target and the two sides share among them."""
    theirs = theirs_of(name, 2, task, num_labels=2, pad_token_id=PAD)
    ours = ours_of(theirs)
    ids, lengths, real = padded(theirs, 4)
    ids = ended(theirs, ids, lengths)
    given, got = theirs(ids, attention_mask=real.long()), ours(ids, Mask(lengths=lengths))
    want = torch.stack([given.start_logits, given.end_logits], -1) if task == "span" else given.logits
    weights = torch.randn(want.shape) * (1 if task == "classification" else real[..., None])
    for answer in (want, got):
        (answer * weights).sum().backward()
    grads = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    table = family(name).names(ours.config)
    for key, parameter in ours.named_parameters():
        keys, _ = names.resolve(key, table)
        wanted = torch.cat([grads[k] for k in keys])
        limit = 1e-4 * wanted.abs().max() + (1e-6 if key.endswith(("qkv.bias", "kv.bias")) else 0)  # a key's bias has no true gradient
        assert parameter.grad is not None and (parameter.grad - wanted).abs().max() <= limit, key


@pytest.mark.parametrize(("name", "task"), JUDGES)
def test_a_judge_of_sources_does_not_write(name: str, task: str) -> None:
    model, ids = made(name, task), torch.full((2, 4), 7)
    assert model.reads == "text" and not model.packs
    sentence = "reads, it does not write" if task == "token-classification" else f"built for {task}, so it cannot continue or score"
    for call in (lambda: model.begin(2, 4, ids), lambda: model.score(ids), lambda: model(ids, last=True)):
        with pytest.raises(InputError, match=sentence):
            call()
    with pytest.raises(InputError, match="cannot read a packed row" if task == "token-classification" else "not packed and not choices"):
        model(ids[0], Mask(starts=torch.tensor([0, 4])))
    if task != "token-classification":
        with pytest.raises(InputError, match=f"built for {task} and reads a source alone: leave the target out"):
            model(ids, ids)


def test_a_source_is_judged_by_its_last_end(theirs_of: Make, ours_of: Make) -> None:
    """As transformers has it for two texts in one; what padding is made of plays no part; one without an end is refused."""
    theirs = theirs_of("bart", 1, "classification", num_labels=3, pad_token_id=PAD)
    ours = ours_of(theirs)
    end, lengths = theirs.config.eos_token_id, torch.tensor([11, 8])
    ids = torch.randint(5, theirs.config.vocab_size, (2, 11)).masked_fill(torch.arange(11) >= lengths[:, None], PAD)
    ids[0, [4, 9]], ids[1, [2, 7]] = end, end
    with torch.no_grad():
        want = theirs(ids, attention_mask=(torch.arange(11) < lengths[:, None]).long()).logits
        close(ours(ids, Mask(lengths=lengths)), want)
        ids[1, 8:] = end
        close(ours(ids, Mask(lengths=lengths)), want)
    ids[0] = 7
    with pytest.raises(InputError, match=f"row 0 has no token {end}, which ends a text and by which this model judges it"):
        ours(ids, Mask(lengths=lengths))


def test_a_task_by_its_name() -> None:
    config = config_class("bert").sized(8, 1, 1, 8, 9, 0.0)
    assert config.task == "masked-language-modeling" and config.architecture == "BertForMaskedLM"
    model = build(config, "span", seed=0)
    assert model.config.architecture == "BertForQuestionAnswering" and config.task == "masked-language-modeling"
    for task, sentence in (("sapn", "did you mean 'span'"), ("value", "known: classification, masked-language-modeling")):
        with pytest.raises(InputError, match=rf"a bert model cannot be built for '{task}' \({sentence}"):
            build(config, task)
    sizes = {"model_type": "gpt2", "n_embd": 8, "n_head": 1, "n_layer": 1}
    for named, task in ((["Mine", "GPT2DoubleHeadsModel"], "double-heads"), (["Mine"], "language-modeling"), (None, "language-modeling")):
        assert read_config({**sizes, "architectures": named}, "config.json").task == task


def test_labels_as_hugging_face_counts_them() -> None:
    sizes = {"model_type": "gpt2", "n_embd": 8, "n_head": 1, "n_layer": 1, "vocab_size": 9}
    keys = ["0", "1", "10", *map(str, range(2, 10))]  # in the order of their letters, as some have sorted them
    disordered = {"id2label": {key: f"l{key}" for key in keys}, "label2id": {f"l{key}": int(key) for key in keys}}
    assert list((read_config({**sizes, **disordered}, "config.json").id2label or {}).values()) == [f"l{n}" for n in range(11)]
    cases = [{}, {"num_labels": 3}, {"id2label": {"0": "no", "1": "yes", "2": "both"}, "label2id": {"no": 0, "yes": 1, "both": 2}}]
    for given in cases:
        config = read_config({**sizes, **given, "problem_type": "single_label_classification", "classifier_dropout": 0.3}, "config.json")
        theirs = hf.GPT2Config(**sizes, **given)
        assert config.num_labels == theirs.num_labels
        assert given == {} or config.id2label == theirs.id2label
        written = json.loads(json.dumps(config.write()))
        assert {key: written[key] for key in given} == given
        assert written["problem_type"] == "single_label_classification" and written["classifier_dropout"] == 0.3
        assert build(config, "classification").head.out.outputs == theirs.num_labels
        assert build(config, "token-classification").head.dropout == 0.3


def test_double_heads_that_cannot_be_built_are_refused() -> None:
    sizes = {"model_type": "gpt2", "n_embd": 8, "n_head": 1, "n_layer": 1, "vocab_size": 9, "architectures": ["GPT2DoubleHeadsModel"]}
    for key, value in (("summary_type", "mean"), ("summary_use_proj", False), ("summary_proj_to_labels", False)):
        with pytest.raises(InputError, match=f"{key}: {value!r}"):
            build(read_config({**sizes, key: value}, "config.json"))
    with pytest.raises(InputError, match="activation 'swoosh' is not known"):
        build(read_config({**sizes, "summary_activation": "swoosh"}, "config.json"))


def test_places_must_lie_in_the_rows() -> None:
    model = made("gpt2", "double-heads")
    ids = torch.full((2, 3, 5), 7)
    for places in (torch.full((2, 3), 5), torch.full((2, 3), -1), torch.zeros(2, dtype=torch.int64)):
        with pytest.raises(InputError, match="places must be one index from 0 to 4"):
            model(ids, places=places)


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "albert", "modernbert", "gpt2", "llama", "bart"])
def test_a_file_may_hold_heads_of_other_tasks(theirs_of: Make, name: str) -> None:
    """What is not asked for does not stand in the way: the heads a family knows are not foreign tensors."""
    theirs = theirs_of(name, 0, "classification", num_labels=3, pad_token_id=PAD)
    natural = theirs_of(name, 0)
    module, config = family(natural.config.model_type), read_config(natural.config.to_dict(), "config.json")
    tensors = {**theirs.state_dict(), **natural.state_dict()}
    names.read(build(config), tensors, module.names(config), ignore=module.IGNORE, where="both")
    with pytest.raises(InputError, match=r"1 tensor.* does not know, the first is strange\.weight"):
        names.read(build(config), {**tensors, "strange.weight": torch.ones(1)}, module.names(config), ignore=module.IGNORE, where="both")


def test_tasks_are_known_without_torch() -> None:
    code = (
        "import sys; from harken.families.tasks import tasks_of as of; print(*of({'model_type': 'bert'})); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "masked-language-modeling"
    assert tasks_of({"model_type": "xlnet"}) == {} and tasks_of({}) == {}
    found = {task for name in FAMILIES for task in tasks_of(config_class(name).sized(8, 1, 1, 8, 9, 0.0))}
    assert found == set(TASKS) and len(TASKS) == 11


def test_a_mixture_mixes_what_continues_texts() -> None:
    counting = config_class("ngram").sized(8, 1, 1, 8, 9, 0.0)
    for neural, task in (("bert", "masked-language-modeling"), ("llama", "classification")):
        part = replace(config_class(neural).sized(8, 1, 1, 8, 9, 0.0), task=task)
        with pytest.raises(InputError, match="a neural language model and a counting one"):
            config_class("mixture").of(part, counting).configs()


@pytest.mark.parametrize(("kinds", "every"), [("fsfs", 2), ("fff", 1), ("fss", 5), ("fssf", 3), ("fsssf", 4), ("ffs", 5)], ids=str)
def test_how_far_layers_see_is_said_in_both_ways_where_both_can(kinds: str, every: int) -> None:
    """transformers 4 goes by one number, 5 by a name for each layer."""
    named = [{"f": "full_attention", "s": "sliding_attention"}[kind] for kind in kinds]
    sizes = config_class("modernbert").sized(8, len(kinds), 1, 8, 9, 0.0).write() | {"layer_types": named, "global_attn_every_n_layers": 5}
    config = read_config(sizes, "config.json")
    assert (config.write()["layer_types"], config.write()["global_attn_every_n_layers"]) == (named, every)
    again = read_config({**config.write(), "layer_types": None}, "config.json")
    assert (again == config) == (kinds != "ffs")


def test_attention_drops_what_its_weights_say_too() -> None:
    model = build(replace(config_class("modernbert").sized(64, 1, 2, 8, 9, 0.0), attention_dropout=0.5), seed=0).train()
    heard = []
    model.stack.blocks[0].attn.register_forward_hook(lambda *call: heard.append(call[-1]))
    model(torch.randint(5, 9, (4, 8)))
    assert 0.4 < (heard[0] == 0).float().mean() < 0.6
