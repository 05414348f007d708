"""Keys in the order in which they are asked for; the same in every run."""

import random
from collections.abc import Callable
from itertools import accumulate

REQUESTS = 200_000
KEYS = 20_000


def zipf(exponent: float, *, seed: int = 1) -> list[int]:
    """Popularity falls with the rank to the power of `exponent`; who is popular is spread over the numbers."""
    rng = random.Random(seed)
    weights = list(accumulate(1 / rank**exponent for rank in range(1, KEYS + 1)))
    names = list(range(KEYS))
    rng.shuffle(names)
    return rng.choices(names, cum_weights=weights, k=REQUESTS)


def zipf_with_scans(exponent: float, *, seed: int = 2) -> list[int]:
    """The same, and after every 10,000 requests 5,000 keys in order that nobody asks for again."""
    popular = zipf(exponent, seed=seed)
    trace, new = [], KEYS
    for start in range(0, REQUESTS, 10_000):
        trace += popular[start : start + 10_000]
        trace += range(new, new + 5_000)
        new += 5_000
    return trace


def drifting(exponent: float, *, seed: int = 3) -> list[int]:
    """The same, and what is popular moves on by a tenth of all keys eight times."""
    popular = zipf(exponent, seed=seed)
    step = REQUESTS // 8
    return [(number + at // step * (KEYS // 10)) % KEYS for at, number in enumerate(popular)]


TRACES: dict[str, Callable[[], list[int]]] = {
    "zipf 0.8": lambda: zipf(0.8),
    "zipf 1.0": lambda: zipf(1.0),
    "zipf 0.8 + scans": lambda: zipf_with_scans(0.8),
    "zipf 1.0 + scans": lambda: zipf_with_scans(1.0),
    "zipf 0.9, drifting": lambda: drifting(0.9),
}
