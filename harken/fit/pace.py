"""How far along a run is: by its steps, by the clock, or as another run went; so when to measure, at what rate to learn, when to end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from .clock import Clock
from .plan import Plan
from .schedule import Schedule, rate
from .state import Progress
from .threads import Gear, use


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

    def threads(self, progress: Progress) -> int:
        """That the next step is done with; they are set."""
        ...

    def stepped(self, tokens: int, seconds: float) -> None:
        """A step on so many tokens is done."""
        ...

    def due(self, progress: Progress) -> bool:
        """Whether the model is to be measured now."""
        ...

    def measured(self, progress: Progress) -> None:
        """The model was measured: set when it is due again."""
        ...


@dataclass
class BySteps:
    """A number of steps that is known."""

    plan: Plan

    def threads(self, progress: Progress) -> int:
        return torch.get_num_threads()

    def stepped(self, tokens: int, seconds: float) -> None:
        pass

    def over(self, progress: Progress) -> bool:
        return progress.step >= self.plan.steps

    def share(self, progress: Progress) -> float:
        return progress.step / self.plan.steps

    def learning_rate(self, progress: Progress) -> float:
        return self.plan.learning_rate * rate(progress.step, self.plan.steps, self.plan.warmup, self.plan.schedule)

    def due(self, progress: Progress) -> bool:
        return progress.step >= progress.due

    def measured(self, progress: Progress) -> None:
        progress.due = progress.step + self.plan.eval_every


@dataclass
class ByTime:
    """As many steps as fit into the time that reading the data before and measuring and saving after leave for them."""

    plan: Plan
    clock: Clock
    elapsed: Callable[[], float]  # seconds since the first step, earlier parts of the run included
    gear: Gear | None = None  # None: the number of threads is fixed

    def threads(self, progress: Progress) -> int:
        return torch.get_num_threads() if self.gear is None else self.gear.count

    def stepped(self, tokens: int, seconds: float) -> None:
        if self.gear is not None:
            self.gear.after(tokens, seconds)

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
        # The schedule is laid over the time of learning alone, what is behind and what is still to come, so that no measurement skips a
        # part of it.
        asked, learned, left = self.plan.warmup_steps, self._learned(progress), max(self.whole(progress) - self.elapsed(), 0.0)
        if asked is not None and progress.step < asked:
            return self.plan.learning_rate * rate(progress.step, math.inf, asked, self.plan.schedule)
        cost = self.clock.a_measurement()
        if 0 < 2 * cost < left:
            left *= 1 - cost / (cost + self.period(progress))
        warmup = self.plan.warmup if asked is None else self._seconds(asked, progress)
        return self.plan.learning_rate * rate(learned, learned + left, warmup, self.plan.schedule)

    def _learned(self, progress: Progress) -> float:
        return self.elapsed() - progress.measuring

    def _seconds(self, steps: int, progress: Progress) -> float:
        """Of so many steps, as they went so far."""
        return steps * self._learned(progress) / max(progress.step, 1)

    def period(self, progress: Progress) -> float:
        """Seconds of learning between two measurements: these must not eat the time to learn, unless they were asked for."""
        if self.plan.eval_steps is not None:
            return self._seconds(self.plan.eval_steps, progress)
        return max(self.plan.eval_every, 5 * self.clock.a_measurement())

    def due(self, progress: Progress) -> bool:
        if progress.step == 0:
            return True
        left = self.whole(progress) - self.elapsed()  # the last one comes when it is over, and one just before would be for nothing
        behind = self.elapsed() if self.plan.eval_steps is None else progress.step
        return behind >= progress.due and left > 2 * self.clock.a_measurement()

    def measured(self, progress: Progress) -> None:
        asked = self.plan.eval_steps
        progress.due = self.elapsed() + self.period(progress) if asked is None else progress.step + asked


@dataclass
class Again:
    """Step by step as another run went."""

    schedule: Schedule

    def threads(self, progress: Progress) -> int:
        use(self.schedule.threads[progress.step])
        return torch.get_num_threads()

    def stepped(self, tokens: int, seconds: float) -> None:
        pass

    def over(self, progress: Progress) -> bool:
        return progress.step >= len(self.schedule.learning_rates)

    def share(self, progress: Progress) -> float:
        return progress.step / len(self.schedule.learning_rates)

    def learning_rate(self, progress: Progress) -> float:
        return self.schedule.learning_rates[progress.step]

    def due(self, progress: Progress) -> bool:
        return progress.step >= progress.due

    def measured(self, progress: Progress) -> None:
        progress.due = min((step for step in self.schedule.measured if step > progress.step), default=len(self.schedule.learning_rates))
