"""Versions of templates on disk: written once, and never given to other content, not even after a deletion."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from maestro_engine.database.file import Database, text_of, time_of

_APPLICATION_ID: Final = 0x4D_54_50_4C  # "MTPL"
_SCHEMA: Final = (
    """
    CREATE TABLE versions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL, document TEXT,
        created_at TEXT NOT NULL, created_by TEXT NOT NULL,
        deprecated_at TEXT, deprecation TEXT,
        UNIQUE (name, version)
    ) STRICT;
    CREATE INDEX versions_by_content ON versions (name, digest);
    """,
)
_COLUMNS: Final = "name, version, digest, created_at, created_by, deprecated_at, deprecation"


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One version of a template, without its definition."""

    name: str
    version: str
    digest: str
    created_at: datetime
    created_by: str
    deprecated_at: datetime | None
    deprecation: str | None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where content stands or would stand; `is_taken`: the version that was asked for has other content."""

    version: str
    is_new: bool
    is_taken: bool = False


class TemplateStore:
    """All versions of all templates, in the file at `path`."""

    def __init__(self, path: Path, *, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> None:
        self._database = Database(path, application_id=_APPLICATION_ID, schema=_SCHEMA, synchronous=synchronous)
        self.open = self._database.open
        self.close = self._database.close

    async def place(self, name: str, version: str | None, digest: str) -> Placed:
        """Where this content would stand."""
        return await self._database.run(lambda db: _place(db, name, version, digest))

    async def add(
        self, name: str, version: str | None, digest: str, document: Mapping[str, Any], *, at: datetime, by: str
    ) -> Placed:
        """Keep content, unless it is there already or its version is taken."""

        def add(db: sqlite3.Connection) -> Placed:
            placed = _place(db, name, version, digest)
            if placed.is_new:
                db.execute(
                    "INSERT INTO versions (name, version, digest, document, created_at, created_by)"
                    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name, version) DO UPDATE SET document = excluded.document,"
                    " created_at = excluded.created_at, created_by = excluded.created_by,"
                    " deprecated_at = NULL, deprecation = NULL",
                    (name, placed.version, digest, json.dumps(document), text_of(at), by),
                )
            return placed

        return await self._database.run(add)

    async def latest(self, after: str, limit: int) -> dict[str, str | None]:
        """The next templates by name, each with its newest version that is not deprecated, if there is one."""

        def read(db: sqlite3.Connection) -> dict[str, str | None]:
            newest = (
                "(SELECT version FROM versions AS v WHERE v.name = n.name AND v.document IS NOT NULL"
                " AND v.deprecated_at IS NULL ORDER BY number DESC LIMIT 1)"
            )
            names = "SELECT DISTINCT name FROM versions WHERE name > ? AND document IS NOT NULL ORDER BY name LIMIT ?"
            return dict(db.execute(f"SELECT name, {newest} FROM ({names}) AS n", (after, limit)).fetchall())

        return await self._database.run(read)

    async def versions(self, name: str) -> list[TemplateVersion]:
        """All versions that were not deleted, newest first."""
        query = f"SELECT {_COLUMNS} FROM versions WHERE name = ? AND document IS NOT NULL ORDER BY number DESC"
        rows = await self._database.run(lambda db: db.execute(query, (name,)).fetchall())
        return [_version(row) for row in rows]

    async def pick(self, name: str, version: str | None) -> tuple[str, dict[str, Any]] | None:
        """A version and its definition; for None the newest that is not deprecated. None where there is none."""
        query = (
            "SELECT version, document FROM versions WHERE name = ?1 AND document IS NOT NULL"
            " AND CASE WHEN ?2 IS NULL THEN deprecated_at IS NULL ELSE version = ?2 END ORDER BY number DESC LIMIT 1"
        )
        row = await self._database.run(lambda db: db.execute(query, (name, version)).fetchone())
        return None if row is None else (row[0], json.loads(row[1]))

    async def deprecate(self, name: str, version: str, reason: str | None, at: datetime | None) -> bool:
        """Mark a version, or with None take the mark away; gives whether there is such a version."""
        statement = (
            "UPDATE versions SET deprecated_at = ?, deprecation = ?"
            " WHERE name = ? AND version = ? AND document IS NOT NULL"
        )
        values = (None if at is None else text_of(at), reason, name, version)
        return await self._database.run(lambda db: db.execute(statement, values).rowcount == 1)

    async def delete(self, name: str) -> bool:
        """Forget the definitions of all versions, not that there were such versions; gives whether there were any."""
        statement = "UPDATE versions SET document = NULL WHERE name = ? AND document IS NOT NULL"
        return await self._database.run(lambda db: db.execute(statement, (name,)).rowcount > 0)


def _place(db: sqlite3.Connection, name: str, version: str | None, digest: str) -> Placed:
    """Where content stands or would stand; the same content under a version that was deleted comes back there."""
    rows: dict[str, tuple[str, int]] = {
        row[0]: (row[1], row[2])
        for row in db.execute(
            "SELECT version, digest, document IS NOT NULL FROM versions WHERE name = ? ORDER BY number", (name,)
        )
    }
    if version is not None:
        kept, is_there = rows.get(version, (digest, 0))
        return Placed(version, is_new=kept == digest and not is_there, is_taken=kept != digest)
    for known, (kept, is_there) in reversed(rows.items()):
        if kept == digest and is_there:
            return Placed(known, is_new=False)
    numbers = [int(known) for known in rows if known.isascii() and known.isdigit()]
    return Placed(str(max(numbers, default=0) + 1), is_new=True)


def _version(row: tuple[Any, ...]) -> TemplateVersion:
    name, version, digest, created_at, created_by, deprecated_at, deprecation = row
    deprecated = None if deprecated_at is None else time_of(deprecated_at)
    return TemplateVersion(name, version, digest, time_of(created_at), created_by, deprecated, deprecation)
