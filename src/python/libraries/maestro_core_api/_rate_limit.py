"""Rate limits: the law of a token bucket, exact and pure, and the store that keeps one number for each caller."""

import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from maestro_core_api._errors import InvalidApi

_NS: Final = 1_000_000_000
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_QUOTA: Final = 10**9


@dataclass(frozen=True, slots=True)
class RateLimitPolicy:
    """`quota` requests in each `window_s` seconds, spread evenly, and `burst` at once (None: as many as the quota).

    So never more than `quota * t / window_s + burst` in any t seconds.
    """

    name: str
    quota: int
    window_s: int
    burst: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidApi("a rate limit has a name of 1 to 64 letters, digits, - and _")
        for what, value in (("quota", self.quota), ("window_s", self.window_s), ("burst", self.depth)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_QUOTA:
                raise InvalidApi(f"rate limit {self.name}: {what} is a whole number from 1 to {_MAX_QUOTA}")

    @property
    def depth(self) -> int:
        """How many requests fit at once."""
        return self.quota if self.burst is None else self.burst


@dataclass(frozen=True, slots=True)
class RateLimitDecision:
    """What one policy says: whether it has room, how many more at once, and when there is room for one more again."""

    policy: RateLimitPolicy
    allowed: bool
    remaining: int
    next_s: float


def take(policy: RateLimitPolicy, full_at: int | None, now_ns: int) -> tuple[RateLimitDecision, int]:
    """Take one request out of the bucket if there is one; the decision, and the state to keep.

    The state is the moment at which the bucket will be full, in nanoseconds times quota: so every sum is of whole
    numbers, and a request comes back exactly `window_s / quota` seconds after it was taken. None is a full bucket.
    """
    now, cost = now_ns * policy.quota, policy.window_s * _NS
    empty_s_units = cost * policy.depth
    full = now if full_at is None else max(full_at, now)
    allowed = full + cost - empty_s_units <= now
    if allowed:
        full += cost
    remaining = (empty_s_units - (full - now)) // cost
    next_units = (remaining + 1) * cost - empty_s_units + full - now
    return RateLimitDecision(policy, allowed, remaining, next_units / policy.quota / _NS), full


class RateLimitStore(Protocol):
    """Keeps the buckets of all callers; one for several processes takes from all policies in one step of its own."""

    async def take(self, key: str, policies: Sequence[RateLimitPolicy]) -> tuple[RateLimitDecision, ...]:
        """Take one request from every policy, or from none where one of them refuses; a decision for each."""
        ...


class MemoryRateLimitStore:
    """The buckets of this process: those of the `max_keys` callers and policies that were used last.

    A bucket that is dropped is full again when its caller comes back, so a flood of made-up callers costs no memory.
    """

    def __init__(self, *, max_keys: int = 100_000, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        if max_keys < 1:
            raise InvalidApi("max_keys is at least 1")
        self._max_keys = max_keys
        self._now_ns = now_ns
        self._full_at: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    async def take(self, key: str, policies: Sequence[RateLimitPolicy]) -> tuple[RateLimitDecision, ...]:
        """One step: nothing is awaited between reading and writing."""
        now_ns = self._now_ns()
        names = [_digest(policy.name, key) for policy in policies]
        taken = [take(policy, self._full_at.get(name), now_ns) for policy, name in zip(policies, names, strict=True)]
        if all(decision.allowed for decision, _ in taken):
            for name, (_, full_at) in zip(names, taken, strict=True):
                self._full_at[name] = full_at
                self._full_at.move_to_end(name)
            while len(self._full_at) > self._max_keys:
                self._full_at.popitem(last=False)
            return tuple(decision for decision, _ in taken)
        for name in names:
            if name in self._full_at:
                self._full_at.move_to_end(name)
        return tuple(_untaken(decision) for decision, _ in taken)


def _untaken(decision: RateLimitDecision) -> RateLimitDecision:
    """The decision of a policy that had room, where another one had none: the request stays in the bucket."""
    if not decision.allowed:
        return decision
    return RateLimitDecision(decision.policy, True, decision.remaining + 1, decision.next_s)


def _digest(*parts: str) -> bytes:
    """Of one length whatever the caller calls itself, so that long names cost no memory either."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.digest()


def retry_after_s(decisions: Sequence[RateLimitDecision]) -> int:
    """Whole seconds after which all policies will have room."""
    return max((math.ceil(each.next_s) for each in decisions if not each.allowed), default=0)


def rate_limit_headers(decisions: Sequence[RateLimitDecision]) -> dict[str, str]:
    """RateLimit-Policy and RateLimit, as of draft-ietf-httpapi-ratelimit-headers-11."""
    return {
        "RateLimit-Policy": ", ".join(_policy_item(each.policy) for each in decisions),
        "RateLimit": ", ".join(f'"{each.policy.name}";r={each.remaining};t={_wait_s(each)}' for each in decisions),
    }


def _policy_item(policy: RateLimitPolicy) -> str:
    item = f'"{policy.name}";q={policy.quota};w={policy.window_s}'
    return item if policy.burst is None else f"{item};maestro-burst={policy.burst}"


def _wait_s(decision: RateLimitDecision) -> int:
    return math.ceil(decision.next_s)
