"""How often logins may fail: pure decisions, and a bounded memory of who failed."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from maestro_core_auth._errors import LoginThrottled

Who: TypeAlias = tuple[str, str]
"""`account` or `address`, and which."""
MAX_NAME_CHARS = 255


@dataclass(frozen=True, slots=True)
class Attempts:
    """Logins of one account, or from one address, that have not succeeded."""

    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ThrottleRule:
    """After `free_attempts` the wait doubles from `first_wait_s` up to `max_wait_s`; forgotten after `forget_s`."""

    free_attempts: int
    first_wait_s: float = 1.0
    max_wait_s: float = 900.0
    forget_s: float = 3600.0

    def wait_s(self, attempts: Attempts | None, now: datetime) -> float:
        """How long until the next attempt is looked at; 0 when it is now."""
        if attempts is None or attempts.count < self.free_attempts:
            return 0.0
        doublings = min(attempts.count - self.free_attempts, 60)
        wait = timedelta(seconds=min(self.first_wait_s * 2.0**doublings, self.max_wait_s))
        return max(0.0, (attempts.last_at + wait - now).total_seconds())

    def after_attempt(self, attempts: Attempts | None, now: datetime) -> Attempts:
        """What is known after one more attempt."""
        if attempts is None or self.is_forgotten(attempts, now):
            return Attempts(1, now)
        # A clock that went back does not shorten a wait.
        return Attempts(attempts.count + 1, max(now, attempts.last_at))

    def is_forgotten(self, attempts: Attempts, now: datetime) -> bool:
        """Whether it was so long ago that it does not count."""
        return (now - attempts.last_at).total_seconds() >= max(self.forget_s, self.max_wait_s)


# An account is slowed down and never locked, or else anybody could lock out anybody.
PER_ACCOUNT = ThrottleRule(free_attempts=5, max_wait_s=60.0)
PER_ADDRESS = ThrottleRule(free_attempts=20, max_wait_s=900.0)


class LoginThrottle:
    """Admits login attempts, in this process, by account and by address.

    An attempt counts as failed from the moment it is admitted, so that a thousand at once are no better than one after
    the other; success takes it back. Of more than `max_remembered` accounts and addresses the longest untouched are
    forgotten.
    """

    def __init__(
        self,
        *,
        per_account: ThrottleRule = PER_ACCOUNT,
        per_address: ThrottleRule = PER_ADDRESS,
        max_remembered: int = 100_000,
    ) -> None:
        self._rules = {"account": per_account, "address": per_address}
        self._attempts: OrderedDict[Who, Attempts] = OrderedDict()
        self._max_remembered = max_remembered

    def admit(self, account: str, address: str, now: datetime) -> None:
        """Count an attempt; raises LoginThrottled, and counts nothing, while one of the two has to wait."""
        both: tuple[Who, Who] = (("account", account[:MAX_NAME_CHARS]), ("address", address[:MAX_NAME_CHARS]))
        wait_s = max(self._rules[kind].wait_s(self._known((kind, name), now), now) for kind, name in both)
        if wait_s > 0:
            raise LoginThrottled(retry_after_s=wait_s)
        for who in both:
            self._attempts[who] = self._rules[who[0]].after_attempt(self._attempts.get(who), now)
            self._attempts.move_to_end(who)
        while len(self._attempts) > self._max_remembered:
            self._attempts.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Forget what failed for the account; the address gets back this one attempt and no more."""
        self._attempts.pop(("account", account[:MAX_NAME_CHARS]), None)
        who = ("address", address[:MAX_NAME_CHARS])
        attempts = self._attempts.get(who)
        if attempts is not None:
            self._attempts[who] = Attempts(attempts.count - 1, attempts.last_at)

    def _known(self, who: Who, now: datetime) -> Attempts | None:
        attempts = self._attempts.get(who)
        if attempts is not None and self._rules[who[0]].is_forgotten(attempts, now):
            del self._attempts[who]
            return None
        return attempts
