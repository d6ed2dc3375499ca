"""What a run is measured by, and by what its best model is known: the held-out loss, or a metric of its task."""

from __future__ import annotations

import math
from typing import Any

from ..base.errors import InputError, did_you_mean
from ..data.batches import Source
from ..data.laid import Alike, Laid
from ..measure.judge import Judged, judge
from ..measure.loss import Measured, measure
from ..nn.models import Model
from .state import Progress


def measured(model: Model, source: Source, *, pad: int, batch_size: int = 32, most_tokens: int | None = None) -> Measured:
    """The loss on some or all rows; with the metric where they are labelled."""
    how: Any = judge if isinstance(source, Laid) else measure
    return how(model, source, pad=pad, batch_size=batch_size, most_tokens=most_tokens)


def numbers(found: Measured) -> dict[str, float | None]:
    """The metric's numbers as a line of the journal; None for what has no value."""
    if not isinstance(found, Judged):
        return {}
    return {f"valid_{name}": None if math.isnan(value) else value for name, value in found.metrics.items()}


def judged_better(found: Measured, name: str | None, progress: Progress) -> bool:
    """Whether a model is the best so far, which is then remembered. Of equal metrics the lower loss decides. InputError for a metric that is
    not measured."""
    metrics = found.metrics if isinstance(found, Judged) else {}
    name = name or (found.main if isinstance(found, Judged) else "loss")
    lower = progress.best is None or found.loss < progress.best
    if name == "loss":
        return lower
    if name not in metrics:
        raise InputError(f"--best {name} is not measured in this task{did_you_mean(name, ['loss', *metrics])}")
    value = metrics[name]
    if math.isnan(value):
        return progress.judged is None and lower
    if progress.judged is None or value > progress.judged or (value == progress.judged and lower):
        progress.judged = value
        return True
    return False


def together(source: Source) -> bool:
    """Whether the rows of a batch must be read together, as they are each other's wrong answers."""
    return isinstance(source, Laid) and isinstance(source.goal, Alike)
