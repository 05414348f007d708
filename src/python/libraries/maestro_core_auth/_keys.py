"""API keys and sessions: opaque credentials with an expiry, of which only a digest is kept."""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._errors import InvalidCredentials, InvalidGrant, UnknownKey
from maestro_core_auth._events import AuthEvent, Listener, nobody_listens
from maestro_core_auth._opaque import Opaque, RandomBytes, Tag, mint, parse
from maestro_core_auth._policy import covers
from maestro_core_auth._principal import EVERY_SCOPE, Kind, Principal
from maestro_core_auth._records import KeyRecord, check_grant
from maestro_core_auth._store import AuthStore
from maestro_core_auth._users import Users, enabled_user

DAY_S = 86_400.0
MAX_KEY_LIFETIME_S = 366 * DAY_S
MAX_LABEL_CHARS = 200
_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new credential: `secret` is to be shown once, and never comes back."""

    record: KeyRecord
    secret: str = field(repr=False)


class _Keys:
    """What API keys and sessions share: minting, verifying, revoking."""

    _tag: ClassVar[Tag]
    _kind: ClassVar[Kind]
    _revoked: ClassVar[str]

    def __init__(
        self,
        store: AuthStore,
        *,
        pepper: bytes = b"",
        clock: Clock = utc_now,
        random_bytes: RandomBytes = secrets.token_bytes,
        listener: Listener = nobody_listens,
        touch_every_s: float = 60.0,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock
        self._random_bytes = random_bytes
        self._listener = listener
        self._touch_every = timedelta(seconds=touch_every_s)

    async def verify(self, secret: str) -> Principal:
        """Who this credential belongs to; raises InvalidCredentials, the same whatever was wrong.

        Roles that the owner has lost since are gone from the principal too.
        """
        opaque = parse(secret)
        if opaque is None or opaque.tag != self._tag:
            raise InvalidCredentials("not written as a credential of this kind")
        record, now = await self._store.key(opaque.id), self._clock()
        # Compared even when there is nothing to compare with, so that an unknown id takes as long as a wrong secret.
        same = hmac.compare_digest(opaque.digest(self._pepper), record.digest if record else _NO_DIGEST)
        if record is None or not same:
            raise InvalidCredentials("wrong secret" if record else "unknown id")
        if record.tag != self._tag or record.revoked_at is not None or now >= record.expires_at:
            raise InvalidCredentials("revoked" if record.revoked_at else "expired")
        user = await enabled_user(self._store, record.subject)
        if record.last_used_at is None or now - record.last_used_at >= self._touch_every:
            await self._store.touch_key(record.id, now)
        roles = record.roles & user.roles
        return Principal(user.subject, self._kind, roles, record.scopes, record.id, record.expires_at)

    async def list(self, subject: str | None = None) -> list[KeyRecord]:
        """The records of one subject or of all, oldest first, those that ended too."""
        return await self._store.keys(self._tag, subject)

    async def revoke(self, key_id: str) -> None:
        """End one from now on; raises UnknownKey when there is none, or it was revoked before."""
        record = await self._known(key_id)
        if not await self._store.revoke_key(key_id, self._clock()):
            raise UnknownKey(f"{key_id} was revoked before")
        self._tell(self._revoked, record)

    async def revoke_all(self, subject: str) -> int:
        """End all of one subject; how many were live."""
        now = self._clock()
        count = await self._store.revoke_keys(self._tag, subject, now)
        if count:
            self._listener(AuthEvent(self._revoked, subject, now, reason=f"all {count}"))
        return count

    async def _known(self, key_id: str) -> KeyRecord:
        record = await self._store.key(key_id)
        if record is None or record.tag != self._tag:
            raise UnknownKey(f"there is no key {key_id!r}")
        return record

    def _record(
        self,
        opaque: Opaque,
        subject: str,
        roles: frozenset[str],
        scopes: frozenset[str],
        label: str,
        expires_at: datetime,
    ) -> KeyRecord:
        digest, now = opaque.digest(self._pepper), self._clock()
        return KeyRecord(opaque.id, self._tag, subject, roles, scopes, label, digest, now, expires_at)

    async def _issue(
        self, subject: str, roles: frozenset[str], scopes: frozenset[str], label: str, expires_at: datetime
    ) -> IssuedKey:
        while True:
            opaque = mint(self._tag, self._random_bytes)
            record = self._record(opaque, subject, roles, scopes, label, expires_at)
            if await self._store.add_key(record):
                return IssuedKey(record, opaque.text)

    def _tell(self, action: str, record: KeyRecord, reason: str = "") -> None:
        self._listener(AuthEvent(action, record.subject, self._clock(), record.id, reason))


class ApiKeys(_Keys):
    """API keys: `mst_…`, each of one owner, with roles of that owner, narrowed by scopes, until it expires."""

    _tag, _kind, _revoked = "mst", "key", "key.revoked"

    async def issue(
        self,
        subject: str,
        *,
        roles: Collection[str] | None = None,
        scopes: Collection[str] = EVERY_SCOPE,
        label: str = "",
        lifetime_s: float = 90 * DAY_S,
        by: Principal | None = None,
    ) -> IssuedKey:
        """Make a key with some roles of its owner; None takes all of them.

        `by` is who asks, and cannot give away more than he has. Raises UnknownUser or InvalidGrant.
        """
        owner = await Users(self._store).get(subject)
        wanted, narrowed = owner.roles if roles is None else frozenset(roles), frozenset(scopes)
        check_grant(wanted, narrowed)
        if not wanted <= owner.roles:
            raise InvalidGrant(f"{subject} does not have the roles {sorted(wanted - owner.roles)}")
        _check_giver(by, wanted, narrowed)
        _check_lifetime(lifetime_s)
        if len(label) > MAX_LABEL_CHARS or not label.isprintable():
            raise InvalidGrant(f"a label has up to {MAX_LABEL_CHARS} printable characters")
        expires_at = self._clock() + timedelta(seconds=lifetime_s)
        issued = await self._issue(subject, wanted, narrowed, label, expires_at)
        self._tell("key.issued", issued.record, f"by {by.subject}" if by else "")
        return issued

    async def rotate(self, key_id: str, *, overlap_s: float = 3600.0, by: Principal | None = None) -> IssuedKey:
        """A new key with the same owner, roles, scopes, label and lifetime; the old one ends after the overlap.

        `by` is who asks, as for `issue`: he sees the secret. Raises UnknownKey for a key that is unknown, revoked or
        expired, or InvalidGrant.
        """
        old, now = await self._known(key_id), self._clock()
        _check_giver(by, old.roles, old.scopes)
        if overlap_s < 0:
            raise InvalidGrant("an overlap is no negative number of seconds")
        opaque = mint(self._tag, self._random_bytes)
        expires_at = now + (old.expires_at - old.created_at)
        record = self._record(opaque, old.subject, old.roles, old.scopes, old.label, expires_at)
        ended = now >= old.expires_at
        if ended or not await self._store.replace_key(key_id, record, now + timedelta(seconds=overlap_s)):
            raise UnknownKey(f"{key_id} is not live any more")
        self._tell("key.rotated", record, f"follows {key_id}{f', by {by.subject}' if by else ''}")
        return IssuedKey(record, opaque.text)


class Sessions(_Keys):
    """Sessions of browsers: `mss_…`, for a cookie, with all roles of the user, until logout or expiry."""

    _tag, _kind, _revoked = "mss", "session", "session.ended"

    async def start(self, subject: str, *, lifetime_s: float = 12 * 3600.0) -> IssuedKey:
        """Open a session for somebody who has just proved who he is.

        Raises InvalidCredentials for no live user, InvalidGrant for a lifetime that cannot be.
        """
        _check_lifetime(lifetime_s)
        user = await enabled_user(self._store, subject)
        expires_at = self._clock() + timedelta(seconds=lifetime_s)
        issued = await self._issue(subject, user.roles, EVERY_SCOPE, "", expires_at)
        self._tell("session.started", issued.record)
        return issued


def _check_giver(by: Principal | None, roles: frozenset[str], scopes: frozenset[str]) -> None:
    if by is not None and not (roles <= by.roles and covers(by.scopes, scopes)):
        raise InvalidGrant("nobody can give a key more roles or wider scopes than his own")


def _check_lifetime(lifetime_s: float) -> None:
    if not 0 < lifetime_s <= MAX_KEY_LIFETIME_S:
        raise InvalidGrant(f"a key or a session lives for up to {MAX_KEY_LIFETIME_S / DAY_S:.0f} days")
