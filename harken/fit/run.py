"""From a text file to a finished run: read, split, tokenise, plan, build, fit, measure. Nothing is written until all of it makes sense."""

from __future__ import annotations

import dataclasses
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from ..base.errors import InputError, Interrupted, RunError
from ..base.options import flag
from ..base.report import say
from ..checkpoint.adapter_config import base_of
from ..checkpoint.load import WEIGHTS, load, read_weights
from ..checkpoint.save import save_setting, save_weights
from ..data.laid import Laid
from ..data.replies import Replies
from ..families.table import FAMILIES, family
from ..nn.mixture import Mixture
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from . import dialogue
from .adapt import hold
from .begin import begin
from .best import measured
from .clock import Clock
from .count import count
from .finish import Trained, finish, measured_whole
from .fit import fit
from .folder import RECORD, RunFolder
from .lesson import lesson
from .material import material_of
from .mixture import fit_mixture, weigh
from .options import RUN_ONLY, TrainOptions
from .plan import Plan
from .prepare import Prepared
from .samples import samples
from .seen import remember
from .state import Progress
from .threads import on_threads
from .tune import anchored, as_learned, as_new, fingerprint, needs, placed
from .vectors import TrainedVectors, learn_vectors


def run(options: TrainOptions) -> Trained | TrainedVectors:
    """Train, or go on with, one run. InputError and RunError as in `harken.train`."""
    clock = Clock(time.monotonic() if options.began is None else options.began)
    old = None
    if options.replay is not None:
        options, old = replayed(options)
    options = anchored(options)
    folder = RunFolder(Path(options.out) if options.out else default_out(options))
    if options.model in FAMILIES and family(options.model).LEARNS == "neighbours":
        return learn_vectors(options, folder, None if old is None else old.record["data"]["sha256"])
    if options.resume:
        model, tokenizer, data, plan = go_on(options, folder)
    else:
        folder.claim(overwrite=options.overwrite, needed=needs(options, old))
        model, tokenizer, data, plan = begin(options)
        if old is not None and data.facts["sha256"] != old.record["data"]["sha256"]:
            raise InputError(f"{options.data} is not the text that {old.path} learned from; give the same file, or train anew")
        if old is not None and data.began_from != old.record.get("began_from"):
            raise InputError(f"{options.model} is not the model that {old.path} began from: its weights are others; train anew")
        if plan.patience and data.valid is None:
            raise InputError("--patience needs held-out text to measure on: give more text, or a file with --valid")
    with on_threads(threads_of(options, folder if options.resume else old)):
        if not options.resume:
            folder.clear()
            folder.start(  # first of all files, so that the folder is known for a run from its first moment
                {"task": model.config.task, "options": recorded(options), "plan": plan.write(), "data": data.facts}
                | {"ledger": data.ledger.to_json()}
                | ({} if data.began_from is None else {"began_from": data.began_from})
            )
            if old is not None and (schedule := old.schedule()) is not None:
                folder.write_schedule(schedule)
            save_setting(model, tokenizer, folder.path)
            if data.corpus is not None:
                remember(data.corpus, folder.path)
        clock.after = 0 if data.test is None else data.test.targets
        if data.valid is not None and not measured_whole(data, plan):
            clock.held, clock.minutes = min(data.valid.targets, enough(data.valid) or data.valid.targets), plan.minutes
        try:
            progress = teach(model, tokenizer, data, dataclasses.replace(plan, threads=options.threads), folder, clock)
        except Interrupted as error:
            raise Interrupted(f"{error}; go on with: harken train --resume --out {folder.path}") from None
        except OSError as error:
            raise RunError(f"{folder.path} cannot be written ({error.strerror or error}); the last saved state is kept") from error
        return finish(model, tokenizer, data, plan, folder, progress, clock)


def threads_of(options: TrainOptions, known: RunFolder | None) -> int | None:
    """Threads to learn with: those asked for, else those of the run that is gone on with or repeated, as its bits depend on them."""
    then = options.threads or (known.record["machine"]["threads"] if known is not None else None)
    return None if then is None else min(then, os.cpu_count() or 1)


def go_on(options: TrainOptions, folder: RunFolder) -> tuple[Model, Tokenizer, Prepared, Plan]:
    """Everything a run to be resumed needs. InputError when there is none, or the data is not what it began with."""
    folder.reopen()
    options = resumed(options, folder.record)
    if not folder.learned:
        raise InputError(f"{folder.path} was stopped before anything was learned: begin anew with the text and --overwrite")
    model, tokenizer = load(folder.path)
    if family(model.config.model_type).LEARNS == "neighbours":
        raise InputError(f"{folder.path} holds word vectors, which are counted at once: to count anew give the text and --overwrite")
    if model.adapters.names and fingerprint(base_of(folder.path)) != folder.record["began_from"]["sha256"]:
        raise InputError(f"{base_of(folder.path)} is not the model that this run's adapter is for: its weights are others; train anew")
    shaped = as_new(options, model.config) if "began_from" in folder.record else options
    material, context = material_of(model.config.model_type, shaped), folder.record["data"].get("context", model.span)
    train, valid = (as_learned(model.config, model.config.task, side) for side in material.corpora(shaped))
    data = material.prepared(shaped, tokenizer, train, valid, context)
    data.suit(model)
    data.began_from = folder.record.get("began_from")
    data.signal = lesson(shaped, model, tokenizer, data)
    if data.facts["sha256"] != folder.record["data"]["sha256"]:
        raise InputError(f"{options.data} is not the text this run began with; give the same file, or train anew")
    if model.adapters.names:
        hold(model, options)
    say(f"resuming {folder.path}")
    return model, tokenizer, data, Plan.read({**folder.record["plan"], "save_every": options.save_every})


def replayed(options: TrainOptions) -> tuple[TrainOptions, RunFolder]:
    """The options of the run to repeat, with the caller's own places; and that run. InputError when there is none or it is unfinished."""
    old = RunFolder(Path(options.replay or ""))
    if not (old.path / RECORD).is_file():
        raise InputError(f"--replay {old.path} holds no run ({RECORD} is missing)")
    old.reopen()
    if old.record["status"] != "done":
        raise InputError(f"--replay {old.path} was not finished; finish it first: harken train --resume --out {old.path}")
    data = options.data or old.record["data"]["source"]
    return resumed(dataclasses.replace(options, replay=None, data=data), old.record), old


def enough(valid: Any) -> int | None:
    """Tokens of held-out examples that the finished model is measured on at most; None: all."""
    return dialogue.ENOUGH if isinstance(valid, Laid) and isinstance(valid.goal, Replies) else None


def teach(model: Model, tokenizer: Tokenizer, data: Prepared, plan: Plan, folder: RunFolder, clock: Clock) -> Progress:
    """Let the model learn in its own way: by gradients, by counting, or both; returns how far it came."""
    pad, keep = tokenizer.pad_id or 0, keeper(model, tokenizer, folder, data)
    learns = family(model.config.model_type).LEARNS
    if learns == "gradients":
        return fit(model, data.train, data.valid, plan, folder, pad=pad, keep=keep, clock=clock, objective=data.signal)
    began = time.monotonic()
    if learns == "counts":
        say(f"counted {count(model, data.train):,} n-grams")
        folder.cut(0)
        progress = Progress(tokens=data.train.targets)
    else:
        assert isinstance(model, Mixture)
        if data.began_from is not None:  # both parts have learned
            weigh(model, model, data.train, pad)
            folder.cut(0)
            progress = Progress(tokens=data.train.targets)
        else:
            best = partial(read_weights, model, folder.path / WEIGHTS)
            progress = fit_mixture(model, data.train, plan, folder, pad=pad, keep=keep, best=best, clock=clock)
    if data.valid is not None:
        progress.best = progress.valid = measured(model, data.valid, pad=pad, most_tokens=plan.eval_tokens).loss
        folder.add({"step": progress.step, "valid_loss": progress.best, "valid_tokens": data.valid.targets})
    progress.best_step = progress.step
    progress.seconds = max(progress.seconds, time.monotonic() - began)
    keep(progress)
    return progress


def default_out(options: TrainOptions) -> Path:
    """runs/DATA-MODEL, with a number when that is taken."""
    stem = "text" if options.data in (None, "-") else Path(options.data).stem
    first = Path("runs") / f"{stem}-{Path(options.model or 'llama').name}"
    return next(p for n in range(1, 10_000) if not (p := first if n == 1 else first.with_name(f"{first.name}-{n}")).exists())


def recorded(options: TrainOptions) -> dict[str, Any]:
    """The options that define a run, for its record."""
    return {k: v for k, v in dataclasses.asdict(options).items() if k not in RUN_ONLY}


def resumed(options: TrainOptions, record: dict[str, Any]) -> TrainOptions:
    """The run's own options; InputError when the caller asks for something else than was recorded."""
    plain, began = TrainOptions(data="-"), placed(record["options"])
    for name, value in placed(recorded(options)).items():
        if value not in (getattr(plain, name), began.get(name)):
            then = began.get(name)
            raise InputError(f"{flag(name)} {value} differs from {then}, which this run began with; leave it out to go on, or train anew")
    data = options.data or record["data"]["source"]
    if data == "-" and options.data is None:
        raise InputError("this run read its text from standard input; give it again: … | harken train - --resume --out RUN")
    known = {f.name for f in dataclasses.fields(TrainOptions)}
    if foreign := [name for name in record["options"] if name not in known]:
        raise InputError(f"this run was begun by another version of harken (it has the option {foreign[0]!r}): train anew")
    return dataclasses.replace(options, **record["options"], data=data, target=options.target or record["data"].get("target"))


def keeper(model: Model, tokenizer: Tokenizer, folder: RunFolder, data: Prepared):
    """What happens when a measurement is the best so far: weights, picture and samples are written."""

    def keep(progress: Progress) -> None:
        save_weights(model, folder.path)
        loss = f" · held-out loss {progress.valid:.4f}" if progress.valid is not None else ""
        quoted = "\n".join("> " + sample.replace("\n", "\n> ") + "\n" for sample in samples(model, tokenizer, data, progress.step))
        progress.samples.append(f"## step {progress.step:,}{loss}\n\n{quoted}")
        folder.write_samples(progress.samples)

    return keep
