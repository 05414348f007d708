"""Refresh tokens: opaque, used once, each login a family that ends when a spent one comes back."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._errors import InvalidCredentials, RefreshReused, RefreshSuperseded
from maestro_core_auth._events import AuthEvent, Listener, nobody_listens
from maestro_core_auth._keys import DAY_S
from maestro_core_auth._opaque import Opaque, RandomBytes, mint, parse
from maestro_core_auth._principal import EVERY_SCOPE
from maestro_core_auth._records import Family, User, check_grant
from maestro_core_auth._rotation import Exchange, Outcome
from maestro_core_auth._store import AuthStore
from maestro_core_auth._users import enabled_user


@dataclass(frozen=True, slots=True)
class IssuedRefresh:
    """A refresh token to hand out once, with its family and the user as he is now."""

    family: Family
    user: User
    token: str = field(repr=False)


class RefreshTokens:
    """Starts families and exchanges their tokens: of a family one token at most is valid at any time.

    `grace_s` is how long a token that has just been exchanged is only refused (RefreshSuperseded, for two tabs of one
    browser) and does not yet count as stolen. By default there is no grace.
    """

    def __init__(
        self,
        store: AuthStore,
        *,
        pepper: bytes = b"",
        idle_s: float = 14 * DAY_S,
        family_s: float = 90 * DAY_S,
        grace_s: float = 0.0,
        clock: Clock = utc_now,
        random_bytes: RandomBytes = secrets.token_bytes,
        listener: Listener = nobody_listens,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._idle = timedelta(seconds=idle_s)
        self._family = timedelta(seconds=family_s)
        self._grace_s = grace_s
        self._clock = clock
        self._random_bytes = random_bytes
        self._listener = listener

    async def start(
        self, subject: str, *, scopes: Collection[str] = EVERY_SCOPE, client_id: str = "maestro"
    ) -> IssuedRefresh:
        """The first token of a new family, for somebody who has just proved who he is.

        Raises InvalidCredentials when there is no live user of that subject.
        """
        check_grant(frozenset(), frozenset(scopes))
        user, now = await enabled_user(self._store, subject), self._clock()
        expires_at = now + self._family
        while True:
            opaque = mint("msr", self._random_bytes)
            family = Family(
                id=opaque.id,
                subject=subject,
                scopes=frozenset(scopes),
                client_id=client_id,
                digest=opaque.digest(self._pepper),
                started_at=now,
                token_expires_at=min(now + self._idle, expires_at),
                expires_at=expires_at,
            )
            if await self._store.add_family(family):
                self._tell("refresh.started", family)
                return IssuedRefresh(family, user, opaque.text)

    async def exchange(self, token: str) -> IssuedRefresh:
        """Spend a token and get the next; of callers with the same token exactly one wins.

        Raises RefreshReused (the family is revoked now), RefreshSuperseded (within the grace), or InvalidCredentials.
        """
        outcome, family, successor = await self._present(token, self._grace_s)
        if outcome is Outcome.SUPERSEDED:
            raise RefreshSuperseded
        if outcome is Outcome.REUSED and family is not None:
            self._tell("refresh.reused", family, family.revoked_because)
            raise RefreshReused("reused")
        if outcome is not Outcome.ROTATED or family is None:
            raise InvalidCredentials(outcome.value)
        return IssuedRefresh(family, await enabled_user(self._store, family.subject), successor.text)

    async def revoke(self, token: str) -> None:
        """Log out: end the family of a token, current or spent; one never issued changes nothing.

        Raises InvalidCredentials for what is not written as a refresh token.
        """
        # Spent first: whoever guesses an id, and not the token, ends nobody's login.
        outcome, family, _ = await self._present(token, grace_s=0.0)
        if family is None or outcome not in (Outcome.ROTATED, Outcome.EXPIRED, Outcome.REUSED):
            return
        await self._store.revoke_family(family.id, self._clock(), "logout")
        self._tell("refresh.revoked", family, "logout")

    async def revoke_subject(self, subject: str, because: str) -> int:
        """End every family of a subject; how many were live."""
        now = self._clock()
        count = await self._store.revoke_families(subject, now, because)
        if count:
            self._listener(AuthEvent("refresh.revoked", subject, now, reason=f"{because}: all {count}"))
        return count

    async def _present(self, token: str, grace_s: float) -> tuple[Outcome, Family | None, Opaque]:
        opaque, now = parse(token), self._clock()
        if opaque is None or opaque.tag != "msr":
            raise InvalidCredentials("not written as a refresh token")
        successor = mint("msr", self._random_bytes, opaque.id)
        exchange = Exchange(
            family_id=opaque.id,
            presented=opaque.digest(self._pepper),
            successor=successor.digest(self._pepper),
            token_expires_at=now + self._idle,
            now=now,
            grace_s=grace_s,
        )
        return *await self._store.exchange(exchange), successor

    def _tell(self, action: str, family: Family, reason: str = "") -> None:
        self._listener(AuthEvent(action, family.subject, self._clock(), family.id, reason))
