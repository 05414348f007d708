"""Passwords, hashed with argon2id off the event loop; needs the extra `passwords`."""

try:
    import argon2
except ImportError as error:
    raise ImportError(
        "maestro_core_auth.passwords needs the extra: pip install 'maestro-core-auth[passwords]'"
    ) from error

import asyncio
import base64
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._errors import InvalidCredentials, LoginThrottled, PasswordRejected, PasswordsBusy
from maestro_core_auth._events import AuthEvent, Listener, nobody_listens
from maestro_core_auth._records import User
from maestro_core_auth._store import AuthStore
from maestro_core_auth._throttle import LoginThrottle
from maestro_core_auth._users import Users

ResultT = TypeVar("ResultT")

MAX_PASSWORD_BYTES = 1024
MIN_NAME_CHARS = 3


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one hash costs: argon2id with version 1.3, a 16-byte salt and a 32-byte hash."""

    memory_kib: int
    passes: int
    lanes: int


OWASP_MINIMUM = Argon2Cost(memory_kib=19_456, passes=2, lanes=1)
"""19 MiB: the first choice of OWASP's password storage cheat sheet."""
RFC_9106_LOW_MEMORY = Argon2Cost(memory_kib=65_536, passes=3, lanes=4)
"""64 MiB: the second recommended option of RFC 9106, for machines that cannot spend 2 GiB."""


class Passwords:
    """Hashes and verifies passwords: `max_concurrent` at once, each with `cost.memory_kib`, and a bounded queue.

    A method raises PasswordsBusy when `max_waiting` wait already. Use as an async context manager, or `close` it.
    """

    def __init__(
        self,
        cost: Argon2Cost = RFC_9106_LOW_MEMORY,
        *,
        min_chars: int = 15,
        max_concurrent: int = 2,
        max_waiting: int = 64,
    ) -> None:
        self._hasher = argon2.PasswordHasher(
            time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes, hash_len=32, salt_len=16
        )
        self._min_chars = min_chars
        self._threads = ThreadPoolExecutor(max_concurrent, thread_name_prefix="maestro-auth-passwords")
        self._room = max_concurrent + max_waiting
        self._lock = threading.Lock()
        self._nobodys_hash = _nobodys_hash(cost)

    async def __aenter__(self) -> "Passwords":
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the threads; what runs in them ends first."""
        self._threads.shutdown()

    def check(self, password: str, subject: str) -> None:
        """Raise PasswordRejected, with all problems, for a new password that breaks the rules.

        Length counts and nothing else does (NIST SP 800-63B-4), save that the name is no password.
        """
        text, name = _normal(password[: MAX_PASSWORD_BYTES + 1]), _normal(subject).casefold()
        problems: list[str] = []
        if len(text) < self._min_chars:
            problems.append(f"a password has at least {self._min_chars} characters")
        if len(_bytes(text)) > MAX_PASSWORD_BYTES:
            problems.append(f"a password has at most {MAX_PASSWORD_BYTES} bytes")
        elif len(name) >= MIN_NAME_CHARS and name in text.casefold():
            problems.append("a password does not hold the name of its user")
        if problems:
            raise PasswordRejected(problems=tuple(problems))

    async def hash(self, password: str, subject: str) -> str:
        """The hash of a new password of this user; raises PasswordRejected as `check` does."""
        self.check(password, subject)
        return await self.rehash(password)

    async def rehash(self, password: str) -> str:
        """The hash of a password that is in use already, whatever the rules for new ones say."""
        return await self._off_loop(lambda: self._hasher.hash(_bytes(_normal(password))))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password; with None as hash it is not, and finding that out takes as long."""
        text = _bytes(_normal(password)) if len(password) <= MAX_PASSWORD_BYTES else b""
        if not 0 < len(text) <= MAX_PASSWORD_BYTES:
            # No user can have this, so there is no user to hide.
            return False

        def verified() -> bool:
            try:
                self._hasher.verify(self._nobodys_hash if password_hash is None else password_hash, text)
            except (argon2.exceptions.VerificationError, ValueError):
                # Another password; or, as ValueError, a hash that was damaged in the store.
                return False
            return password_hash is not None

        return await self._off_loop(verified)

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than those in use now."""
        return self._hasher.check_needs_rehash(password_hash)

    async def _off_loop(self, work: Callable[[], ResultT]) -> ResultT:
        with self._lock:
            if self._room <= 0:
                raise PasswordsBusy(retry_after_s=1.0)
            self._room -= 1
        done = self._threads.submit(work)
        # The room is given back when the work has ended, also when nobody waits for it any more.
        done.add_done_callback(self._leave)
        return await asyncio.wrap_future(done)

    def _leave(self, _done: object) -> None:
        with self._lock:
            self._room += 1


class PasswordLogins:
    """Logs users in by password: throttled, with a rehash when parameters rise, silent about who exists."""

    def __init__(
        self,
        store: AuthStore,
        passwords: Passwords,
        *,
        throttle: LoginThrottle | None = None,
        clock: Clock = utc_now,
        listener: Listener = nobody_listens,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._throttle = LoginThrottle() if throttle is None else throttle
        self._clock = clock
        self._listener = listener

    async def login(self, subject: str, password: str, *, address: str) -> User:
        """The user, proved by password; `address` is where the attempt comes from.

        Raises LoginThrottled, PasswordsBusy, or InvalidCredentials, which is the same for a user who does not exist.
        """
        now = self._clock()
        try:
            self._throttle.admit(subject, address, now)
        except LoginThrottled:
            self._tell("login.throttled", subject, now, address)
            raise
        user = await self._store.user(subject)
        password_hash = None if user is None or user.disabled else user.password_hash
        if not await self._passwords.verify(password_hash, password) or user is None:
            self._tell("login.failed", subject, now, address)
            raise InvalidCredentials("no such user with that password")
        self._throttle.succeeded(subject, address)
        if password_hash is not None and self._passwords.needs_rehash(password_hash):
            user = await self._rehashed(user, password)
        self._tell("login.succeeded", subject, now, address)
        return user

    async def set_password(self, subject: str, password: str) -> User:
        """Give a user a new password, and end the sessions and refresh tokens that he has.

        Raises PasswordRejected or UnknownUser.
        """
        users = Users(self._store, clock=self._clock)
        await users.get(subject)
        user = await users.set_password_hash(subject, await self._passwords.hash(password, subject))
        now = self._clock()
        await self._store.revoke_keys("mss", subject, now)
        await self._store.revoke_families(subject, now, "the password was changed")
        self._tell("password.changed", subject, now, "")
        return user

    async def _rehashed(self, user: User, password: str) -> User:
        try:
            after = replace(user, password_hash=await self._passwords.rehash(password))
        except PasswordsBusy as error:
            # The old hash stays good; the next login tries again.
            self._tell("password.kept", user.subject, self._clock(), error.code)
            return user
        if not await self._store.replace_user(user, after):
            # The user was changed meanwhile, perhaps the password: what stands there now is newer than this.
            return user
        self._tell("password.rehashed", user.subject, self._clock(), "")
        return after

    def _tell(self, action: str, subject: str, at: datetime, reason: str) -> None:
        # What was typed as a name may be long, or a password.
        known = subject if len(subject) <= 64 and subject.isprintable() else "(not a name)"
        self._listener(AuthEvent(action, known, at, reason=reason))


def _normal(text: str) -> str:
    """One form for what looks the same, whatever keyboard it was typed on."""
    return unicodedata.normalize("NFKC", text)


def _nobodys_hash(cost: Argon2Cost) -> str:
    """A hash that takes as long to verify as any, and that no password has."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32))
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${salt}${digest}"


def _bytes(text: str) -> bytes:
    # Lone surrogates can come out of JSON; they are somebody's characters too.
    return text.encode("utf-8", "surrogatepass")


__all__ = [
    "OWASP_MINIMUM",
    "RFC_9106_LOW_MEMORY",
    "Argon2Cost",
    "PasswordLogins",
    "Passwords",
]
