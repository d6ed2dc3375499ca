"""A mixture is one model: its probabilities sum to one, it is no worse than its parts where it was weighed, and it saves and generates."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import harken
from harken.base.errors import InputError
from harken.data.batches import Spans
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.fit.mixture import expectation, parted
from harken.measure.score import within
from harken.nn.mask import Mask
from harken.nn.mixture import Mixture

SMALL = {"width": 32, "layers": 2, "heads": 2, "batch_size": 16, "steps": 60}


@pytest.fixture(scope="module", params=[None, 5], ids=["two", "recent"])
def run(request, lines, tmp_path_factory) -> str:
    """A trained mixture, once with what was just read."""
    out = str(tmp_path_factory.mktemp("mixture") / "run")
    harken.train(str(lines), out=out, model="mixture", recent=request.param, **SMALL)
    if request.param is not None:  # names hardly repeat themselves
        change(out, lambda weights: weights["lately.weights"].fill_(0.6))
    return out


def change(run: str, how) -> None:
    """Change the saved weights of a run."""
    path = Path(run) / "model.safetensors"
    weights = load_file(path)
    how(weights)
    save_file(weights, path, {"format": "pt"})


def test_probabilities_sum_to_one_and_score_is_forward(run):
    model, tokenizer = harken.load(run)
    assert isinstance(model, Mixture)
    ids = torch.tensor([tokenizer.encode("malerana"), tokenizer.encode("kitassen")])
    with torch.no_grad():
        logits = model(ids)
        assert torch.allclose(logits.exp().sum(-1), torch.ones(2, ids.shape[1]), atol=1e-5)
        known = logits[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
        assert torch.allclose(model.score(ids)[:, 1:], known, atol=1e-5)
        lengths = torch.tensor([9, 4])
        assert torch.allclose(model.score(ids, Mask(lengths=lengths))[1, 1:4], known[1, :3], atol=1e-5)


def test_it_is_the_weighted_sum_of_its_parts(run):
    model, tokenizer = harken.load(run)
    ids = torch.tensor([tokenizer.encode("malerana")])
    with torch.no_grad():
        learned, counted = model.neural(ids).log_softmax(-1).exp(), model.counting(ids).exp()
        weight = model.gate.weights[torch.from_numpy(model.buckets(model.counting.histories(ids, Mask())))][..., None]
        whole = weight * learned + (1 - weight) * counted
        if model.recent is not None:
            whole = 0.6 * whole + 0.4 * torch.from_numpy(model.recent.spread(ids[0].numpy(), ids.shape[1])[0])
        assert torch.allclose(model(ids).exp().double(), whole, atol=1e-6)


def test_cached_steps_equal_the_full_pass(run):
    model, tokenizer = harken.load(run)
    ids = torch.tensor([tokenizer.encode("malerana"), tokenizer.encode("kitassen")])
    for packed in (False, True):
        if packed:
            model.pack()
        with torch.no_grad():
            cache = model.begin(2, 16)
            parts = [model(ids[:, :4], Mask(lengths=torch.tensor([4, 2])), cache=cache)]
            assert torch.allclose(parts[0][0], model(ids)[0, :4], atol=1e-5)
            held = cache.snapshot()
            step = model(torch.stack([ids[0, 4:5], ids[1, 2:3]]), cache=cache)
            assert torch.allclose(step[1, 0], model(ids)[1, 2], atol=1e-5)
            cache.restore(held)
            cache.select(torch.tensor([1, 0, 1]))
            again = model(torch.stack([ids[1, 2:3], ids[0, 4:5], ids[1, 2:3]]), cache=cache)
            assert torch.allclose(again[1, 0], model(ids)[0, 4], atol=1e-5)
            assert torch.equal(again[0], again[2])


def test_an_answer_does_not_depend_on_its_batch(run):
    model, tokenizer = harken.load(run)
    rng = random.Random(0)
    for seed in range(20):
        prompts = ["".join(rng.choices("maleki", k=rng.randint(0, 8))) for _ in range(5)]
        asked = DecodeOptions(max_new_tokens=8, seed=seed, temperature=rng.choice([0, 1]))
        together = generate(model, tokenizer, prompts, asked)
        assert together == [generate(model, tokenizer, [p], asked)[0] for p in prompts]


def test_what_was_just_read_is_heard_beyond_the_context(samples, tmp_path):
    """Paragraphs that are there twice: the second time lies far beyond the eight tokens that the neural part reads."""
    poems, text = (samples / "poems.txt").read_text().split("\n\n"), tmp_path / "twice.txt"
    text.write_text("\n\n".join(part.replace("\n", " ") for part in poems[:40] for _ in range(2)) + "\n")
    asked = {**SMALL, "context": 8, "examples": "running", "order": 1}
    found = {}
    for recent in (None, 300):
        out = str(tmp_path / str(recent))
        harken.train(str(text), out=out, model="mixture", recent=recent, **asked)
        found[recent] = harken.score(out, path=str(text))[0].perplexity
    assert found[300] < 0.9 * found[None]
    model, tokenizer = harken.load(str(tmp_path / "300"))
    some = text.read_text()[:300]
    whole = harken.score(model, tokenizer, [some])[0]
    assert whole.logprobs == harken.score(model, tokenizer, [some, "other"])[0].logprobs
    ids, known = np.array(whole.ids), np.zeros(len(whole.ids))
    near = within(model, [ids])[0]
    recent, grades = model.recent.score(ids)
    v = model.lately.weights.numpy()[grades]
    known[1:] = np.log(v * np.exp(near) + (1 - v) * recent)[1:]
    np.testing.assert_allclose(whole.logprobs, known, rtol=1e-5, atol=1e-6)


def test_recent_is_for_mixtures(lines, tmp_path):
    with pytest.raises(InputError, match="--recent is for --model mixture"):
        harken.train(str(lines), out=str(tmp_path / "run"), recent=100, **SMALL)


def test_it_is_better_than_both_parts_on_held_out_text(samples, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join((samples / "names.txt").read_text().split()[::8]) + "\n")
    asked = {**SMALL, "batch_size": 64, "steps": 120, "width": 48}
    loss = {name: harken.train(str(names), out=str(tmp_path / name), model=name, **asked).loss for name in ("llama", "ngram", "mixture")}
    assert loss["mixture"] < min(loss["llama"], loss["ngram"])


def test_a_stopped_mixture_goes_on(lines, tmp_path, monkeypatch):
    from harken.fit import fit as fitting

    asked = {**SMALL, "model": "mixture", "dropout": 0.1}
    whole = harken.train(str(lines), out=str(tmp_path / "whole"), **asked)
    learn, done = fitting.learn, [0]

    def interrupted(*args):
        done[0] += 1
        if done[0] == 20:
            import signal

            signal.raise_signal(signal.SIGINT)
        return learn(*args)

    monkeypatch.setattr(fitting, "learn", interrupted)
    with pytest.raises(harken.base.errors.Interrupted):
        harken.train(str(lines), out=str(tmp_path / "parts"), **asked)
    assert harken.train(out=str(tmp_path / "parts"), resume=True).loss == whole.loss
    assert (tmp_path / "parts" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_expectation_maximisation_finds_the_best_weight():
    rng = np.random.default_rng(0)
    learned, counted = rng.random(500), rng.random(500)
    found = expectation(learned, counted, np.zeros(500, np.int64), 1, np.array([0.5]), 0.0)[0]
    grid = np.linspace(0.001, 0.999, 999)
    best = grid[np.argmax([np.log(w * learned + (1 - w) * counted).sum() for w in grid])]
    assert found == pytest.approx(best, abs=2e-3)
    pulled = expectation(learned, counted, np.zeros(500, np.int64), 1, np.array([0.9]), 1e9)[0]
    assert pulled == pytest.approx(0.9, abs=1e-3)


def test_a_global_gate_has_one_weight(lines, tmp_path):
    out = str(tmp_path / "run")
    harken.train(str(lines), out=out, model="mixture", gate="global", **SMALL)
    model, _ = harken.load(out)
    assert isinstance(model, Mixture)
    assert len(set(model.gate.weights.tolist())) == 1


def test_parts_that_make_no_mixture_are_refused(lines, tmp_path):
    for parts in ("llama", "ngram,llama", "llama,gpt2", "llama,ngram,ngram"):
        with pytest.raises(InputError, match="not a neural and a counting model"):
            harken.train(str(lines), out=str(tmp_path / "run"), model="mixture", parts=parts)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def halves(samples, tmp_path_factory) -> tuple[str, str]:
    """Two files of names, none of which is in both."""
    home, texts = tmp_path_factory.mktemp("halves"), (samples / "names.txt").read_text().splitlines(keepends=True)[::8]
    for name, some in (("a", texts[::2]), ("b", texts[1::2])):
        (home / f"{name}.txt").write_text("".join(some))
    return str(home / "a.txt"), str(home / "b.txt")


@pytest.fixture(scope="module")
def trained(halves, tmp_path_factory) -> list[str]:
    """A neural and a counting model that learned from the first half."""
    home = tmp_path_factory.mktemp("trained")
    harken.train(halves[0], out=str(home / "llama"), model="llama", **SMALL)
    harken.train(halves[0], out=str(home / "ngram"), model="ngram", tokenizer=str(home / "llama"), order=3)
    return [str(home / name) for name in ("llama", "ngram")]


@pytest.mark.parametrize("gate", ["context", "global"])
def test_two_trained_models_are_only_weighed(halves, trained, gate, tmp_path):
    out = tmp_path / "run"
    found = harken.train(halves[1], valid=halves[1], out=str(out), model="mixture", parts=", ".join(trained), gate=gate)
    mixture, _ = harken.load(str(out))
    assert isinstance(mixture, Mixture)
    for part, folder in zip(mixture.parts, trained, strict=True):
        theirs = harken.load(folder)[0].state_dict()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in part.state_dict().items())
    assert found.steps == 0 and found.loss == pytest.approx(harken.evaluate(str(out), halves[1]).loss, abs=1e-5)
    assert found.loss < min(harken.evaluate(each, halves[1]).loss for each in trained)  # weighed and measured on the same text
    assert (len(set(mixture.gate.weights.tolist())) == 1) == (gate == "global")
    assert harken.train(replay=str(out), out=str(tmp_path / "again"), parts=", ".join(trained)).loss == found.loss
    record = json.loads((out / "harken.json").read_text())
    (out / "harken.json").write_text(json.dumps({**record, "status": "running"}))  # as if it had been stopped before its last file
    assert harken.train(out=str(out), resume=True).loss == found.loss
    (out / "model.safetensors").unlink()
    with pytest.raises(InputError, match="was stopped before anything was learned: begin anew with the text and --overwrite"):
        harken.train(out=str(out), resume=True)


def test_trained_parts_that_do_not_fit_are_refused(halves, trained, tmp_path):
    harken.train(halves[1], out=str(tmp_path / "other"), model="ngram", tokenizer="bpe", vocab_size=300)
    for said, data, parts, more in (
        ("is not a neural and a counting model", 1, trained[::-1], {}),
        ("name two families to train, or two folders to join", 1, [trained[0], "ngram"], {}),
        ("reads with another tokenizer", 1, [trained[0], str(tmp_path / "other")], {}),
        ("is what .* learned from", 0, trained, {}),
        ("--minutes is for a model that is to be trained", 1, trained, {"minutes": 1.0}),
    ):
        with pytest.raises(InputError, match=said):
            harken.train(halves[data], out=str(tmp_path / "run"), model="mixture", parts=",".join(parts), **more)
    assert not (tmp_path / "run").exists()


def test_a_text_of_one_token_is_too_small_for_a_mixture():
    with pytest.raises(InputError, match="too small for a mixture"):
        parted(Spans(np.array([0, 1], np.int32), np.array([[1, 2]]), None, 8))


def test_texts_that_a_part_has_read_are_counted(halves, trained, tmp_path, capsys):
    both = tmp_path / "both.txt"
    both.write_text("".join(Path(each).read_text() for each in halves))
    harken.train(str(both), out=str(tmp_path / "run"), model="mixture", parts=",".join(trained))
    assert "were read by" in capsys.readouterr().err
