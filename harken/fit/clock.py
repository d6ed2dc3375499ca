"""What a run costs beside learning, measured as it goes, so that it can end when it was asked to: at the last file on disk."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

LEAVING = 0.3
"""Seconds between the last step and the last file that nothing below accounts for: the record, the words, the end of the process."""


@dataclass
class Clock:
    """The wall clock of a run. `began`: `time.monotonic()` when the process (or the call) began · `after`: held-out tokens that are
    measured only once learning is over. The rest is measured: seconds a token takes to measure, and each way of keeping."""

    began: float = field(default_factory=time.monotonic)
    after: int = 0
    a_token: float = 0.0
    a_measurement: float = 0.0  # with its samples and pictures
    a_state: float = 0.0

    def wall(self) -> float:
        """Seconds since the process began."""
        return time.monotonic() - self.began

    def tail(self) -> float:
        """Seconds from the last step to the last file: one more measurement, the state, the rest of the held-out text, the pictures."""
        return self.a_measurement + 2 * self.a_state + self.after * self.a_token + LEAVING
