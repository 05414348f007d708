"""Everything in memory: for tests, and for one process that may forget."""

from dataclasses import replace
from datetime import datetime

from maestro_core_auth._records import Family, KeyRecord, SigningKeyRecord, User
from maestro_core_auth._rotation import Exchange, Outcome, decide_exchange


class MemoryAuthStore:
    """An AuthStore in memory, of one event loop; no method waits in the middle, so each is one step."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._keys: dict[str, KeyRecord] = {}
        self._families: dict[str, Family] = {}
        self._spent: dict[str, set[bytes]] = {}
        self._signing: list[SigningKeyRecord] = []
        self._once: dict[bytes, tuple[str, datetime]] = {}

    async def add_user(self, user: User) -> bool:
        return self._users.setdefault(user.subject, user) is user

    async def user(self, subject: str) -> User | None:
        return self._users.get(subject)

    async def users(self) -> list[User]:
        return [self._users[subject] for subject in sorted(self._users)]

    async def replace_user(self, before: User, after: User) -> bool:
        stands = self._users.get(before.subject) == before and after.subject == before.subject
        if stands:
            self._users[after.subject] = after
        return stands

    async def add_key(self, key: KeyRecord) -> bool:
        return self._keys.setdefault(key.id, key) is key

    async def key(self, key_id: str) -> KeyRecord | None:
        return self._keys.get(key_id)

    async def keys(self, tag: str, subject: str | None = None) -> list[KeyRecord]:
        found = [key for key in self._keys.values() if key.tag == tag and subject in (None, key.subject)]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, key_id: str, at: datetime) -> bool:
        key = self._keys.get(key_id)
        if key is None or key.revoked_at is not None:
            return False
        self._keys[key_id] = replace(key, revoked_at=at)
        return True

    async def revoke_keys(self, tag: str, subject: str, at: datetime) -> int:
        return sum([await self.revoke_key(key.id, at) for key in await self.keys(tag, subject)])

    async def replace_key(self, key_id: str, successor: KeyRecord, old_expires_at: datetime) -> bool:
        old = self._keys.get(key_id)
        if old is None or old.revoked_at is not None or successor.id in self._keys:
            return False
        self._keys[key_id] = replace(old, expires_at=min(old.expires_at, old_expires_at))
        self._keys[successor.id] = successor
        return True

    async def touch_key(self, key_id: str, at: datetime) -> None:
        if key := self._keys.get(key_id):
            self._keys[key_id] = replace(key, last_used_at=max(at, key.last_used_at or at))

    async def add_family(self, family: Family) -> bool:
        return self._families.setdefault(family.id, family) is family

    async def family(self, family_id: str) -> Family | None:
        return self._families.get(family_id)

    async def exchange(self, exchange: Exchange) -> tuple[Outcome, Family | None]:
        family = self._families.get(exchange.family_id)
        if family is None:
            return Outcome.UNKNOWN, None
        spent = self._spent.setdefault(family.id, set())
        outcome, after = decide_exchange(family, exchange, spent=exchange.presented in spent)
        self._families[family.id] = after
        if outcome is Outcome.ROTATED:
            spent.add(exchange.presented)
        return outcome, after

    async def revoke_family(self, family_id: str, at: datetime, because: str) -> bool:
        family = self._families.get(family_id)
        if family is None or family.revoked_at is not None:
            return False
        self._families[family_id] = replace(family, revoked_at=at, revoked_because=because)
        return True

    async def revoke_families(self, subject: str, at: datetime, because: str) -> int:
        own = [family.id for family in self._families.values() if family.subject == subject]
        return sum([await self.revoke_family(family_id, at, because) for family_id in own])

    async def add_signing_key(self, key: SigningKeyRecord, after: str | None) -> bool:
        newest = self._signing[-1].kid if self._signing else None
        if newest != after or any(other.kid == key.kid for other in self._signing):
            return False
        self._signing.append(key)
        return True

    async def signing_keys(self) -> list[SigningKeyRecord]:
        return list(self._signing)

    async def remove_signing_key(self, kid: str) -> bool:
        before = len(self._signing)
        self._signing = [key for key in self._signing if key.kid != kid]
        return len(self._signing) < before

    async def keep_once(self, digest: bytes, value: str, expires_at: datetime) -> None:
        self._once[digest] = (value, expires_at)

    async def take_once(self, digest: bytes, now: datetime) -> str | None:
        value, expires_at = self._once.pop(digest, (None, now))
        return value if now < expires_at else None

    async def prune(self, before: datetime) -> int:
        keys = [key.id for key in self._keys.values() if key.expires_at < before]
        families = [family.id for family in self._families.values() if family.expires_at < before]
        once = [digest for digest, (_, expires_at) in self._once.items() if expires_at < before]
        for key_id in keys:
            del self._keys[key_id]
        for family_id in families:
            del self._families[family_id]
            self._spent.pop(family_id, None)
        for digest in once:
            del self._once[digest]
        return len(keys) + len(families) + len(once)

    async def close(self) -> None:
        """Nothing to let go of."""
