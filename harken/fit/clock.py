"""What a run costs beside learning, measured as it goes, so that it can end when it was asked to: at the last file on disk."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

LEAVING = 0.3
"""Seconds between the last step and the last file that nothing below accounts for: the record, the best weights read back."""
SHARE = 0.1
"""Of a run's time, what measuring the finished model on held-out text may take: more would tell little more, and cost learning."""
_RECENT = 3
"""Measurements whose median is what the next one will take: on a busy machine a single one says little."""


@dataclass
class Clock:
    """The wall clock of a run. `began`: `time.monotonic()` when the process (or the call) began · `after`: held-out tokens that are
    measured only once learning is over · `held`: more of them, of which so many are read as fit into a tenth of the run's `minutes`. The
    rest is measured as it comes: seconds that a token takes to measure, that each measurement took with all that is kept, a picture, a
    saved state."""

    began: float = field(default_factory=time.monotonic)
    after: int = 0
    held: int = 0
    minutes: float | None = None
    a_token: float = 0.0
    measurements: list[float] = field(default_factory=list)
    a_picture: float = 0.6
    a_state: float = 0.0

    def wall(self) -> float:
        """Seconds since the process began."""
        return time.monotonic() - self.began

    def a_measurement(self) -> float:
        """Seconds the next measurement will take. The first one also compiled kernels: it counts until there are others."""
        recent = self.measurements[1:][-_RECENT:] or self.measurements
        return statistics.median(recent) if recent else 0.0

    def affordable(self) -> int:
        """Of `held`, how many tokens there is time for; all where no time is set, or where none was measured yet."""
        if self.minutes is None or not self.a_token:
            return self.held
        return min(self.held, int(SHARE * 60 * self.minutes / self.a_token))

    def tail(self) -> float:
        """Seconds from the last step to the last file: one more measurement, the state, the rest of the held-out text, the picture."""
        return self.a_measurement() + self.a_picture + 2 * self.a_state + (self.after + self.affordable()) * self.a_token + LEAVING
