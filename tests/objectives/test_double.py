"""Double heads: the loss and its gradients are those of transformers, and of the formula; packed as padded, with a cache as without."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import GPT2Config as TheirConfig
from transformers import GPT2DoubleHeadsModel

from harken.base.errors import InputError
from harken.data.batches import Batches
from harken.data.dialogues import Dialogue, read_dialogues
from harken.data.exchanges import lay
from harken.data.ledger import Ledger
from harken.data.replies import Way
from harken.data.segments import SPEAKERS, segments, speakers_of
from harken.families import names
from harken.families.gpt2 import GPT2Config
from harken.families.table import build, config_class, family
from harken.measure.judge import judge, names_of
from harken.objectives import double
from harken.objectives.objective import judging_of
from harken.text.train import train_words

TEXT = "i love dogs cats tea and rain . you live in rome oslo bern ? hello what do yes no"
WORDS = train_words([TEXT] * 3).extended(SPEAKERS)
FAMILIES = ["gpt", "gpt2", "llama", "mistral", "qwen2", "qwen3", "cosine"]


def talks(count=9, *, seed=0, named=0):
    rng, words, rows = np.random.default_rng(seed), TEXT.split(), []

    def say(low, high):
        return " ".join(rng.choice(words, rng.integers(low, high)))

    for _ in range(count):
        row = {"persona": [say(1, 5) for _ in range(3)], "dialogue": [[say(1, 8), say(1, 8)] for _ in range(3)]}
        if named:
            row = {
                "persona": row["persona"],
                "history": [say(1, 6)],
                "response": say(2, 7),
                "candidates": [say(8, 9) for _ in range(named)],
            }
        rows.append(row)
    return read_dialogues(rows)


def laid(examples=None, way=None, context=64, **kwargs):
    return lay(talks() if examples is None else examples, WORDS, way or Way(), context, Ledger(), **kwargs)


def model_of(name, task="double-heads", seed=0):
    config = config_class(name).sized(24, 2, 2, 64, WORDS.vocab_size, 0.0)
    config = dataclasses.replace(config, task=task, initializer_range=0.3, extra={"summary_first_dropout": 0.0})
    config.check()
    return build(config, seed=seed)


def test_loss_and_gradients_are_those_of_transformers():
    ours = model_of("gpt2")
    source = laid(way=Way(candidates=3, lm_coef=1.7, mc_coef=0.6))
    theirs = GPT2DoubleHeadsModel(TheirConfig(
        vocab_size=WORDS.vocab_size, n_positions=64, n_embd=24, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        summary_first_dropout=0, num_labels=1,
    ))  # fmt: skip
    theirs.load_state_dict(dict(names.write(ours, family("gpt2").names(ours.config))), strict=False)
    theirs.tie_weights()
    rows = next(iter([Batches(source, 5, 0).next()]))
    choices = [source.goal.choice(source, number, key) for _, _, number, key in rows.tolist()]
    assert all(len(choice.replies) == 3 for choice in choices)
    longest = max(len(choice.prompt) + len(reply) for choice in choices for reply in choice.replies)
    ids, types, labels = (torch.full((5, 3, longest), fill) for fill in (0, 0, -100))
    places = torch.zeros(5, 3, dtype=torch.int64)
    for b, choice in enumerate(choices):
        for c, reply in enumerate(choice.replies):
            size = len(choice.prompt) + len(reply)
            ids[b, c, :size] = torch.from_numpy(np.concatenate([choice.prompt, reply]))
            types[b, c, :size] = torch.tensor([*choice.types, *[source.goal.speakers.first] * len(reply)])
            places[b, c] = size - 1
        labels[b, 0, len(choice.prompt) : len(choice.prompt) + len(choice.replies[0])] = torch.from_numpy(choice.replies[0])
    said = theirs(ids, token_type_ids=types, mc_token_ids=places, labels=labels, mc_labels=torch.zeros(5, dtype=torch.int64))
    tokens = int((labels != -100).sum())
    wanted = 1.7 * said.loss * tokens / source.goal.length + 0.6 * said.mc_loss * 5
    wanted.backward()
    for pack in (False, True):
        ours.zero_grad()
        ours.train()
        found = double.batch_loss(ours, source, rows, 0, pack=pack)
        assert found.tokens == 5
        assert torch.allclose(found.total, wanted, rtol=1e-5)
        found.total.backward()
        for name, parameter in (("wte", ours.stack.embed.tokens.weight), ("choice", ours.head.choice.out.weight)):
            theirs_of = theirs.transformer.wte.weight if name == "wte" else theirs.multiple_choice_head.summary.weight
            assert torch.allclose(parameter.grad, theirs_of.grad, atol=1e-5), name


@pytest.mark.parametrize("mc", [0.0, 0.8])
@pytest.mark.parametrize("name", FAMILIES)
def test_packed_padded_and_cached_say_the_same(name, mc):
    model = model_of(name, "double-heads" if mc else "language-modeling")
    source = laid(talks(named=4) if name == "gpt2" else None, Way(candidates=4, mc_coef=mc, permutations=0))
    rows = source.rows()
    assert source.targets == rows[:, 1].sum() == (4 if mc else 1) * len(source.ids)
    model.eval()
    with torch.no_grad():
        padded, packed = (double.batch_loss(model, source, rows, 0, pack=pack) for pack in (False, True))
        parts = sum(double.batch_loss(model, source, rows[i : i + 4], 0, pack=True).total.item() for i in range(0, len(rows), 4))
        cached = double.outcomes(model, source, rows, 0)
    assert padded.total.item() == pytest.approx(packed.total.item(), rel=1e-5) == parts
    assert cached.nats == pytest.approx(padded.total.item(), rel=1e-5) and cached.count == len(rows)
    model.pack()
    whole = judge(model, source, pad=0)
    assert whole.nats == pytest.approx(cached.nats, rel=1e-5)
    alone = [judge(model, source, pad=0, batch_size=1).tally.rows, whole.tally.rows]
    assert np.array_equal(*alone)  # an answer depends on its own example


def test_the_formula_by_hand():
    """A model that says nothing: ln V a token, ln C a choice."""
    model = model_of("llama")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    source = laid(way=Way(candidates=3, lm_coef=2.0, mc_coef=1.0))
    rows = source.rows()
    tokens = int((np.diff(source.edges) - source.goal.begins).sum())
    wanted = 2.0 * np.log(WORDS.vocab_size) * tokens / source.goal.length + 1.0 * np.log(3) * len(rows)
    assert double.batch_loss(model, source, rows, 0).total.item() == pytest.approx(wanted, rel=1e-5)
    assert tokens / source.goal.length == pytest.approx(len(source))  # so the mean over tokens and the mean over examples add up
    found = judge(model, source, pad=0)
    assert found.loss == pytest.approx(2 * np.log(WORDS.vocab_size) + np.log(3), rel=1e-5)
    assert found.metrics == {"perplexity": pytest.approx(WORDS.vocab_size, rel=1e-5), "hits@1_of_3": 0.0}  # ties: worst
    assert tuple(found.metrics) == names_of(source) and found.main == "loss"
    assert judging_of(source) is double


def test_what_is_drawn_is_a_function_of_seed_epoch_and_place():
    examples = talks(12)
    source = laid(examples, Way(candidates=3))
    batches = [Batches(source, 8, 7) for _ in range(2)]
    per_epoch = -(-len(source) // 8)

    def read(rows):
        return [source.goal.choice(source, number, key) for _, _, number, key in rows.tolist()]

    def same(one, two):
        return all(np.array_equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip([x.prompt, *x.replies], [y.prompt, *y.replies], strict=True))  # fmt: skip # noqa: E501

    first = [batches[0].next() for _ in range(2 * per_epoch)]
    batches[1].position = (1, 1)  # as a run that goes on
    assert same(read(batches[1].next()), read(first[per_epoch + 1]))
    epochs = [{int(row[2]): source.goal.choice(source, int(row[2]), int(row[3])) for rows in first[at : at + per_epoch] for row in rows}
              for at in (0, per_epoch)]  # fmt: skip
    differ = sum(not np.array_equal(epochs[0][i].replies[1], epochs[1][i].replies[1]) for i in epochs[0])
    moved = sum(not np.array_equal(epochs[0][i].prompt, epochs[1][i].prompt) for i in epochs[0])
    assert differ > len(source) / 2 and moved > len(source) / 2
    assert same(read(source.rows()), read(source.rows()))


def test_candidates_are_replies_of_other_dialogues_or_those_that_are_named():
    examples = talks(6)
    source = laid(examples, Way(candidates=4))
    said = {i: {WORDS.decode(WORDS.encode(each.turns[place], special=False)) for place in each.replies} for i, each in enumerate(examples)}
    for rows in (source.rows(), source.rows(np.random.default_rng(3))):
        for _, _, number, key in rows.tolist():
            choice = source.goal.choice(source, number, key)
            right, *wrong = [WORDS.decode(reply[:-1]) for reply in choice.replies]
            home = int(source.goal.own[number])
            assert right in said[home] and len({right, *wrong}) == 4
            assert all(reply[-1] == WORDS.eos_id for reply in choice.replies)
            assert all(any(each in said[other] for other in said if other != home) for each in wrong)
    named = talks(6, named=5)
    source = laid(named, Way(candidates=4))
    for _, _, number, key in source.rows().tolist():
        wrong = [WORDS.decode(reply[:-1]) for reply in source.goal.choice(source, number, key).replies[1:]]
        assert len(set(wrong)) == 3 and set(wrong) <= set(named[number].candidates[0])
    few = laid(named, Way(candidates=9))  # five that are named, and three of others
    _, *wrong = few.goal.choice(few, 0, 5).replies
    assert len(wrong) == 8


def test_both_sides_of_a_conversation_are_one_dialogue():
    turns = tuple("hello you live in rome ? yes no".split())
    sides = [Dialogue((who,), turns, replies) for who, replies in (("i", (1, 3, 5)), ("you", (0, 2, 4, 6)))]
    row = {"persona": "i", "partner": "you", "dialogue": list(turns)}
    assert list(read_dialogues([row])) == sides
    with pytest.raises(InputError, match="no other dialogue has a reply to tell the right one from: give candidates, or --mc-coef 0"):
        laid(read_dialogues([row]))
    assert len(laid(read_dialogues([row]), Way(mc_coef=0.0))) == 7
    examples = read_dialogues([row, {"persona": "i", "dialogue": ["no", "rain"]}])
    assert laid(examples).goal.own.tolist() == [0] * 7 + [1]


def test_every_reply_is_accounted_for():
    examples = talks(20)
    ledger = Ledger()
    source = lay(examples, WORDS, Way(history=2), 24, ledger)
    told = ledger.to_json()["tokens"]
    assert told["replies"] == told["replies used"] == 60 == len(source) and told["dialogues"] == 20
    assert told["turns left out for room"] and told["tokens used"] == len(source.ids)
    assert max(len(c.prompt) + len(r) for c in (source.goal.choice(source, i, 3) for i in range(60)) for r in c.replies) <= 24
    who = speakers_of(WORDS)
    wide = laid(examples, Way(history=1, permutations=0))
    persona, turns = ([WORDS.encode(text, special=False) for text in texts] for texts in (examples[0].persona, examples[0].turns))
    read = segments(persona, turns[2:3], turns[3], who)
    assert wide.ids[wide.edges[1] : wide.edges[2]].tolist() == read.ids and wide.goal.begins[1] == read.begin
    assert wide.types[wide.edges[1] : wide.edges[2]].tolist() == read.types
    with pytest.raises(
        InputError, match=r"the data: \d+ of 60 replies are longer than 8 tokens: give a larger --context, or --overflow drop"
    ):
        laid(examples, context=8)
    ledger = Ledger()
    short = lay(examples, WORDS, Way(), 8, ledger, overflow="drop")
    told = ledger.to_json()["tokens"]
    assert told["replies used"] + told["replies dropped"] == 60 and told["replies used"] == len(short)


def test_a_persona_in_other_orders():
    source = laid(way=Way(permutations=3))
    assert len(source.rows()) == 3 * len(source) and source.targets == source.rows()[:, 1].sum()
    prompts = {tuple(source.goal.choice(source, 0, key).prompt.tolist()) for key in range(40)}
    assert len(prompts) == 6 or len({tuple(sorted(each)) for each in prompts}) == 1 < len(prompts)
    plain = laid(way=Way(permutations=0))
    assert {tuple(plain.goal.choice(plain, 0, key).prompt.tolist()) for key in range(9)} == {
        tuple(plain.ids[: plain.goal.begins[0]].tolist())
    }


def test_the_likelihood_of_candidates():
    model = model_of("gpt2", "language-modeling").eval()
    source = laid(way=Way(candidates=3, permutations=0))
    choices = [source.goal.choice(source, i, 0) for i in range(5)]
    with torch.no_grad():
        found = double.heard(model, source.goal.speakers, choices, likely=True)
        for (nats, tokens, scores), choice in zip(found, choices, strict=True):
            for reply, score in zip(choice.replies, scores, strict=True):
                ids = torch.from_numpy(np.concatenate([choice.prompt, reply]))[None]
                types = torch.tensor([[*choice.types, *[source.goal.speakers.first] * len(reply)]])
                logits = model(ids, types=types)[0, len(choice.prompt) - 1 : -1]
                assert score == pytest.approx(-F.cross_entropy(logits, torch.from_numpy(reply)).item(), rel=1e-4)
            assert nats == pytest.approx(-scores[0] * tokens, rel=1e-5)
    with pytest.raises(InputError, match="this model was built for language-modeling and cannot choose"):
        double.heard(model, source.goal.speakers, choices)


def test_config_of_gpt2_is_the_families():
    assert isinstance(model_of("gpt2").config, GPT2Config)
