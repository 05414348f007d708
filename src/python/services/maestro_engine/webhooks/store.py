"""Webhooks in a SQLite file of their own; their secrets are sealed with a key that is not in it."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from maestro_engine.webhooks.errors import NoKey

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x4D535748  # "MSWH"
_SCHEMA: Final = """
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    types TEXT NOT NULL,
    template TEXT,
    name TEXT,
    is_active INTEGER NOT NULL,
    description TEXT NOT NULL,
    secret BLOB NOT NULL,
    earlier_secret BLOB,
    created_at TEXT NOT NULL
) STRICT;
CREATE TABLE progress (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL) STRICT;
"""


class Seal(Protocol):
    """Encrypts what belongs to one place."""

    def seal(self, data: bytes, bound_to: bytes) -> bytes:
        """The data encrypted; it opens only with the same `bound_to`."""
        ...

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed; raises ValueError."""
        ...


class NoSeal:
    """For an engine without a key: it keeps no secrets."""

    def seal(self, data: bytes, bound_to: bytes) -> bytes:
        """Raises NoKey."""
        raise NoKey

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Raises ValueError."""
        raise ValueError("the engine has no key: give it the one that they were sealed with")


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook; `secrets` are those that sign, the newest first, and never shown."""

    id: str
    url: str
    types: tuple[str, ...]
    template: str | None
    name: str | None
    is_active: bool
    description: str
    secrets: tuple[str, ...]
    created_at: datetime

    def __repr__(self) -> str:
        return f"Webhook({self.id})"


class WebhookStore:
    """The file; each call is one short transaction. Blocks."""

    def __init__(self, path: Path | None, seal: Seal) -> None:
        """Open the file, made where there is none; None keeps nothing beyond this object.

        Raises sqlite3.Error, OSError, and ValueError for a file of another program or of a newer engine.
        """
        self._seal = seal
        self._lock = threading.Lock()
        if path is not None and not path.exists():
            path.touch(mode=0o600)
        self._connection = sqlite3.connect(
            path or ":memory:", isolation_level=None, check_same_thread=False, timeout=5.0
        )
        try:
            self._prepare(path)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, path: Path | None) -> None:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        application_id = int(self._connection.execute("PRAGMA application_id").fetchone()[0])
        if version > SCHEMA_VERSION or (version and application_id != _APPLICATION_ID):
            raise ValueError(f"{path} was written by another program, or by a newer engine")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        if not version:
            with self._transaction():
                for statement in _SCHEMA.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def all(self) -> list[Webhook]:
        """Every webhook, the oldest first; raises ValueError when a secret cannot be opened."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, url, types, template, name, is_active, description, secret, earlier_secret, created_at "
                "FROM webhooks ORDER BY created_at, id"
            ).fetchall()
        return [self._webhook(row) for row in rows]

    def _webhook(self, row: tuple[object, ...]) -> Webhook:
        id_, url, types, template, name, is_active, description, secret, earlier, created_at = row
        bound_to = str(id_).encode()
        sealed = [each for each in (secret, earlier) if isinstance(each, bytes)]
        return Webhook(
            id=str(id_),
            url=str(url),
            types=tuple(json.loads(str(types))),
            template=None if template is None else str(template),
            name=None if name is None else str(name),
            is_active=bool(is_active),
            description=str(description),
            secrets=tuple(self._seal.open(each, bound_to).decode() for each in sealed),
            created_at=datetime.fromisoformat(str(created_at)),
        )

    def put(self, webhook: Webhook) -> None:
        """Keep a webhook, in place of the one of its id."""
        bound_to = webhook.id.encode()
        secret, *earlier = [self._seal.seal(each.encode(), bound_to) for each in webhook.secrets[:2]]
        values = (
            webhook.id,
            webhook.url,
            json.dumps(webhook.types),
            webhook.template,
            webhook.name,
            webhook.is_active,
            webhook.description,
            secret,
            earlier[0] if earlier else None,
            webhook.created_at.isoformat(),
        )
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO webhooks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def remove(self, webhook_id: str) -> None:
        """Forget a webhook."""
        with self._transaction():
            self._connection.execute("DELETE FROM webhooks WHERE id = ?", (webhook_id,))

    def position(self) -> int | None:
        """The position of the last event that has gone out; None when none ever has."""
        with self._lock:
            row = self._connection.execute("SELECT position FROM progress").fetchone()
        return None if row is None else int(row[0])

    def advance(self, position: int) -> None:
        """Everything up to here has gone out."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO progress VALUES (1, ?)", (position,))
