"""Everything a run needs to go on as if nothing had happened: weights, optimizer, random state, place in the data, in one file.

One file, because one rename is atomic: a kill between two would leave halves that do not belong together. No pickle.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..base.errors import InputError
from ..checkpoint.save import save_tensors
from ..data.batches import Batches
from ..nn.models import Model
from .average import Average
from .optimizer import Optimizer


@dataclass
class Progress:
    """How far a run is. `lines`: of metrics.jsonl, which is cut back to them when the run goes on from here."""

    step: int = 0
    tokens: int = 0
    lines: int = 0
    seconds: float = 0.0  # since the first step
    head: float = 0.0  # before it, and before every resumed part
    measuring: float = 0.0  # of `seconds`, those in which nothing was learned
    evaluated: int = -1  # the last step whose model was measured
    due: float = 0.0  # the step, or the second, when it is to be measured next
    stale: int = 0  # measurements since the best one
    guess: float | None = None  # of the final loss
    best: float | None = None  # the loss of the best model
    judged: float | None = None  # what the best model is known by, where that is not the loss
    best_step: int = 0
    valid: float | None = None
    nats: float = 0.0  # summed since the last line
    since: int = 0  # tokens since the last line
    samples: list[str] = dataclasses.field(default_factory=list)

    def stepped(self, nats: float, tokens: int) -> None:
        """One step more is done."""
        self.step += 1
        self.tokens += tokens
        self.nats += nats
        self.since += tokens


def save_state(path: Path, progress: Progress, model: Model, optimizer: Optimizer, batches: Batches, average: Average) -> None:
    """Write the state of a run between two steps."""
    tensors = {f"model.{name}": p.detach() for name, p in model.adapters.learned().items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer.tensors().items()}
    tensors |= {f"average.{name}": value for name, value in average.values.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    facts = {"progress": dataclasses.asdict(progress), "position": batches.position}
    save_tensors(path, tensors, {"harken": json.dumps(facts)})


def load_state(path: Path, model: Model, optimizer: Optimizer, batches: Batches, average: Average) -> Progress:
    """Put a run back where `save_state` found it. InputError when the file is missing, damaged or of another model."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: this run saved no state to go on from; train it anew with --overwrite")
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["harken"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (a reader, not a dict)
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); train anew with --overwrite") from None
    with torch.no_grad():
        for name, p in model.adapters.learned().items():
            if f"model.{name}" not in tensors or tensors[f"model.{name}"].shape != p.shape:
                raise InputError(f"{path} does not fit the model of this run: {name} is missing or has another shape")
            p.copy_(tensors[f"model.{name}"])
        for name, value in average.values.items():
            value.copy_(tensors[f"average.{name}"])
    device = model.device
    optimizer.restore({k.removeprefix("optimizer."): v.to(device) for k, v in tensors.items() if k.startswith("optimizer.")})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    batches.position = tuple(facts["position"])
    return Progress(**facts["progress"])
