"""Backoff: how long to wait after the n-th failure; pure."""

from dataclasses import dataclass

from maestro_resilience._checks import Checks


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, capped, with jitter that only ever shortens.

    After failure n the longest wait is min(max_delay_s, initial_delay_s * multiplier ** (n - 1)), and the shortest is
    (1 - jitter) times that.
    """

    initial_delay_s: float = 0.1
    multiplier: float = 2.0
    max_delay_s: float = 10.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        checks = Checks("backoff")
        checks.seconds("initial_delay_s", self.initial_delay_s, zero=True)
        checks.number("multiplier", self.multiplier, 1, 1000)
        checks.seconds("max_delay_s", self.max_delay_s, zero=True)
        checks.ratio("jitter", self.jitter, zero=True)
        checks.done()

    def ceiling_s(self, failures: int) -> float:
        """The longest wait after that many failures (1 or more)."""
        try:
            return min(self.max_delay_s, self.initial_delay_s * self.multiplier ** (failures - 1))
        except OverflowError:
            return self.max_delay_s if self.initial_delay_s else 0.0

    def delay_s(self, failures: int, random: float) -> float:
        """The wait after that many failures; `random` is drawn from [0, 1)."""
        return self.ceiling_s(failures) * (1.0 - self.jitter * random)
