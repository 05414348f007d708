"""How long a value lives, and who may see it when."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from maestro_cache._errors import InvalidPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a value is fresh and what happens around that time; checked once, when made.

    ttl_s: a value is fresh for at most this long, counted from the end of its function.
    stale_s: for this long after that it is still served, at once, while one refresh runs in the background.
    jitter: each ttl is shortened by a random part of up to this fraction, so that what was stored together does not
        expire together.
    early_beta: readers of a fresh value refresh it in the background with probability exp(-left_s / (beta *
        compute_s)): XFetch of Vattani, Chierichetti and Lowenstein (2015). 1.0 is their optimum, 0.0 turns it off.
    negative_ttl_s: the ttl of nothing (None as a result) and of `negative_errors`, without a stale time; None treats a
        result of None like every other.
    negative_errors: errors that are an answer ("no such user"): kept, and raised again with the same arguments. Only
        these very classes, no subclasses. Other errors are never kept.
    lease_s: with a store that processes share, how long one of them has a key to itself to run the function; longer
        than the function needs. None: processes do not wait for each other.
    """

    ttl_s: float
    stale_s: float = 0.0
    jitter: float = 0.1
    early_beta: float = 1.0
    negative_ttl_s: float | None = None
    negative_errors: tuple[type[Exception], ...] = ()
    lease_s: float | None = 30.0

    def __post_init__(self) -> None:
        _require(_finite(self.ttl_s) and self.ttl_s > 0, "ttl_s", self.ttl_s, "a finite number over 0")
        _require(_finite(self.stale_s) and self.stale_s >= 0, "stale_s", self.stale_s, "a finite number, 0 or more")
        _require(_finite(self.jitter) and 0 <= self.jitter < 1, "jitter", self.jitter, "a number from 0 to below 1")
        _require(_finite(self.early_beta) and self.early_beta >= 0, "early_beta", self.early_beta, "0 or more")
        for name, seconds in (("negative_ttl_s", self.negative_ttl_s), ("lease_s", self.lease_s)):
            _require(seconds is None or (_finite(seconds) and seconds > 0), name, seconds, "None or a number over 0")
        _require(
            all(isinstance(kind, type) and issubclass(kind, Exception) for kind in self.negative_errors),
            "negative_errors",
            self.negative_errors,
            "a tuple of exception classes",
        )
        if self.negative_errors and self.negative_ttl_s is None:
            raise InvalidPolicy("negative_errors needs negative_ttl_s: say how long such an answer holds")

    def lifetime_s(self, *, negative: bool, random: Callable[[], float]) -> float:
        """A ttl drawn by the law of the jitter: uniform in (ttl * (1 - jitter), ttl], so never longer than asked."""
        ttl_s = self.negative_ttl_s if negative and self.negative_ttl_s is not None else self.ttl_s
        return ttl_s * (1.0 - self.jitter * random())

    def negative_error(self, name: str) -> type[Exception] | None:
        """The class among `negative_errors` that was kept under this name."""
        return next((kind for kind in self.negative_errors if error_name(kind) == name), None)


def error_name(kind: type[Exception]) -> str:
    """The name under which an error is kept."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise InvalidPolicy(f"{name} is {value!r}; give {wanted}")
