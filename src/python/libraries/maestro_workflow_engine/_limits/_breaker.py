"""Leaves alone for a while what keeps failing."""

from typing import Final

_EARLY_S: Final = 1e-5


class Breaker:
    """Opens after `failures` failures in a row; after `open_s` seconds one attempt goes through as a trial.

    Each attempt that begins gets the number of the era it began in; what attempts of an earlier era come to says
    nothing about how things stand now.
    """

    __slots__ = ("_in_a_row", "era", "failures", "has_trial", "open_s", "opened_at")

    def __init__(self, failures: int, open_s: float) -> None:
        self.failures = failures
        self.open_s = open_s
        self.era = 0
        self.opened_at: float | None = None
        self._in_a_row = 0
        self.has_trial = False

    def wait_s(self, now: float) -> float | None:
        """Seconds until one may begin, 0 when it may now; None: once the trial has ended."""
        if self.opened_at is None:
            return 0.0
        if self.has_trial:
            return None
        left = self.opened_at + self.open_s - now
        return left if left > _EARLY_S else 0.0

    def begin(self) -> int:
        """Count one that begins, as the trial when it is open; gives its era."""
        if self.opened_at is not None:
            self.has_trial = True
        return self.era

    def end(self, era: int, went_well: bool | None, now: float) -> None:
        """Count what one came to; None: it says nothing about what it called."""
        if era != self.era:
            return
        if self.has_trial:
            self.has_trial = False
            if went_well is None:
                return
            self._turn(None if went_well else now)
        elif went_well is not None:
            self._in_a_row = 0 if went_well else self._in_a_row + 1
            if self._in_a_row >= self.failures:
                self._turn(now)

    def change(self, failures: int, open_s: float) -> None:
        """Go on with other figures, as it stands."""
        self.failures, self.open_s = failures, open_s

    def is_fresh(self) -> bool:
        """Whether a new one would be the same."""
        return self.opened_at is None and self._in_a_row == 0

    def _turn(self, opened_at: float | None) -> None:
        self.opened_at = opened_at
        self.era += 1
        self._in_a_row = 0
