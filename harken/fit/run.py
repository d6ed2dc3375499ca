"""From a text file to a finished run: read, split, tokenise, plan, build, fit, measure. Nothing is written until all of it makes sense."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..base.errors import InputError, Interrupted, RunError
from ..base.report import say, span
from ..checkpoint.load import WEIGHTS, load, read_weights
from ..checkpoint.save import save_setting, save_weights
from ..decode.generate import generate
from ..decode.options import DecodeOptions
from ..families.table import family
from ..measure.loss import measure
from ..nn.mixture import Mixture
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .begin import begin
from .count import count
from .fit import fit
from .folder import RunFolder
from .mixture import fit_mixture
from .options import RUN_ONLY, TrainOptions
from .plan import Plan
from .prepare import Prepared, prepare
from .seen import remember
from .state import Progress


@dataclass(frozen=True)
class Trained:
    """What a finished run is.

    `loss`: nats per token of the best model on all held-out text (on training text when none is held out) · `seconds`: of training,
    earlier parts of a resumed run included.
    """

    run: str
    steps: int
    seconds: float
    loss: float
    bits_per_byte: float | None
    best_step: int
    parameters: int
    tokens: int
    test_loss: float | None = None


def run(options: TrainOptions) -> Trained:
    """Train, or go on with, one run. InputError and RunError as in `harken.train`."""
    began = time.monotonic()
    folder = RunFolder(Path(options.out) if options.out else default_out(options))
    if options.resume:
        folder.reopen()
        options = resumed(options, folder.record)
        model, tokenizer = load(folder.path)
        data = prepare(options, tokenizer, model.span)
        if data.facts["sha256"] != folder.record["data"]["sha256"]:
            raise InputError(f"{options.data} is not the text this run began with; give the same file, or train anew")
        plan = Plan(**{**folder.record["plan"], "save_every": options.save_every})
        say(f"resuming {folder.path}")
    else:
        folder.claim(overwrite=options.overwrite)
        model, tokenizer, data, plan = begin(options)
        folder.start(  # first of all files, so that the folder is known for a run from its first moment
            {"task": "causal", "options": recorded(options), "plan": plan.write(), "data": data.facts, "ledger": data.ledger.to_json()}
        )
        save_setting(model, tokenizer, folder.path)
        remember(data.corpus, folder.path)
    try:
        progress = teach(model, tokenizer, data, plan, folder)
    except Interrupted as error:
        raise Interrupted(f"{error}; go on with: harken train --resume --out {folder.path}") from None
    except OSError as error:
        raise RunError(f"{folder.path} cannot be written ({error.strerror or error}); the last saved state is kept") from error
    return finish(model, tokenizer, data, plan, folder, progress, time.monotonic() - began)


def teach(model: Model, tokenizer: Tokenizer, data: Prepared, plan: Plan, folder: RunFolder) -> Progress:
    """Let the model learn in its own way: by gradients, by counting, or both; returns how far it came."""
    pad, keep = tokenizer.pad_id or 0, keeper(model, tokenizer, folder)
    learns = family(model.config.model_type).LEARNS
    if learns == "gradients":
        return fit(model, data.train, data.valid, plan, folder, pad=pad, keep=keep)
    began = time.monotonic()
    if learns == "counts":
        say(f"counted {count(model, data.train):,} n-grams")
        folder.cut(0)
        progress = Progress(tokens=data.train.targets)
    else:
        assert isinstance(model, Mixture)
        best = partial(read_weights, model, folder.path / WEIGHTS)
        progress = fit_mixture(model, data.train, plan, folder, pad=pad, keep=keep, best=best)
    if data.valid is not None:
        progress.best = progress.valid = measure(model, data.valid, pad=pad, most_tokens=plan.eval_tokens).loss
        folder.add({"step": progress.step, "valid_loss": progress.best, "valid_tokens": data.valid.targets})
    progress.best_step = progress.step
    progress.seconds = max(progress.seconds, time.monotonic() - began)
    keep(progress)
    return progress


def default_out(options: TrainOptions) -> Path:
    """runs/DATA-MODEL, with a number when that is taken."""
    stem = "text" if options.data in (None, "-") else Path(options.data).stem
    first = Path("runs") / f"{stem}-{options.model or 'llama'}"
    return next(p for n in range(1, 10_000) if not (p := first if n == 1 else first.with_name(f"{first.name}-{n}")).exists())


def recorded(options: TrainOptions) -> dict[str, Any]:
    """The options that define a run, for its record."""
    return {k: v for k, v in dataclasses.asdict(options).items() if k not in RUN_ONLY}


def resumed(options: TrainOptions, record: dict[str, Any]) -> TrainOptions:
    """The run's own options; InputError when the caller asks for something else than was recorded."""
    plain = TrainOptions(data="-")
    for name, value in recorded(options).items():
        if value not in (getattr(plain, name), record["options"].get(name)):
            flag = "--" + name.replace("_", "-")
            began = record["options"].get(name)
            raise InputError(f"{flag} {value} differs from {began}, which this run began with; leave it out to go on, or train anew")
    data = options.data or record["data"]["source"]
    if data == "-" and options.data is None:
        raise InputError("this run read its text from standard input; give it again: … | harken train - --resume --out RUN")
    return dataclasses.replace(options, **record["options"], data=data)


def keeper(model: Model, tokenizer: Tokenizer, folder: RunFolder):
    """What happens when a measurement is the best so far: weights, picture and samples are written."""

    def keep(progress: Progress) -> None:
        save_weights(model, folder.path)
        written = generate(
            model, tokenizer, [""], DecodeOptions(max_new_tokens=60, temperature=0.8, num_return_sequences=3, seed=progress.step)
        )
        loss = f" · held-out loss {progress.valid:.4f}" if progress.valid is not None else ""
        quoted = "\n".join("> " + sample.text.replace("\n", "\n> ") + "\n" for sample in written)
        progress.samples.append(f"## step {progress.step:,}{loss}\n\n{quoted}")
        folder.write_samples(progress.samples)
        if progress.step:
            folder.draw()

    return keep


def finish(model: Model, tokenizer: Tokenizer, data: Prepared, plan: Plan, folder: RunFolder, progress: Progress, wall: float) -> Trained:
    """Leave the best model in the folder and in memory, measure it on the test text, complete the record."""
    folder.draw()
    read_weights(model, folder.path / WEIGHTS)
    model.pack()
    pad = tokenizer.pad_id or 0
    test = measure(model, data.test, pad=pad).loss if data.test is not None else None
    loss = measure(model, data.valid or data.train, pad=pad, most_tokens=None if data.valid else plan.eval_tokens).loss
    bits = loss / math.log(2) / data.bytes_per_target if data.bytes_per_target else None
    trained = Trained(
        run=str(folder.path),
        steps=progress.step,
        seconds=round(progress.seconds, 2),
        loss=loss,
        bits_per_byte=bits,
        best_step=progress.best_step,
        parameters=sum(p.numel() for p in model.parameters()),
        tokens=progress.tokens,
        test_loss=test,
    )
    folder.finish(status="done", result=dataclasses.asdict(trained))
    held = "held-out loss" if data.valid is not None else "training loss"
    at = f" at step {progress.best_step:,}" if progress.best_step else ""
    bpb = f" ({bits:.3f} bits per byte)" if bits is not None else ""
    say(f"{held} {loss:.4f} nats per token{bpb}{at}; trained for {span(progress.seconds)}, {span(wall)} in all")
    say(f"the run is in {folder.path}: harken generate {folder.path}")
    return trained
