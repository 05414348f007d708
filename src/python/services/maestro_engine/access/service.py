"""Who is asking, and who may ask: sign-in by API keys, or nobody to tell apart where it is off."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from maestro_core_auth import (
    ApiKeys,
    Authenticator,
    AuthStore,
    InvalidCredentials,
    IssuedKey,
    KeyRecord,
    Principal,
    UnknownKey,
    User,
    Users,
)
from maestro_engine.access.contract import RoleName
from maestro_engine.access.errors import LastAdmin, ReservedName, SignInIsOff
from maestro_engine.access.policy import POLICY

LOCAL = Principal("local", "local", frozenset({"admin"}), frozenset({"*"}))
"""Everybody, where nobody has to sign in."""

RESERVED: Final = frozenset({"anonymous", "engine", "local", "maestro-audit", "maestro-engine"})
"""Whom the audit log calls so is no user."""

_DAY_S = 86_400.0


class Everybody(Authenticator):
    """Takes every caller for the local admin: on loopback, only programs of this machine come so far."""

    def __init__(self) -> None:
        super().__init__(POLICY)

    async def _find(self, scope: object) -> Principal:
        return LOCAL

    async def authenticate_token(self, token: str) -> Principal:
        """The local admin, whatever the token."""
        return LOCAL


class KeysOfUsers:
    """Verifies API keys. They have no roles of their own here: whoever shows one may what its owner may now."""

    def __init__(self, store: AuthStore, keys: ApiKeys) -> None:
        self._store = store
        self._keys = keys

    async def verify(self, secret: str, /) -> Principal:
        """Who it belongs to; raises InvalidCredentials."""
        return await self.renewed(await self._keys.verify(secret))

    async def renewed(self, principal: Principal) -> Principal:
        """Who was let in before, as he is now; raises InvalidCredentials where he would not be let in any more."""
        record, user = await self._store.key(principal.credential_id), await self._store.user(principal.subject)
        if record is None or record.revoked_at is not None or datetime.now(UTC) >= record.expires_at:
            raise InvalidCredentials("the key has ended")
        if user is None or user.disabled:
            raise InvalidCredentials("the user is shut out")
        return replace(principal, roles=user.roles)


class Access:
    """Users and keys of one engine; without a store there are none, and everybody is the local admin."""

    def __init__(self, store: AuthStore | None) -> None:
        self._store = store
        self._keys = ApiKeys(store) if store is not None else None
        self._verifier = KeysOfUsers(store, self._keys) if store is not None and self._keys is not None else None
        self._changing = asyncio.Lock()
        self.signs_in = store is not None
        self.authenticator = Authenticator(POLICY, api_keys=self._verifier) if self._verifier else Everybody()

    async def check_still(self, principal: Principal, permission: str) -> None:
        """Let who was let in once stay; raises InvalidCredentials or Forbidden where he would not be let in now."""
        if self._verifier is not None:
            self.authenticator.authorize(await self._verifier.renewed(principal), permission)

    async def keys_of(self, subject: str) -> list[KeyRecord]:
        """The keys of one user, oldest first; raises SignInIsOff."""
        return await self._there()[1].list(subject)

    async def issue(self, caller: Principal, label: str, lifetime_days: int) -> IssuedKey:
        """One more key for the caller, with the scopes of the one that was shown; raises SignInIsOff."""
        keys = self._there()[1]
        return await keys.issue(
            caller.subject, scopes=caller.scopes, label=label, lifetime_s=lifetime_days * _DAY_S, by=caller
        )

    async def revoke(self, caller: Principal, key_id: str) -> None:
        """End a key of the caller; raises UnknownKey for one of somebody else too."""
        keys = self._there()[1]
        if key_id not in {record.id for record in await keys.list(caller.subject)}:
            raise UnknownKey(f"{caller.subject} has no key {key_id!r}")
        await keys.revoke(key_id)

    async def users(self) -> list[User]:
        """Every user, by name; raises SignInIsOff."""
        return sorted(await self._there()[0].users(), key=lambda user: user.subject)

    async def add_user(self, subject: str, role: RoleName, lifetime_days: int) -> tuple[User, IssuedKey]:
        """Make a user with a first key; raises SignInIsOff, ReservedName or UserExists."""
        store, keys = self._there()
        check_name(subject)
        user = await Users(store).add(subject, {role})
        return user, await keys.issue(subject, label="first key", lifetime_s=lifetime_days * _DAY_S)

    async def issue_for(self, subject: str, label: str, lifetime_days: int) -> IssuedKey:
        """A key for a user who has lost the last one; raises SignInIsOff or UnknownUser."""
        return await self._there()[1].issue(subject, label=label, lifetime_s=lifetime_days * _DAY_S)

    async def change_user(self, subject: str, role: RoleName, disabled: bool) -> User:
        """Give a user another role, shut him out or let him in; raises UnknownUser or LastAdmin."""
        store, _ = self._there()
        users = Users(store)
        async with self._changing:  # two admins who shut each other out at once would leave none
            others = [user for user in await store.users() if user.subject != subject]
            if (role != "admin" or disabled) and not _admins(others) and _admins([await users.get(subject)]):
                raise LastAdmin(subject)
            await users.set_disabled(subject, disabled)
            return await users.set_roles(subject, {role})

    async def has_admin(self) -> bool:
        """Whether anybody can let others in."""
        return bool(_admins(await self._there()[0].users()))

    def _there(self) -> tuple[AuthStore, ApiKeys]:
        if self._store is None or self._keys is None:
            raise SignInIsOff
        return self._store, self._keys


def check_name(subject: str) -> None:
    """Raise ReservedName for what nobody can be called."""
    if subject.lower() in RESERVED:
        raise ReservedName(subject)


def _admins(users: Sequence[User]) -> list[User]:
    return [user for user in users if "admin" in user.roles and not user.disabled]
