"""The port behind which everything is kept."""

from datetime import datetime
from typing import Protocol

from maestro_core_auth._records import Family, KeyRecord, SigningKeyRecord, User
from maestro_core_auth._rotation import Exchange, Outcome


class AuthStore(Protocol):
    """Keeps users, keys, families, signing keys and one-time values; every method is one atomic step.

    `AuthStoreConformance` in testing.py is what an implementation has to pass. Times only ever narrow: a revocation
    is never undone, an expiry never put off.
    """

    async def add_user(self, user: User) -> bool:
        """Keep a new user; False when the subject is taken."""
        ...

    async def user(self, subject: str) -> User | None:
        """The user of that subject."""
        ...

    async def users(self) -> list[User]:
        """Every user, by subject."""
        ...

    async def replace_user(self, before: User, after: User) -> bool:
        """Put `after` where `before` stands; False, and nothing done, when something else stands there by now."""
        ...

    async def add_key(self, key: KeyRecord) -> bool:
        """Keep a new key; False when its id is taken."""
        ...

    async def key(self, key_id: str) -> KeyRecord | None:
        """The key of that id, live or not."""
        ...

    async def keys(self, tag: str, subject: str | None = None) -> list[KeyRecord]:
        """The keys with that tag, of one subject or of all, oldest first."""
        ...

    async def revoke_key(self, key_id: str, at: datetime) -> bool:
        """Revoke one key; False when there is none, or it was revoked before."""
        ...

    async def revoke_keys(self, tag: str, subject: str, at: datetime) -> int:
        """Revoke every key of a subject with that tag; how many were live."""
        ...

    async def replace_key(self, key_id: str, successor: KeyRecord, old_expires_at: datetime) -> bool:
        """Keep the successor and let the old key end then at the latest; False when it was revoked or is unknown."""
        ...

    async def touch_key(self, key_id: str, at: datetime) -> None:
        """Note that a key was used."""
        ...

    async def add_family(self, family: Family) -> bool:
        """Keep a new family; False when its id is taken."""
        ...

    async def family(self, family_id: str) -> Family | None:
        """The family of that id."""
        ...

    async def exchange(self, exchange: Exchange) -> tuple[Outcome, Family | None]:
        """Apply `decide_exchange` and store what it says, in one step; the family as it stands then."""
        ...

    async def revoke_family(self, family_id: str, at: datetime, because: str) -> bool:
        """Revoke one family; False when there is none, or it was revoked before."""
        ...

    async def revoke_families(self, subject: str, at: datetime, because: str) -> int:
        """Revoke every family of a subject; how many were live."""
        ...

    async def add_signing_key(self, key: SigningKeyRecord, after: str | None) -> bool:
        """Keep a new signing key; False unless `after` is the newest one's kid (None: there is none)."""
        ...

    async def signing_keys(self) -> list[SigningKeyRecord]:
        """Every signing key, in the order in which they were added."""
        ...

    async def remove_signing_key(self, kid: str) -> bool:
        """Forget a signing key; False when there is none."""
        ...

    async def keep_once(self, digest: bytes, value: str, expires_at: datetime) -> None:
        """Keep a value that can be taken once."""
        ...

    async def take_once(self, digest: bytes, now: datetime) -> str | None:
        """Take a value out; None when there is none, it was taken, or it has expired."""
        ...

    async def prune(self, before: datetime) -> int:
        """Forget keys, families and one-time values that expired before that time; how many."""
        ...

    async def close(self) -> None:
        """Let go of files and threads; a second time does nothing."""
        ...
