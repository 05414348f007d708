"""The one decision: what a reader does with what the store holds. Pure: time and chance are passed in."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from maestro_cache._policy import Policy


@dataclass(frozen=True, slots=True)
class Value:
    """The function returned this."""

    value: object


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised one of the policy's negative errors."""

    name: str
    arguments: tuple[object, ...]


Outcome: TypeAlias = Value | Raised


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store holds under a key, in the time of the reader's clock; `id` is new with every write."""

    id: str
    outcome: Outcome
    fresh_until_s: float
    served_until_s: float
    compute_s: float


@dataclass(frozen=True, slots=True)
class Fresh:
    """Serve it."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class EarlyRefresh:
    """Serve it, and refresh it in the background although it is fresh."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class StaleRefresh:
    """Serve it, and refresh it in the background because it is no longer fresh."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Miss:
    """There is nothing to serve."""


Decision: TypeAlias = Fresh | EarlyRefresh | StaleRefresh | Miss
MISS = Miss()


def decide(entry: Entry | None, now_s: float, policy: Policy, random: Callable[[], float]) -> Decision:
    """What a reader does; `random` gives numbers in [0, 1) and is asked only where chance matters."""
    if entry is None or now_s >= entry.served_until_s:
        return MISS
    if isinstance(entry.outcome, Raised) and policy.negative_error(entry.outcome.name) is None:
        return MISS
    left_s = entry.fresh_until_s - now_s
    if left_s <= 0:
        return StaleRefresh(entry)
    reach_s = policy.early_beta * entry.compute_s
    if reach_s > 0 and -math.log(1.0 - random()) * reach_s >= left_s:
        return EarlyRefresh(entry)
    return Fresh(entry)
