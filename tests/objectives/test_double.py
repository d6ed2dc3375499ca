"""Double heads: the loss and its gradients are those of transformers and of the formula, read at once as one by one."""

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
            wrong = [say(8, 9) for _ in range(named)]
            row = {"persona": row["persona"], "history": [say(1, 6)], "response": say(2, 7), "candidates": wrong}
        rows.append(row)
    return read_dialogues(rows)


def laid(examples=None, way=None, context=64, **kwargs):
    return lay(talks() if examples is None else examples, WORDS, way or Way(), context, Ledger(), **kwargs)


def model_of(name, task="double-heads", seed=0):
    config = config_class(name).sized(24, 2, 2, 64, WORDS.vocab_size, 0.0)
    config = dataclasses.replace(config, task=task, initializer_range=0.3, extra={"summary_first_dropout": 0.0})
    config.check()
    return build(config, seed=seed)


def choices_of(source, rows):
    return [choice for _, _, number, key in rows.tolist() for choice in source.goal.choices(source, number, key)]


@pytest.mark.parametrize("at_once", [1, 2])
def test_loss_and_gradients_are_those_of_transformers(at_once):
    """Which is given each candidate of each reply as a sequence of its own."""
    ours = model_of("gpt2")
    source = laid(way=Way(at_once=at_once, candidates=3, lm_coef=1.7, mc_coef=0.6))
    theirs = GPT2DoubleHeadsModel(TheirConfig(
        vocab_size=WORDS.vocab_size, n_positions=64, n_embd=24, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        summary_first_dropout=0, num_labels=1,
    ))  # fmt: skip
    theirs.load_state_dict(dict(names.write(ours, family("gpt2").names(ours.config))), strict=False)
    theirs.tie_weights()
    rows = Batches(source, 5, 0).next()
    choices = choices_of(source, rows)
    count, longest = len(choices), max(len(choice.prompt) + len(reply) for choice in choices for reply in choice.replies)
    assert all(len(choice.replies) == 3 for choice in choices) and (count > 5 or at_once == 1)
    ids, types, labels = (torch.full((count, 3, longest), fill) for fill in (0, 0, -100))
    places = torch.zeros(count, 3, dtype=torch.int64)
    for b, choice in enumerate(choices):
        for c, reply in enumerate(choice.replies):
            size = len(choice.prompt) + len(reply)
            ids[b, c, :size] = torch.from_numpy(np.concatenate([choice.prompt, reply]))
            types[b, c, :size] = torch.tensor([*choice.types, *[source.goal.speakers.first] * len(reply)])
            places[b, c] = size - 1
        labels[b, 0, len(choice.prompt) : len(choice.prompt) + len(choice.replies[0])] = torch.from_numpy(choice.replies[0])
    said = theirs(ids, token_type_ids=types, mc_token_ids=places, labels=labels, mc_labels=torch.zeros(count, dtype=torch.int64))
    tokens = int((labels != -100).sum())
    wanted = 1.7 * said.loss * tokens / source.goal.length + 0.6 * said.mc_loss * count
    wanted.backward()
    ours.train()
    found = double.batch_loss(ours, source, rows, 0)
    assert found.tokens == count and torch.allclose(found.total, wanted, rtol=1e-5)
    found.total.backward()
    for mine, their in (
        (ours.stack.embed.tokens, theirs.transformer.wte),
        (ours.stack.embed.positions, theirs.transformer.wpe),
        (ours.head.choice.out, theirs.multiple_choice_head.summary),
        (ours.stack.norm, theirs.transformer.ln_f),
    ):
        assert torch.allclose(mine.weight.grad, their.weight.grad, atol=2e-5)


def one_by_one(model, source, rows):
    """The loss, each candidate of each reply read behind its own prompt."""
    total, way, who = 0.0, source.goal.way, source.goal.speakers
    for choice in choices_of(source, rows):
        ((nats, _, scores),) = double.heard(model, who, [choice])
        total += way.lm_coef / source.goal.length * nats
        total -= way.mc_coef * torch.tensor(scores).log_softmax(0)[0].item() if way.choices > 1 else 0.0
    return total


@pytest.mark.parametrize("mc", [0.0, 0.8])
@pytest.mark.parametrize("name", FAMILIES)
def test_at_once_in_parts_and_one_by_one(name, mc):
    model = model_of(name, "double-heads" if mc else "language-modeling")
    source = laid(talks(5, named=4) if name == "gpt2" else talks(5), Way(at_once=2, candidates=4, mc_coef=mc, permutations=0))
    rows = source.rows()
    assert source.targets == rows[:, 1].sum() >= len(source.ids)
    model.eval()
    with torch.no_grad():
        whole = double.batch_loss(model, source, rows, 0)
        parts = sum(double.batch_loss(model, source, rows[i : i + 4], 0, pack=True).total.item() for i in range(0, len(rows), 4))
        numbers, alone = double.outcomes(model, source, rows, 0), one_by_one(model, source, rows)
    assert whole.tokens == numbers.count == len(source.goal.spans)
    assert [parts, numbers.nats, alone] == pytest.approx([whole.total.item()] * 3, rel=1e-5)
    model.pack()
    assert [judge(model, source, pad=0).nats, one_by_one(model, source, rows)] == pytest.approx([alone] * 2, rel=1e-5)


def test_many_are_heard_together_as_alone():
    model = model_of("gpt2")
    model.pack()
    source = laid(way=Way(candidates=4))
    choices = choices_of(source, source.rows())
    together = double.heard(model, source.goal.speakers, choices)
    assert together == [one for choice in choices for one in double.heard(model, source.goal.speakers, [choice])]  # to the bit


def test_the_formula_by_hand():
    """A model that says nothing: ln V a token, ln C a choice."""
    model = model_of("llama")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    source = laid(way=Way(candidates=3, lm_coef=2.0, mc_coef=1.0))
    spans = source.goal.spans
    tokens = int((spans[:, 1] - spans[:, 0] + 1).sum())
    wanted = 2.0 * np.log(WORDS.vocab_size) * tokens / source.goal.length + 1.0 * np.log(3) * len(spans)
    assert double.batch_loss(model, source, source.rows(), 0).total.item() == pytest.approx(wanted, rel=1e-5)
    assert tokens / source.goal.length == pytest.approx(len(spans))  # so the mean over tokens and the mean over replies add up
    found = judge(model, source, pad=0)
    assert found.loss == pytest.approx(2 * np.log(WORDS.vocab_size) + np.log(3), rel=1e-5)
    assert found.metrics == {"perplexity": pytest.approx(WORDS.vocab_size, rel=1e-5), "hits@1_of_3": 0.0}  # ties: worst
    assert tuple(found.metrics) == names_of(source) and found.main == "loss"
    assert judging_of(source) is double


def test_what_is_drawn_is_a_function_of_seed_epoch_and_place():
    source = laid(talks(12), Way(candidates=3, at_once=1))
    batches = [Batches(source, 8, 7) for _ in range(2)]
    per_epoch = -(-len(source) // 8)

    def same(one, two):
        pairs = [([x.prompt, *x.replies], [y.prompt, *y.replies]) for x, y in zip(one, two, strict=True)]
        return all(np.array_equal(a, b) for left, right in pairs for a, b in zip(left, right, strict=True))

    drawn = [batches[0].next() for _ in range(2 * per_epoch)]
    batches[1].position = (1, 1)  # as a run that goes on
    assert same(choices_of(source, batches[1].next()), choices_of(source, drawn[per_epoch + 1]))
    epochs = [np.concatenate(drawn[at : at + per_epoch]) for at in (0, per_epoch)]
    one, two = ({int(row[2]): choices_of(source, row[None])[0] for row in rows} for rows in epochs)
    assert sum(not np.array_equal(one[i].replies[1], two[i].replies[1]) for i in one) > len(source) / 2
    assert sum(not np.array_equal(one[i].prompt, two[i].prompt) for i in one) > len(source) / 2
    assert same(choices_of(source, source.rows()), choices_of(source, source.rows()))


def test_candidates_are_replies_of_other_dialogues_or_those_that_are_named():
    examples = talks(6)
    source = laid(examples, Way(candidates=4))
    said = [{WORDS.decode(WORDS.encode(each.turns[place], special=False)) for place in each.replies} for each in examples]
    for rows in (source.rows(), source.rows(np.random.default_rng(3))):
        for row in rows:
            for choice in choices_of(source, row[None]):
                right, *wrong = [WORDS.decode(reply[:-1]) for reply in choice.replies]
                home = int(source.goal.own[row[2]])
                assert right in said[home] and len({right, *wrong}) == 4
                assert all(reply[-1] == WORDS.eos_id for reply in choice.replies)
                assert all(any(each in said[other] for other in range(6) if other != home) for each in wrong)
    named = talks(6, named=5)
    source = laid(named, Way(candidates=4))
    for row in source.rows():
        (choice,) = choices_of(source, row[None])
        wrong = [WORDS.decode(reply[:-1]) for reply in choice.replies[1:]]
        assert len(set(wrong)) == 3 and set(wrong) <= set(named[int(row[2])].candidates[0])
    few = laid(named, Way(candidates=9))  # five that are named, and three of others
    assert len(few.goal.choices(few, 0, 5)[0].replies) == 9


def test_both_sides_of_a_conversation_are_one_dialogue():
    turns = ("hello", "you", "live", "in", "rome", "?", "yes")
    sides = [Dialogue((who,), turns, replies) for who, replies in (("i", (1, 3, 5)), ("you", (0, 2, 4, 6)))]
    row = {"persona": "i", "partner": "you", "dialogue": list(turns)}
    assert list(read_dialogues([row])) == sides
    with pytest.raises(InputError, match="no other dialogue has a reply to tell the right one from: give candidates, or --mc-coef 0"):
        laid(read_dialogues([row]))
    alone = laid(read_dialogues([row]), Way(mc_coef=0.0))
    assert np.diff(alone.goal.firsts).tolist() == [3, 4] and not alone.goal.own.any()
    examples = read_dialogues([row, {"persona": "i", "dialogue": ["no", "rain"]}])
    assert laid(examples).goal.own.tolist() == [0, 0, 1]
    both = laid(read_dialogues([{"dialogue": list(turns)}]), Way(mc_coef=0.0, at_once=9))  # without a persona both sides are learned
    assert np.diff(both.goal.firsts).tolist() == [3, 3]


def test_every_reply_is_accounted_for():
    ledger = Ledger()
    source = lay(talks(20), WORDS, Way(history=2), 24, ledger)
    told = ledger.to_json()["tokens"]
    assert told["replies"] == told["replies used"] == 60 == len(source.goal.spans) and told["dialogues"] == 20
    assert told["turns left out for room"] and told["tokens used"] == len(source.ids)
    choices = choices_of(source, source.rows())
    assert len(choices) == 60 and max(len(c.prompt) + len(r) for c in choices for r in c.replies) <= 24
    with pytest.raises(InputError) as error:
        laid(talks(20), context=8)
    assert "of 60 replies are longer than 8 tokens: give a larger --context, or --overflow drop to leave them out" in str(error.value)
    ledger = Ledger()
    short = lay(talks(20), WORDS, Way(), 8, ledger, overflow="drop")
    told = ledger.to_json()["tokens"]
    assert told["replies used"] + told["replies dropped"] == 60 and told["replies used"] == len(short.goal.spans)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_what_a_reply_is_read_behind(at_once):
    examples, who = talks(8), speakers_of(WORDS)
    source = laid(examples, Way(history=1, at_once=at_once, permutations=0), context=96)
    assert len(source) == 8 * -(-3 // at_once)
    choices = iter(choices_of(source, source.rows()))
    for example in examples:
        persona, turns = ([WORDS.encode(text, special=False) for text in texts] for texts in (example.persona, example.turns))
        for number, place in enumerate(example.replies):
            choice, first = next(choices), example.replies[number - number % at_once]
            read = segments(persona, turns[first - 1 : place], turns[place], who)
            assert [*choice.prompt, *choice.replies[0]] == read.ids and len(choice.prompt) == read.begin
            assert choice.types.tolist() == read.types[: read.begin]


def test_a_persona_in_other_orders():
    source = laid(way=Way(permutations=3))
    assert len(source.rows()) == 3 * len(source) and source.targets == source.rows()[:, 1].sum()
    prompts = {tuple(source.goal.reading(source, 0, key).ids.tolist()) for key in range(40)}
    assert 1 < len(prompts) <= 6 and len({tuple(sorted(each)) for each in prompts}) == 1
    plain = laid(way=Way(permutations=0))
    assert {tuple(plain.goal.reading(plain, 0, key).ids.tolist()) for key in range(9)} == {tuple(plain.ids[: plain.edges[1]].tolist())}


def test_the_likelihood_of_candidates():
    model = model_of("gpt2", "language-modeling").eval()
    source = laid(way=Way(candidates=3, permutations=0))
    choices = choices_of(source, source.rows())[:5]
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
