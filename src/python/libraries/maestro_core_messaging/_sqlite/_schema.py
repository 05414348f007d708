"""The tables of a broker's file, and the checks before it is used."""

import sqlite3
from typing import Final

from maestro_core_messaging._errors import StoreUnreadable

VERSION: Final = 1
_APPLICATION_ID: Final = 0x4D4D5347
"""Marks the file as ours: "MMSG"."""

# A delivery is what a group has still to do. Of each key only the first has ready = 1. `available_at` is when it may be
# taken: when it was published, when its retry is due, or, while it is leased, when the lease ends.
_TABLES: Final = """
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    source TEXT,
    id TEXT,
    key TEXT,
    body TEXT NOT NULL,
    published_at REAL NOT NULL,
    only_group INTEGER
) STRICT;
CREATE UNIQUE INDEX messages_once ON messages (topic, source, id) WHERE only_group IS NULL;
CREATE INDEX messages_of_topic ON messages (topic, seq);
CREATE TABLE groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (topic, name)
) STRICT;
CREATE TABLE deliveries (
    group_id INTEGER NOT NULL REFERENCES groups (id),
    seq INTEGER NOT NULL REFERENCES messages (seq),
    key TEXT,
    ready INTEGER NOT NULL,
    available_at REAL NOT NULL,
    leased INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    token INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (group_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_ready ON deliveries (group_id, available_at, seq) WHERE ready = 1;
CREATE INDEX deliveries_of_key ON deliveries (group_id, key, seq) WHERE key IS NOT NULL;
CREATE INDEX deliveries_of_message ON deliveries (seq);
CREATE TABLE dead (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id INTEGER NOT NULL REFERENCES groups (id),
    seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    reason TEXT NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    dead_at REAL NOT NULL
) STRICT;
CREATE INDEX dead_of_group ON dead (group_id, id);
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file; raises StoreUnreadable for one that is not ours, or newer than we are."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        if owner == _APPLICATION_ID and version > VERSION:
            raise StoreUnreadable(
                f"the store has schema version {version} and this package knows up to {VERSION}; upgrade the package"
            )
        empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if owner != _APPLICATION_ID and not empty:
            raise StoreUnreadable("the file is a database of another program; give the broker a file of its own")
        if empty:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
