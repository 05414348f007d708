"""The secrets of one engine: callers set them, steps get them, nobody else sees them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from maestro_engine.secrets.contract import KeyRotated, SecretList, SecretView, SetSecret
from maestro_engine.secrets.errors import NoSecretKey, SecretExpired, SecretUnreadable, UnknownSecret
from maestro_engine.secrets.keys import CannotOpen, Keys, Sealing
from maestro_engine.secrets.store import Kept, SecretStore
from maestro_workflow_engine import SecretNotFound

_USED_WITHIN: Final = timedelta(minutes=1)

_log: Final = logging.getLogger("maestro_engine.secrets")


def _now() -> datetime:
    return datetime.now(UTC)


class Secrets:
    """Named values, each sealed for its name and version; the source that the workflow engine asks."""

    def __init__(self, store: SecretStore, keys: Keys | None, *, clock: Callable[[], datetime] = _now) -> None:
        self._store = store
        self._keys = keys
        self._sealing = None if keys is None else Sealing(keys, "secrets")
        self._clock = clock
        self._rotating = asyncio.Lock()

    async def get(self, name: str) -> str:
        """The value, for a step; raises SecretNotFound, or SecretError where it cannot be had."""
        try:
            kept = await self._store.one(name)
        except UnknownSecret as error:
            raise SecretNotFound(name, "set it with PUT /api/secrets/NAME") from error
        now = self._clock()
        if kept.expires_at is not None and kept.expires_at <= now:
            raise SecretExpired(name)
        value = self._opened(kept)
        if kept.last_used_at is None or now - kept.last_used_at >= _USED_WITHIN:
            await self._store.touch(name, now)
        return value

    async def all(self) -> SecretList:
        """Every secret, by name."""
        present = None if self._keys is None else self._keys.present.id.hex()
        return SecretList(items=[self._view(kept) for kept in await self._store.all()], key_id=present)

    async def one(self, name: str) -> tuple[SecretView, str]:
        """One secret, and its revision; raises UnknownSecret."""
        kept = await self._store.one(name)
        return self._view(kept), kept.revision

    async def set(self, name: str, order: SetSecret, *, expected: str | None) -> tuple[SecretView, str]:
        """Give it a new value, where it still has the expected revision (None: where it is not there yet).

        Raises SecretChanged, TooManySecrets, NoSecretKey.
        """
        sealing = self._there()
        value = order.value.get_secret_value().encode()
        kept = await self._store.put(
            name,
            lambda version: sealing.seal(value, _place(name, version)),
            description=order.description,
            expires_at=order.expires_at,
            now=self._clock(),
            expected=expected,
        )
        return self._view(kept), kept.revision

    async def delete(self, name: str, *, expected: str | None) -> None:
        """Forget it; steps that want it fail from now on. Raises UnknownSecret, SecretChanged."""
        await self._store.delete(name, expected=expected)

    async def rotate_key(self) -> KeyRotated:
        """Encrypt every secret with the first key, which is a new one where the engine keeps the file of its keys.

        Earlier keys stay in the file: artifacts may be encrypted with them. Raises NoSecretKey, BadSecretKey.
        """
        sealing, unreadable = self._there(), list[str]()
        keys = self._keys
        assert keys is not None  # or there was no sealing

        def anew(kept: Kept) -> bytes | None:
            if sealing.key_of(kept.sealed) == keys.present:
                return None
            try:
                value = sealing.open(kept.sealed, _place(kept.name, kept.version))
            except CannotOpen:
                unreadable.append(kept.name)
                return None
            return sealing.seal(value, _place(kept.name, kept.version))

        async with self._rotating:
            is_new = await asyncio.to_thread(keys.renew)
            resealed = await self._store.reseal(anew)
        return KeyRotated(key_id=keys.present.id.hex(), is_new=is_new, resealed=resealed, unreadable=sorted(unreadable))

    async def warn(self) -> None:
        """Tell the log which secrets cannot be opened; the engine goes on without them."""
        lost = [view.name for view in (await self.all()).items if not view.is_readable]
        if lost:
            _log.error("secret.unreadable: the key is not there; secrets=%s", ",".join(lost[:20]))

    def _opened(self, kept: Kept) -> str:
        try:
            return self._there().open(kept.sealed, _place(kept.name, kept.version)).decode()
        except CannotOpen as error:
            raise SecretUnreadable(kept.name, str(error)) from error

    def _there(self) -> Sealing:
        if self._sealing is None:
            raise NoSecretKey
        return self._sealing

    def _view(self, kept: Kept) -> SecretView:
        return SecretView(
            name=kept.name,
            version=kept.version,
            description=kept.description,
            created_at=kept.created_at,
            changed_at=kept.changed_at,
            expires_at=kept.expires_at,
            last_used_at=kept.last_used_at,
            key_id=kept.sealed[:4].hex(),
            is_readable=self._sealing is not None and self._sealing.key_of(kept.sealed) is not None,
        )


@asynccontextmanager
async def open_secrets(path: Path, keys: Keys | None) -> AsyncIterator[Secrets]:
    """Open the file of the secrets; raises SecretsUnavailable."""
    async with SecretStore(path) as store:
        secrets = Secrets(store, keys)
        await secrets.warn()
        yield secrets


def _place(name: str, version: int) -> bytes:
    return f"{name}\0{version}".encode()
