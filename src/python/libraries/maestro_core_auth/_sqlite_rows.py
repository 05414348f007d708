"""The tables, and how records become rows of them and come back."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from maestro_core_auth._records import Family, KeyRecord, SigningKeyRecord, User

APPLICATION_ID = 0x6D617574  # "maut", so that the file says what it is
SCHEMA_VERSION = 1
SCHEMA = (
    """CREATE TABLE users (
        subject TEXT PRIMARY KEY, roles TEXT NOT NULL, created_at INTEGER NOT NULL,
        password_hash TEXT, disabled INTEGER NOT NULL) STRICT""",
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY, tag TEXT NOT NULL, subject TEXT NOT NULL, roles TEXT NOT NULL, scopes TEXT NOT NULL,
        label TEXT NOT NULL, digest BLOB NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        revoked_at INTEGER, last_used_at INTEGER) STRICT""",
    "CREATE INDEX keys_of ON keys (subject, tag)",
    """CREATE TABLE families (
        id TEXT PRIMARY KEY, subject TEXT NOT NULL, scopes TEXT NOT NULL, client_id TEXT NOT NULL,
        digest BLOB NOT NULL, started_at INTEGER NOT NULL, token_expires_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL, previous_digest BLOB NOT NULL, rotated_at INTEGER,
        revoked_at INTEGER, revoked_because TEXT NOT NULL) STRICT""",
    "CREATE INDEX families_of ON families (subject)",
    """CREATE TABLE spent (
        family_id TEXT NOT NULL REFERENCES families (id) ON DELETE CASCADE, digest BLOB NOT NULL,
        PRIMARY KEY (family_id, digest)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE signing_keys (
        number INTEGER PRIMARY KEY AUTOINCREMENT, kid TEXT NOT NULL UNIQUE, private_pem TEXT NOT NULL,
        created_at INTEGER NOT NULL, activates_at INTEGER NOT NULL) STRICT""",
    """CREATE TABLE once (
        digest BLOB PRIMARY KEY, value TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
)

Row: TypeAlias = tuple[Any, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    """A time as whole microseconds, so that nothing is rounded."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def micros_or_none(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def user_row(user: User) -> Row:
    return (user.subject, _words(user.roles), micros(user.created_at), user.password_hash, int(user.disabled))


def user_of(row: Row) -> User:
    subject, roles, created_at, password_hash, disabled = row
    return User(subject, _set(roles), _time(created_at), password_hash, bool(disabled))


def key_row(key: KeyRecord) -> Row:
    words = (key.id, key.tag, key.subject, _words(key.roles), _words(key.scopes), key.label, key.digest)
    times = (micros(key.created_at), micros(key.expires_at))
    return (*words, *times, micros_or_none(key.revoked_at), micros_or_none(key.last_used_at))


def key_of(row: Row) -> KeyRecord:
    key_id, tag, subject, roles, scopes, label, digest, created_at, expires_at, revoked_at, last_used_at = row
    return KeyRecord(
        id=key_id,
        tag=tag,
        subject=subject,
        roles=_set(roles),
        scopes=_set(scopes),
        label=label,
        digest=digest,
        created_at=_time(created_at),
        expires_at=_time(expires_at),
        revoked_at=_time_or_none(revoked_at),
        last_used_at=_time_or_none(last_used_at),
    )


def family_row(family: Family) -> Row:
    words = (family.id, family.subject, _words(family.scopes), family.client_id, family.digest)
    times = (micros(family.started_at), micros(family.token_expires_at), micros(family.expires_at))
    changes = (family.previous_digest, micros_or_none(family.rotated_at), micros_or_none(family.revoked_at))
    return (*words, *times, *changes, family.revoked_because)


def family_of(row: Row) -> Family:
    family_id, subject, scopes, client_id, digest, started_at, token_expires_at, expires_at, *changes = row
    previous_digest, rotated_at, revoked_at, revoked_because = changes
    return Family(
        id=family_id,
        subject=subject,
        scopes=_set(scopes),
        client_id=client_id,
        digest=digest,
        started_at=_time(started_at),
        token_expires_at=_time(token_expires_at),
        expires_at=_time(expires_at),
        previous_digest=previous_digest,
        rotated_at=_time_or_none(rotated_at),
        revoked_at=_time_or_none(revoked_at),
        revoked_because=revoked_because,
    )


def signing_key_row(key: SigningKeyRecord) -> Row:
    return (key.kid, key.private_pem, micros(key.created_at), micros(key.activates_at))


def signing_key_of(row: Row) -> SigningKeyRecord:
    kid, private_pem, created_at, activates_at = row
    return SigningKeyRecord(kid, private_pem, _time(created_at), _time(activates_at))


def _words(words: frozenset[str]) -> str:
    return json.dumps(sorted(words))


def _set(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))


def _time(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def _time_or_none(value: int | None) -> datetime | None:
    return None if value is None else _time(value)
