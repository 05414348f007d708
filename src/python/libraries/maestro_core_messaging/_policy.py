"""RetryPolicy: what becomes of a message whose handler failed; pure."""

import math
from dataclasses import dataclass
from typing import Final

from maestro_core_messaging._checks import check_count, check_seconds
from maestro_core_messaging._errors import InvalidSetting

LONGEST_ASKED_S: Final = 24 * 3600.0
"""An error's `retry_after_s` is followed up to here."""


@dataclass(frozen=True, slots=True)
class RetryAgain:
    """Deliver it again after `delay_s`."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Bury:
    """Make it a dead letter, for `reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `max_attempts`; between them waits that grow by `multiplier` up to `max_delay_s`.

    After attempt n the longest wait is min(max_delay_s, initial_delay_s * multiplier ** (n - 1)), and the shortest is
    (1 - jitter) times that. An error with `retryable` False ends it at once; one with `retry_after_s` is waited for.
    """

    max_attempts: int = 5
    initial_delay_s: float = 1.0
    multiplier: float = 2.0
    max_delay_s: float = 300.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        check_count("max_attempts", self.max_attempts)
        check_seconds("initial_delay_s", self.initial_delay_s, zero=True)
        check_seconds("max_delay_s", self.max_delay_s, zero=True)
        if not 1 <= self.multiplier <= 1000:
            raise InvalidSetting(f"multiplier must be from 1 to 1000, not {self.multiplier!r:.80}")
        if not 0 <= self.jitter <= 1:
            raise InvalidSetting(f"jitter must be from 0 to 1, not {self.jitter!r:.80}")

    def delay_s(self, attempt: int, random: float) -> float:
        """The wait after that many attempts; `random` is drawn from [0, 1)."""
        try:
            ceiling = min(self.max_delay_s, self.initial_delay_s * self.multiplier ** (attempt - 1))
        except OverflowError:
            ceiling = self.max_delay_s if self.initial_delay_s else 0.0
        return ceiling * (1.0 - self.jitter * random)

    def decide(self, attempt: int, error: BaseException, random: float) -> RetryAgain | Bury:
        """What follows when attempt number `attempt` ended with `error`."""
        if getattr(error, "retryable", None) is False:
            return Bury("not-retryable")
        if attempt >= self.max_attempts:
            return Bury("attempts-exhausted")
        return RetryAgain(max(self.delay_s(attempt, random), _asked_s(error)))


def _asked_s(error: BaseException) -> float:
    """The `retry_after_s` of an error, 0 where it has none or something that is no span of time."""
    asked = getattr(error, "retry_after_s", None)
    if isinstance(asked, int | float) and not isinstance(asked, bool) and math.isfinite(asked):
        return min(max(float(asked), 0.0), LONGEST_ASKED_S)
    return 0.0
