"""Users: whom credentials belong to."""

from collections.abc import Callable, Collection
from dataclasses import replace

from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._errors import InvalidCredentials, UnknownUser, UserExists
from maestro_core_auth._events import AuthEvent, Listener, nobody_listens
from maestro_core_auth._records import User
from maestro_core_auth._store import AuthStore


class Users:
    """Makes users and changes them; what they may do follows at once, for keys and sessions that exist too."""

    def __init__(self, store: AuthStore, *, clock: Clock = utc_now, listener: Listener = nobody_listens) -> None:
        self._store = store
        self._clock = clock
        self._listener = listener

    async def add(self, subject: str, roles: Collection[str] = (), *, password_hash: str | None = None) -> User:
        """Make a user; raises UserExists, or InvalidGrant for a subject or role that is not written as one."""
        user = User(subject, frozenset(roles), self._clock(), password_hash)
        if not await self._store.add_user(user):
            raise UserExists(f"there is a user {subject!r} already")
        self._listener(AuthEvent("user.added", subject, user.created_at, reason=_as_seen(user)))
        return user

    async def get(self, subject: str) -> User:
        """The user; raises UnknownUser."""
        user = await self._store.user(subject)
        if user is None:
            raise UnknownUser(f"there is no user {subject!r}")
        return user

    async def set_roles(self, subject: str, roles: Collection[str]) -> User:
        """Give a user these roles and no others; raises UnknownUser or InvalidGrant."""
        return await self._change(subject, lambda user: replace(user, roles=frozenset(roles)))

    async def set_disabled(self, subject: str, disabled: bool) -> User:
        """Shut a user out, keys and sessions included, or let the user in again; raises UnknownUser."""
        return await self._change(subject, lambda user: replace(user, disabled=disabled))

    async def set_password_hash(self, subject: str, password_hash: str | None) -> User:
        """Give a user a password that `Passwords` has hashed, or take it away; raises UnknownUser."""
        return await self._change(subject, lambda user: replace(user, password_hash=password_hash))

    async def _change(self, subject: str, change: Callable[[User], User]) -> User:
        while True:
            before = await self.get(subject)
            after = change(before)
            # Somebody else may have changed the user in between: then look again.
            if await self._store.replace_user(before, after):
                self._listener(AuthEvent("user.changed", subject, self._clock(), reason=_as_seen(after)))
                return after


def _as_seen(user: User) -> str:
    return f"roles {sorted(user.roles)}{', disabled' if user.disabled else ''}"


async def enabled_user(store: AuthStore, subject: str) -> User:
    """The user behind a credential; raises InvalidCredentials when there is none, or a disabled one."""
    user = await store.user(subject)
    if user is None or user.disabled:
        raise InvalidCredentials("the user is disabled" if user else "the user is gone")
    return user
