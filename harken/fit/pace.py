"""How far along a run is: by its steps, by the clock, or as another run went; so when to measure, at what rate to learn, when to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .clock import Clock
from .plan import Plan
from .schedule import Schedule, rate
from .state import Progress


class Pace(Protocol):
    """What the loop asks before every step."""

    def over(self, progress: Progress) -> bool:
        """Whether the last step is behind."""
        ...

    def share(self, progress: Progress) -> float:
        """How much of the run is behind, 0 to 1."""
        ...

    def learning_rate(self, progress: Progress) -> float:
        """Of the next step."""
        ...

    def due(self, progress: Progress) -> bool:
        """Whether the model is to be measured now."""
        ...

    def measured(self, progress: Progress, cost: float) -> None:
        """The model was measured, which took `cost` seconds: set when it is due again."""
        ...


@dataclass
class BySteps:
    """A number of steps that is known."""

    plan: Plan

    def over(self, progress: Progress) -> bool:
        return progress.step >= self.plan.steps

    def share(self, progress: Progress) -> float:
        return progress.step / self.plan.steps

    def learning_rate(self, progress: Progress) -> float:
        return self.plan.learning_rate * rate(progress.step, self.plan.steps, self.plan.warmup, self.plan.schedule)

    def due(self, progress: Progress) -> bool:
        return progress.step >= progress.due

    def measured(self, progress: Progress, cost: float) -> None:
        progress.due = progress.step + self.plan.eval_every


@dataclass
class ByTime:
    """As many steps as fit into the time that reading the data before and measuring and saving after leave for them."""

    plan: Plan
    clock: Clock
    elapsed: Callable[[], float]  # seconds since the first step, earlier parts of the run included

    def whole(self, progress: Progress) -> float:
        """Seconds to learn in. What comes after is measured again and again, so this moves a little."""
        assert self.plan.minutes is not None
        return max(self.plan.minutes * 60 - progress.head - self.clock.tail(), 1e-3)

    def over(self, progress: Progress) -> bool:
        step = self.elapsed() / progress.step if progress.step else 0.0
        return progress.step > 0 and self.elapsed() + step / 2 >= self.whole(progress)

    def share(self, progress: Progress) -> float:
        return min(1.0, self.elapsed() / self.whole(progress))

    def learning_rate(self, progress: Progress) -> float:
        return self.plan.learning_rate * rate(self.elapsed(), self.whole(progress), self.plan.warmup, self.plan.schedule)

    def due(self, progress: Progress) -> bool:
        return self.elapsed() >= progress.due

    def measured(self, progress: Progress, cost: float) -> None:
        progress.due = self.elapsed() + max(self.plan.eval_every, 5 * cost)  # measuring must not eat the time to learn


@dataclass
class Again:
    """Step by step as another run went."""

    schedule: Schedule

    def over(self, progress: Progress) -> bool:
        return progress.step >= len(self.schedule.learning_rates)

    def share(self, progress: Progress) -> float:
        return progress.step / len(self.schedule.learning_rates)

    def learning_rate(self, progress: Progress) -> float:
        return self.schedule.learning_rates[progress.step]

    def due(self, progress: Progress) -> bool:
        return progress.step >= progress.due

    def measured(self, progress: Progress, cost: float) -> None:
        progress.due = min((step for step in self.schedule.measured if step > progress.step), default=len(self.schedule.learning_rates))
