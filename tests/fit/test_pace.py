"""Time as a budget: what a run does, when it ends, that it can be repeated and gone on with, and averages, patience and settings files."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import harken
from harken.base.clock import process_started
from harken.base.errors import InputError, Interrupted
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.fit import fit as fitting
from harken.fit.average import Average
from harken.fit.clock import Clock
from harken.fit.guess import guess
from harken.fit.pace import ByTime
from harken.fit.schedule import rate
from harken.fit.state import Progress
from harken.fit.threads import Gear

SMALL = {"width": 32, "layers": 2, "heads": 2, "batch_size": 16}
HARKEN = [sys.executable, "-c", "import sys; from harken.cli import main; sys.exit(main(sys.argv[1:]))"]


@pytest.fixture(scope="module", autouse=True)
def compiled(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test of time waits for kernels that are compiled for the first time."""
    harken.train(str(lines), out=str(tmp_path_factory.mktemp("warm") / "run"), steps=2, **SMALL)


def journal(run: Path) -> list[dict]:
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in (run / "metrics.jsonl").read_text().splitlines()]


def same_weights(a: Path, b: Path) -> bool:
    one, two = (load_file(run / "model.safetensors") for run in (a, b))
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_measuring_the_finished_model_takes_at_most_a_tenth_of_the_time():
    clock = Clock(held=1_000_000, after=500, minutes=1.0)
    assert clock.affordable() == 1_000_000  # nothing was measured yet
    clock.a_token = 0.001
    assert clock.affordable() == 6_000
    assert clock.tail() == pytest.approx(0.5 + 6.0 + clock.a_picture + 0.3)
    assert Clock(held=7, minutes=1.0, a_token=0.001).affordable() == 7
    assert Clock(held=1_000_000, a_token=1.0).affordable() == 1_000_000  # by steps: all of it


# ---- schedules


def test_wsd_is_constant_and_falls_in_its_last_fifth():
    rates = [rate(step, 1000, 50, "wsd") for step in range(1000)]
    assert rates[:50] == sorted(rates[:50])
    assert set(rates[50:800]) == {1.0}
    assert rates[801:] == sorted(rates[801:], reverse=True)
    assert rates[801] < 1
    assert rates[999] < 0.01
    assert rates[850] == pytest.approx(1 - math.sqrt(50 / 200))


def test_inverse_sqrt_is_that_of_the_paper():
    warmup = 40
    paper = [min((step + 1) ** -0.5, (step + 1) * (warmup + 1) ** -1.5) * math.sqrt(warmup + 1) for step in range(500)]
    assert [rate(step, 500, warmup, "inverse_sqrt") for step in range(500)] == pytest.approx(paper)


# ---- the clock


def test_a_process_knows_when_it_began():
    code = "import time; time.sleep(0.5); from harken.base.clock import process_started; print(time.monotonic() - process_started())"
    began = time.monotonic()
    age = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 0.45 < age < time.monotonic() - began + 0.05
    assert process_started() < time.monotonic()


def test_the_schedule_is_laid_over_the_time_that_is_left_for_learning():
    """A pace of 60 s of which 10 went before and 5 come after: it is over at 45 s, and the rate has fallen to nothing there."""
    plan = fitting.Plan(**{**BASE, "minutes": 1.0, "warmup": 3.0, "learning_rate": 1.0})
    clock, now = Clock(measurements=[4.0], a_picture=0.7), [0.0]
    pace, progress = ByTime(plan, clock, lambda: now[0]), Progress(step=1000, head=10.0)
    seen = []
    while not pace.over(progress):
        seen.append(pace.learning_rate(progress))
        now[0] += 0.1
    assert now[0] == pytest.approx(45, abs=0.11)
    assert max(seen) == pytest.approx(1.0, abs=0.01)
    assert seen[-1] < 0.01


def test_steps_that_are_asked_for_are_steps_also_where_time_decides():
    """Ten minutes of steps of a second, measured every 40 of them, the rate rising over 100: not seconds, nor spread out though a
    measurement takes half as long as these forty steps."""
    plan = fitting.Plan(**{**BASE, "minutes": 10.0, "warmup": 3.0, "learning_rate": 1.0, "warmup_steps": 100, "eval_steps": 40})
    clock, progress, measured, rates = Clock(measurements=[20.0], a_picture=0.7), Progress(), [], []
    pace = ByTime(plan, clock, lambda: progress.step + progress.measuring)
    while not pace.over(progress):
        if pace.due(progress):
            measured.append(progress.step)
            progress.measuring += 20.0
            pace.measured(progress)
        rates.append(pace.learning_rate(progress))
        progress.step += 1
    assert measured == list(range(0, progress.step, 40))[: len(measured)]
    assert len(measured) > 8
    assert rates[:100] == [(step + 1) / 101 for step in range(100)]
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[-1] < 0.05


BASE = {
    **{"steps": 0, "batch_size": 4, "accumulate": 1, "optimizer": "adamw", "schedule": "linear", "weight_decay": 0.0, "clip": 1.0},
    **{"eval_every": 6.0, "eval_tokens": 100, "log_every": 1, "save_every": 15.0, "seed": 0},
}


def timed(words: list[str]) -> float:
    """Seconds from the start of the process to its last file; the folder is the last of the words."""
    began = time.time()
    subprocess.run([*HARKEN, *words], check=True, capture_output=True)
    return max(path.stat().st_mtime for path in Path(words[-1]).rglob("*")) - began


@pytest.mark.serial
def test_a_run_of_a_fifth_of_a_minute_takes_that_long(lines, tmp_path):
    took = timed(["train", str(lines), "--minutes", "0.2", "--width", "32", "--out", str(tmp_path / "run")])
    assert 11 < took < 13
    rates = [line["learning_rate"] for line in journal(tmp_path / "run") if "learning_rate" in line]
    assert rates[-1] < 0.05 * max(rates)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0, 2])
@pytest.mark.parametrize("minutes", [1, 2])
def test_minutes_are_wall_time_from_the_start_of_the_process_within_3_percent(lines, tmp_path, minutes, load):
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
    try:
        took = timed(["train", str(lines), "--minutes", str(minutes), "--out", str(tmp_path / "run")])
    finally:
        for process in busy:
            process.kill()
    assert took == pytest.approx(60 * minutes, rel=0.03)


def test_a_timed_run_can_be_repeated_to_the_bit(lines, tmp_path):
    first = harken.train(str(lines), out=str(tmp_path / "first"), minutes=0.08, dropout=0.1, average=0.99, **SMALL)
    again = harken.train(replay=str(tmp_path / "first"), out=str(tmp_path / "again"))
    assert again.steps == first.steps > 3
    assert again.loss == first.loss
    assert same_weights(tmp_path / "first", tmp_path / "again")
    assert journal(tmp_path / "first") == journal(tmp_path / "again")
    third = harken.train(replay=str(tmp_path / "again"), out=str(tmp_path / "third"))
    assert third.loss == first.loss


def test_a_run_by_steps_can_be_repeated_with_its_options(lines, tmp_path):
    harken.train(str(lines), out=str(tmp_path / "first"), steps=12, schedule="wsd", **SMALL)
    harken.train(replay=str(tmp_path / "first"), out=str(tmp_path / "again"))
    assert same_weights(tmp_path / "first", tmp_path / "again")
    options = json.loads((tmp_path / "again" / "harken.json").read_text())["options"]
    assert (options["schedule"], options["width"]) == ("wsd", 32)


def test_what_cannot_be_repeated_is_said(lines, tmp_path):
    harken.train(str(lines), out=str(tmp_path / "first"), steps=3, **SMALL)
    (tmp_path / "other.txt").write_text("mara\nlelo\n" * 20)
    for match, options in (
        ("holds no run", {"replay": str(tmp_path / "none")}),
        ("leave out --resume, --steps", {"replay": str(tmp_path / "first"), "steps": 4}),
        ("--width 64 differs", {"replay": str(tmp_path / "first"), "width": 64}),
        ("not the text that", {"replay": str(tmp_path / "first"), "data": str(tmp_path / "other.txt")}),
    ):
        with pytest.raises(InputError, match=match):
            harken.train(out=str(tmp_path / "again"), **options)
    assert not (tmp_path / "again").exists()
    record = json.loads((tmp_path / "first" / "harken.json").read_text())
    (tmp_path / "first" / "harken.json").write_text(json.dumps({**record, "status": "running"}))
    with pytest.raises(InputError, match="was not finished"):
        harken.train(replay=str(tmp_path / "first"), out=str(tmp_path / "again"))


def test_a_resumed_run_spends_the_time_that_was_left(lines, tmp_path, monkeypatch):
    out, learn = str(tmp_path / "run"), fitting.learn

    def interrupted(*args):
        if args[-1] == 5:
            signal.raise_signal(signal.SIGTERM)
        return learn(*args)

    monkeypatch.setattr(fitting, "learn", interrupted)
    began = time.monotonic()
    with pytest.raises(Interrupted):
        harken.train(str(lines), out=out, minutes=0.12, **SMALL)
    spent = time.monotonic() - began
    monkeypatch.undo()
    began = time.monotonic()
    harken.train(out=out, resume=True)
    assert spent + time.monotonic() - began == pytest.approx(7.2, abs=1.5)


# ---- a first guess


def test_the_guess_lies_between_what_is_seen_and_what_the_slope_promises():
    points = [(step, 4 * step**-0.1) for step in range(1, 201)]
    found = guess(points, 1000)
    assert 4 * 1000**-0.1 < found < points[-1][1]
    assert found == pytest.approx(4 * 200**-0.1 * 5**-0.05)
    assert guess(points[:4], 1000) is None
    assert guess([(step, 1.0 + step) for step in range(1, 100)], 1000) is None


def test_the_guess_is_said_and_compared_at_the_end(lines, tmp_path, capfd):
    trained = harken.train(str(lines), out=str(tmp_path / "run"), steps=250, **SMALL)
    said = capfd.readouterr().err
    assert f"first guess of the final loss: {trained.guess:.2f}" in said
    assert f"the first guess was {trained.guess:.2f}; trained for" in said


# ---- averages and patience


def test_the_average_is_the_formula_and_leaves_the_weights_alone():
    model = build(LlamaConfig.sized(16, 1, 2, 16, 20, 0.0), seed=0)
    average = Average(model, 0.9)
    name, weight = next(iter(model.named_parameters()))
    expected = weight.detach().clone()
    for step in range(1, 30):
        with torch.no_grad():
            weight += 0.1
        average.update(step)
        beta = min(0.9, (1 + step) / (10 + step))
        expected = beta * expected + (1 - beta) * weight.detach()
    assert torch.allclose(average.values[name], expected, atol=1e-6)
    before = weight.detach().clone()
    with average.in_place():
        assert torch.equal(weight, average.values[name])
    assert torch.equal(weight, before)


def test_averaged_weights_are_what_is_measured_and_kept_and_a_resumed_run_has_them(lines, tmp_path, monkeypatch):
    asked = {**SMALL, "steps": 30, "average": 0.9}
    harken.train(str(lines), out=str(tmp_path / "whole"), **asked)
    kept = load_file(tmp_path / "whole" / "model.safetensors")
    state = load_file(tmp_path / "whole" / "state" / "last.safetensors")
    assert torch.equal(kept["model.embed_tokens.weight"], state["average.stack.embed.tokens.weight"])
    assert not torch.equal(kept["model.embed_tokens.weight"], state["model.stack.embed.tokens.weight"])
    learn = fitting.learn
    monkeypatch.setattr(fitting, "learn", lambda *args: (args[-1] == 17 and signal.raise_signal(signal.SIGINT), learn(*args))[1])
    with pytest.raises(Interrupted):
        harken.train(str(lines), out=str(tmp_path / "parts"), **asked)
    monkeypatch.undo()
    harken.train(out=str(tmp_path / "parts"), resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


def test_a_run_that_gets_no_better_stops_early(lines, tmp_path):
    asked = {**SMALL, "steps": 100, "eval_every": 5, "learning_rate": 3.0, "warmup_steps": 0}
    trained = harken.train(str(lines), out=str(tmp_path / "run"), patience=3, **asked)
    measured = [line["valid_loss"] for line in journal(tmp_path / "run") if "valid_loss" in line]
    assert trained.steps < 100
    assert trained.loss == min(measured)
    assert len(measured) - 1 - measured.index(min(measured)) == 3
    (tmp_path / "one.txt").write_text("only one line\n")
    with pytest.raises(InputError, match="--patience needs held-out text"):
        harken.train(str(tmp_path / "one.txt"), out=str(tmp_path / "other"), steps=3, patience=1, **{**SMALL, "batch_size": 1})
    assert not (tmp_path / "other").exists()


# ---- a file of options


def test_options_come_from_a_file_and_the_command_line_has_the_last_word(lines, tmp_path):
    settings = tmp_path / "run.toml"
    settings.write_text(f'data = "{lines}"\nsteps = 7\nbatch-size = 16\nwidth = 32\nlayers = 1\nheads = 2\nschedule = "cosine"\n')
    words = [*HARKEN, "train", "--config", str(settings), "--steps", "4", "--json", "--out", str(tmp_path / "run")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["steps"] == 4
    options = json.loads((tmp_path / "run" / "harken.json").read_text())["options"]
    assert (options["schedule"], options["batch_size"], "config" in options) == ("cosine", 16, False)
    assert harken.train(config=str(settings), out=str(tmp_path / "python"), steps=3).steps == 3


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("stepz = 3", "run.toml sets 'stepz', which train does not know \\(did you mean 'steps'"),
        ("steps = 'many'", "run.toml: --steps must be a whole number, not 'many'"),
        ("steps = 0", "run.toml: --steps must be at least 1"),
        ("steps = ", "run.toml is not a readable TOML file"),
        ("[train]\nsteps = 3", "sets 'train', which train does not know"),
    ],
)
def test_a_wrong_file_of_options_is_one_sentence(lines, tmp_path, text, match):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InputError, match=match):
        harken.train(str(lines), config=str(tmp_path / "run.toml"), out=str(tmp_path / "run"))


def test_a_file_of_options_that_is_not_there(lines):
    with pytest.raises(InputError, match=r"none\.toml does not exist"):
        harken.train(str(lines), config="none.toml")


@pytest.mark.skipif(os.name != "posix", reason="/proc")
def test_time_is_counted_from_the_start_of_the_process_only_on_the_command_line(lines, tmp_path):
    """In a process that is old already a run of 4 s still has 4 s."""
    trained = harken.train(str(lines), out=str(tmp_path / "run"), minutes=4 / 60, **SMALL)
    assert trained.seconds > 1


# ---- threads


def test_one_thread_is_gone_on_with_while_more_are_slower_and_left_when_they_are_faster(monkeypatch):
    monkeypatch.setattr("harken.fit.threads.use", lambda count: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    speed, now, done = {1: 10.0, 2: 1.0}, [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    gear = Gear()
    for step in range(600):
        if step == 400:
            speed[2] = 15.0
        took = 100 / speed[gear.count]
        now[0] += took / 10
        done.append(gear.count)
        gear.after(100, took)
    assert done[:400].count(2) <= 12  # a few tries, each given up after two steps
    assert done[500:].count(2) == 100
    speed[2] = 5.0
    for _ in range(3):
        gear.after(100, 100 / speed[gear.count])
    assert gear.count == 1


@pytest.mark.serial
def test_a_timed_run_that_shifts_its_threads_is_repeated_to_the_bit(lines, tmp_path):
    first = harken.train(str(lines), out=str(tmp_path / "first"), minutes=0.12, **SMALL)
    used = {line["threads"] for line in journal(tmp_path / "first") if "threads" in line}
    assert used == {1, 2}
    assert torch.get_num_threads() == 2
    again = harken.train(replay=str(tmp_path / "first"), out=str(tmp_path / "again"))
    assert again.loss == first.loss
    assert same_weights(tmp_path / "first", tmp_path / "again")


def test_threads_can_be_asked_for(lines, tmp_path):
    harken.train(str(lines), out=str(tmp_path / "run"), minutes=0.05, threads=1, **SMALL)
    assert {line["threads"] for line in journal(tmp_path / "run") if "threads" in line} == {1}
