"""From a text file to a finished run: read, split, tokenise, plan, build, fit, measure. Nothing is written until all of it makes sense."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import InputError, Interrupted, RunError
from ..base.report import say, span
from ..checkpoint.load import WEIGHTS, load, read_weights
from ..checkpoint.save import save_setting, save_weights
from ..data.batches import Spans
from ..data.corpus import Corpus
from ..data.ledger import Ledger
from ..data.read import read
from ..data.split import split
from ..decode.generate import generate
from ..decode.options import DecodeOptions
from ..families.table import build, family
from ..measure.loss import measure
from ..nn.models import Model
from ..objectives.causal import spans
from ..text.tokenizer import Tokenizer
from ..text.train import choose_kind, train_bpe, train_characters
from . import plan as planning
from .fit import fit
from .folder import RunFolder
from .options import RUN_ONLY, TrainOptions
from .plan import Plan
from .state import Progress


@dataclass(frozen=True)
class Trained:
    """What a finished run is. `loss`: nats per token of the best model on held-out text (of the last on the training text when none is
    held out) · `seconds`: of training, earlier parts of a resumed run included."""

    run: str
    steps: int
    seconds: float
    loss: float
    bits_per_byte: float | None
    best_step: int
    parameters: int
    tokens: int
    test_loss: float | None = None


@dataclass
class Prepared:
    """The data of a run, ready to learn from."""

    train: Spans
    valid: Spans | None
    test: Spans | None
    bytes_per_target: float  # of the held-out text
    facts: dict[str, Any]
    ledger: Ledger


def run(options: TrainOptions) -> Trained:
    """Train, or go on with, one run. InputError and RunError as in `harken.train`."""
    began = time.monotonic()
    folder = RunFolder(Path(options.out) if options.out else default_out(options))
    if options.resume:
        folder.reopen()
        options = resumed(options, folder.record)
        model, tokenizer = load(folder.path)
        data = prepare(options, tokenizer, model.context)
        if data.facts["sha256"] != folder.record["data"]["sha256"]:
            raise InputError(f"{options.data} is not the text this run began with; give the same file, or train anew")
        plan = Plan(**{**folder.record["plan"], "save_every": options.save_every})
        say(f"resuming {folder.path}")
    else:
        folder.claim(overwrite=options.overwrite)
        model, tokenizer, data, plan = begin(options)
        save_setting(model, tokenizer, folder.path)
        folder.start(
            {"task": "causal", "options": recorded(options), "plan": plan.write(), "data": data.facts, "ledger": data.ledger.to_json()}
        )
    try:
        progress = fit(model, data.train, data.valid, plan, folder, pad=tokenizer.pad_id or 0, keep=keeper(model, tokenizer, folder))
    except Interrupted as error:
        raise Interrupted(f"{error}; go on with: harken train --resume --out {folder.path}") from None
    except OSError as error:
        raise RunError(f"{folder.path} cannot be written ({error.strerror or error}); the last saved state is kept") from error
    return finish(model, tokenizer, data, plan, folder, progress, time.monotonic() - began)


def begin(options: TrainOptions) -> tuple[Model, Tokenizer, Prepared, Plan]:
    """Everything a new run needs, in memory."""
    name = options.model or "llama"
    module = family(name)
    train, valid = corpora(options)
    tokenizer = make_tokenizer(options, train)
    longest = max(map(len, tokenizer.encode_many(train.texts)))
    context = planning.choose_context(options, longest, train.kind == "running")
    data = prepared(options, tokenizer, context, train, valid)
    rows = len(data.train.rows())
    plan = planning.choose_plan(options, targets=data.train.targets, rows=rows)
    size = planning.choose_size(options, plan, targets=data.train.targets, rows=rows)
    plan = dataclasses.replace(plan, context=context, learning_rate=planning.choose_rate(options, size.width))
    config = module.sized(size.width, size.layers, size.heads, context, tokenizer.vocab_size, options.dropout)
    config.initializer_range = round(math.sqrt(0.4 / size.width), 4)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    model = build(config, seed=options.seed)
    tokenizer.extra["model_max_length"] = context
    parameters = sum(p.numel() for p in model.parameters())
    for line in planning.describe(plan, size, parameters, data.train.targets, rows):
        say(line)
    return model, tokenizer, data, plan


def corpora(options: TrainOptions) -> tuple[Corpus, Corpus | None]:
    """The training and held-out texts; what was read and how is said."""
    assert options.data is not None
    corpus = read(options.data, examples=options.examples, column=options.column)
    for note in corpus.notes:
        say(note)
    if options.valid is not None:
        return corpus, read(options.valid, examples=corpus.kind, column=options.column)
    train, valid = split(corpus)
    if not valid.texts:
        say("there is only one example, so none is held out: the loss below is that of the training text")
        return train, None
    held = (
        f"{len(valid.texts):,} of {len(corpus.texts):,} texts"
        if len(train.texts) + len(valid.texts) == len(corpus.texts)
        else "the last part"
    )
    say(f"held out to measure: {held} ({valid.bytes():,} of {corpus.bytes():,} bytes)")
    return train, valid


def make_tokenizer(options: TrainOptions, train: Corpus) -> Tokenizer:
    """Train the tokenizer on the training texts only."""
    characters = sum(map(len, train.texts))
    kind, size = choose_kind(characters, characters / len(train.texts))
    if options.vocab_size is not None and options.tokenizer == "char":
        raise InputError("--vocab-size is for --tokenizer bpe; characters have as many tokens as the text has")
    kind = "bpe" if options.vocab_size else options.tokenizer or kind
    tokenizer = train_characters(train.texts) if kind == "char" else train_bpe(train.texts, options.vocab_size or size or 1_024)
    say(f"tokenizer: {'characters' if kind == 'char' else 'byte-level BPE'}, {tokenizer.vocab_size:,} tokens")
    return tokenizer


def prepare(options: TrainOptions, tokenizer: Tokenizer, context: int) -> Prepared:
    """The data of a run whose tokenizer is there already."""
    return prepared(options, tokenizer, context, *corpora(options))


def prepared(options: TrainOptions, tokenizer: Tokenizer, context: int, train: Corpus, valid: Corpus | None) -> Prepared:
    """Tokenised data; what was cut or is unknown is said. InputError when the text is shorter than the context."""
    ledger = train.ledger
    found = spans(train, tokenizer, context, ledger)
    if train.kind == "running" and found.targets < context:
        few = f"{train.source} has {found.targets:,} tokens to learn from, fewer than the context of {context}"
        raise InputError(f"{few}: give more text or a smaller --context")
    cut = ledger.get("tokens", "texts cut into windows")
    if cut and train.kind == "lines":
        say(f"{cut:,} texts are longer than the context of {context} and are read in windows; nothing is dropped")
    held = spans(valid, tokenizer, context, Ledger()) if valid is not None else None
    if valid is not None and held is not None:
        unknown = sum(tokenizer.unknown(ids) for ids in tokenizer.encode_many(valid.texts))
        if unknown:
            say(f"{unknown:,} held-out characters do not occur in the training text and are read as unknown")
    test = read(options.test, examples=train.kind, column=options.column) if options.test else None
    digest = hashlib.sha256("\n".join(train.texts + (valid.texts if valid else [])).encode("utf-8", "surrogatepass")).hexdigest()
    source = options.data if options.data == "-" else str(Path(options.data or "").resolve())
    facts = {
        "source": source,
        "kind": train.kind,
        "sha256": digest,
        "texts": len(train.texts),
        "held_out_texts": len(valid.texts) if valid else 0,
    }
    bytes_per_target = valid.bytes() / held.targets if valid is not None and held is not None else 0.0
    return Prepared(found, held, spans(test, tokenizer, context, Ledger()) if test else None, bytes_per_target, facts, ledger)


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
    model.eval()
    pad = tokenizer.pad_id or 0
    test = measure(model, data.test, pad=pad).loss if data.test is not None else None
    loss = progress.best if progress.best is not None else measure(model, data.train, pad=pad, most_tokens=plan.eval_tokens).loss
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
    bpb = f" ({bits:.3f} bits per byte)" if bits is not None else ""
    say(f"{held} {loss:.4f} nats per token{bpb} at step {progress.best_step:,}; trained for {span(progress.seconds)}, {span(wall)} in all")
    say(f"the run is in {folder.path}: harken generate {folder.path}")
    return trained
