"""Retry budget: what share of extra calls all policies together may add."""

import threading

from maestro_resilience._checks import Checks

_UNIT = 1_000_000


class RetryBudget:
    """A purse of tokens for any number of Retry and Hedge policies: each call puts in `ratio`, each extra call takes 1.

    It starts full with `burst` tokens and never holds more, so extra calls never exceed `burst + ratio * calls` over
    any stretch of time. When everything fails at once, load grows by `ratio` and not by the number of attempts.
    """

    def __init__(self, *, ratio: float = 0.2, burst: int = 10) -> None:
        checks = Checks("retry budget")
        checks.ratio("ratio", ratio, zero=True)
        checks.count("burst", burst)
        checks.done()
        # Whole millionths: sums of floats would drift, and the bound is exact.
        self._deposit = int(ratio * _UNIT)
        self._most = self._tokens = burst * _UNIT
        self._lock = threading.Lock()

    @property
    def tokens(self) -> float:
        """Extra calls that could be made now."""
        return self._tokens / _UNIT

    def deposit(self) -> None:
        """Count one call."""
        with self._lock:
            self._tokens = min(self._most, self._tokens + self._deposit)

    def withdraw(self) -> bool:
        """Pay for one extra call; False when the purse does not hold enough."""
        with self._lock:
            if self._tokens < _UNIT:
                return False
            self._tokens -= _UNIT
            return True


def check_budget(checks: Checks, budget: object) -> RetryBudget | None:
    """The `budget` of a policy; notes a problem when it is something else."""
    if budget is None or isinstance(budget, RetryBudget):
        return budget
    checks.fail("budget", "a RetryBudget", budget)
    return None
