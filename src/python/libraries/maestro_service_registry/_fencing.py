"""What is acted on keeps late holders out: a token lower than one it has seen is refused."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Final

from maestro_service_registry._errors import StaleToken, TooMany

_TABLE: Final = "CREATE TABLE IF NOT EXISTS fencing (resource TEXT PRIMARY KEY, token INTEGER NOT NULL) WITHOUT ROWID"
_RAISE: Final = """
INSERT INTO fencing VALUES (?, ?) ON CONFLICT (resource) DO UPDATE SET token = excluded.token
WHERE excluded.token >= fencing.token
"""


class FencingGuard:
    """Keeps resources of this process safe from holders whose lease is another's by now; threads share it.

    It remembers the highest token of each resource, at most `max_resources` of them: forgetting one would let a late
    holder in, so beyond that it raises TooMany.
    """

    def __init__(self, max_resources: int = 100_000) -> None:
        self._lock = threading.RLock()
        self._seen: dict[str, int] = {}
        self._max_resources = max_resources

    @contextlib.contextmanager
    def acting(self, resource: str, token: int) -> Iterator[None]:
        """Act inside the block, alone; raises StaleToken when a later holder has acted on the resource before."""
        with self._lock:
            seen = self._seen.get(resource)
            if seen is None and len(self._seen) >= self._max_resources:
                raise TooMany(f"the guard knows {self._max_resources} resources, and may forget none")
            if seen is not None and token < seen:
                raise StaleToken(f"{resource}: token {token} is late, {seen} has acted")
            self._seen[resource] = token
            yield


def fence(connection: sqlite3.Connection, resource: str, token: int) -> None:
    """Let a holder act on a resource in the open transaction of a SQLite connection; raises StaleToken.

    Call it first in the transaction that has the effect: then both are durable, or neither. It makes the table
    `fencing`. Raises ValueError outside a transaction, where it could not keep that promise.
    """
    if not connection.in_transaction:
        raise ValueError("fence() belongs inside a transaction: begin one first")
    connection.execute(_TABLE)
    if connection.execute(_RAISE, (resource, token)).rowcount == 0:
        (seen,) = connection.execute("SELECT token FROM fencing WHERE resource = ?", (resource,)).fetchone()
        raise StaleToken(f"{resource}: token {token} is late, {seen} has acted")
