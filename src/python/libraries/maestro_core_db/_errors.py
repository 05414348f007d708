"""What this package raises.

    DatabaseError                       db
    ├── DriverMissing   (ImportError)   db.driver-missing         the extra for this kind of database is not installed
    ├── NotOpen         (RuntimeError)  db.not-open               used before `async with`, or after it
    ├── WrongUse        (RuntimeError)  db.wrong-use              called in a way that cannot be right; says how
    ├── Unreachable                     db.unreachable            retryable: no answer from the database
    ├── TransactionFailed               db.transaction-failed     the transaction was rolled back by the database
    │   ├── SerializationFailed         db.serialization-failed   retryable: another transaction came between
    │   ├── Deadlock                    db.deadlock               retryable: chosen as the victim of a deadlock
    │   ├── LockTimeout                 db.lock-timeout           retryable: a lock was held for too long
    │   ├── StatementTimeout            db.statement-timeout      one statement took too long
    │   ├── ConnectionLost              db.connection-lost        retryable: lost before the commit: nothing was done
    │   └── CommitUnknown               db.commit-unknown         lost during the commit: it may have been done
    ├── ReadOnly                        db.read-only              a write in a session that only reads
    ├── StaleVersion                    db.stale-version          another has changed or deleted the row meanwhile
    ├── InvalidPage     (ValueError)    db.invalid-page           a page's order or size that cannot be served
    │   └── InvalidPosition             db.invalid-position       a position that is none of this order
    ├── InvalidMessage  (ValueError)    db.invalid-message        a message that the outbox does not take
    └── MigrationError                  db.migration              a migration could not be run
        ├── DatabaseTooNew              db.too-new                the database was migrated by a newer version
        ├── DatabaseNotCurrent          db.not-current            the database still has to be migrated
        ├── MigrationLocked             db.migration-locked       retryable: another process is migrating
        └── BrokenMigrations            db.broken-migrations      the folder of migrations is not one line of revisions

SQLAlchemy's own errors (IntegrityError, NoResultFound …) leave this package as they are, without the parameters.
"""

from typing import ClassVar


class DatabaseError(Exception):
    """Root of everything this package raises."""

    code: ClassVar[str] = "db"
    retryable: ClassVar[bool] = False


class DriverMissing(DatabaseError, ImportError):
    """The driver of this kind of database is not installed; the message names the extra."""

    code = "db.driver-missing"


class NotOpen(DatabaseError, RuntimeError):
    """The database is used outside of its `async with`."""

    code = "db.not-open"


class WrongUse(DatabaseError, RuntimeError):
    """A call that cannot be right, such as a unit of work within another; the message says what to do."""

    code = "db.wrong-use"


class Unreachable(DatabaseError):
    """The database could not be reached, or did not answer in time."""

    code = "db.unreachable"
    retryable = True


class TransactionFailed(DatabaseError):
    """The database ended the transaction; what it did is undone."""

    code = "db.transaction-failed"


class SerializationFailed(TransactionFailed):
    """Another transaction came between; the same one, run again from its start, may succeed."""

    code = "db.serialization-failed"
    retryable = True


class Deadlock(TransactionFailed):
    """Two transactions waited for each other, and this one was chosen to give way."""

    code = "db.deadlock"
    retryable = True


class LockTimeout(TransactionFailed):
    """Another transaction held a lock for longer than the lock timeout."""

    code = "db.lock-timeout"
    retryable = True


class StatementTimeout(TransactionFailed):
    """A single statement took longer than the statement timeout."""

    code = "db.statement-timeout"


class ConnectionLost(TransactionFailed):
    """The connection was lost before the commit was asked for, so nothing was done."""

    code = "db.connection-lost"
    retryable = True


class CommitUnknown(TransactionFailed):
    """The connection was lost while the commit was on its way: nobody knows whether it was done."""

    code = "db.commit-unknown"


class ReadOnly(DatabaseError):
    """A session that only reads was asked to write; use a unit of work."""

    code = "db.read-only"


class StaleVersion(DatabaseError):
    """The row is not at the version that was read.

    `current_version` is None when the row is gone, or is no longer known; `key` is its primary key.
    """

    code = "db.stale-version"

    def __init__(
        self, entity: str, key: tuple[object, ...], *, expected_version: int, current_version: int | None
    ) -> None:
        now = "is gone" if current_version is None else f"is at version {current_version}"
        name = ", ".join(map(str, key))
        super().__init__(f"{entity} {name} {now}, not at version {expected_version}: read it again, then decide")
        self.entity = entity
        self.key = key
        self.expected_version = expected_version
        self.current_version = current_version


class InvalidPage(DatabaseError, ValueError):
    """The order or the size of a page cannot be served; a mistake in the program."""

    code = "db.invalid-page"


class InvalidPosition(InvalidPage):
    """The position does not belong to this order; a mistake of whoever sent it."""

    code = "db.invalid-position"


class InvalidMessage(DatabaseError, ValueError):
    """The outbox does not take this message; the message names the attribute."""

    code = "db.invalid-message"


class MigrationError(DatabaseError):
    """A migration could not be run; the database is at the last revision that was finished."""

    code = "db.migration"


class DatabaseTooNew(MigrationError):
    """The database is at a revision that this version of the wheel does not know; install the newer version."""

    code = "db.too-new"


class DatabaseNotCurrent(MigrationError):
    """The database is not at the newest revision; run the upgrade."""

    code = "db.not-current"


class MigrationLocked(MigrationError):
    """Another process was still migrating when the wait for it was over."""

    code = "db.migration-locked"
    retryable = True


class BrokenMigrations(MigrationError):
    """The folder of migrations is missing, or is not a single line of revisions."""

    code = "db.broken-migrations"
