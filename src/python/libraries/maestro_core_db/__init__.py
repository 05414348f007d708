"""Async SQLAlchemy on SQLite and PostgreSQL: unit of work, transactional outbox, optimistic locks, migrations."""

from maestro_core_db._database import Database
from maestro_core_db._errors import (
    BrokenMigrations,
    CommitUnknown,
    ConnectionLost,
    DatabaseError,
    DatabaseNotCurrent,
    DatabaseTooNew,
    Deadlock,
    DriverMissing,
    InvalidMessage,
    InvalidPage,
    InvalidPosition,
    LockTimeout,
    MigrationError,
    MigrationLocked,
    NotOpen,
    ReadOnly,
    SerializationFailed,
    StaleVersion,
    StatementTimeout,
    TransactionFailed,
    Unreachable,
    WrongUse,
)
from maestro_core_db._keyset import KeysetPage, Order, keyset_page
from maestro_core_db._migrate._migrations import Migrations
from maestro_core_db._naming import NAMING_CONVENTION, TYPE_ANNOTATIONS, new_metadata
from maestro_core_db._outbox._message import OutboxMessage
from maestro_core_db._outbox._parked import (
    OutboxLag,
    ParkedMessage,
    outbox_lag,
    parked_messages,
    replay_parked,
    trim_outbox,
)
from maestro_core_db._outbox._relay import OutboxRelay
from maestro_core_db._outbox._table import outbox_table
from maestro_core_db._position import Position
from maestro_core_db._settings import DatabaseSettings
from maestro_core_db._types import ExactDecimal, Json, UtcDateTime
from maestro_core_db._unit_of_work import UnitOfWork
from maestro_core_db._versions import Versioned, check_version, update_versioned

__all__ = [
    "NAMING_CONVENTION",
    "TYPE_ANNOTATIONS",
    "BrokenMigrations",
    "CommitUnknown",
    "ConnectionLost",
    "Database",
    "DatabaseError",
    "DatabaseNotCurrent",
    "DatabaseSettings",
    "DatabaseTooNew",
    "Deadlock",
    "DriverMissing",
    "ExactDecimal",
    "InvalidMessage",
    "InvalidPage",
    "InvalidPosition",
    "Json",
    "KeysetPage",
    "LockTimeout",
    "MigrationError",
    "MigrationLocked",
    "Migrations",
    "NotOpen",
    "Order",
    "OutboxLag",
    "OutboxMessage",
    "OutboxRelay",
    "ParkedMessage",
    "Position",
    "ReadOnly",
    "SerializationFailed",
    "StaleVersion",
    "StatementTimeout",
    "TransactionFailed",
    "UnitOfWork",
    "Unreachable",
    "UtcDateTime",
    "Versioned",
    "WrongUse",
    "check_version",
    "keyset_page",
    "new_metadata",
    "outbox_lag",
    "outbox_table",
    "parked_messages",
    "replay_parked",
    "trim_outbox",
    "update_versioned",
]
