"""Secrets as steps get them, and as they lie on the disk: sealed, versioned, opened only with the right key."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maestro_engine.secrets.contract import SetSecret
from maestro_engine.secrets.errors import (
    NoSecretKey,
    SecretChanged,
    SecretError,
    SecretExpired,
    SecretsUnavailable,
    SecretUnreadable,
    TooManySecrets,
    UnknownSecret,
)
from maestro_engine.secrets.keys import Key, Keys
from maestro_engine.secrets.service import Secrets, open_secrets
from maestro_engine.secrets.store import MAX_SECRETS, SecretStore
from maestro_workflow_engine import SecretNotFound, SecretSource

FIRST, SECOND = Key(bytes(range(32))), Key(bytes(range(1, 33)))
VALUE = "correct horse battery staple"


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def opened(
    folder: Path, *keys: Key, own_file: Path | None = None, clock: Callable[[], datetime] | None = None
) -> AsyncIterator[Secrets]:
    """The secrets of a folder."""
    ring = Keys(keys, own_file=own_file) if keys else None
    async with SecretStore(folder / "secrets.db") as store:
        yield Secrets(store, ring, clock=clock or Clock())


def files(folder: Path) -> list[Path]:
    """What lies in the folder."""
    return [path for path in folder.iterdir() if path.is_file()]


def order(value: str = VALUE, **more: Any) -> SetSecret:
    """What a caller sends."""
    return SetSecret.model_validate({"value": value, **more})


async def test_a_value_that_is_set_is_given_to_steps(tmp_path: Path) -> None:
    """Also after a restart; with each change the version counts, and the last use is noted to the minute."""
    clock = Clock()
    async with opened(tmp_path, FIRST, clock=clock) as secrets:
        assert isinstance(secrets, SecretSource)
        view, revision = await secrets.set("TOKEN", order(description="for the mirror"), expected=None)
        assert (view.version, view.description, view.last_used_at, view.is_readable) == (
            1,
            "for the mirror",
            None,
            True,
        )
        clock.now += timedelta(hours=1)
        view, _ = await secrets.set("TOKEN", order(VALUE + "!"), expected=revision)
        assert (view.version, view.changed_at - view.created_at) == (2, timedelta(hours=1))
    async with opened(tmp_path, FIRST, clock=clock) as secrets:
        assert await secrets.get("TOKEN") == VALUE + "!"
        used_at = clock.now
        clock.now += timedelta(seconds=59)
        await secrets.get("TOKEN")
        assert (await secrets.one("TOKEN"))[0].last_used_at == used_at
        clock.now += timedelta(seconds=1)
        await secrets.get("TOKEN")
        assert (await secrets.one("TOKEN"))[0].last_used_at == clock.now


@pytest.mark.parametrize(
    "value", ["x", "ü€𝄞\u2028", "a\r\nb\n", "\x00\x1b", "q" * 65_536, '"\\"', "${{ secrets.OTHER }}"]
)
async def test_values_come_back_as_they_were(tmp_path: Path, value: str) -> None:
    """Whatever text it is; nothing is trimmed, and nothing is read as an expression."""
    async with opened(tmp_path, FIRST) as secrets:
        await secrets.set("TOKEN", order(value), expected=None)
        assert await secrets.get("TOKEN") == value


async def test_what_is_not_there_has_ended_or_has_no_key_is_told_apart(tmp_path: Path) -> None:
    """Each error is one that no retry helps against, names the secret, and holds no value."""
    clock = Clock()
    async with opened(tmp_path, FIRST, clock=clock) as secrets:
        await secrets.set("TOKEN", order(expires_at="2026-11-21T13:30:00+01:00"), expected=None)
        assert await secrets.get("TOKEN") == VALUE
        clock.now += timedelta(minutes=30)
        found: list[Exception] = []
        for name, kind in (("TOKEN", SecretExpired), ("OTHER", SecretNotFound), ("../x", SecretNotFound)):
            with pytest.raises(kind, match=name) as error:
                await secrets.get(name)
            found.append(error.value)
        await secrets.set("TOKEN", order(), expected=(await secrets.one("TOKEN"))[1])
        assert await secrets.get("TOKEN") == VALUE
    async with opened(tmp_path, SECOND) as secrets:
        with pytest.raises(SecretUnreadable, match=FIRST.id.hex()) as unreadable:
            await secrets.get("TOKEN")
        assert SECOND.id.hex() in str(unreadable.value)
        assert [view.is_readable for view in (await secrets.all()).items] == [False]
        await secrets.set("NEW", order(), expected=None)
        assert await secrets.get("NEW") == VALUE  # the rest goes on
        found.append(unreadable.value)
    async with opened(tmp_path) as secrets:
        for refused in (secrets.get("TOKEN"), secrets.set("X", order(), expected=None), secrets.rotate_key()):
            with pytest.raises(NoSecretKey, match="MAESTRO_ENGINE_SECRET_KEY_FILE") as no_key:
                await refused
        listed = await secrets.all()
        assert ([view.name for view in listed.items], listed.key_id) == (["NEW", "TOKEN"], None)
        found.append(no_key.value)
    assert all(not getattr(error, "retryable", True) and VALUE not in str(error) for error in found)


async def test_the_disk_holds_no_value_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Neither in the file nor beside it, after setting, changing, deleting; what is overwritten is wiped."""
    async with opened(tmp_path, FIRST) as secrets:
        _, revision = await secrets.set("TOKEN", order(), expected=None)
        _, revision = await secrets.set("TOKEN", order(VALUE + "!"), expected=revision)
        assert len(files(tmp_path)) == 3
        assert {path.stat().st_mode & 0o777 for path in files(tmp_path)} == {0o600}
        assert all(VALUE.encode() not in path.read_bytes() for path in files(tmp_path))
        await secrets.delete("TOKEN", expected=revision)
        with pytest.raises(UnknownSecret):
            await secrets.one("TOKEN")
    (left,) = files(tmp_path)
    assert b"TOKEN" not in left.read_bytes()


async def test_a_value_cannot_be_put_in_the_place_of_another(tmp_path: Path) -> None:
    """Who can write to the file cannot make a step send one secret for another, nor an old value for the new one."""
    async with opened(tmp_path, FIRST) as secrets:
        _, revision = await secrets.set("ONE", order("value of one"), expected=None)
        with contextlib.closing(sqlite3.connect(tmp_path / "secrets.db")) as db:
            (old,) = db.execute("SELECT sealed FROM secrets").fetchone()
        await secrets.set("ONE", order("value of one, changed"), expected=revision)
        await secrets.set("TWO", order("value of two"), expected=None)
        for change in ("UPDATE secrets SET sealed = ? WHERE name = 'TWO'", "UPDATE secrets SET sealed = ?"):
            with contextlib.closing(sqlite3.connect(tmp_path / "secrets.db")) as db, db:
                db.execute(change, (old,))
            with pytest.raises(SecretUnreadable, match="moved from another place"):
                await secrets.get("TWO")
        with pytest.raises(SecretUnreadable):
            await secrets.get("ONE")


@pytest.mark.parametrize("sealed", [b"", b"x", FIRST.id, FIRST.id + bytes(24), FIRST.id + bytes(60), bytes(100)])
async def test_damage_to_one_secret_leaves_the_others_alone(tmp_path: Path, sealed: bytes) -> None:
    """It is named in the error; nothing else is."""
    async with opened(tmp_path, FIRST) as secrets:
        await secrets.set("DAMAGED", order(), expected=None)
        await secrets.set("SOUND", order(), expected=None)
        with contextlib.closing(sqlite3.connect(tmp_path / "secrets.db")) as db, db:
            db.execute("UPDATE secrets SET sealed = ? WHERE name = 'DAMAGED'", (sealed,))
        with pytest.raises(SecretUnreadable, match="DAMAGED"):
            await secrets.get("DAMAGED")
        assert await secrets.get("SOUND") == VALUE
        assert len((await secrets.all()).items) == 2


async def test_of_two_who_change_the_same_one_is_told(tmp_path: Path) -> None:
    """Nothing is overwritten unseen; a secret that was deleted and made anew is not the one that was read."""
    clock = Clock()
    async with opened(tmp_path, FIRST, clock=clock) as secrets:
        _, first = await secrets.set("TOKEN", order(), expected=None)
        both = await asyncio.gather(
            *(secrets.set("TOKEN", order(f"value {number}"), expected=first) for number in range(2)),
            return_exceptions=True,
        )
        assert sorted(type(each).__name__ for each in both) == ["SecretChanged", "tuple"]
        _, second = await secrets.one("TOKEN")
        for expected in (first, None):
            with pytest.raises(SecretChanged):
                await secrets.set("TOKEN", order(), expected=expected)
            with pytest.raises(SecretChanged):
                await secrets.delete("TOKEN", expected=expected)
        await secrets.delete("TOKEN", expected=second)
        clock.now += timedelta(microseconds=1)
        view, third = await secrets.set("TOKEN", order(), expected=None)
        assert (view.version, third == first) == (1, False)


async def test_there_are_only_so_many(tmp_path: Path) -> None:
    """The next one is refused; those that are there can still be changed."""
    async with opened(tmp_path, FIRST) as secrets:
        await secrets.set("S0", order(), expected=None)
        with contextlib.closing(sqlite3.connect(tmp_path / "secrets.db")) as db, db:
            db.executemany(
                "INSERT INTO secrets SELECT ?, version, sealed, description, created_at, changed_at, NULL, NULL "
                "FROM secrets WHERE name = 'S0'",
                [(f"S{number}",) for number in range(1, MAX_SECRETS)],
            )
        with pytest.raises(TooManySecrets, match=str(MAX_SECRETS)):
            await secrets.set("ONE_MORE", order(), expected=None)
        await secrets.set("S0", order(), expected=(await secrets.one("S0"))[1])


async def test_a_new_key_seals_everything_anew(tmp_path: Path) -> None:
    """Where the engine keeps the file of its keys it makes one; afterwards the earlier key is not needed any more."""
    own_file = tmp_path / "engine.key"
    async with opened(tmp_path, FIRST, own_file=own_file) as secrets:
        for name in ("A", "B"):
            await secrets.set(name, order(name * 9), expected=None)
        _, revision = await secrets.one("A")
        rotated = await secrets.rotate_key()
        assert (rotated.is_new, rotated.resealed, rotated.unreadable) == (True, 2, [])
        assert (await secrets.one("A"))[1] == revision  # the value is the same
        assert {view.key_id for view in (await secrets.all()).items} == {rotated.key_id} != {FIRST.id.hex()}
    lines = [line for line in own_file.read_text().splitlines() if not line.startswith("#")]
    assert [line.split("#")[1].strip() for line in lines] == [rotated.key_id, FIRST.id.hex()]
    assert own_file.stat().st_mode & 0o777 == 0o600
    assert all(FIRST.id not in path.read_bytes() for path in files(tmp_path) if path != own_file)


async def test_keys_that_are_given_are_turned_by_giving_a_new_one_first(tmp_path: Path) -> None:
    """With both the engine opens what is there, and seals it anew on demand; then the earlier one can be taken away."""
    async with opened(tmp_path, FIRST) as secrets:
        await secrets.set("A", order(), expected=None)
    async with opened(tmp_path, Key(bytes(range(2, 34)))) as secrets:
        await secrets.set("LOST", order(), expected=None)
    async with opened(tmp_path, SECOND, FIRST) as secrets:
        assert await secrets.get("A") == VALUE
        rotated = await secrets.rotate_key()
        assert (rotated.is_new, rotated.resealed, rotated.unreadable) == (False, 1, ["LOST"])
        assert (await secrets.rotate_key()).resealed == 0
    async with opened(tmp_path, SECOND) as secrets:
        assert await secrets.get("A") == VALUE


async def test_a_rotation_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    """Every value is under a key that the engine has, at any moment."""
    async with opened(tmp_path, FIRST) as secrets:
        for name in ("A", "B"):
            await secrets.set(name, order(), expected=None)

    def anew(kept: object) -> bytes:
        raise MemoryError

    async with SecretStore(tmp_path / "secrets.db") as store:
        before = await store.all()
        with pytest.raises(MemoryError):
            await store.reseal(anew)
        assert await store.all() == before


async def test_the_log_tells_at_the_start_what_cannot_be_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By name; the engine goes on."""
    async with opened(tmp_path, FIRST) as secrets:
        await secrets.set("TOKEN", order(), expected=None)
    with caplog.at_level(logging.DEBUG):
        async with open_secrets(tmp_path / "secrets.db", Keys([FIRST])):
            assert "secret.unreadable" not in caplog.text
        async with open_secrets(tmp_path / "secrets.db", Keys([SECOND])) as secrets:
            assert "secret.unreadable" in caplog.text
            assert "secrets=TOKEN" in caplog.text
            assert len((await secrets.all()).items) == 1
    assert VALUE not in caplog.text


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("PRAGMA application_id = 5", "something else"),
        ("PRAGMA user_version = 2", "schema version 2"),
        ("DROP TABLE secrets", "no such table"),
    ],
)
async def test_a_file_of_something_else_is_refused(tmp_path: Path, script: str, reason: str) -> None:
    """And left as it is; the error names it."""
    async with opened(tmp_path, FIRST) as secrets:
        await secrets.set("TOKEN", order(), expected=None)
    with contextlib.closing(sqlite3.connect(tmp_path / "secrets.db")) as db:
        db.execute(script)
        db.commit()
    before = (tmp_path / "secrets.db").read_bytes()
    with pytest.raises(SecretsUnavailable, match=reason) as found:
        async with open_secrets(tmp_path / "secrets.db", Keys([FIRST])) as secrets:
            await secrets.get("TOKEN")
    assert str(tmp_path / "secrets.db") in str(found.value)
    assert (tmp_path / "secrets.db").read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Whatever is in it, and when it is a folder."""
    (tmp_path / "secrets.db").write_bytes(b"no database at all" * 100)
    (tmp_path / "folder").mkdir()
    for name in ("secrets.db", "folder", "secrets.db/below"):
        with pytest.raises(SecretsUnavailable, match=name):
            await SecretStore(tmp_path / name).__aenter__()


def test_no_shape_and_no_error_shows_a_value_or_a_key() -> None:
    """Not in a repr, not in a text, not by pickling."""
    ring = Keys([FIRST, SECOND])
    shown = " ".join(map(repr, (order(), order().value, ring, ring.all, FIRST, NoSecretKey()))) + str(order())
    assert VALUE not in shown
    assert FIRST.as_text() not in shown
    assert bytes(range(32)).hex() not in shown
    assert VALUE not in order().model_dump_json()
    assert issubclass(SecretUnreadable, SecretError)
